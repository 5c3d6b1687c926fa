//! The audit trail: the engine's events as operators read them, and by which prefixes they are found.

use prost::Message;
use sekisho_engine::{AllowanceEnd, Cause, End, Event, Flood, Limit, Retier};
use sekisho_model::{HostId, Prefix};
use sekisho_store::{NewEvent, StoredEvent};
use sekisho_wire::{
    order,
    pb::v1::{self as pb, event::Kind},
    readable,
};

/// The events that are kept, as they are stored: renewals and the coming and going of hosts are not.
pub fn kept(events: &[Event]) -> Vec<NewEvent> {
    let kept = |event: &Event| {
        let message = pb::Event { kind: Some(kind(event)?), ..pb::Event::default() };
        Some(NewEvent { about: about(event).into_iter().collect(), bytes: message.encode_to_vec() })
    };
    events.iter().filter_map(kept).collect()
}

/// A stored event for operators. One that a newer version wrote has no kind.
pub fn readable(stored: &StoredEvent) -> pb::Event {
    let message = pb::Event::decode(&stored.bytes[..]).unwrap_or_default();
    pb::Event {
        revision: stored.id.index.0,
        ordinal: i32::try_from(stored.id.ordinal).unwrap_or(i32::MAX),
        time: Some(readable::timestamp(stored.time)),
        ..message
    }
}

/// Which kind an event is.
pub fn kind_of(event: &pb::Event) -> pb::EventKind {
    use pb::EventKind as K;
    match &event.kind {
        None => K::Unspecified,
        Some(Kind::Listed(_)) => K::Listed,
        Some(Kind::Retiered(_)) => K::Retiered,
        Some(Kind::Removed(_)) => K::Removed,
        Some(Kind::Allowed(_)) => K::Allowed,
        Some(Kind::Disallowed(_)) => K::Disallowed,
        Some(Kind::Withheld(_)) => K::Withheld,
        Some(Kind::LimitReached(_)) => K::LimitReached,
        Some(Kind::LimitCleared(_)) => K::LimitCleared,
        Some(Kind::ChanceBoundMoved(_)) => K::ChanceBoundMoved,
        Some(Kind::HostFlooded(_)) => K::HostFlooded,
        Some(Kind::HostCalm(_)) => K::HostCalm,
        Some(Kind::OutageBegan(_)) => K::OutageBegan,
        Some(Kind::OutageEnded(_)) => K::OutageEnded,
        Some(Kind::HostLimited(_)) => K::HostLimited,
        Some(Kind::UnitsFull(_)) => K::UnitsFull,
        Some(Kind::HostObjected(_)) => K::HostObjected,
        Some(Kind::OrderTaken(_)) => K::OrderTaken,
        Some(Kind::OrderRefused(_)) => K::OrderRefused,
        Some(Kind::PolicyChanged(_)) => K::PolicyChanged,
        Some(Kind::PolicyRefused(_)) => K::PolicyRefused,
        Some(Kind::NameChanged(_)) => K::NameChanged,
        Some(Kind::HostRefused(_)) => K::HostRefused,
    }
}

/// Why something is not listed, on the wire.
pub fn cause(cause: Cause) -> pb::Cause {
    match cause {
        Cause::Never => pb::Cause::Never,
        Cause::Allowed => pb::Cause::Allowed,
        Cause::Held => pb::Cause::Held,
        Cause::Covered => pb::Cause::Covered,
        Cause::Limit(Limit::Entries) => pb::Cause::LimitEntries,
        Cause::Limit(Limit::NewPerMinute) => pb::Cause::LimitNewPerMinute,
    }
}

/// A limit on the wire.
pub fn limit(limit: Limit) -> pb::Limit {
    match limit {
        Limit::Entries => pb::Limit::Entries,
        Limit::NewPerMinute => pb::Limit::NewPerMinute,
    }
}

/// The prefix that an event is about, if it is about one.
fn about(event: &Event) -> Option<Prefix> {
    match event {
        Event::Listed { entry, .. } | Event::Retiered { entry, .. } | Event::Removed { entry, .. } => {
            Some(entry.prefix)
        }
        Event::Allowed { allowed } | Event::Disallowed { allowed, .. } => Some(allowed.prefix),
        Event::Withheld { prefix, .. } | Event::LimitReached { prefix, .. } => Some(*prefix),
        Event::Objected { unit, .. } => Some(unit.prefix()),
        Event::OrderTaken { order } | Event::OrderRefused { order, .. } => order.kind.prefix().copied(),
        _ => None,
    }
}

/// An event on the wire; none for those that are not kept.
fn kind(event: &Event) -> Option<Kind> {
    lists(event).or_else(|| guards(event)).or_else(|| orders(event))
}

/// What became of the lists.
fn lists(event: &Event) -> Option<Kind> {
    Some(match event {
        Event::Listed { entry, hosts } => Kind::Listed(pb::EntryListed {
            entry: Some(readable::entry(entry)),
            host_ids: hosts.iter().map(HostId::to_string).collect(),
        }),
        Event::Retiered { entry, before, why } => Kind::Retiered(pb::EntryRetiered {
            entry: Some(readable::entry(entry)),
            before: readable::tier(*before) as i32,
            reason: match why {
                Retier::Quorum => pb::RetierReason::Quorum,
                Retier::CounterEvidence => pb::RetierReason::CounterEvidence,
                Retier::Faded => pb::RetierReason::Faded,
            } as i32,
        }),
        Event::Removed { entry, why } => Kind::Removed(pb::EntryRemoved {
            entry: Some(readable::entry(entry)),
            reason: removal(*why) as i32,
        }),
        Event::Allowed { allowed } => {
            Kind::Allowed(pb::PrefixAllowed { entry: Some(readable::allowed(allowed)) })
        }
        Event::Disallowed { allowed, why } => Kind::Disallowed(pb::PrefixDisallowed {
            entry: Some(readable::allowed(allowed)),
            reason: match why {
                AllowanceEnd::Expired => pb::AllowanceEnd::Expired,
                AllowanceEnd::Disallowed => pb::AllowanceEnd::Disallowed,
            } as i32,
        }),
        _ => return None,
    })
}

