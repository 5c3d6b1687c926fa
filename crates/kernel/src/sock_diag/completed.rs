//! Connections whose handshake was completed, of the peers that are asked for: proof that somebody lives
//! there who answers.

use std::net::IpAddr;

use sekisho_model::{Prefix, limits::MAX_COMPLETED_PREFIXES};

use super::{Diag, MESSAGE, PassStats, filter::by_peer, peer};
use crate::KernelError;

/// `TCP_LISTEN`.
const LISTEN: u8 = 10;
/// The states after a handshake: ESTABLISHED, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE_WAIT, LAST_ACK, CLOSING.
const COMPLETED: [u8; 7] = [1, 4, 5, 6, 8, 9, 11];
/// TCP ports.
const PORTS: usize = 1 << 16;

impl Diag {
    /// Gives the peer of each connection to a listener of ours that is established, or was until a moment ago,
    /// if it is in one of the prefixes; in no order, and once for each connection. Only the first
    /// [`MAX_COMPLETED_PREFIXES`] of `prefixes` are asked for.
    ///
    /// The kernel walks over every socket, as for the half-open ones, and at hardly more cost; only what passes
    /// comes up. What we opened ourselves is left out, as far as its own port is none that somebody listens on: it says
    /// nothing about the peer's SYNs.
    ///
    /// # Errors
    /// When the kernel refuses the dump or its answer cannot be read; peers may have been given then.
    pub fn completed(
        &mut self,
        prefixes: &[Prefix],
        mut each: impl FnMut(IpAddr),
    ) -> Result<PassStats, KernelError> {
        let mut stats = PassStats::default();
        let asked = prefixes.get(..MAX_COMPLETED_PREFIXES).unwrap_or(prefixes);
        if asked.is_empty() {
            return Ok(stats);
        }
        let listening = self.listening()?;
        let v4: Vec<Prefix> = asked.iter().filter(|prefix| prefix.is_ipv4()).copied().collect();
        // The peers of a listener for both families are IPv4-mapped.
        for (family, prefixes) in [(libc::AF_INET, v4.as_slice()), (libc::AF_INET6, asked)] {
            if prefixes.is_empty() {
                continue;
            }
            let states = COMPLETED.iter().fold(0, |states, state| states | 1u32 << state);
            stats.inconsistent |=
                self.dump(family, states, &by_peer(prefixes), |message| match parse(message.payload) {
                    Some((port, peer)) if listening.get(usize::from(port)) == Some(&true) => {
                        stats.rows += 1;
                        each(peer);
                    }
                    _ => stats.skipped += 1,
                })?;
        }
        Ok(stats)
    }

    /// The ports that somebody listens on. The kernel has listeners in a table of their own, so that this walks
    /// over no other socket.
    fn listening(&mut self) -> Result<Vec<bool>, KernelError> {
        let mut ports = vec![false; PORTS];
        for family in [libc::AF_INET, libc::AF_INET6] {
            self.dump(family, 1 << LISTEN, &[], |message| {
                let own = own_port(message.payload).and_then(|port| ports.get_mut(usize::from(port)));
                if let Some(port) = own {
                    *port = true;
                }
            })?;
        }
        Ok(ports)
    }
}

/// Our port and the peer of a completed connection.
fn parse(payload: &[u8]) -> Option<(u16, IpAddr)> {
    let state = *payload.get(..MESSAGE)?.get(1)?;
    if !COMPLETED.contains(&state) {
        return None;
    }
    Some((own_port(payload)?, peer(payload)?))
}

/// The source's port, in network order at offset 4.
fn own_port(payload: &[u8]) -> Option<u16> {
    payload.get(4..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fields_are_where_the_header_says() {
        let mut bytes = vec![u8::try_from(libc::AF_INET).unwrap(), 1, 0, 0];
        bytes.extend(443u16.to_be_bytes());
        bytes.extend(50_000u16.to_be_bytes());
        bytes.resize(24, 0);
        bytes.extend([203, 0, 113, 7]);
        bytes.resize(MESSAGE, 0);
        assert_eq!(parse(&bytes), Some((443, IpAddr::from([203, 0, 113, 7]))));
        bytes[1] = 3;
        assert_eq!(parse(&bytes), None, "a half-open one is no proof");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(mut bytes: Vec<u8>, state: u8) {
            parse(&bytes);
            own_port(&bytes);
            bytes.resize(MESSAGE, 0xff);
            bytes[1] = state;
            parse(&bytes);
        }
    }
}
