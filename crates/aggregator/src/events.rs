//! The engine's events as they are kept and shown: messages, and the prefixes by which they are found.

use prost::Message;
use sekisho_engine::{AllowanceEnd, Cause, End, Event, Flood, Limit, Owner, Retier};
use sekisho_model::Prefix;
use sekisho_store::{NewEvent, StoredEvent};
use sekisho_wire::{
    Malformed, order,
    pb::v1::{self as pb, EventKind, event::Kind},
    readable,
};

/// The events that are kept, in order: all but renewals and the coming and going of hosts, which say nothing
/// that the lists and the hosts do not.
pub fn kept(events: &[Event]) -> Vec<NewEvent> {
    let new = |event: &Event| {
        let message = pb::Event { kind: Some(kind(event)?), ..pb::Event::default() };
        Some(NewEvent { about: about(event), bytes: message.encode_to_vec() })
    };
    events.iter().filter_map(new).collect()
}

/// A stored event as a message.
///
/// # Errors
/// When it cannot be read.
pub fn shown(stored: &StoredEvent) -> Result<pb::Event, Malformed> {
    let event = pb::Event::decode(&stored.bytes[..]);
    let event = event.map_err(|error| Malformed::field("event", error.to_string()))?;
    Ok(pb::Event {
        revision: stored.id.index.0,
        ordinal: i32::try_from(stored.id.ordinal).unwrap_or(i32::MAX),
        time: Some(readable::timestamp(stored.time)),
        ..event
    })
}

/// Of which kind a message is; unspecified where a newer version wrote it.
pub fn kind_of(event: &pb::Event) -> EventKind {
    let Some(kind) = &event.kind else { return EventKind::Unspecified };
    match kind {
        Kind::Listed(_) => EventKind::Listed,
        Kind::Retiered(_) => EventKind::Retiered,
        Kind::Removed(_) => EventKind::Removed,
        Kind::Allowed(_) => EventKind::Allowed,
        Kind::Disallowed(_) => EventKind::Disallowed,
        Kind::Withheld(_) => EventKind::Withheld,
        Kind::LimitReached(_) => EventKind::LimitReached,
        Kind::LimitCleared(_) => EventKind::LimitCleared,
        Kind::ChanceBoundMoved(_) => EventKind::ChanceBoundMoved,
        Kind::HostFlooded(_) => EventKind::HostFlooded,
        Kind::HostCalm(_) => EventKind::HostCalm,
        Kind::OutageBegan(_) => EventKind::OutageBegan,
        Kind::OutageEnded(_) => EventKind::OutageEnded,
        Kind::HostLimited(_) => EventKind::HostLimited,
        Kind::UnitsFull(_) => EventKind::UnitsFull,
        Kind::HostObjected(_) => EventKind::HostObjected,
        Kind::OrderTaken(_) => EventKind::OrderTaken,
        Kind::OrderRefused(_) => EventKind::OrderRefused,
        Kind::PolicyChanged(_) => EventKind::PolicyChanged,
        Kind::PolicyRefused(_) => EventKind::PolicyRefused,
        Kind::NameChanged(_) => EventKind::NameChanged,
        Kind::HostRefused(_) => EventKind::HostRefused,
        Kind::HostUnlimited(_) => EventKind::HostUnlimited,
        Kind::UnitsCleared(_) => EventKind::UnitsCleared,
        Kind::HostAddressesChanged(_) => EventKind::HostAddressesChanged,
    }
}

