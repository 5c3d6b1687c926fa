//! Events as programs see them: the names of protobuf's JSON form. How people read them is `event/words.rs`.

mod advice;
mod words;

use sekisho_wire::pb::v1::{self as pb, event::Kind as Told};
use serde::Serialize;

use crate::view::{AllowlistEntry, Entry, Stamp};

pub(crate) use self::words::{kinds, name};

/// One thing that happened.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) revision: i64,
    pub(crate) ordinal: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<Stamp>,
    #[serde(flatten)]
    kind: Option<Kind>,
    /// What people read.
    #[serde(skip)]
    pub(crate) shown: Shown,
}

/// An event in cells.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    pub(crate) kind: String,
    pub(crate) about: String,
    pub(crate) what: String,
    /// What the operator can do about it; empty where nothing is to be done.
    pub(crate) advice: String,
    /// The hosts by which it happened, where there are many.
    pub(crate) hosts: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Kind {
    Listed {
        #[serde(skip_serializing_if = "Option::is_none")]
        entry: Option<Entry>,
        host_ids: Vec<String>,
    },
    Retiered {
        #[serde(skip_serializing_if = "Option::is_none")]
        entry: Option<Entry>,
        before: &'static str,
        reason: &'static str,
    },
    Removed {
        #[serde(skip_serializing_if = "Option::is_none")]
        entry: Option<Entry>,
        reason: &'static str,
        host_id: String,
        name: String,
    },
    Allowed {
        #[serde(skip_serializing_if = "Option::is_none")]
        entry: Option<AllowlistEntry>,
    },
    Disallowed {
        #[serde(skip_serializing_if = "Option::is_none")]
        entry: Option<AllowlistEntry>,
        reason: &'static str,
    },
    Withheld {
        prefix: String,
        cause: &'static str,
        units: i32,
        hosts: i32,
        by: String,
    },
    LimitReached {
        limit: &'static str,
        max: i32,
        prefix: String,
    },
    LimitCleared {
        limit: &'static str,
        held: i64,
    },
    ChanceBoundMoved {
        from: i32,
        to: i32,
        units: i64,
    },
    HostFlooded {
        host_id: String,
        reason: &'static str,
        units: i64,
    },
    HostCalm {
        host_id: String,
        uncounted: i64,
    },
    OutageBegan {
        host_id: String,
        completed: i64,
        expected: i64,
    },
    OutageEnded {
        host_id: String,
        ignored: i64,
    },
    HostLimited {
        host_id: String,
        max: i64,
    },
    HostUnlimited {
        host_id: String,
        untracked: i64,
    },
    UnitsFull {
        max: i64,
    },
    UnitsCleared {
        lost: i64,
    },
    HostObjected {
        host_id: String,
        unit: String,
        connections: i32,
        prefix: String,
        tier: &'static str,
    },
    OrderTaken {
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<Order>,
    },
    OrderRefused {
        #[serde(skip_serializing_if = "Option::is_none")]
        order: Option<Order>,
        problem: String,
    },
    PolicyChanged {
        operator: String,
    },
    PolicyRefused {
        key: String,
        problem: String,
    },
    NameChanged {
        name: String,
        addresses: Vec<String>,
    },
    HostRefused {
        host_id: String,
    },
    HostAddressesChanged {
        host_id: String,
        added: Vec<String>,
        gone: Vec<String>,
    },
}

/// An operator's command.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    operator: String,
    reason: String,
    request_id: String,
    #[serde(flatten)]
    kind: Option<OrderKind>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum OrderKind {
    Block {
        prefix: String,
        tier: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<String>,
    },
    Unblock {
        prefix: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        hold: Option<String>,
    },
    Allow {
        prefix: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<String>,
    },
    Disallow {
        prefix: String,
    },
    SetPolicy {
        policy_yaml: String,
        never_prefixes: i32,
        never_names: i32,
    },
}

impl From<pb::Event> for Event {
    fn from(event: pb::Event) -> Self {
        let shown = words::shown(event.kind.as_ref());
        Self {
            revision: event.revision,
            ordinal: event.ordinal,
            time: event.time.map(Stamp),
            kind: event.kind.map(Kind::from),
            shown,
        }
    }
}

