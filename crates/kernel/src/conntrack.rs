//! Half-open connections that connection tracking knows, by a dump that the kernel filters
//! (`linux/netfilter/nfnetlink_conntrack.h`). It needs `CAP_NET_ADMIN`.
//!
//! Nothing here makes the kernel track connections. But the first request loads the module nf_conntrack_netlink,
//! and nf_conntrack with it where it is not there: look at [`Tracked::read`] first.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use sekisho_model::{Handshake, Row, Sign};

use crate::{
    KernelError, PassStats,
    attributes::Attributes,
    link::Link,
    message::{DUMP, Writer},
};

/// `NETLINK_NETFILTER`.
const PROTOCOL: isize = 12;
/// `NFNL_SUBSYS_CTNETLINK` and `IPCTNL_MSG_CT_GET`.
const GET: u16 = 1 << 8 | 1;
/// Bytes of `struct nfgenmsg`.
const GENERAL: usize = 4;
/// `CTA_TUPLE_ORIG`: who wanted to talk to whom.
const ORIGINAL: u16 = 1;
/// `CTA_TUPLE_REPLY`: who answers whom, as it really goes.
const REPLY: u16 = 2;
/// `CTA_STATUS`.
const STATUS: u16 = 3;
/// `CTA_PROTOINFO`, in it `CTA_PROTOINFO_TCP`, in it `CTA_PROTOINFO_TCP_STATE`.
const STATE: [u16; 3] = [4, 1, 1];
/// `CTA_ID`.
const ID: u16 = 12;
/// `CTA_STATUS_MASK`.
const STATUS_MASK: u16 = 26;
/// `IPS_SEEN_REPLY`: it was answered.
const SEEN_REPLY: u32 = 1 << 1;
/// `IPS_ASSURED`: it was completed.
const ASSURED: u32 = 1 << 2;
/// `TCP_CONNTRACK_SYN_RECV`.
const SYN_RECV: u8 = 2;

/// How many connections the kernel tracks in this thread's network namespace, and how many it would.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracked {
    /// Connections of all protocols and states; above 0 soon after something has begun to use the tracking.
    pub count: u64,
    /// `nf_conntrack_max`.
    pub limit: u64,
}

impl Tracked {
    /// Reads both; none where connection tracking is not loaded.
    pub fn read() -> Option<Self> {
        let number = |name: &str| -> Option<u64> {
            fs::read_to_string(format!("/proc/sys/net/netfilter/{name}")).ok()?.trim().parse().ok()
        };
        Some(Self { count: number("nf_conntrack_count")?, limit: number("nf_conntrack_max")? })
    }
}

/// A socket to ask for tracked connections. After [`KernelError::Answer`] it may be in the middle of an answer: open
/// another.
pub struct Conntrack(Link);

impl Conntrack {
    /// Opens it, for the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel has no netfilter, or the process no file descriptor left.
    pub fn open() -> Result<Self, KernelError> {
        Link::open(PROTOCOL).map(Self)
    }

    /// Gives each connection to `each` that was answered and not completed, of both families, in no order. The victim
    /// is who the first packet came from; the handshake's ends are those of the socket that answers.
    ///
    /// The kernel keeps such an entry for 60 s from the first answer on, however often that is sent again, also
    /// where it was a SYN cookie. It walks over all entries. Since 5.15 it leaves out by itself what was completed or
    /// not answered; before, everything comes up and is left out here.
    ///
    /// # Errors
    /// When the kernel refuses the dump or its answer cannot be read; rows may have been given then.
    pub fn half_open(&mut self, mut each: impl FnMut(Row)) -> Result<PassStats, KernelError> {
        let mut stats = PassStats::default();
        let doing = "listing tracked connections, which needs CAP_NET_ADMIN";
        let refused = |errno| KernelError::os(doing, errno);
        stats.inconsistent = self.0.ask(request, refused, |message| match parse(message.payload) {
            Some(row) => {
                stats.rows += 1;
                each(row);
            }
            None => stats.skipped += 1,
        })?;
        Ok(stats)
    }
}

