//! What an operator commands.

use alloc::string::String;
use core::time::Duration;

use crate::{OperatorId, Prefix};

/// One command about one prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Who, by certificate.
    pub operator: OperatorId,
    /// Why, in the operator's words; never empty.
    pub text: String,
    /// About what.
    pub prefix: Prefix,
    /// What.
    pub kind: OrderKind,
}

/// The command itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKind {
    /// List it for this long.
    Block {
        /// Until it ends by itself.
        ttl: Duration,
    },
    /// Take it off the blocklist, and do not list it again for this long (zero: its evidence is
    /// forgotten instead, so that only new evidence lists it again).
    Unblock {
        /// The time during which a quorum does not list it.
        hold: Duration,
    },
    /// Never list it, for this long.
    Allow {
        /// Until it ends by itself.
        ttl: Duration,
    },
    /// Take it off the allowlist.
    Disallow,
}
