//! The whole state as a plain value, from which an engine goes on as if it had never stopped.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

use sekisho_model::{Allowed, Digest, Entry, Moment, Policy, Prefix, Reason, Revision, Unit};

use crate::{
    counters::Counters,
    engine::{Bounds, Engine},
    hosts::{HostRecord, Hosts},
    lists::unit_of,
    witness::Sighting,
};

/// The state of an engine after one log entry. Equal engines have equal checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last log entry that was handled.
    pub index: Revision,
    /// The last one that caused a delta.
    pub revision: Revision,
    /// The log's time.
    pub now: Moment,
    /// Evidence before this never counts again.
    pub horizon: Moment,
    /// The policy in force.
    pub policy: Policy,
    /// The chance bound in force.
    pub chance: u32,
    /// First counting sightings of IPv4 units: in how many there were in which 5 s, the oldest first.
    pub counted_rate: Vec<(i64, u64)>,
    /// First sightings of all of IPv4 units, likewise.
    pub seen_rate: Vec<(i64, u64)>,
    /// Limits that are reached, and how many listings each has held back.
    pub held_back: Vec<(Limit, u64)>,
    /// Whether units went since too many are tracked, and there has been no room since.
    pub units_full: bool,
    /// The bombed prefix that was last said to be withheld.
    pub withheld: Option<Prefix>,
    /// Entries that evidence listed within the last minute, the oldest first.
    pub recent: Vec<(Moment, Prefix)>,
    /// The hosts in the order of their numbers: the first has number 0.
    pub hosts: Vec<HostRecord>,
    /// The names on the policy's never-list, sorted.
    pub names: Vec<ResolvedName>,
    /// The blocklist, sorted by prefix.
    pub entries: Vec<Entry>,
    /// What evidence listed, and how it stands: sorted by prefix.
    pub standings: Vec<StandingRecord>,
    /// The allowlist, sorted by prefix.
    pub allowlist: Vec<Allowed>,
    /// What is held off the blocklist, sorted by prefix.
    pub holds: Vec<Hold>,
    /// Past listings, the one that ended first comes first.
    pub past: Vec<PastListing>,
    /// Requests that were carried out, the oldest first.
    pub requests: Vec<DoneRequest>,
    /// The tracked units: those of one host in line, then the others in line. The order is part of the
    /// state.
    pub units: Vec<UnitRecord>,
    /// Units with counter-evidence, in line.
    pub counter: Vec<CounterRecord>,
    /// Blocks that are still to be looked at, in line.
    pub blocks: Vec<Prefix>,
    /// What was counted; the sizes at its end are not read.
    pub counters: Counters,
}

/// A tracked unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitRecord {
    /// Which.
    pub unit: Unit,
    /// Whether it stands in line with those that several hosts saw.
    pub is_shared: bool,
    /// Whether it was seen again since it stands in line.
    pub is_touched: bool,
    /// The hosts that saw it, the newest first.
    pub sightings: Vec<SightingRecord>,
}

/// How an entry that evidence listed stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingRecord {
    /// The entry's prefix.
    pub prefix: Prefix,
    /// When something was last seen or hit in it.
    pub active: Moment,
    /// When it is next looked at whether it is quiet; none if it never is.
    pub check: Option<Moment>,
    /// The hosts that saw or hit something in it, the newest first.
    pub witnesses: Vec<SightingRecord>,
}

/// A unit of which hosts have counter-evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterRecord {
    /// Which.
    pub unit: Unit,
    /// The hosts, the newest first.
    pub hosts: Vec<CounterSighting>,
}

/// One host's counter-evidence about a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterSighting {
    /// The number of the host.
    pub host: u32,
    /// When, by the log's time.
    pub seen: Moment,
    /// How many connections.
    pub connections: u32,
}

/// The most recent sighting of something by one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SightingRecord {
    /// The number of the host.
    pub host: u32,
    /// When, by the log's time.
    pub seen: Moment,
    /// The most retransmits that it reported; 0 for a hit.
    pub retransmits: u8,
    /// Stuck sockets that it reported, up to 255; 0 for a hit.
    pub sockets: u8,
    /// Whether it counts towards a quorum.
    pub counts: bool,
}

/// A request that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoneRequest {
    /// When, by the log's time.
    pub at: Moment,
    /// The log entry that carried it out.
    pub revision: Revision,
    /// The order, whose request id it is.
    pub order: Order,
    /// What it did.
    pub changes: Vec<Change>,
}

/// A DNS name of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedName {
    /// The name.
    pub name: String,
    /// Its addresses, sorted; none before the first answer.
    pub addresses: Vec<IpAddr>,
}

