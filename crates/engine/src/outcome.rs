//! What comes of a log entry: the delta for subscribers, the events for the audit trail, the answers to
//! operators.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

use sekisho_model::{
    Allowed, Change, Delta, Entry, HostId, OperatorId, Order, PolicyError, Prefix, Revision, Tier, Unit,
};

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
    /// Where the same request was carried out before, if it was: nothing is done again.
    pub done: Option<Revision>,
}

/// Why an entry came off the blocklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Its time was over.
    Expired,
    /// The attack had ended: nothing was seen or hit for a while.
    Quiet,
    /// An operator ordered it off.
    Unblocked,
    /// An operator put something on the allowlist that shares an address with it.
    Allowed,
    /// It is never listed since a policy, a DNS name or a host's own addresses say so.
    Never,
    /// A wider prefix took its place.
    Covered,
    /// The attack narrowed from a prefix to single units or to a narrower one, which are listed instead.
    Narrowed,
    /// Its quorum needed hosts that turned out to be in outage.
    Outage,
    /// The policy does not list such prefixes any more.
    Policy,
}

/// Whose address is never listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A host's own.
    Host(HostId),
    /// A DNS name's on the policy's never-list.
    Name(String),
}

/// Why an entry's tier changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retier {
    /// A stricter tier's quorum was met.
    Quorum,
    /// A host has connections with it.
    CounterEvidence,
    /// Only the gentler tier's quorum still stands.
    Faded,
    /// Its time was over by half and it is still hit: it has to show anew that it is a victim, and not an honest
    /// client who cannot connect because of us.
    Probation,
    /// The policy lists such prefixes at the gentler tier only.
    Policy,
}

/// Why a prefix came off the allowlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllowanceEnd {
    /// Its time was over.
    Expired,
    /// An operator ordered it off.
    Disallowed,
}

/// A limit on what evidence may list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// `limits.entries`.
    Entries,
    /// `limits.new_per_minute`.
    NewPerMinute,
}

/// Why the single sightings of a host do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flood {
    /// It sees more new units a minute than `limits.host_units_per_minute`.
    Units,
    /// Its kernel answers by SYN cookies.
    Cookies,
}

/// Why a prefix or unit with a quorum is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It is never listed.
    Never,
    /// It is on the allowlist.
    Allowed,
    /// It is held off since it was unblocked.
    Held,
    /// An entry overlaps it that must not go.
    Covered,
    /// A limit is reached.
    Limit(Limit),
}

/// One thing that happened, for the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A prefix was listed, or an order took an entry over.
    Listed {
        /// The entry as it is now.
        entry: Entry,
        /// The hosts that had seen it, the most recent first; none for an order.
        hosts: Vec<HostId>,
    },
    /// An entry's tier changed.
    Retiered {
        /// The entry as it is now.
        entry: Entry,
        /// Its tier before.
        before: Tier,
        /// Why.
        why: Retier,
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
        /// Whose address it has, where that is why it is never listed.
        owner: Option<Owner>,
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
    /// A prefix under carpet bombing is not listed, since something in it forbids that. Once a window for all that
    /// lies in one prefix of the policy's widest length.
    Withheld {
        /// What is not listed.
        prefix: Prefix,
        /// Why.
        cause: Cause,
        /// What forbids it: the entry, the allowance, what is held off, or what is never listed; none where it is so
        /// by nature.
        by: Option<Prefix>,
        /// Units of it that are stuck.
        units: u32,
        /// Hosts that saw them.
        hosts: u32,
    },
    /// A limit is reached: nothing is added until there is room. Once for each time.
    LimitReached {
        /// Which.
        limit: Limit,
        /// Its value in the policy.
        max: u32,
        /// The first prefix that was not listed.
        prefix: Prefix,
    },
    /// There is room again.
    LimitCleared {
        /// Which.
        limit: Limit,
        /// How many decisions to list were held back, a unit each time that it was seen.
        held: u64,
    },
    /// The chance bound moved.
    ChanceBound {
        /// Before.
        from: u32,
        /// Now: no unit is listed by fewer hosts.
        to: u32,
        /// IPv4 units that were first seen within the window.
        units: u64,
    },
    /// A host is flooded: its single sightings do not count.
    HostFlooded {
        /// Who.
        host: HostId,
        /// Why.
        why: Flood,
        /// Units that it saw stuck in the current minute.
        units: u64,
    },
    /// A host is not flooded any more.
    HostCalm {
        /// Who.
        host: HostId,
        /// Observations of no more than one socket that it brought meanwhile.
        uncounted: u64,
    },
    /// A host's path is broken: its evidence does not count.
    OutageBegan {
        /// Who.
        host: HostId,
        /// Handshakes that it completed lately.
        completed: u64,
        /// Handshakes that it would have completed usually.
        expected: u64,
    },
    /// A host's path works again.
    OutageEnded {
        /// Who.
        host: HostId,
        /// Observations and hits of it that were ignored meanwhile.
        ignored: u64,
    },
    /// A host brought more units that nobody else sees than it may: further ones are not tracked.
    HostLimited {
        /// Who.
        host: HostId,
        /// How many it may bring.
        max: u64,
    },
    /// There is room again for what a host alone sees.
    HostUnlimited {
        /// Who.
        host: HostId,
        /// Observations of it that were ignored meanwhile, since their units were not tracked.
        untracked: u64,
    },
    /// Too many units are tracked: the oldest go. Once for each time that it fills up.
    UnitsFull {
        /// How many there may be.
        max: u64,
    },
    /// There is room again for units.
    UnitsCleared {
        /// How many went meanwhile that had been seen within the window.
        lost: u64,
    },
    /// A host has connections with a unit that is listed.
    Objected {
        /// Who.
        host: HostId,
        /// With what.
        unit: Unit,
        /// How many connections.
        connections: u32,
        /// The entry that covers it.
        prefix: Prefix,
        /// The entry's tier before.
        tier: Tier,
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
    PolicyChanged {
        /// Who ordered it; none for the aggregator's own file.
        operator: Option<OperatorId>,
    },
    /// A policy was refused, the one before stays in force.
    PolicyRefused {
        /// Why.
        error: PolicyError,
    },
    /// The addresses of a DNS name on the never-list changed.
    NameChanged {
        /// The name.
        name: String,
        /// Its addresses now.
        addresses: Vec<IpAddr>,
    },
    /// A host's report stream began.
    HostJoined {
        /// Who.
        host: HostId,
    },
    /// The addresses that a host names as its own changed: they are never listed.
    AddressesChanged {
        /// Who.
        host: HostId,
        /// Those that it has now and had not.
        added: Vec<IpAddr>,
        /// Those that it had.
        gone: Vec<IpAddr>,
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