/// The prefixes that an event is about.
fn about(event: &Event) -> Vec<Prefix> {
    match event {
        Event::Listed { entry, .. } | Event::Retiered { entry, .. } | Event::Removed { entry, .. } => {
            vec![entry.prefix]
        }
        Event::Allowed { allowed } | Event::Disallowed { allowed, .. } => vec![allowed.prefix],
        Event::Withheld { prefix, .. } | Event::LimitReached { prefix, .. } => vec![*prefix],
        Event::Objected { unit, prefix, .. } if unit.prefix() == *prefix => vec![*prefix],
        Event::Objected { unit, prefix, .. } => vec![unit.prefix(), *prefix],
        Event::AddressesChanged { added, gone, .. } => {
            added.iter().chain(gone).map(|address| Prefix::host(*address)).collect()
        }
        Event::OrderTaken { order } | Event::OrderRefused { order, .. } => {
            order.kind.prefix().copied().into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// What an event says; none for one that is not kept.
fn kind(event: &Event) -> Option<Kind> {
    Some(match event {
        Event::Listed { .. } | Event::Retiered { .. } | Event::Removed { .. } => return entry_kind(event),
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
        Event::PolicyRefused { error } => {
            Kind::PolicyRefused(pb::PolicyRefused { key: error.key.into(), problem: error.problem.into() })
        }
        Event::NameChanged { name, addresses } => Kind::NameChanged(pb::NameChanged {
            name: name.clone(),
            addresses: addresses.iter().map(ToString::to_string).collect(),
        }),
        Event::Renewed { .. } | Event::HostJoined { .. } | Event::HostLeft { .. } => return None,
        _ => return guard_kind(event).or_else(|| host_kind(event)),
    })
}

/// What an event about an entry says.
fn entry_kind(event: &Event) -> Option<Kind> {
    match event {
        Event::Listed { entry, hosts } => Some(Kind::Listed(pb::EntryListed {
            entry: Some(readable::entry(entry)),
            host_ids: hosts.iter().map(ToString::to_string).collect(),
        })),
        Event::Retiered { entry, before, why } => Some(Kind::Retiered(pb::EntryRetiered {
            entry: Some(readable::entry(entry)),
            before: readable::tier(*before) as i32,
            reason: match why {
                Retier::Quorum => pb::RetierReason::Quorum,
                Retier::CounterEvidence => pb::RetierReason::CounterEvidence,
                Retier::Faded => pb::RetierReason::Faded,
                Retier::Probation => pb::RetierReason::Probation,
                Retier::Policy => pb::RetierReason::Policy,
            } as i32,
        })),
        Event::Removed { entry, why, owner } => {
            let (host_id, name) = match owner {
                Some(Owner::Host(host)) => (host.to_string(), String::new()),
                Some(Owner::Name(name)) => (String::new(), name.clone()),
                None => Default::default(),
            };
            let (entry, reason) = (Some(readable::entry(entry)), removal(*why) as i32);
            Some(Kind::Removed(pb::EntryRemoved { entry, reason, host_id, name }))
        }
        _ => None,
    }
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
        End::Policy => pb::RemovalReason::Policy,
    }
}

/// What a guard about the list as a whole says.
fn guard_kind(event: &Event) -> Option<Kind> {
    match event {
        Event::Withheld { prefix, cause: why, by, units, hosts } => {
            Some(Kind::Withheld(pb::PrefixWithheld {
                prefix: prefix.to_string(),
                cause: cause(*why) as i32,
                units: readable::count(*units),
                hosts: readable::count(*hosts),
                by: by.map(|by| by.to_string()).unwrap_or_default(),
            }))
        }
        Event::LimitReached { limit: of, max, prefix } => Some(Kind::LimitReached(pb::LimitReached {
            limit: limit(*of) as i32,
            max: readable::count(*max),
            prefix: prefix.to_string(),
        })),
        Event::LimitCleared { limit: of, held } => {
            Some(Kind::LimitCleared(pb::LimitCleared { limit: limit(*of) as i32, held: large(*held) }))
        }
        Event::ChanceBound { from, to, units } => Some(Kind::ChanceBoundMoved(pb::ChanceBoundMoved {
            from: readable::count(*from),
            to: readable::count(*to),
            units: large(*units),
        })),
        Event::UnitsFull { max } => Some(Kind::UnitsFull(pb::UnitsFull { max: large(*max) })),
        Event::UnitsCleared { lost } => Some(Kind::UnitsCleared(pb::UnitsCleared { lost: large(*lost) })),
        _ => None,
    }
}

/// What a guard about a host says.
fn host_kind(event: &Event) -> Option<Kind> {
    let id = ToString::to_string;
    match event {
        Event::HostFlooded { host, why, units } => Some(Kind::HostFlooded(pb::HostFlooded {
            host_id: id(host),
            reason: match why {
                Flood::Units => pb::FloodReason::Units,
                Flood::Cookies => pb::FloodReason::Cookies,
            } as i32,
            units: large(*units),
        })),
        Event::HostCalm { host, uncounted } => {
            Some(Kind::HostCalm(pb::HostCalm { host_id: id(host), uncounted: large(*uncounted) }))
        }
        Event::OutageBegan { host, completed, expected } => Some(Kind::OutageBegan(pb::OutageBegan {
            host_id: id(host),
            completed: large(*completed),
            expected: large(*expected),
        })),
        Event::OutageEnded { host, ignored } => {
            Some(Kind::OutageEnded(pb::OutageEnded { host_id: id(host), ignored: large(*ignored) }))
        }
        Event::HostLimited { host, max } => {
            Some(Kind::HostLimited(pb::HostLimited { host_id: id(host), max: large(*max) }))
        }
        Event::HostUnlimited { host, untracked } => {
            Some(Kind::HostUnlimited(pb::HostUnlimited { host_id: id(host), untracked: large(*untracked) }))
        }
        Event::Objected { host, unit, connections, prefix, tier } => {
            Some(Kind::HostObjected(pb::HostObjected {
                host_id: id(host),
                unit: unit.prefix().to_string(),
                connections: readable::count(*connections),
                prefix: prefix.to_string(),
                tier: readable::tier(*tier) as i32,
            }))
        }
        Event::AddressesChanged { host, added, gone } => {
            Some(Kind::HostAddressesChanged(pb::HostAddressesChanged {
                host_id: id(host),
                added: added.iter().map(ToString::to_string).collect(),
                gone: gone.iter().map(ToString::to_string).collect(),
            }))
        }
        Event::HostRefused { host } => Some(Kind::HostRefused(pb::HostRefused { host_id: id(host) })),
        _ => None,
    }
}

/// A cause as a message.
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

/// A limit as a message.
pub fn limit(limit: Limit) -> pb::Limit {
    match limit {
        Limit::Entries => pb::Limit::Entries,
        Limit::NewPerMinute => pb::Limit::NewPerMinute,
    }
}

/// A count that may be large.
pub fn large(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sekisho_engine::Refusal;
    use sekisho_model::{
        Allowed, Entry, HostId, Moment, Order, OrderKind, Policy, PolicyError, Reason, Revision, Tier, Unit,
    };
    use sekisho_store::EventId;

    use super::*;

    fn host() -> HostId {
        "edge-1".parse().unwrap()
    }

    fn prefix() -> Prefix {
        "203.0.113.0/24".parse().unwrap()
    }

    fn entry() -> Entry {
        let (created, expires) = (Moment::from_millis(1), Moment::from_millis(2));
        let reason = Reason::Quorum { hosts: 3, quorum: 2 };
        let (renewals, repeats, revision) = (0, 0, Revision(1));
        Entry {
            prefix: prefix(),
            tier: Tier::Suppress,
            reason,
            created,
            expires,
            renewals,
            repeats,
            revision,
        }
    }

    fn order(kind: OrderKind) -> Order {
        Order { operator: "ana".parse().unwrap(), text: "drill".into(), request: None, kind }
    }

    fn about_entries() -> Vec<Event> {
        let (operator, text) = ("ana".parse().unwrap(), "drill".into());
        let (created, expires) = (Moment::EPOCH, Moment::MAX);
        let allowed = Allowed { prefix: prefix(), operator, text, created, expires, revision: Revision(1) };
        let unit = Unit::V4(0xcb00_7107);
        vec![
            Event::Listed { entry: entry(), hosts: vec![host()] },
            Event::Retiered { entry: entry(), before: Tier::Drop, why: Retier::Faded },
            Event::Removed { entry: entry(), why: End::Quiet, owner: None },
            Event::Allowed { allowed: allowed.clone() },
            Event::Disallowed { allowed, why: AllowanceEnd::Expired },
            Event::Withheld { prefix: prefix(), cause: Cause::Held, by: Some(prefix()), units: 40, hosts: 3 },
            Event::LimitReached { limit: Limit::Entries, max: 5, prefix: prefix() },
            Event::Objected { host: host(), unit, connections: 2, prefix: prefix(), tier: Tier::Drop },
            Event::OrderTaken { order: order(OrderKind::Disallow { prefix: prefix() }) },
            Event::OrderRefused {
                order: order(OrderKind::Disallow { prefix: prefix() }),
                refusal: Refusal::NoReason,
            },
        ]
    }

    fn about_others() -> Vec<Event> {
        vec![
            Event::LimitCleared { limit: Limit::NewPerMinute, held: 7 },
            Event::ChanceBound { from: 2, to: 4, units: 9 },
            Event::HostFlooded { host: host(), why: Flood::Cookies, units: 3 },
            Event::HostCalm { host: host(), uncounted: 5 },
            Event::OutageBegan { host: host(), completed: 1, expected: 20 },
            Event::OutageEnded { host: host(), ignored: 6 },
            Event::HostLimited { host: host(), max: 7 },
            Event::HostUnlimited { host: host(), untracked: 8 },
            Event::UnitsFull { max: 10 },
            Event::UnitsCleared { lost: 11 },
            Event::PolicyChanged { operator: None },
            Event::PolicyRefused { error: PolicyError { key: "window", problem: "must be" } },
            Event::NameChanged { name: "a.example".into(), addresses: vec![] },
            Event::HostRefused { host: host() },
            Event::AddressesChanged { host: host(), added: vec![], gone: vec![] },
        ]
    }

    fn stored(new: &NewEvent) -> StoredEvent {
        let id = EventId { index: Revision(7), ordinal: 2 };
        StoredEvent { id, time: Moment::from_millis(9), about: new.about.clone(), bytes: new.bytes.clone() }
    }

    #[test]
    fn every_kind_is_kept_and_comes_back_as_itself() {
        let all = [about_entries(), about_others()].concat();
        let kinds: BTreeSet<i32> = kept(&all)
            .iter()
            .map(|new| {
                let shown = shown(&stored(new)).unwrap();
                assert_eq!((shown.revision, shown.ordinal), (7, 2));
                kind_of(&shown) as i32
            })
            .collect();
        let every: BTreeSet<i32> = (1..).take_while(|number| EventKind::try_from(*number).is_ok()).collect();
        assert_eq!(kinds, every, "a kind that no event has, or an event that is not kept");
    }

    #[test]
    fn what_was_held_back_is_told_in_full() {
        let ends = [
            Event::HostCalm { host: host(), uncounted: 5 },
            Event::OutageEnded { host: host(), ignored: 6 },
            Event::HostLimited { host: host(), max: 7 },
            Event::HostUnlimited { host: host(), untracked: u64::MAX },
            Event::UnitsCleared { lost: 9 },
            Event::Withheld { prefix: prefix(), cause: Cause::Held, by: Some(prefix()), units: 40, hosts: 3 },
        ];
        let counts: Vec<(i64, i32)> = kept(&ends)
            .iter()
            .map(|new| match shown(&stored(new)).unwrap().kind.unwrap() {
                Kind::HostCalm(by) => (by.uncounted, 0),
                Kind::OutageEnded(by) => (by.ignored, 0),
                Kind::HostLimited(by) => (by.max, 0),
                Kind::HostUnlimited(by) => (by.untracked, 0),
                Kind::UnitsCleared(by) => (by.lost, 0),
                Kind::Withheld(by) => (by.units.into(), by.hosts),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [(5, 0), (6, 0), (7, 0), (i64::MAX, 0), (9, 0), (40, 3)]);
    }

    #[test]
    fn who_has_the_address_and_what_forbids_are_named() {
        let gone = |owner| Event::Removed { entry: entry(), why: End::Never, owner: Some(owner) };
        let withheld = Event::Withheld {
            prefix: prefix(),
            cause: Cause::Never,
            by: "203.0.113.7".parse().ok(),
            units: 1,
            hosts: 1,
        };
        let all = [gone(Owner::Host(host())), gone(Owner::Name("a.example".into())), withheld];
        let named: Vec<[String; 3]> = kept(&all)
            .iter()
            .map(|new| match shown(&stored(new)).unwrap().kind.unwrap() {
                Kind::Removed(by) => [by.host_id, by.name, String::new()],
                Kind::Withheld(by) => [String::new(), String::new(), by.by],
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(named, [["edge-1", "", ""], ["", "a.example", ""], ["", "", "203.0.113.7"]]);
    }

    #[test]
    fn what_says_nothing_new_is_not_kept() {
        let quiet = [
            Event::Renewed { entry: entry() },
            Event::HostJoined { host: host() },
            Event::HostLeft { host: host() },
        ];
        assert_eq!(kept(&quiet), []);
    }

    #[test]
    fn events_are_found_by_what_they_are_about() {
        assert!(kept(&about_entries()).iter().all(|new| new.about.contains(&prefix())));
        assert!(kept(&about_others()).iter().all(|new| new.about.is_empty()));
        let objected = &kept(&about_entries())[7];
        assert_eq!(objected.about, ["203.0.113.7".parse().unwrap(), prefix()]);
        let (added, gone) = (vec!["192.0.2.1".parse().unwrap()], vec!["2001:db8::1".parse().unwrap()]);
        let changed = Event::AddressesChanged { host: host(), added, gone };
        assert_eq!(kept(&[changed])[0].about, ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
        let policy = Event::OrderTaken { order: order(OrderKind::SetPolicy(Box::<Policy>::default())) };
        assert!(kept(&[policy])[0].about.is_empty());
    }
}
