//! Ending half-open sockets of the peers that are asked for (`SOCK_DESTROY` of `linux/sock_diag.h`): a request
//! socket goes without a packet, and with it its queued retransmits and its place in the listener's queue.
//!
//! Needs CAP_NET_ADMIN and a kernel with CONFIG_INET_DIAG_DESTROY.

use rustix::io::Errno;
use sekisho_model::{
    Prefix, Row,
    limits::{MAX_COMPLETED_PREFIXES, SOCKETS_A_SEND},
};

use super::{
    Diag, HALF_OPEN, MESSAGE, PassStats,
    filter::{by_peer, disjoint},
    parse,
};
use crate::{
    KernelError,
    link::ONE,
    message::{Message, Writer},
};

/// `SOCK_DESTROY`.
const DESTROY: u16 = 21;
/// Bytes of `struct inet_diag_sockid`: ports, addresses, interface, cookie.
const ID: usize = 48;
/// Where it stands in `struct inet_diag_msg`.
const ID_AT: usize = 4;

/// A half-open socket, and what the kernel finds it by again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfOpen {
    /// What the kernel told of it.
    pub row: Row,
    family: u8,
    id: [u8; ID],
}

/// What became of sockets that were to be ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Destroyed {
    /// Those that were ended.
    pub ended: u64,
    /// Those that had ended by themselves, or whose handshake was completed meanwhile.
    pub gone: u64,
}

impl Diag {
    /// Gives each half-open socket whose peer is in one of `prefixes`, of which there may be any number; in no
    /// order.
    ///
    /// # Errors
    /// When the kernel refuses the dump or its answer cannot be read; sockets may have been given then.
    pub fn half_open_of(
        &mut self,
        prefixes: &[Prefix],
        mut each: impl FnMut(HalfOpen),
    ) -> Result<PassStats, KernelError> {
        let (mut stats, widest) = (PassStats::default(), disjoint(prefixes));
        if widest.is_empty() {
            return Ok(stats);
        }
        // The kernel's code has room for so many; more are looked for here.
        let few = widest.len() <= MAX_COMPLETED_PREFIXES;
        let code = if few { by_peer(&widest) } else { Vec::new() };
        let asked = |socket: &HalfOpen| few || holds(&widest, socket);
        for family in families(&widest) {
            stats.inconsistent |=
                self.dump(family, HALF_OPEN, &code, |message| match socket(&message).filter(asked) {
                    Some(socket) => {
                        stats.rows += 1;
                        each(socket);
                    }
                    None => stats.skipped += 1,
                })?;
        }
        Ok(stats)
    }

    /// Ends these sockets, [`SOCKETS_A_SEND`] at a time: about 10 µs each.
    ///
    /// # Errors
    /// [`KernelError::NotPermitted`] without CAP_NET_ADMIN; `EOPNOTSUPP` where the kernel cannot do it.
    pub fn destroy(&mut self, sockets: &[HalfOpen]) -> Result<Destroyed, KernelError> {
        let mut all = Destroyed::default();
        for some in sockets.chunks(SOCKETS_A_SEND) {
            let first = self.link.sequences(u32::try_from(some.len()).unwrap_or(u32::MAX));
            let mut writer = Writer::default();
            for (sequence, socket) in (first..).zip(some) {
                request(&mut writer, sequence, socket.family, &socket.id);
            }
            self.link.send(&writer.bytes)?;
            // The kernel has done it all inside the send.
            for answer in self.link.acknowledgements()? {
                match answer.errno {
                    None => all.ended += 1,
                    Some(Errno::NOENT | Errno::STALE) => all.gone += 1,
                    Some(errno) => return Err(refused(errno)),
                }
            }
        }
        Ok(all)
    }

    /// Whether this kernel ends sockets when it is asked to, by asking for one that cannot be.
    ///
    /// # Errors
    /// The kernel's, if it cannot be asked.
    pub fn can_destroy(&mut self) -> Result<bool, KernelError> {
        let family = u8::try_from(libc::AF_INET).unwrap_or(0);
        let asked = self.link.ask(
            |writer, sequence| request(writer, sequence, family, &[0; ID]),
            |errno| KernelError::os("asking for SOCK_DESTROY", errno),
            |_| (),
        );
        let Err(KernelError::Os { source, .. }) = &asked else { return asked.map(|_| true) };
        match source.raw_os_error() {
            Some(libc::ENOENT | libc::ESTALE) => Ok(true),
            Some(libc::EOPNOTSUPP) => Ok(false),
            _ => asked.map(|_| true),
        }
    }
}

