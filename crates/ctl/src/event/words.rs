//! Events in words: what kind, about what, and what happened, each in one cell.

use sekisho_wire::pb::v1::{self as pb, EventKind, event::Kind};

use super::advice::advice;
use crate::{
    event::Shown,
    table::span,
    words::{caused, counted, limit, some, tier, why_listed},
};

/// All kinds of events.
pub(crate) fn kinds() -> impl Iterator<Item = EventKind> {
    (1..).map_while(|number| EventKind::try_from(number).ok())
}

/// The word for a kind, as flags and tables have it.
pub(crate) fn name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Unspecified => "unspecified",
        EventKind::Listed => "listed",
        EventKind::Retiered => "retiered",
        EventKind::Removed => "removed",
        EventKind::Allowed => "allowed",
        EventKind::Disallowed => "disallowed",
        EventKind::Withheld => "withheld",
        EventKind::LimitReached => "limit-reached",
        EventKind::LimitCleared => "limit-cleared",
        EventKind::ChanceBoundMoved => "chance-bound-moved",
        EventKind::HostFlooded => "host-flooded",
        EventKind::HostCalm => "host-calm",
        EventKind::OutageBegan => "outage-began",
        EventKind::OutageEnded => "outage-ended",
        EventKind::HostLimited => "host-limited",
        EventKind::UnitsFull => "units-full",
        EventKind::HostObjected => "host-objected",
        EventKind::OrderTaken => "order-taken",
        EventKind::OrderRefused => "order-refused",
        EventKind::PolicyChanged => "policy-changed",
        EventKind::PolicyRefused => "policy-refused",
        EventKind::NameChanged => "name-changed",
        EventKind::HostRefused => "host-refused",
        EventKind::HostUnlimited => "host-unlimited",
        EventKind::UnitsCleared => "units-cleared",
        EventKind::HostAddressesChanged => "host-addresses-changed",
    }
}

/// An event in cells; what a newer version tells has none but its kind.
pub(super) fn shown(kind: Option<&Kind>) -> Shown {
    let Some(kind) = kind else {
        return Shown { kind: "unknown".into(), what: "of a newer version".into(), ..Shown::default() };
    };
    let advice = advice(kind).to_owned();
    let hosts = match kind {
        Kind::Listed(by) => by.host_ids.join(", "),
        _ => String::new(),
    };
    Shown { kind: name(kind_of(kind)).to_owned(), about: about(kind), what: what(kind), advice, hosts }
}

