//! What comes of a log entry: the delta for subscribers, the events for the audit log, the answers
//! to operators.

use alloc::vec::Vec;

use sekisho_model::{Allowed, Change, Delta, Entry, HostId, Order, PolicyError, Prefix};

use crate::Refusal;

/// What came of one log entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The net effect on the lists, if there is one.
    pub delta: Option<Delta>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The answer to each [`sekisho_model::Input::Order`] of the entry, in order.
    pub orders: Vec<OrderResult>,
}

/// What an order does, or why it does nothing.
pub type OrderResult = Result<OrderPreview, Refusal>;

/// What an order does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderPreview {
    /// The changes of the lists, sorted by key.
    pub changes: Vec<Change>,
}

/// Why an entry came off the blocklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time was over.
    Expired,
    /// An operator ordered it off.
    Unblocked,
    /// An operator put something on the allowlist that shares an address with it.
    Allowed,
    /// It is never listed since a policy, a DNS name or a host's own addresses say so.
    Never,
    /// An operator blocked a wider prefix that covers it.
    Covered,
}

/// Why a prefix came off the allowlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowanceEnd {
    /// Its time was over.
    Expired,
    /// An operator ordered it off.
    Disallowed,
}

/// One thing that happened, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A prefix was listed, or an order took an entry over.
    Listed {
        /// The entry as it is now.
        entry: Entry,
        /// The hosts that had seen it, the most recent first; none for an order.
        hosts: Vec<HostId>,
    },
    /// An entry lasts longer since a quorum still sees it.
    Renewed {
        /// The entry as it is now.
        entry: Entry,
    },
    /// An entry came off the blocklist.
    Removed {
        /// The entry as it was.
        entry: Entry,
        /// Why.
        why: End,
    },
    /// A prefix was put on the allowlist, or its time there was set anew.
    Allowed {
        /// The allowance as it is now.
        allowed: Allowed,
    },
    /// A prefix came off the allowlist.
    Disallowed {
        /// The allowance as it was.
        allowed: Allowed,
        /// Why.
        why: AllowanceEnd,
    },
    /// The list was full when a quorum was met; nothing is added until there is room. Once for each
    /// time that it fills up.
    LimitReached {
        /// The policy's `limits.entries`.
        max_entries: u32,
        /// The first prefix that was not listed.
        prefix: Prefix,
    },
    /// An order was carried out; its effects follow.
    OrderTaken {
        /// The order.
        order: Order,
    },
    /// An order was refused.
    OrderRefused {
        /// The order.
        order: Order,
        /// Why.
        refusal: Refusal,
    },
    /// Another policy is in force; its effects follow.
    PolicyChanged,
    /// A policy was refused, the one before stays in force.
    PolicyRefused {
        /// Why.
        error: PolicyError,
    },
    /// A host's report stream began.
    HostJoined {
        /// Who.
        host: HostId,
    },
    /// A host's report stream ended.
    HostLeft {
        /// Who.
        host: HostId,
    },
    /// A host joined that there is no room for: its reports are ignored.
    HostRefused {
        /// Who.
        host: HostId,
    },
}