/// Asks for what was answered and is not assured.
fn request(writer: &mut Writer, sequence: u32) {
    writer.message(GET, DUMP, sequence, |body| {
        body.bytes.extend([0; GENERAL]);
        body.attribute(STATUS, &[&SEEN_REPLY.to_be_bytes()]);
        body.attribute(STATUS_MASK, &[&(SEEN_REPLY | ASSURED).to_be_bytes()]);
    });
}

/// One entry, if it is TCP in SYN_RECV.
fn parse(payload: &[u8]) -> Option<Row> {
    let entry = Attributes(payload.get(GENERAL..)?);
    let [outer, inner, state] = STATE;
    if entry.nested(outer).nested(inner).find(state)?.first() != Some(&SYN_RECV) {
        return None;
    }
    let (client, _) = tuple(&entry.nested(ORIGINAL))?;
    let (local, peer) = tuple(&entry.nested(REPLY))?;
    let sign = Sign::Tracked { id: entry.u32(ID)? };
    Some(Row { victim: client.ip(), handshake: Handshake::new(peer, local), sign })
}

/// Source and destination: `CTA_TUPLE_IP` with addresses of either family, `CTA_TUPLE_PROTO` with ports.
fn tuple(tuple: &Attributes<'_>) -> Option<(SocketAddr, SocketAddr)> {
    let (addresses, ports) = (tuple.nested(1), tuple.nested(2));
    let address = |v4, v6| {
        let four = || Some(IpAddr::from(*addresses.find(v4)?.first_chunk::<4>()?));
        four().or_else(|| Some(IpAddr::from(*addresses.find(v6)?.first_chunk::<16>()?)))
    };
    let port = |kind| ports.find(kind)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes));
    Some((SocketAddr::new(address(1, 3)?, port(2)?), SocketAddr::new(address(2, 4)?, port(3)?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn write_tuple(body: &mut Writer, kind: u16, from: (&[u8], u16), to: (&[u8], u16)) {
        let first = if from.0.len() == 4 { 1 } else { 3 };
        body.nest(kind, |tuple| {
            tuple.nest(1, |ip| {
                ip.attribute(first, &[from.0]);
                ip.attribute(first + 1, &[to.0]);
            });
            tuple.nest(2, |proto| {
                proto.attribute(1, &[&[6]]);
                proto.attribute(2, &[&from.1.to_be_bytes()]);
                proto.attribute(3, &[&to.1.to_be_bytes()]);
            });
        });
    }

    /// A client at 203.0.113.7, sent on to 10.0.0.2, where it looks like 10.0.0.1.
    fn entry(state: u8) -> Vec<u8> {
        let mut body = Writer::default();
        body.bytes.extend([0; GENERAL]);
        write_tuple(&mut body, ORIGINAL, (&[203, 0, 113, 7], 40_000), (&[192, 0, 2, 1], 80));
        write_tuple(&mut body, REPLY, (&[10, 0, 0, 2], 8_080), (&[10, 0, 0, 1], 1_024));
        let [outer, inner, kind] = STATE;
        body.nest(outer, |body| body.nest(inner, |body| body.attribute(kind, &[&[state]])));
        body.attribute(ID, &[&9u32.to_be_bytes()]);
        body.bytes
    }

    #[test]
    fn the_client_is_whom_the_first_packet_came_from() {
        let row = parse(&entry(SYN_RECV)).unwrap();
        let ends = Handshake::new("10.0.0.1:1024".parse().unwrap(), "10.0.0.2:8080".parse().unwrap());
        assert_eq!(row.victim.to_string(), "203.0.113.7");
        assert_eq!((row.handshake, row.sign), (ends, Sign::Tracked { id: 9 }));
        assert_eq!(parse(&entry(3)), None, "a completed one");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, at in 0usize..200, value: u8) {
            parse(&bytes);
            let mut broken = entry(SYN_RECV);
            if let Some(byte) = broken.get_mut(at) {
                *byte = value;
            }
            parse(&broken);
        }
    }
}
