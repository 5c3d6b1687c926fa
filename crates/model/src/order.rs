//! What an operator commands.

use alloc::{boxed::Box, string::String};
use core::time::Duration;

use crate::{OperatorId, Policy, Prefix, RequestId, Tier};

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Who, by certificate.
    pub operator: OperatorId,
    /// Why, in the operator's words; never empty.
    pub text: String,
    /// The caller's name for this command: the same one twice is carried out once.
    pub request: Option<RequestId>,
    /// What.
    pub kind: OrderKind,
}

/// The command itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// List a prefix.
    Block {
        /// About what.
        prefix: Prefix,
        /// What is done to it.
        tier: Tier,
        /// Until it ends by itself.
        ttl: Duration,
    },
    /// Take a prefix off the blocklist, and do not list it again for a while.
    Unblock {
        /// About what.
        prefix: Prefix,
        /// The time during which evidence does not list it (zero: its evidence is forgotten instead, so
        /// that only new evidence lists it again).
        hold: Duration,
    },
    /// Never list a prefix.
    Allow {
        /// About what.
        prefix: Prefix,
        /// Until it ends by itself.
        ttl: Duration,
    },
    /// Take a prefix off the allowlist.
    Disallow {
        /// About what.
        prefix: Prefix,
    },
    /// Put a policy in force.
    SetPolicy(Box<Policy>),
}

impl OrderKind {
    /// What it is about; none for a policy.
    pub fn prefix(&self) -> Option<&Prefix> {
        match self {
            Self::Block { prefix, .. }
            | Self::Unblock { prefix, .. }
            | Self::Allow { prefix, .. }
            | Self::Disallow { prefix } => Some(prefix),
            Self::SetPolicy(_) => None,
        }
    }

    /// The verb, as operators write it.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Block { .. } => "block",
            Self::Unblock { .. } => "unblock",
            Self::Allow { .. } => "allow",
            Self::Disallow { .. } => "disallow",
            Self::SetPolicy(_) => "apply policy",
        }
    }
}
