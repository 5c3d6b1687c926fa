//! The sets of table `inet sekisho`, by raw nf_tables messages (`linux/netfilter/nf_tables.h`).

mod commit;
mod constants;
mod elements;
mod encode;
mod fill;
mod read;

pub use encode::{Batch, encode};

use crate::{KernelError, link::Link};

/// `NETLINK_NETFILTER`.
const PROTOCOL: isize = 12;

/// What the rules have counted since the table was made, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// SYNs that came in, whatever became of them. Stays 0 where packets go around nf_tables.
    pub syns: u64,
    /// SYNs that were dropped.
    pub dropped: u64,
    /// SYN-ACKs to addresses at tier drop that were dropped.
    pub muted: u64,
    /// Retransmitted SYN-ACKs to addresses at tier suppress that were dropped.
    pub suppressed: u64,
    /// SYN-ACKs to addresses at tier suppress that passed and whose retransmits will pass too, since too many
    /// handshakes are remembered already.
    pub forgotten: u64,
}

impl Counters {
    /// Packets that our rules dropped.
    pub fn all_dropped(&self) -> u64 {
        self.dropped.saturating_add(self.muted).saturating_add(self.suppressed)
    }
}

/// A socket to nf_tables. After [`KernelError::Answer`] it may be in the middle of an answer: open another.
pub struct Nft(Link);

impl Nft {
    /// Opens it, for the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel has no nfnetlink, or the process no file descriptor left.
    pub fn open() -> Result<Self, KernelError> {
        Link::open(PROTOCOL).map(Self)
    }
}