fn kind_of(kind: &Kind) -> EventKind {
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

/// The prefix, the host, the name or the key that it is about; empty for the aggregator as a whole.
fn about(kind: &Kind) -> String {
    let listed = |entry: &Option<pb::Entry>| entry.as_ref().map(|entry| entry.prefix.clone());
    let allowed = |entry: &Option<pb::AllowlistEntry>| entry.as_ref().map(|entry| entry.prefix.clone());
    match kind {
        Kind::Listed(by) => listed(&by.entry).unwrap_or_default(),
        Kind::Retiered(by) => listed(&by.entry).unwrap_or_default(),
        Kind::Removed(by) => listed(&by.entry).unwrap_or_default(),
        Kind::Allowed(by) => allowed(&by.entry).unwrap_or_default(),
        Kind::Disallowed(by) => allowed(&by.entry).unwrap_or_default(),
        Kind::Withheld(by) => by.prefix.clone(),
        Kind::LimitReached(by) => by.prefix.clone(),
        Kind::HostFlooded(by) => by.host_id.clone(),
        Kind::HostCalm(by) => by.host_id.clone(),
        Kind::OutageBegan(by) => by.host_id.clone(),
        Kind::OutageEnded(by) => by.host_id.clone(),
        Kind::HostLimited(by) => by.host_id.clone(),
        Kind::HostUnlimited(by) => by.host_id.clone(),
        Kind::HostObjected(by) => by.prefix.clone(),
        Kind::OrderTaken(by) => ordered(by.order.as_ref()).0,
        Kind::OrderRefused(by) => ordered(by.order.as_ref()).0,
        Kind::PolicyRefused(by) => by.key.clone(),
        Kind::NameChanged(by) => by.name.clone(),
        Kind::HostRefused(by) => by.host_id.clone(),
        Kind::HostAddressesChanged(by) => by.host_id.clone(),
        Kind::LimitCleared(_)
        | Kind::ChanceBoundMoved(_)
        | Kind::UnitsFull(_)
        | Kind::UnitsCleared(_)
        | Kind::PolicyChanged(_) => String::new(),
    }
}

fn what(kind: &Kind) -> String {
    match kind {
        Kind::Listed(pb::EntryListed { entry: Some(entry), .. }) => {
            format!("at {}: {}", tier(entry.tier()), why_listed(entry.reason.as_ref()))
        }
        Kind::Listed(_) => String::new(),
        Kind::Retiered(by) => {
            let now = by.entry.as_ref().map_or(pb::Tier::Unspecified, pb::Entry::tier);
            format!("from {} to {}: {}", tier(by.before()), tier(now), retiered(by.reason()))
        }
        Kind::Removed(by) => removed(by),
        Kind::Allowed(by) => {
            by.entry.as_ref().map(|by| format!("by {}: {}", by.operator, by.reason)).unwrap_or_default()
        }
        Kind::Disallowed(by) => match by.reason() {
            pb::AllowanceEnd::Expired => "its time was over".to_owned(),
            pb::AllowanceEnd::Disallowed => "an operator ordered it off".to_owned(),
            pb::AllowanceEnd::Unspecified => String::new(),
        },
        Kind::Withheld(by) => format!(
            "under carpet bombing ({} stuck, seen by {}), but {}",
            some(by.units.into(), "unit"),
            some(by.hosts.into(), "host"),
            caused(by.cause(), &by.by)
        ),
        Kind::LimitReached(by) => {
            format!("{} ({}) is reached: nothing is added", limit(by.limit()), counted(by.max.into()))
        }
        Kind::LimitCleared(by) => {
            format!("{} has room again; {} held back", limit(by.limit()), counted(by.held))
        }
        Kind::ChanceBoundMoved(by) => {
            format!("from {} to {} hosts: {} units in the window", by.from, by.to, counted(by.units))
        }
        Kind::HostFlooded(_)
        | Kind::HostCalm(_)
        | Kind::HostLimited(_)
        | Kind::HostUnlimited(_)
        | Kind::HostAddressesChanged(_)
        | Kind::HostRefused(_) => host(kind),
        Kind::OutageBegan(by) => format!(
            "it completed {} handshakes where {} are usual: its evidence does not count",
            counted(by.completed),
            counted(by.expected)
        ),
        Kind::OutageEnded(by) => {
            format!("its evidence counts again; {} and hits were ignored", some(by.ignored, "observation"))
        }
        Kind::UnitsFull(by) => format!("{} units are tracked: the oldest go", counted(by.max)),
        Kind::UnitsCleared(by) => {
            format!("there is room again; {} that had been seen lately went", some(by.lost, "unit"))
        }
        Kind::HostObjected(by) => format!(
            "{} has {} with {}, which was at {}",
            by.host_id,
            some(by.connections.into(), "connection"),
            by.unit,
            tier(by.tier())
        ),
        Kind::OrderTaken(by) => ordered(by.order.as_ref()).1,
        Kind::OrderRefused(by) => format!("{}; refused: {}", ordered(by.order.as_ref()).1, by.problem),
        Kind::PolicyChanged(by) if by.operator.is_empty() => "by the aggregator's policy file".to_owned(),
        Kind::PolicyChanged(by) => format!("by {}", by.operator),
        Kind::PolicyRefused(by) => by.problem.clone(),
        Kind::NameChanged(by) if by.addresses.is_empty() => "it has no addresses now".to_owned(),
        Kind::NameChanged(by) => format!("is {} now", by.addresses.join(", ")),
    }
}

fn host(kind: &Kind) -> String {
    match kind {
        Kind::HostFlooded(by) => match by.reason() {
            pb::FloodReason::Cookies => {
                "its kernel answers by SYN cookies: single sockets do not count".into()
            }
            _ => format!("it saw {} units this minute: single sockets do not count", counted(by.units)),
        },
        Kind::HostCalm(by) => format!(
            "it is not flooded any more; {} of single sockets did not count",
            some(by.uncounted, "observation")
        ),
        Kind::HostLimited(by) => {
            format!("it brought {} that nobody else sees: further ones are not tracked", some(by.max, "unit"))
        }
        Kind::HostUnlimited(by) => format!(
            "there is room again for what it alone sees; {} had no room",
            some(by.untracked, "observation")
        ),
        Kind::HostAddressesChanged(by) => {
            let parts = [("has ", &by.added, " as its own now"), ("not ", &by.gone, " any more")];
            let parts = parts.into_iter().filter(|(_, all, _)| !all.is_empty());
            let told: Vec<_> = parts.map(|(a, all, z)| format!("{a}{}{z}", all.join(", "))).collect();
            told.join("; ")
        }
        _ => "too many hosts are known: its reports are refused".to_owned(),
    }
}

fn retiered(reason: pb::RetierReason) -> &'static str {
    match reason {
        pb::RetierReason::Quorum => "the quorum of a stricter tier was met",
        pb::RetierReason::CounterEvidence => "a host has connections with it",
        pb::RetierReason::Faded => "only the quorum of the gentler tier still stands",
        pb::RetierReason::Probation => "it is still hit and has to show anew that it is a victim",
        pb::RetierReason::Policy => "the policy lists such prefixes at this tier only",
        pb::RetierReason::Unspecified => "unknown",
    }
}

