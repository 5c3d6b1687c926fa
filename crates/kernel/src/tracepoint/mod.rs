//! SYN-ACKs that the kernel sends again, in all network namespaces of the machine, by the tracepoint
//! `tcp:tcp_retransmit_synack` in an instance of tracefs of our own.
//!
//! It costs what the events cost, however many sockets there are. The kernel writes them into a ring buffer for each
//! processor, also from its idle task, and overwrites the oldest when nobody reads. Reading needs the rights of
//! tracefs, by default those of root.

mod format;
mod instance;
mod page;

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    path::Path,
};

use rustix::io::Errno;
use sekisho_model::{Handshake, Row, Sign, limits::TRACE_READ_BYTES};

use self::{
    format::{Head, Layout},
    instance::Instance,
};
use crate::KernelError;

/// A setting of the whole machine, which the kernel shows in its first network namespace alone.
const OF_THE_MACHINE: &str = "/proc/sys/net/core/netdev_max_backlog";

/// What a reading was like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceStats {
    /// Retransmits that were given.
    pub rows: u64,
    /// Other records in the buffers.
    pub skipped: u64,
    /// Whether the kernel overwrote some that were not read.
    pub overrun: bool,
    /// How many of those it told.
    pub lost: u64,
}

/// The tracepoint, switched on. Dropping it switches it off and takes the instance away; after a kill the next
/// [`Tracepoint::open`] does.
pub struct Tracepoint {
    /// One for each processor. They go before the instance: it cannot be removed while it is read.
    readers: Vec<OwnedFd>,
    layout: Layout,
    head: Head,
    page: Vec<u8>,
    _instance: Instance,
}

impl Tracepoint {
    /// Makes an instance and switches the tracepoint on in it. Instances of agents that are gone are removed.
    ///
    /// # Errors
    /// When there is no tracefs or no such tracepoint, or it may not be used.
    pub fn open() -> Result<Self, KernelError> {
        let instance = Instance::new()?;
        let layout = Layout::parse(&instance.read("events/tcp/tcp_retransmit_synack/format")?)
            .ok_or(KernelError::Answer("the format of tcp_retransmit_synack"))?;
        let head = Head::parse(&instance.read("events/header_page")?)
            .ok_or(KernelError::Answer("the format of a page of tracefs"))?;
        let readers = instance.readers()?;
        instance.switch_on()?;
        let page = vec![0; instance.page_bytes()];
        Ok(Self { readers, layout, head, page, _instance: instance })
    }

    /// Gives each retransmit since the reading before to `each`, processor by processor. At most
    /// [`TRACE_READ_BYTES`] are read of each; what is left is there the next time.
    ///
    /// # Errors
    /// When a buffer cannot be read; rows may have been given then.
    pub fn read(&mut self, mut each: impl FnMut(Row)) -> Result<TraceStats, KernelError> {
        let mut stats = TraceStats::default();
        for reader in &self.readers {
            for _ in 0..TRACE_READ_BYTES / self.page.len() {
                let length = match rustix::io::read(reader, &mut self.page[..]) {
                    Ok(0) | Err(Errno::AGAIN | Errno::INTR) => break,
                    Ok(length) => length,
                    Err(errno) => return Err(KernelError::os("reading traced retransmits", errno)),
                };
                let page = self.page.get(..length).unwrap_or(&[]);
                let missed = page::walk(page, self.head, |record| match row(&self.layout, record) {
                    Some(row) => {
                        stats.rows += 1;
                        each(row);
                    }
                    None => stats.skipped += 1,
                });
                stats.overrun |= missed.is_some();
                stats.lost += missed.unwrap_or(0);
            }
        }
        Ok(stats)
    }
}

/// Whether this thread is in the machine's first network namespace: then it speaks for the machine, and not for one
/// container of it. No privilege is needed.
pub fn in_first_namespace() -> bool {
    Path::new(OF_THE_MACHINE).exists()
}

/// One record of the tracepoint. The kernel gives IPv4 addresses in the fields for IPv6 too, mapped.
fn row(layout: &Layout, record: &[u8]) -> Option<Row> {
    if layout.kind.number(record)? != layout.id {
        return None;
    }
    let end = |address: format::Field, port: format::Field| {
        let address: [u8; 16] = *record.get(address.at..)?.first_chunk()?;
        let port = u16::try_from(port.number(record)?).ok()?;
        Some(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(address)), port))
    };
    let peer = end(layout.peer, layout.peer_port)?;
    let local = end(layout.local, layout.local_port)?;
    Some(Row { victim: peer.ip(), handshake: Handshake::new(peer, local), sign: Sign::Resent })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_is_read_by_its_format() {
        let layout = Layout::parse(format::tests::FORMAT).unwrap();
        let mut record = vec![0; 70];
        record[..2].copy_from_slice(&2275u16.to_ne_bytes());
        record[24..26].copy_from_slice(&443u16.to_ne_bytes());
        record[26..28].copy_from_slice(&40_000u16.to_ne_bytes());
        record[48..54].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
        record[64..70].copy_from_slice(&[0xff, 0xff, 203, 0, 113, 7]);
        let row = row(&layout, &record).unwrap();
        let ends = Handshake::new("203.0.113.7:40000".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
        assert_eq!((row.handshake, row.sign), (ends, Sign::Resent));
        record[0] ^= 1;
        assert_eq!(super::row(&layout, &record), None, "another tracepoint's");
    }

    proptest! {
        #[test]
        fn any_record_is_taken(record: Vec<u8>) {
            row(&Layout::parse(format::tests::FORMAT).unwrap(), &record);
        }
    }
}
