//! What is on the blocklist and on the allowlist, and why.

use alloc::string::String;
use core::fmt;

use crate::{Moment, OperatorId, Prefix, Revision};

/// What is done to the packets of an entry. The stricter tier is the greater one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The first SYN-ACK of each handshake passes, its retransmits are dropped: an honest client still
    /// connects.
    Suppress,
    /// Inbound SYNs are dropped.
    Drop,
}

impl fmt::Display for Tier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Suppress => "suppress",
            Self::Drop => "drop",
        })
    }
}

/// Why an entry is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// At least `quorum` hosts saw its handshakes stuck within the window.
    Quorum {
        /// Distinct hosts that had seen it when it was last listed or renewed.
        hosts: u32,
        /// The quorum that was in force then.
        quorum: u32,
    },
    /// A prefix in which many units were stuck at once, each perhaps only once: carpet bombing.
    Prefix {
        /// Distinct hosts that had seen one of its units when it was last listed or renewed.
        hosts: u32,
        /// The quorum of hosts that was in force then.
        quorum: u32,
        /// Distinct units that were stuck then.
        units: u32,
        /// The fewest units that would have done.
        least: u32,
    },
    /// An operator ordered it.
    Order {
        /// Who.
        operator: OperatorId,
        /// Why, in the operator's words.
        text: String,
    },
}

impl Reason {
    /// Whether evidence listed it, not an order.
    pub fn is_evidence(&self) -> bool {
        !matches!(self, Self::Order { .. })
    }
}

/// One prefix on the blocklist: a reflection *victim*, never an attacker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What is listed.
    pub prefix: Prefix,
    /// What is done to it.
    pub tier: Tier,
    /// Why.
    pub reason: Reason,
    /// When it was listed, by the log's time.
    pub created: Moment,
    /// When it ends unless renewed, by the log's time.
    pub expires: Moment,
    /// How many times it was renewed.
    pub renewals: u32,
    /// How many listings of the same prefix came before and are not forgiven yet.
    pub repeats: u32,
    /// The revision that listed or last changed it.
    pub revision: Revision,
}

/// One prefix on the allowlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// What is never listed.
    pub prefix: Prefix,
    /// Who ordered it.
    pub operator: OperatorId,
    /// Why, in the operator's words.
    pub text: String,
    /// When it was ordered, by the log's time.
    pub created: Moment,
    /// When it ends, by the log's time.
    pub expires: Moment,
    /// The revision that put it there.
    pub revision: Revision,
}