impl From<Told> for Kind {
    fn from(told: Told) -> Self {
        match told {
            Told::Listed(by) => Self::Listed { entry: by.entry.map(Entry::from), host_ids: by.host_ids },
            Told::Retiered(by) => Self::Retiered {
                before: by.before().as_str_name(),
                reason: by.reason().as_str_name(),
                entry: by.entry.map(Entry::from),
            },
            Told::Removed(by) => Self::Removed {
                reason: by.reason().as_str_name(),
                entry: by.entry.map(Entry::from),
                host_id: by.host_id,
                name: by.name,
            },
            Told::Allowed(by) => Self::Allowed { entry: by.entry.map(AllowlistEntry::from) },
            Told::Disallowed(by) => Self::Disallowed {
                reason: by.reason().as_str_name(),
                entry: by.entry.map(AllowlistEntry::from),
            },
            Told::Withheld(by) => Self::Withheld {
                cause: by.cause().as_str_name(),
                prefix: by.prefix,
                units: by.units,
                hosts: by.hosts,
                by: by.by,
            },
            Told::LimitReached(by) => {
                Self::LimitReached { limit: by.limit().as_str_name(), max: by.max, prefix: by.prefix }
            }
            Told::LimitCleared(by) => Self::LimitCleared { limit: by.limit().as_str_name(), held: by.held },
            Told::ChanceBoundMoved(pb::ChanceBoundMoved { from, to, units }) => {
                Self::ChanceBoundMoved { from, to, units }
            }
            Told::HostFlooded(by) => {
                Self::HostFlooded { reason: by.reason().as_str_name(), units: by.units, host_id: by.host_id }
            }
            Told::HostCalm(pb::HostCalm { host_id, uncounted }) => Self::HostCalm { host_id, uncounted },
            Told::OutageBegan(pb::OutageBegan { host_id, completed, expected }) => {
                Self::OutageBegan { host_id, completed, expected }
            }
            Told::OutageEnded(pb::OutageEnded { host_id, ignored }) => Self::OutageEnded { host_id, ignored },
            Told::HostLimited(pb::HostLimited { host_id, max }) => Self::HostLimited { host_id, max },
            Told::HostUnlimited(pb::HostUnlimited { host_id, untracked }) => {
                Self::HostUnlimited { host_id, untracked }
            }
            Told::UnitsFull(by) => Self::UnitsFull { max: by.max },
            Told::UnitsCleared(by) => Self::UnitsCleared { lost: by.lost },
            Told::HostObjected(by) => Self::HostObjected {
                tier: by.tier().as_str_name(),
                host_id: by.host_id,
                unit: by.unit,
                connections: by.connections,
                prefix: by.prefix,
            },
            Told::OrderTaken(by) => Self::OrderTaken { order: by.order.map(Order::from) },
            Told::OrderRefused(by) => {
                Self::OrderRefused { order: by.order.map(Order::from), problem: by.problem }
            }
            Told::PolicyChanged(by) => Self::PolicyChanged { operator: by.operator },
            Told::PolicyRefused(by) => Self::PolicyRefused { key: by.key, problem: by.problem },
            Told::NameChanged(by) => Self::NameChanged { name: by.name, addresses: by.addresses },
            Told::HostRefused(by) => Self::HostRefused { host_id: by.host_id },
            Told::HostAddressesChanged(pb::HostAddressesChanged { host_id, added, gone }) => {
                Self::HostAddressesChanged { host_id, added, gone }
            }
        }
    }
}

impl From<pb::Order> for Order {
    fn from(order: pb::Order) -> Self {
        use pb::order::Kind;
        let span = |span: Option<prost_types::Duration>| span.map(|span| span.to_string());
        let kind = order.kind.map(|kind| match kind {
            Kind::Block(by) => {
                OrderKind::Block { tier: by.tier().as_str_name(), ttl: span(by.ttl), prefix: by.prefix }
            }
            Kind::Unblock(by) => OrderKind::Unblock { prefix: by.prefix, hold: span(by.hold) },
            Kind::Allow(by) => OrderKind::Allow { prefix: by.prefix, ttl: span(by.ttl) },
            Kind::Disallow(by) => OrderKind::Disallow { prefix: by.prefix },
            Kind::SetPolicy(pb::SetPolicyOrder { policy_yaml, never_prefixes, never_names }) => {
                OrderKind::SetPolicy { policy_yaml, never_prefixes, never_names }
            }
        });
        Self { operator: order.operator, reason: order.reason, request_id: order.request_id, kind }
    }
}
