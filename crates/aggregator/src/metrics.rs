//! The aggregator's instruments: read from the state when asked, so that hot paths count nothing twice.

use std::sync::Arc;

use opentelemetry::metrics::Meter;
use sekisho_engine::{Counters, Engine};
use sekisho_model::Moment;

use crate::{benefit::Sums, roster::Roster, shared::Shared};

type Read = fn(&Counters) -> u64;

/// Counters of the engine: name, what it counts, where it stands.
const COUNTERS: [(&str, &str, Read); 29] = [
    ("sekisho.batches", "Batches taken from agents", |c| c.batches),
    ("sekisho.batches.duplicate", "Batches ignored: taken before", |c| c.duplicate_batches),
    ("sekisho.observations", "Observations taken as evidence", |c| c.observations),
    ("sekisho.observations.weak", "Observations ignored: too few retransmits", |c| c.weak_observations),
    ("sekisho.observations.stale", "Observations ignored: too old", |c| c.stale_observations),
    ("sekisho.observations.outage", "Observations and hits ignored: their host's path is broken", |c| {
        c.outage_rows
    }),
    (
        "sekisho.observations.untracked",
        "Observations ignored: their host brought too many units alone",
        |c| c.untracked,
    ),
    ("sekisho.completed", "Rows of counter-evidence taken", |c| c.completed),
    ("sekisho.objections", "Times that a host had connections with what is listed", |c| c.objections),
    ("sekisho.hits", "Hits taken", |c| c.hits),
    ("sekisho.units.evicted", "Tracked units dropped since too many are tracked", |c| c.evicted_units),
    ("sekisho.entries.listed", "Entries listed by evidence", |c| c.listed),
    ("sekisho.entries.retiered", "Entries moved to another tier", |c| c.retiered),
    ("sekisho.entries.renewed", "Entries renewed", |c| c.renewed),
    ("sekisho.entries.expired", "Entries that ended by themselves", |c| c.expired),
    ("sekisho.entries.withheld.never", "Quorums that listed nothing: never listed", |c| c.withheld_never),
    ("sekisho.entries.withheld.limit", "Quorums that listed nothing: a limit is reached", |c| {
        c.withheld_limit
    }),
    ("sekisho.hosts.refused", "Batches and joins ignored: too many hosts are known", |c| c.refused_hosts),
    ("sekisho.hits.ignored", "Hits ignored: too old, or of a unit that evidence has not listed", |c| {
        c.ignored_hits
    }),
    (
        "sekisho.completed.ignored",
        "Rows of counter-evidence ignored: their host told of too many units",
        |c| c.ignored_completed,
    ),
    ("sekisho.entries.removed", "Entries that came off for another cause than their end", |c| c.removed),
    ("sekisho.entries.withheld.allowed", "Quorums that listed nothing: allowlisted", |c| c.withheld_allowed),
    ("sekisho.entries.withheld.held", "Quorums that listed nothing: held off since unblocked", |c| {
        c.withheld_held
    }),
    ("sekisho.entries.withheld.covered", "Quorums that listed nothing: another entry is there", |c| {
        c.withheld_covered
    }),
    ("sekisho.policies.refused", "Policies refused", |c| c.refused_policies),
    ("sekisho.names.unknown", "Addresses ignored: the policy does not have their name", |c| c.unknown_names),
    ("sekisho.orders", "Orders carried out", |c| c.orders),
    ("sekisho.orders.repeated", "Orders not carried out: their request was before", |c| c.repeated_orders),
    ("sekisho.orders.refused", "Orders refused", |c| c.refused_orders),
];

type Measure = fn(&Engine, Moment) -> u64;

/// Gauges of the engine: name, what it measures, how.
const GAUGES: [(&str, &str, Measure); 14] = [
    ("sekisho.entries", "Entries on the blocklist", |engine, _| engine.counters().entries),
    ("sekisho.entries.prefixes", "Entries of evidence that are wider than a unit", |engine, _| {
        engine.listed_prefixes() as u64
    }),
    ("sekisho.units", "Units that evidence is kept about", |engine, _| engine.counters().tracked_units),
    ("sekisho.quorum.suppress", "Hosts that list an IPv4 unit at suppress", |engine, _| {
        u64::from(engine.quorums().suppress)
    }),
    ("sekisho.quorum.drop", "Hosts that list an IPv4 unit at drop", |engine, _| {
        u64::from(engine.quorums().drop)
    }),
    ("sekisho.quorum.chance", "Hosts that a listing takes for chance not to explain it", |engine, _| {
        u64::from(engine.quorums().chance)
    }),
    ("sekisho.quorum.policy.suppress", "Hosts that the policy asks for, for suppress", |engine, _| {
        u64::from(engine.quorums().policy_suppress)
    }),
    ("sekisho.quorum.policy.drop", "Hosts that the policy asks for, for drop", |engine, _| {
        u64::from(engine.quorums().policy_drop)
    }),
    (
        "sekisho.quorum.fraction",
        "Hosts that the policy's fraction of the connected ones asks for; 0 without one",
        |engine, _| u64::from(engine.quorums().fraction),
    ),
    (
        "sekisho.units.fresh",
        "IPv4 units first seen within the window: what chance is reckoned from",
        |engine, _| engine.quorums().units,
    ),
    ("sekisho.entries.held_back", "Listings held back by limits that are reached now", |engine, _| {
        engine.held_back().map(|(_, held)| held).sum()
    }),
    ("sekisho.hosts.flooded", "Hosts whose single sightings do not count", |engine, now| {
        engine.hosts().filter(|host| host.flooded_until > now).count() as u64
    }),
    ("sekisho.hosts.outage", "Hosts whose evidence does not count: their path is broken", |engine, now| {
        engine.hosts().filter(|host| host.outage_until > now).count() as u64
    }),
    (
        "sekisho.hosts.limited",
        "Hosts whose further units are not tracked: they brought too many alone",
        |engine, _| engine.hosts().filter(|host| host.is_limited).count() as u64,
    ),
];