/// A prefix that an operator unblocked: no quorum lists what overlaps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What is held off.
    pub prefix: Prefix,
    /// Until when.
    pub until: Moment,
}

/// What is remembered of a prefix that was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastListing {
    /// What was listed.
    pub prefix: Prefix,
    /// How many times, less what was forgiven before the last.
    pub count: u32,
    /// When the last listing ended.
    pub ended: Moment,
}

/// The most recent sighting, or hit, of a unit by one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitSighting {
    /// What was seen.
    pub unit: Unit,
    /// The number of the host.
    pub host: u32,
    /// When, by the log's time.
    pub seen: Moment,
    /// The most retransmits that it reported; 0 for a hit.
    pub retransmits: u8,
}

impl UnitSighting {
    fn new(unit: Unit, sighting: &Sighting) -> Self {
        let Sighting { seen, host, retransmits } = *sighting;
        Self { unit, host, seen, retransmits }
    }

    fn sighting(&self) -> Sighting {
        Sighting { seen: self.seen, host: self.host, retransmits: self.retransmits }
    }
}

impl Engine {
    /// Everything that the engine is, in a deterministic order.
    pub fn checkpoint(&self) -> Checkpoint {
        let name = |(name, addresses): (&String, &Vec<IpAddr>)| ResolvedName {
            name: name.clone(),
            addresses: addresses.clone(),
        };
        Checkpoint {
            index: self.index,
            revision: self.revision,
            now: self.now,
            horizon: self.horizon,
            policy: self.policy.clone(),
            is_full: self.is_full,
            hosts: self.hosts.records().to_vec(),
            names: self.protected.names().map(name).collect(),
            entries: self.entries.iter().cloned().collect(),
            allowlist: self.allowlist.iter().cloned().collect(),
            holds: self.holds.iter().copied().collect(),
            past: self.past.iter().copied().collect(),
            evidence: self.evidence.iter().map(|(unit, one)| UnitSighting::new(unit, &one)).collect(),
            hits: self.all_hits(),
            counters: self.counters(),
        }
    }

    /// An engine that goes on from `checkpoint` as the one that made it would have.
    ///
    /// Sightings that name an unknown host are dropped: the store's checksums are what finds a
    /// damaged checkpoint.
    pub fn restore(checkpoint: Checkpoint) -> Self {
        Self::restore_within(checkpoint, Bounds::default())
    }

    pub(crate) fn restore_within(from: Checkpoint, bounds: Bounds) -> Self {
        let mut engine = Self::with_bounds(bounds);
        (engine.index, engine.revision) = (from.index, from.revision);
        (engine.now, engine.horizon) = (from.now, from.horizon);
        (engine.policy, engine.counters, engine.is_full) = (from.policy, from.counters, from.is_full);
        engine.protected.set_policy(&engine.policy.never);
        for ResolvedName { name, addresses } in &from.names {
            engine.protected.resolve(name, addresses);
        }
        for host in &from.hosts {
            engine.protected.set_host(&[], &host.addresses);
        }
        engine.hosts = Hosts::restored(from.hosts);
        for entry in from.entries {
            if matches!(entry.reason, Reason::Quorum { .. }) {
                engine.hits.open(unit_of(&entry.prefix));
            }
            engine.entries.insert(entry);
        }
        for allowed in from.allowlist {
            engine.allowlist.insert(allowed);
        }
        for hold in from.holds {
            engine.holds.insert(hold);
        }
        for past in from.past {
            engine.past.remember(past.prefix, past.count, past.ended);
        }
        engine.restore_sightings(&from.evidence, &from.hits);
        engine.digest = engine.members().fold(Digest::EMPTY, |digest, member| digest.with(&member));
        engine
    }

    fn restore_sightings(&mut self, evidence: &[UnitSighting], hits: &[UnitSighting]) {
        let is_known = |one: &&UnitSighting| self.hosts.by_number(one.host).is_some();
        for one in evidence.iter().filter(is_known) {
            self.evidence.push(one.unit, one.sighting());
        }
        for one in hits.iter().filter(is_known) {
            self.hits.push(one.unit, one.sighting());
        }
    }

    fn all_hits(&self) -> Vec<UnitSighting> {
        let units = self.entries.iter().map(|entry| unit_of(&entry.prefix));
        units
            .filter(|unit| self.hits.is_open(*unit))
            .flat_map(|unit| self.hits.of(unit).iter().map(move |one| UnitSighting::new(unit, one)))
            .collect()
    }
}
