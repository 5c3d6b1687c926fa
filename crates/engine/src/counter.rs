//! Counter-evidence: which hosts have connections with which units, where honest clients live. Bounded: what was
//! told of the longest ago goes first, and no host takes more than its share.

use alloc::{collections::BTreeMap, vec::Vec};

use sekisho_model::{
    Moment, Prefix, Unit,
    limits::{COUNTER_WITNESSES, HOST_UNITS_SHARE},
};

use crate::checkpoint::{CounterRecord, CounterSighting};

/// Who has connections with each unit, the newest first.
#[derive(Debug)]
pub(crate) struct Counter {
    units: BTreeMap<Unit, Kept>,
    /// Units by their turns.
    line: BTreeMap<u64, Unit>,
    next: u64,
    /// Of how many units each host told, by its number.
    told: Vec<usize>,
    bound: usize,
}

#[derive(Debug)]
struct Kept {
    /// When its turn to go is: the later, the more lately something was told of it.
    turn: u64,
    hosts: Vec<CounterSighting>,
}

impl Counter {
    /// Room for `bound` units, at least 1.
    pub(crate) fn new(bound: usize) -> Self {
        Self { units: BTreeMap::new(), line: BTreeMap::new(), next: 0, told: Vec::new(), bound: bound.max(1) }
    }

    /// Takes counter-evidence in, unless its host told of so many units already that no other would be heard.
    pub(crate) fn note(&mut self, unit: Unit, new: CounterSighting, horizon: Moment) -> bool {
        let known =
            self.units.get(&unit).is_some_and(|kept| kept.hosts.iter().any(|one| one.host == new.host));
        let share = (self.bound / HOST_UNITS_SHARE).max(1);
        if !known && self.told.get(new.host as usize).is_some_and(|told| *told >= share) {
            return false;
        }
        if !self.units.contains_key(&unit) && self.units.len() >= self.bound {
            self.drop_first();
        }
        let mut hosts = self.take(unit);
        let old = hosts.iter().position(|one| one.host == new.host).map(|at| hosts.remove(at));
        let newest = old.filter(|old| old.seen > new.seen).unwrap_or(new);
        hosts.retain(|one| one.seen >= horizon);
        let at = hosts.partition_point(|one| one.seen >= newest.seen);
        hosts.insert(at, newest);
        hosts.truncate(COUNTER_WITNESSES);
        self.push(CounterRecord { unit, hosts });
        true
    }

    /// The counter-evidence about `unit` since `horizon`, the newest first.
    pub(crate) fn of(&self, unit: Unit, horizon: Moment) -> &[CounterSighting] {
        let hosts = self.units.get(&unit).map_or(&[][..], |kept| &kept.hosts);
        &hosts[..hosts.partition_point(|one| one.seen >= horizon)]
    }

    /// Whether there is counter-evidence since `horizon` about a unit of `prefix`.
    pub(crate) fn has_in(&self, prefix: &Prefix, horizon: Moment) -> bool {
        if self.units.is_empty() {
            return false;
        }
        let (first, last) = (Unit::of(prefix.address()), Unit::of(prefix.last()));
        self.units
            .range(first..=last)
            .any(|(_, kept)| kept.hosts.first().is_some_and(|one| one.seen >= horizon))
    }

    /// Drops what is over, at most `budget` units, up to the first in line that is not.
    pub(crate) fn sweep(&mut self, horizon: Moment, budget: usize) {
        for _ in 0..budget {
            let Some((_, unit)) = self.line.first_key_value() else { return };
            if !self.of(*unit, horizon).is_empty() {
                return;
            }
            self.drop_first();
        }
    }

    /// All of it, in line.
    pub(crate) fn records(&self) -> impl Iterator<Item = CounterRecord> {
        let hosts = |unit| self.units.get(unit).map_or_else(Vec::new, |kept| kept.hosts.clone());
        self.line.values().map(move |unit| CounterRecord { unit: *unit, hosts: hosts(unit) })
    }

    /// Puts a unit behind the others.
    pub(crate) fn push(&mut self, record: CounterRecord) {
        for one in &record.hosts {
            let host = one.host as usize;
            if host >= self.told.len() {
                self.told.resize(host + 1, 0);
            }
            self.told[host] += 1;
        }
        let turn = self.next;
        self.next += 1;
        self.line.insert(turn, record.unit);
        self.units.insert(record.unit, Kept { turn, hosts: record.hosts });
    }

    /// Takes what is known of `unit` out.
    fn take(&mut self, unit: Unit) -> Vec<CounterSighting> {
        let Some(kept) = self.units.remove(&unit) else { return Vec::new() };
        self.line.remove(&kept.turn);
        for one in &kept.hosts {
            if let Some(told) = self.told.get_mut(one.host as usize) {
                *told = told.saturating_sub(1);
            }
        }
        kept.hosts
    }

    fn drop_first(&mut self) {
        if let Some(unit) = self.line.first_key_value().map(|(_, unit)| *unit) {
            self.take(unit);
        }
    }
}
