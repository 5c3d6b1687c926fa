//! The whole state as a plain value, from which an engine goes on as if it had never stopped.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

use sekisho_model::{Allowed, Change, Digest, Entry, Moment, Order, Policy, Prefix, Revision, Unit};

use crate::{
    chance::Rate,
    counters::Counters,
    engine::{Bounds, Engine, Recent},
    evidence::Place,
    hosts::{HostRecord, Hosts},
    outcome::Limit,
    standing::{Standing, is_unit},
    witness::{Sighting, Witnesses},
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
    /// Units with fresh evidence that went since then.
    pub units_lost: u64,
    /// The widest prefixes in which a bombed one was said to be withheld, and when.
    pub withheld: Vec<(Moment, Prefix)>,
    /// Entries that evidence listed within the last minute, the oldest first.
    pub recent: Vec<Recent>,
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
    /// The number of the host that brought it.
    pub owner: u32,
    /// Whether another host has seen it as well.
    pub is_shared: bool,
    /// Whether it stands in line with those that several hosts saw already.
    pub is_moved: bool,
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

impl SightingRecord {
    fn new(sighting: &Sighting) -> Self {
        Self {
            host: sighting.host(),
            seen: sighting.seen(),
            retransmits: sighting.retransmits(),
            sockets: sighting.sockets(),
            counts: sighting.counts(),
        }
    }

    fn sighting(&self) -> Sighting {
        Sighting::new(self.host, self.seen, self.retransmits, self.sockets, self.counts)
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
            chance: self.chance,
            counted_rate: self.counted_rate.buckets().collect(),
            seen_rate: self.seen_rate.buckets().collect(),
            held_back: self.held_back().collect(),
            units_full: self.units_full,
            units_lost: self.units_lost,
            withheld: self.withheld.iter().map(|(prefix, said)| (*said, *prefix)).collect(),
            recent: self.recent.iter().copied().collect(),
            hosts: self.hosts.records().to_vec(),
            names: self.protected.names().map(name).collect(),
            entries: self.entries.iter().cloned().collect(),
            standings: self.standings.iter().map(standing_record).collect(),
            allowlist: self.allowlist.iter().cloned().collect(),
            holds: self.holds.iter().copied().collect(),
            past: self.past.iter().copied().collect(),
            requests: self.requests.iter().cloned().collect(),
            units: self.evidence.iter().map(|(place, sightings)| unit_record(&place, sightings)).collect(),
            counter: self.counter.records().collect(),
            blocks: self.blocks.waiting().collect(),
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
        (engine.policy, engine.counters) = (from.policy, from.counters);
        (engine.chance, engine.units_full, engine.units_lost) =
            (from.chance, from.units_full, from.units_lost);
        engine.withheld = from.withheld.into_iter().map(|(said, prefix)| (prefix, said)).collect();
        engine.counted_rate = Rate::restored(from.counted_rate);
        engine.seen_rate = Rate::restored(from.seen_rate);
        engine.held_back = from.held_back.into_iter().collect();
        engine.recent = from.recent.into();
        engine.protected.set_policy(&engine.policy.never);
        for ResolvedName { name, addresses } in &from.names {
            engine.protected.resolve(name, addresses);
        }
        for host in &from.hosts {
            engine.protected.set_host(&[], &host.addresses);
        }
        engine.hosts = Hosts::restored(from.hosts);
        engine.restore_units(from.units);
        engine.restore_lists(from.entries, from.standings, from.allowlist);
        for hold in from.holds {
            engine.holds.insert(hold);
        }
        from.past.into_iter().for_each(|past| engine.past.remember(past.prefix, past.count, past.ended));
        from.requests.into_iter().for_each(|done| engine.requests.remember(done));
        from.counter.into_iter().for_each(|record| engine.counter.push(record));
        from.blocks.into_iter().for_each(|block| engine.blocks.enqueue(block));
        engine.digest = engine.members().fold(Digest::EMPTY, |digest, member| digest.with(&member));
        engine
    }

    fn restore_units(&mut self, units: Vec<UnitRecord>) {
        for record in units {
            let UnitRecord { unit, owner, is_shared, is_moved, is_touched, sightings } = record;
            let place = Place { unit, owner, is_shared, is_moved, is_touched };
            let known = sightings.iter().filter(|one| self.hosts.by_number(one.host).is_some());
            self.evidence.push(&place, known.map(SightingRecord::sighting));
            self.blocks.add(unit);
        }
    }

    fn restore_lists(
        &mut self,
        entries: Vec<Entry>,
        standings: Vec<StandingRecord>,
        allowlist: Vec<Allowed>,
    ) {
        for entry in entries {
            self.entries.insert(entry);
        }
        for allowed in allowlist {
            self.allowlist.insert(allowed);
        }
        for record in standings {
            let mut witnesses = Witnesses::default();
            record.witnesses.iter().for_each(|one| witnesses.push(one.sighting()));
            if is_unit(&record.prefix) {
                self.evidence.set_listed(Unit::of(record.prefix.address()), true);
            }
            let standing = Standing { witnesses, active: record.active, check: record.check };
            self.standings.open(record.prefix, standing);
        }
    }
}

fn standing_record((prefix, standing): (&Prefix, &Standing)) -> StandingRecord {
    StandingRecord {
        prefix: *prefix,
        active: standing.active,
        check: standing.check,
        witnesses: standing.witnesses.as_slice().iter().map(SightingRecord::new).collect(),
    }
}

fn unit_record(place: &Place, sightings: &[Sighting]) -> UnitRecord {
    UnitRecord {
        unit: place.unit,
        owner: place.owner,
        is_shared: place.is_shared,
        is_moved: place.is_moved,
        is_touched: place.is_touched,
        sightings: sightings.iter().map(SightingRecord::new).collect(),
    }
}
