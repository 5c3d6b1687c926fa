//! The aggregator's instruments: read from the state when asked, so that hot paths count nothing twice.

use std::sync::Arc;

use opentelemetry::metrics::Meter;
use sekisho_engine::Counters;

use crate::{roster::Roster, shared::Shared};

type Read = fn(&Counters) -> u64;

/// Counters of the engine: name, what it counts, where it stands.
const COUNTERS: [(&str, &str, Read); 22] = [
    ("sekisho.batches", "Batches taken from agents", |c| c.batches),
    ("sekisho.batches.duplicate", "Batches ignored: taken before", |c| c.duplicate_batches),
    ("sekisho.observations", "Observations taken as evidence", |c| c.observations),
    ("sekisho.observations.weak", "Observations ignored: too few retransmits", |c| c.weak_observations),
    ("sekisho.observations.stale", "Observations ignored: too old", |c| c.stale_observations),
    ("sekisho.hits", "Hits taken", |c| c.hits),
    ("sekisho.units.evicted", "Tracked units dropped since too many are tracked", |c| c.evicted_units),
    ("sekisho.entries.listed", "Entries listed by a quorum", |c| c.listed),
    ("sekisho.entries.renewed", "Entries renewed", |c| c.renewed),
    ("sekisho.entries.expired", "Entries that ended by themselves", |c| c.expired),
    ("sekisho.entries.withheld.never", "Quorums that listed nothing: never listed", |c| c.withheld_never),
    ("sekisho.entries.withheld.limit", "Quorums that listed nothing: the list is full", |c| c.withheld_limit),
    ("sekisho.hosts.refused", "Batches and joins ignored: too many hosts are known", |c| c.refused_hosts),
    ("sekisho.hits.ignored", "Hits ignored: too old, or of a unit that no quorum has listed", |c| {
        c.ignored_hits
    }),
    ("sekisho.entries.removed", "Entries that came off for another cause than their end", |c| c.removed),
    ("sekisho.entries.withheld.allowed", "Quorums that listed nothing: allowlisted", |c| c.withheld_allowed),
    ("sekisho.entries.withheld.held", "Quorums that listed nothing: held off since unblocked", |c| {
        c.withheld_held
    }),
    ("sekisho.entries.withheld.covered", "Quorums that listed nothing: an ordered entry is there", |c| {
        c.withheld_covered
    }),
    ("sekisho.policies.refused", "Policies refused", |c| c.refused_policies),
    ("sekisho.names.unknown", "Addresses ignored: the policy does not have their name", |c| c.unknown_names),
    ("sekisho.orders", "Orders carried out", |c| c.orders),
    ("sekisho.orders.refused", "Orders refused", |c| c.refused_orders),
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
    gauge(meter, "sekisho.entries", "Entries on the blocklist", shared, |shared| {
        shared.engine().counters().entries
    });
    gauge(meter, "sekisho.units", "Units that evidence is kept about", shared, |shared| {
        shared.engine().counters().tracked_units
    });
    gauge(meter, "sekisho.revision", "The head's revision", shared, |shared| {
        u64::try_from(shared.publisher().position().revision.0).unwrap_or(0)
    });
    gauge(meter, "sekisho.log.writable", "Whether the log takes records: 1 or 0", shared, |shared| {
        u64::from(shared.problem().borrow().is_none())
    });
    gauge(meter, "sekisho.hosts.reporting", "Hosts whose report stream is open", roster, |roster| {
        roster.reporting() as u64
    });
    gauge(meter, "sekisho.hosts.watching", "Watch streams of hosts that are open", roster, |roster| {
        roster.watching() as u64
    });
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