/// Registers the instruments.
pub fn register(meter: &Meter, shared: &Arc<Shared>, roster: &Arc<Roster>) {
    for (name, what, read) in COUNTERS {
        let shared = shared.clone();
        let counter = meter.u64_observable_counter(name).with_description(what);
        counter
            .with_callback(move |observer| observer.observe(read(&shared.engine().counters()), &[]))
            .build();
    }
    for (name, what, measure) in GAUGES {
        gauge(meter, name, what, shared, move |shared| measure(&shared.engine(), shared.now()));
    }
    gauge(meter, "sekisho.events", "Events that are stored for operators", shared, |shared| {
        shared.stored_events()
    });
    gauge(
        meter,
        "sekisho.names.unresolved",
        "Names of the never-list without an address",
        shared,
        |shared| shared.engine().unresolved_names().count() as u64,
    );
    gauge(
        meter,
        "sekisho.names.left_out",
        "Addresses that are not protected: their names have too many",
        shared,
        |shared| shared.left_out() as u64,
    );
    gauge(meter, "sekisho.revision", "The head's revision", shared, |shared| {
        u64::try_from(shared.publisher().position().revision.0).unwrap_or(0)
    });
    gauge(meter, "sekisho.log.writable", "Whether the log takes records: 1 or 0", shared, |shared| {
        u64::from(shared.problem().borrow().is_none())
    });
    gauge(meter, "sekisho.hosts.reporting", "Hosts whose report stream is open", roster, |roster| {
        roster.reporting() as u64
    });
    gauge(meter, "sekisho.hosts.bypassed", "Hosts whose packets go around our rules", roster, |roster| {
        roster.answering(|answers| answers.bypassed) as u64
    });
    let what = "Hosts whose agent has lowered tcp_synack_retries";
    gauge(meter, "sekisho.hosts.retries_lowered", what, roster, |roster| {
        roster.answering(|answers| answers.lowered) as u64
    });
    of_the_fleet(meter, roster);
    gauge(meter, "sekisho.hosts.watching", "Watch streams of hosts that are open", roster, |roster| {
        roster.watching() as u64
    });
}

/// Reads one sum of the fleet.
type ReadSum = fn(&Sums) -> u64;

/// SYN-ACKs of the fleet: name, what it counts, where it stands.
const FLEET: [(&str, &str, ReadSum); 3] = [
    ("sekisho.fleet.synacks.reflected", "SYN-ACKs that hosts sent to handshakes proven stuck", |s| {
        s.reflected
    }),
    ("sekisho.fleet.synacks.withheld", "SYN-ACKs that hosts held back or never made", |s| s.withheld),
    ("sekisho.fleet.synacks.saved", "SYN-ACKs that hosts did not send again: retries are lowered", |s| {
        s.saved
    }),
];

fn of_the_fleet(meter: &Meter, roster: &Arc<Roster>) {
    for (name, what, read) in FLEET {
        let roster = roster.clone();
        let counter = meter.u64_observable_counter(name).with_description(what);
        counter.with_callback(move |observer| observer.observe(read(&roster.benefit()), &[])).build();
    }
}

fn gauge<T: Send + Sync + 'static>(
    meter: &Meter,
    name: &'static str,
    what: &'static str,
    source: &Arc<T>,
    read: impl Fn(&T) -> u64 + Send + Sync + 'static,
) {
    let source = source.clone();
    let gauge = meter.u64_observable_gauge(name).with_description(what);
    gauge.with_callback(move |observer| observer.observe(read(&source), &[])).build();
}

#[cfg(test)]
mod tests {
    use sekisho_model::{Input, LogEntry, Policy, Revision};

    use super::*;

    fn measured(engine: &Engine, name: &str) -> u64 {
        let (.., measure) = GAUGES.iter().find(|(known, ..)| *known == name).unwrap();
        measure(engine, engine.now())
    }

    #[test]
    fn the_quorums_are_told_with_what_asks_for_them() {
        let mut engine = Engine::new();
        let policy =
            Policy { suppress_quorum: 2, drop_quorum: 7, quorum_per_mille: 500, ..Policy::default() };
        let joined = |name: u8| Input::HostJoined {
            host: format!("edge-{name}").parse().unwrap(),
            zone: None,
            addresses: Vec::new(),
        };
        let inputs = [Input::Policy(policy)].into_iter().chain((0..10).map(joined)).collect();
        engine.handle(&LogEntry { index: Revision(1), time: Moment::from_millis(1), inputs });
        let of = |name: &str| measured(&engine, &format!("sekisho.quorum.{name}"));
        assert_eq!([of("policy.suppress"), of("policy.drop"), of("fraction")], [2, 7, 5]);
        assert_eq!([of("suppress"), of("drop")], [5, 7], "whichever is more");
    }

    #[test]
    fn limited_hosts_are_counted() {
        let mut engine = Engine::new();
        let joined = Input::HostJoined { host: "edge-1".parse().unwrap(), zone: None, addresses: vec![] };
        engine.handle(&LogEntry { index: Revision(1), time: Moment::from_millis(1), inputs: vec![joined] });
        assert_eq!(measured(&engine, "sekisho.hosts.limited"), 0);
        let mut state = engine.checkpoint();
        state.hosts[0].is_limited = true;
        assert_eq!(measured(&Engine::restore(state), "sekisho.hosts.limited"), 1);
    }
}
