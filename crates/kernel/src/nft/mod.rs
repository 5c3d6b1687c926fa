//! The sets of table `inet sekisho`, by raw nf_tables messages (`linux/netfilter/nf_tables.h`).

mod aside;
pub(crate) mod batch;
mod commit;
pub(crate) mod constants;
mod elements;
mod encode;
mod fill;
mod probe;
mod read;

pub use batch::Batch;
pub use encode::encode;
pub(crate) use encode::steps;
pub use probe::Features;
pub(crate) use read::start;

use sekisho_ruleset::Sides;

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
///
/// A table that was made or claimed as owned belongs to this socket: nobody else changes it, and it goes on
/// without an owner when the socket is closed.
pub struct Nft {
    pub(crate) link: Link,
    /// The names of the sets that the rules look at: as of the last look at the table, or of what was done since.
    pub(crate) sides: Sides,
    /// The room of the last batch of many elements.
    room: Vec<u8>,
}

impl Nft {
    /// Opens it, for the network namespace of this thread.
    ///
    /// # Errors
    /// When the kernel has no nfnetlink, or the process no file descriptor left.
    pub fn open() -> Result<Self, KernelError> {
        Ok(Self { link: Link::open(PROTOCOL)?, sides: Sides::default(), room: Vec::new() })
    }

    /// The sets that the rules look at, by what is known.
    pub fn sides(&self) -> Sides {
        self.sides
    }

    /// Takes the sets on these sides for those that the rules look at.
    pub fn look_at(&mut self, sides: Sides) {
        self.sides = sides;
    }
}
