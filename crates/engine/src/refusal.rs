//! Why an order is refused, and what the operator can do about it.

use alloc::string::String;
use core::{fmt, time::Duration};

use sekisho_model::{HostId, PolicyError, Prefix, Revision, Tier, limits::MAX_REASON_BYTES};

/// Why an order is refused. Its text tells an operator what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The order has no reason.
    #[error("an order needs a reason: say why, in a few words")]
    NoReason,
    /// The reason is too long.
    #[error("the reason has {bytes} bytes; shorten it to {MAX_REASON_BYTES}")]
    LongReason {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The request's id was used for another order.
    #[error("this request id was used for another order, carried out at revision {done}; use a new id")]
    RequestReused {
        /// Where the other order was carried out.
        done: Revision,
    },
    /// A value of the policy is out of its range.
    #[error("the policy cannot be applied: {error}")]
    Policy {
        /// Which, and what is allowed.
        error: PolicyError,
    },
    /// The time is out of its range.
    #[error("{what} may last from {} to {}, not {}", Span(*.min), Span(*.max), Span(*.given))]
    Time {
        /// What it is the time of.
        what: &'static str,
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
        /// What was ordered.
        given: Duration,
    },
    /// The prefix to block is too wide.
    #[error("{prefix} is too wide to block: block /{widest} or narrower, several times if need be")]
    TooWide {
        /// What was to be blocked.
        prefix: Prefix,
        /// The shortest length that may be blocked in its family.
        widest: u8,
    },
    /// The prefix cannot be a victim on the internet.
    #[error(
        "{prefix} can never be listed: it has loopback, link-local, multicast, reserved or translated \
         addresses; block a prefix without them"
    )]
    Unlistable {
        /// What was to be blocked.
        prefix: Prefix,
    },
    /// The prefix is private, and the policy protects those.
    #[error("{prefix} has private addresses; set never.private to false in the policy to list them")]
    Private {
        /// What was to be blocked.
        prefix: Prefix,
    },
    /// The policy's never-list has it.
    #[error(
        "{prefix} overlaps {never}, which never.prefixes of the policy protects; take it out there first"
    )]
    Never {
        /// What was to be blocked.
        prefix: Prefix,
        /// What is protected.
        never: Prefix,
    },
    /// A name on the policy's never-list has an address in it.
    #[error(
        "{prefix} overlaps {address} of {name}, which never.names of the policy protects; \
         take it out there first"
    )]
    NeverName {
        /// What was to be blocked.
        prefix: Prefix,
        /// The name.
        name: String,
        /// Its address.
        address: Prefix,
    },
    /// It has an address of one of our own hosts.
    #[error("{prefix} has {address}, which is our own host {host}; block a prefix without it")]
    OwnHost {
        /// What was to be blocked.
        prefix: Prefix,
        /// The host.
        host: HostId,
        /// Its address.
        address: Prefix,
    },
    /// The allowlist has it.
    #[error("{prefix} overlaps {allowed} on the allowlist; disallow that first")]
    Allowlisted {
        /// What was to be blocked.
        prefix: Prefix,
        /// What is allowed.
        allowed: Prefix,
    },
    /// A wider entry does to it already what was ordered, or more.
    #[error("{prefix} is blocked already, at {tier} by the entry {entry}; unblock that first to replace it")]
    Covered {
        /// What was to be blocked.
        prefix: Prefix,
        /// The wider entry.
        entry: Prefix,
        /// Its tier.
        tier: Tier,
    },
    /// A wider entry does less to it than was ordered.
    #[error(
        "{prefix} is only at {tier}, by the entry {entry}, and entries never nest; block {entry} at {wanted} \
         instead, or unblock {entry}, of which evidence then lists nothing while the hold lasts, and order this again"
    )]
    CoveredGentler {
        /// What was to be blocked.
        prefix: Prefix,
        /// The wider entry.
        entry: Prefix,
        /// Its tier.
        tier: Tier,
        /// The tier that was ordered.
        wanted: Tier,
    },
    /// The policy is in force as it is.
    #[error("this policy is in force already; nothing to change")]
    SamePolicy,
    /// The blocklist is full.
    #[error("the blocklist is full with {max} entries; raise limits.entries in the policy or unblock some")]
    BlocklistFull {
        /// The policy's `limits.entries`.
        max: u32,
    },
    /// The allowlist is full.
    #[error("the allowlist is full with {max} prefixes; disallow some, or allow a wider prefix instead")]
    AllowlistFull {
        /// How many there may be.
        max: usize,
    },
    /// Too many unblocked prefixes are held off the list.
    #[error("{max} prefixes are held off the blocklist already; unblock without a hold, or allow it")]
    HoldsFull {
        /// How many there may be.
        max: usize,
    },
    /// It is not on the blocklist.
    #[error("{prefix} is not listed; {}", Wider { covering: *.covering, verb: "unblock" })]
    NotListed {
        /// What was to be unblocked.
        prefix: Prefix,
        /// The entry that covers it, if one does.
        covering: Option<Prefix>,
    },
    /// It is not on the allowlist.
    #[error("{prefix} is not on the allowlist; {}", Wider { covering: *.covering, verb: "disallow" })]
    NotAllowed {
        /// What was to be disallowed.
        prefix: Prefix,
        /// The allowance that covers it, if one does.
        covering: Option<Prefix>,
    },
}

/// What to do about something that is not there.
struct Wider {
    covering: Option<Prefix>,
    verb: &'static str,
}

impl fmt::Display for Wider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.covering {
            Some(wider) => write!(out, "{wider} covers it: {} that", self.verb),
            None => write!(out, "nothing to {}", self.verb),
        }
    }
}

/// A duration in the largest unit that it is a whole number of.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        match seconds {
            _ if millis > 0 => write!(out, "{}ms", self.0.as_millis()),
            1.. if seconds % 86_400 == 0 => write!(out, "{}d", seconds / 86_400),
            1.. if seconds % 3_600 == 0 => write!(out, "{}h", seconds / 3_600),
            _ => write!(out, "{seconds}s"),
        }
    }
}
