//! What is on the blocklist and on the allowlist, and why.

use alloc::string::String;
use core::fmt;

use crate::{Moment, OperatorId, Prefix, Revision};

/// What is done to the packets of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Inbound SYNs are dropped.
    Drop,
}

impl fmt::Display for Tier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
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
    /// An operator ordered it.
    Order {
        /// Who.
        operator: OperatorId,
        /// Why, in the operator's words.
        text: String,
    },
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