fn removed(by: &pb::EntryRemoved) -> String {
    let never = match (by.host_id.as_str(), by.name.as_str()) {
        ("", "") => String::new(),
        ("", name) => format!(": {name} on the never-list has the address"),
        (host, _) => format!(": {host} has it as its own address"),
    };
    format!("{}{never}", why_removed(by.reason()))
}

fn why_removed(reason: pb::RemovalReason) -> &'static str {
    match reason {
        pb::RemovalReason::Expired => "its time was over",
        pb::RemovalReason::Quiet => "the attack had ended: nothing was seen of it for a while",
        pb::RemovalReason::Unblocked => "an operator ordered it off",
        pb::RemovalReason::Allowed => "the allowlist has it",
        pb::RemovalReason::Never => "it is never listed",
        pb::RemovalReason::Covered => "a wider prefix took its place",
        pb::RemovalReason::Narrowed => "what it narrowed to took its place",
        pb::RemovalReason::Outage => "its quorum needed hosts that turned out to be in outage",
        pb::RemovalReason::Policy => "the policy does not list such prefixes any more",
        pb::RemovalReason::Unspecified => "unknown",
    }
}

/// What an order is about, and what it says.
fn ordered(order: Option<&pb::Order>) -> (String, String) {
    use pb::order::Kind;
    let Some(order) = order else { return (String::new(), String::new()) };
    let lasting = |word: &str, time: Option<prost_types::Duration>| {
        let time = time.and_then(|time| std::time::Duration::try_from(time).ok());
        let shown = |time: std::time::Duration| match time.subsec_millis() {
            0 => span(time),
            _ => format!("{}ms", time.as_millis()),
        };
        time.map(|time| format!("{word} {}", shown(time))).unwrap_or_default()
    };
    let (about, verb) = match order.kind.as_ref() {
        Some(Kind::Block(by)) => {
            (by.prefix.clone(), format!("block at {}{}", tier(by.tier()), lasting(" for", by.ttl)))
        }
        Some(Kind::Unblock(by)) => {
            (by.prefix.clone(), format!("unblock{}", lasting(", held off for", by.hold)))
        }
        Some(Kind::Allow(by)) => (by.prefix.clone(), format!("allow{}", lasting(" for", by.ttl))),
        Some(Kind::Disallow(by)) => (by.prefix.clone(), "disallow".to_owned()),
        Some(Kind::SetPolicy(_)) => (String::new(), "apply policy".to_owned()),
        None => (String::new(), "an order of a newer version".to_owned()),
    };
    (about, format!("{verb}, by {}: {}", order.operator, order.reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: &Kind) -> (String, String, String) {
        let Shown { kind, about, what, .. } = shown(Some(kind));
        (kind, about, what)
    }

    #[test]
    fn guards_say_who_and_what() {
        let flooded = pb::HostFlooded {
            host_id: "edge-1".into(),
            reason: pb::FloodReason::Units as i32,
            units: 60_000_000,
        };
        let (kind, about, what) = told(&Kind::HostFlooded(flooded));
        assert_eq!((kind.as_str(), about.as_str()), ("host-flooded", "edge-1"));
        assert_eq!(what, "it saw 60,000,000 units this minute: single sockets do not count");
        let moved = Kind::ChanceBoundMoved(pb::ChanceBoundMoved { from: 3, to: 6, units: 1_000 });
        assert_eq!(told(&moved).2, "from 3 to 6 hosts: 1,000 units in the window");
        let withheld = pb::PrefixWithheld {
            prefix: "203.0.113.0/24".into(),
            cause: pb::Cause::Allowed as i32,
            units: 40,
            hosts: 3,
            by: "203.0.113.64/28".into(),
        };
        assert_eq!(
            told(&Kind::Withheld(withheld)).2,
            "under carpet bombing (40 units stuck, seen by 3 hosts), but it overlaps the allowlist (203.0.113.64/28)"
        );
        let objected = pb::HostObjected {
            host_id: "edge-1".into(),
            unit: "203.0.113.7".into(),
            connections: 1,
            prefix: "203.0.113.0/24".into(),
            tier: pb::Tier::Drop as i32,
        };
        assert_eq!(
            told(&Kind::HostObjected(objected)).2,
            "edge-1 has 1 connection with 203.0.113.7, which was at drop"
        );
    }

    #[test]
    fn what_is_claimed_and_by_whom_is_told() {
        let (added, gone) = (vec!["192.0.2.1".into(), "192.0.2.2".into()], vec!["192.0.2.3".into()]);
        let mut claim = pb::HostAddressesChanged { host_id: "edge-1".into(), added, gone };
        let said = told(&Kind::HostAddressesChanged(claim.clone()));
        assert_eq!((said.0.as_str(), said.1.as_str()), ("host-addresses-changed", "edge-1"));
        assert_eq!(said.2, "has 192.0.2.1, 192.0.2.2 as its own now; not 192.0.2.3 any more");
        claim.added.clear();
        assert_eq!(told(&Kind::HostAddressesChanged(claim)).2, "not 192.0.2.3 any more");
        let removed = |host_id: &str, name: &str| {
            let (host_id, name) = (host_id.into(), name.into());
            told(&Kind::Removed(pb::EntryRemoved {
                entry: None,
                reason: pb::RemovalReason::Never as i32,
                host_id,
                name,
            }))
            .2
        };
        assert_eq!(removed("edge-1", ""), "it is never listed: edge-1 has it as its own address");
        assert_eq!(
            removed("", "a.example"),
            "it is never listed: a.example on the never-list has the address"
        );
    }

    #[test]
    fn guards_that_end_say_how_much_they_held_back() {
        let host_id = || "edge-1".to_owned();
        let ends = [
            Kind::HostCalm(pb::HostCalm { host_id: host_id(), uncounted: 1_234 }),
            Kind::OutageEnded(pb::OutageEnded { host_id: host_id(), ignored: 1 }),
            Kind::HostUnlimited(pb::HostUnlimited { host_id: host_id(), untracked: 0 }),
            Kind::UnitsCleared(pb::UnitsCleared { lost: 70_000 }),
        ];
        let words = [
            "it is not flooded any more; 1,234 observations of single sockets did not count",
            "its evidence counts again; 1 observation and hits were ignored",
            "there is room again for what it alone sees; no observations had no room",
            "there is room again; 70,000 units that had been seen lately went",
        ];
        assert_eq!(ends.map(|kind| told(&kind).2), words);
    }

    #[test]
    fn orders_say_what_for_how_long_by_whom_and_why() {
        let ttl = Some(prost_types::Duration { seconds: 5_400, nanos: 0 });
        let block = pb::BlockOrder { prefix: "203.0.113.7".into(), tier: pb::Tier::Suppress as i32, ttl };
        let order = pb::Order {
            operator: "ana".into(),
            reason: "drill".into(),
            request_id: String::new(),
            kind: Some(pb::order::Kind::Block(block)),
        };
        let taken = told(&Kind::OrderTaken(pb::OrderTaken { order: Some(order.clone()) }));
        assert_eq!(taken.1, "203.0.113.7");
        assert_eq!(taken.2, "block at suppress for 1h30m, by ana: drill");
        let half = Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 });
        let short = pb::AllowOrder { prefix: "203.0.113.7".into(), ttl: half };
        let short = pb::Order { kind: Some(pb::order::Kind::Allow(short)), ..order.clone() };
        let taken = told(&Kind::OrderTaken(pb::OrderTaken { order: Some(short) }));
        assert_eq!(taken.2, "allow for 1500ms, by ana: drill");
        let refused = pb::OrderRefused { order: Some(order), problem: "it is full".into() };
        assert!(told(&Kind::OrderRefused(refused)).2.ends_with(": drill; refused: it is full"));
    }

    #[test]
    fn what_a_newer_version_tells_is_still_a_line() {
        let unknown = shown(None);
        assert_eq!((unknown.kind.as_str(), unknown.what.as_str()), ("unknown", "of a newer version"));
        let hollow = told(&Kind::Listed(pb::EntryListed::default()));
        assert_eq!(hollow.0, "listed");
    }
}
