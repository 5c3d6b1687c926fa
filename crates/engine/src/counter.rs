//! Counter-evidence: which hosts have connections with which units, where honest clients live. Bounded,
//! the longest in line goes first.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use sekisho_model::{Moment, Prefix, Unit, limits::COUNTER_WITNESSES};

use crate::checkpoint::{CounterRecord, CounterSighting};

/// Who has connections with each unit, the newest first.
#[derive(Debug)]
pub(crate) struct Counter {
    units: BTreeMap<Unit, Vec<CounterSighting>>,
    line: VecDeque<Unit>,
    bound: usize,
}

impl Counter {
    /// Room for `bound` units, at least 1.
    pub(crate) fn new(bound: usize) -> Self {
        Self { units: BTreeMap::new(), line: VecDeque::new(), bound: bound.max(1) }
    }

    /// Takes counter-evidence in. Returns when the host told it of this unit before, as far as that is known.
    pub(crate) fn note(&mut self, unit: Unit, new: CounterSighting, horizon: Moment) -> Option<Moment> {
        if !self.units.contains_key(&unit) {
            if self.units.len() >= self.bound {
                self.drop_front();
            }
            self.line.push_back(unit);
        }
        let hosts = self.units.entry(unit).or_default();
        let old = hosts.iter().position(|one| one.host == new.host).map(|at| hosts.remove(at));
        let newest = old.filter(|old| old.seen > new.seen).unwrap_or(new);
        hosts.retain(|one| one.seen >= horizon);
        let at = hosts.partition_point(|one| one.seen >= newest.seen);
        hosts.insert(at, newest);
        hosts.truncate(COUNTER_WITNESSES);
        old.map(|old| old.seen)
    }

    /// The counter-evidence about `unit` since `horizon`, the newest first.
    pub(crate) fn of(&self, unit: Unit, horizon: Moment) -> &[CounterSighting] {
        let hosts = self.units.get(&unit).map_or(&[][..], Vec::as_slice);
        &hosts[..hosts.partition_point(|one| one.seen >= horizon)]
    }

    /// Whether there is counter-evidence since `horizon` about a unit of `prefix`.
    pub(crate) fn has_in(&self, prefix: &Prefix, horizon: Moment) -> bool {
        if self.units.is_empty() {
            return false;
        }
        let (first, last) = (Unit::of(prefix.address()), Unit::of(prefix.last()));
        self.units.range(first..=last).any(|(_, hosts)| hosts.first().is_some_and(|one| one.seen >= horizon))
    }

    /// Drops what is over, at most `budget` units, up to the first in line that is not.
    pub(crate) fn sweep(&mut self, horizon: Moment, budget: usize) {
        for _ in 0..budget {
            let Some(unit) = self.line.front() else { return };
            if !self.of(*unit, horizon).is_empty() {
                return;
            }
            self.drop_front();
        }
    }

    /// All of it, in line.
    pub(crate) fn records(&self) -> impl Iterator<Item = CounterRecord> {
        self.line.iter().map(|unit| CounterRecord {
            unit: *unit,
            hosts: self.units.get(unit).cloned().unwrap_or_default(),
        })
    }

    /// Puts a unit behind the others: for a restored engine.
    pub(crate) fn push(&mut self, record: CounterRecord) {
        self.line.push_back(record.unit);
        self.units.insert(record.unit, record.hosts);
    }

    fn drop_front(&mut self) {
        if let Some(unit) = self.line.pop_front() {
            self.units.remove(&unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(host: u32, seen: i64) -> CounterSighting {
        CounterSighting { host, seen: Moment::from_millis(seen), connections: 1 }
    }

    fn at(millis: i64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn the_newest_of_each_host_is_kept() {
        let (unit, mut counter) = (Unit::V4(7), Counter::new(2));
        assert_eq!(counter.note(unit, by(1, 10), at(0)), None);
        assert_eq!(counter.note(unit, by(1, 9), at(0)), Some(at(10)));
        assert_eq!(counter.note(unit, by(2, 20), at(0)), None);
        assert_eq!(counter.of(unit, at(0)), [by(2, 20), by(1, 10)]);
        assert_eq!(counter.of(unit, at(15)), [by(2, 20)]);
        assert_eq!(counter.note(unit, by(1, 30), at(15)), Some(at(10)));
        let around = "0.0.0.0/24".parse().unwrap();
        assert!(counter.has_in(&around, at(30)) && !counter.has_in(&around, at(31)));
        assert!(!counter.has_in(&"0.0.1.0/24".parse().unwrap(), at(0)));
    }

    #[test]
    fn the_longest_in_line_goes_first() {
        let mut counter = Counter::new(2);
        for unit in 1..=3 {
            counter.note(Unit::V4(unit), by(1, 10), at(0));
        }
        assert_eq!(counter.of(Unit::V4(1), at(0)), []);
        counter.sweep(at(11), 1);
        assert_eq!(counter.records().map(|one| one.unit).collect::<Vec<_>>(), [Unit::V4(3)]);
        counter.sweep(at(10), 5);
        assert_eq!(counter.records().count(), 1);
    }
}