fn removal(why: End) -> pb::RemovalReason {
    match why {
        End::Expired => pb::RemovalReason::Expired,
        End::Quiet => pb::RemovalReason::Quiet,
        End::Unblocked => pb::RemovalReason::Unblocked,
        End::Allowed => pb::RemovalReason::Allowed,
        End::Never => pb::RemovalReason::Never,
        End::Covered => pb::RemovalReason::Covered,
        End::Narrowed => pb::RemovalReason::Narrowed,
        End::Outage => pb::RemovalReason::Outage,
    }
}

/// What was held back, and whose word does not count.
fn guards(event: &Event) -> Option<Kind> {
    Some(match event {
        Event::Withheld { prefix, cause } => Kind::Withheld(pb::PrefixWithheld {
            prefix: prefix.to_string(),
            cause: self::cause(*cause) as i32,
        }),
        Event::LimitReached { limit, max, prefix } => Kind::LimitReached(pb::LimitReached {
            limit: self::limit(*limit) as i32,
            max: readable::count(*max),
            prefix: prefix.to_string(),
        }),
        Event::LimitCleared { limit, held } => {
            Kind::LimitCleared(pb::LimitCleared { limit: self::limit(*limit) as i32, held: long(*held) })
        }
        Event::ChanceBound { from, to, units } => Kind::ChanceBoundMoved(pb::ChanceBoundMoved {
            from: readable::count(*from),
            to: readable::count(*to),
            units: long(*units),
        }),
        Event::HostFlooded { host, why, units } => Kind::HostFlooded(pb::HostFlooded {
            host_id: host.to_string(),
            reason: match why {
                Flood::Units => pb::FloodReason::Units,
                Flood::Cookies => pb::FloodReason::Cookies,
            } as i32,
            units: long(*units),
        }),
        Event::HostCalm { host } => Kind::HostCalm(pb::HostCalm { host_id: host.to_string() }),
        Event::OutageBegan { host, completed, expected } => Kind::OutageBegan(pb::OutageBegan {
            host_id: host.to_string(),
            completed: long(*completed),
            expected: long(*expected),
        }),
        Event::OutageEnded { host } => Kind::OutageEnded(pb::OutageEnded { host_id: host.to_string() }),
        Event::HostLimited { host } => Kind::HostLimited(pb::HostLimited { host_id: host.to_string() }),
        Event::UnitsFull { max } => Kind::UnitsFull(pb::UnitsFull { max: long(*max) }),
        Event::Objected { host, unit, connections, prefix, tier } => Kind::HostObjected(pb::HostObjected {
            host_id: host.to_string(),
            unit: unit.prefix().to_string(),
            connections: readable::count(*connections),
            prefix: prefix.to_string(),
            tier: readable::tier(*tier) as i32,
        }),
        Event::HostRefused { host } => Kind::HostRefused(pb::HostRefused { host_id: host.to_string() }),
        _ => return None,
    })
}

/// What was commanded.
fn orders(event: &Event) -> Option<Kind> {
    Some(match event {
        Event::OrderTaken { order } => {
            Kind::OrderTaken(pb::OrderTaken { order: Some(order::readable(order)) })
        }
        Event::OrderRefused { order, refusal } => Kind::OrderRefused(pb::OrderRefused {
            order: Some(order::readable(order)),
            problem: refusal.to_string(),
        }),
        Event::PolicyChanged { operator } => Kind::PolicyChanged(pb::PolicyChanged {
            operator: operator.as_ref().map(ToString::to_string).unwrap_or_default(),
        }),
        Event::PolicyRefused { error } => Kind::PolicyRefused(pb::PolicyRefused {
            key: error.key.to_owned(),
            problem: error.problem.to_owned(),
        }),
        Event::NameChanged { name, addresses } => Kind::NameChanged(pb::NameChanged {
            name: name.clone(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
        }),
        _ => return None,
    })
}

fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use sekisho_model::{Moment, Revision};
    use sekisho_store::EventId;

    use super::*;

    #[test]
    fn what_is_kept_is_found_by_its_prefix_and_read_again() {
        let prefix: Prefix = "203.0.113.0/24".parse().unwrap();
        let host: HostId = "edge-1".parse().unwrap();
        let events = [
            Event::HostJoined { host: host.clone() },
            Event::Withheld { prefix, cause: Cause::Allowed },
            Event::OutageBegan { host, completed: 1, expected: 30 },
        ];
        let kept = kept(&events);
        assert_eq!(kept.iter().map(|one| one.about.clone()).collect::<Vec<_>>(), [vec![prefix], vec![]]);
        let id = EventId { index: Revision(7), ordinal: 1 };
        let time = Moment::from_millis(5_000);
        let stored = StoredEvent { id, time, about: vec![], bytes: kept[1].bytes.clone() };
        let shown = readable(&stored);
        assert_eq!((shown.revision, shown.ordinal, kind_of(&shown)), (7, 1, pb::EventKind::OutageBegan));
        let damaged = StoredEvent { bytes: vec![0xff], ..stored };
        assert_eq!(kind_of(&readable(&damaged)), pb::EventKind::Unspecified);
    }
}