fn refused(errno: Errno) -> KernelError {
    match errno {
        Errno::PERM => KernelError::NotPermitted,
        other => KernelError::os("ending half-open sockets", other),
    }
}

/// The address families whose sockets may have such peers: those of a listener for both are IPv4-mapped.
fn families(prefixes: &[Prefix]) -> impl Iterator<Item = i32> {
    let four = prefixes.iter().any(Prefix::is_ipv4);
    [libc::AF_INET, libc::AF_INET6].into_iter().filter(move |family| four || *family == libc::AF_INET6)
}

/// Whether the peer is in one of `widest`, which are in order and disjoint.
fn holds(widest: &[Prefix], socket: &HalfOpen) -> bool {
    let peer = Prefix::host(socket.row.victim);
    let before = widest.partition_point(|prefix| *prefix <= peer);
    before.checked_sub(1).and_then(|at| widest.get(at)).is_some_and(|prefix| prefix.covers(&peer))
}

fn socket(message: &Message<'_>) -> Option<HalfOpen> {
    let row = parse(message.payload)?;
    let payload = message.payload.get(..MESSAGE)?;
    Some(HalfOpen { row, family: *payload.first()?, id: *payload.get(ID_AT..)?.first_chunk()? })
}

/// Writes `struct inet_diag_req_v2`.
fn request(writer: &mut Writer, sequence: u32, family: u8, id: &[u8; ID]) {
    writer.message(DESTROY, ONE, sequence, |body| {
        let tcp = u8::try_from(libc::IPPROTO_TCP).unwrap_or(0);
        body.bytes.extend([family, tcp, 0, 0]);
        body.bytes.extend(u32::MAX.to_ne_bytes());
        body.bytes.extend(id);
    });
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, SocketAddr},
        time::Duration,
    };

    use proptest::{collection::vec, prelude::*};
    use sekisho_model::{Handshake, Sign};

    use super::*;
    use crate::message::Messages;

    fn of(peer: IpAddr) -> HalfOpen {
        let local = SocketAddr::new([192, 0, 2, 1].into(), 443);
        let handshake = Handshake::new(SocketAddr::new(peer, 9), local);
        let sign = Sign::Socket { cookie: 1, retransmits: 0, expires: Duration::ZERO };
        let row = Row { victim: peer, handshake, sign };
        HalfOpen { row, family: 2, id: [7; ID] }
    }

    #[test]
    fn the_socket_is_named_as_the_kernel_named_it() {
        let mut writer = Writer::default();
        request(&mut writer, 5, 10, &[7; ID]);
        let message = Messages(&writer.bytes).next().unwrap();
        assert_eq!((message.kind, message.sequence, message.payload.len()), (DESTROY, 5, 56));
        assert_eq!((message.payload[0], message.payload[1]), (10, 6));
        assert_eq!(message.payload[8..], [7; ID]);
    }

    proptest! {
        #[test]
        fn peers_are_found_as_by_a_walk(peers in vec(any::<(u8, bool)>(), 1..20), all in vec((any::<u8>(), 24u8..=32), 1..20)) {
            let prefixes: Vec<Prefix> =
                all.iter().map(|(low, length)| Prefix::host([203, 0, 113, *low].into()).widened(*length)).collect();
            let widest = disjoint(&prefixes);
            for (low, mapped) in peers {
                let four = std::net::Ipv4Addr::new(203, 0, 113, low);
                let peer = if mapped { IpAddr::V6(four.to_ipv6_mapped()) } else { IpAddr::V4(four) };
                let walk = prefixes.iter().any(|prefix| prefix.contains(IpAddr::V4(four)));
                prop_assert_eq!(holds(&widest, &of(peer)), walk);
            }
        }
    }
}
