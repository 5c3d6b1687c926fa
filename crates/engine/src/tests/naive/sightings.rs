//! Sightings: which count, and how many are kept.

use alloc::vec::Vec;
use core::cmp::Reverse;

use sekisho_model::{
    Moment, Observation, Prefix, Unit, Zone,
    limits::{LOGGED_WITNESSES, SPARE_WITNESSES},
};

use super::{Naive, Sight};

/// The block that a unit is seen together with others in.
pub(super) fn block_of(unit: Unit) -> Prefix {
    let prefix = unit.prefix();
    prefix.widened(if prefix.is_ipv4() { 24 } else { 56 })
}

impl Naive {
    pub(super) fn take_row(&mut self, host: usize, seen: Moment, row: &Observation) {
        if row.retransmits < self.policy.min_retransmits || !self.admit(host, row.unit) {
            return;
        }
        let is_first = !self.has_fresh(row.unit, false);
        let is_first_counting = !self.has_fresh(row.unit, true);
        let is_new_pair = self.note(host, seen, row);
        if row.unit.prefix().is_ipv4() {
            if is_first {
                self.firsts.push(self.now);
            }
            if is_first_counting && self.has_fresh(row.unit, true) {
                self.counted.push(self.now);
            }
        }
        let counts = self.sight(host, row.unit).is_some_and(|one| one.counts);
        self.stand(host, seen, row.unit, counts);
        if is_new_pair {
            self.line_up(row.unit);
        }
        self.judge_unit(row.unit);
    }

    pub(super) fn take_hit(&mut self, host: usize, seen: Moment, unit: Unit) {
        if self.stand(host, seen, unit, true) {
            self.judge_unit(unit);
        }
    }

    /// The block of `unit` stands in line to be looked at.
    pub(super) fn line_up(&mut self, unit: Unit) {
        let block = block_of(unit);
        if !self.blocks.contains(&block) {
            self.blocks.push(block);
        }
    }

    fn sight(&self, host: usize, unit: Unit) -> Option<&Sight> {
        self.sights.iter().find(|one| one.host == host && one.unit == unit)
    }

    fn has_fresh(&self, unit: Unit, counting: bool) -> bool {
        self.sights.iter().any(|one| one.unit == unit && self.is_fresh(one.seen) && (one.counts || !counting))
    }

    /// Takes a sighting in; returns whether the pair was not fresh before.
    fn note(&mut self, host: usize, seen: Moment, row: &Observation) -> bool {
        let (horizon, is_flooded) = (self.horizon, self.is_flooded(host));
        self.sights.retain(|one| one.unit != row.unit || one.seen >= horizon);
        let others = self.sights.iter().any(|one| one.unit == row.unit && one.host != host);
        let at = self.sights.iter().position(|one| one.unit == row.unit && one.host == host);
        let old = at.map(|at| self.sights.remove(at));
        let sockets = u32::from(old.as_ref().map_or(0, |old| old.sockets)).saturating_add(row.sockets);
        let sockets = u8::try_from(sockets).unwrap_or(u8::MAX);
        let counted = old.as_ref().is_some_and(|old| old.counts);
        let in_the_clear = !is_flooded && (row.sockets > 0 || old.is_none());
        let new = Sight {
            unit: row.unit,
            host,
            seen: old.as_ref().map_or(seen, |old| old.seen.max(seen)),
            retransmits: old.as_ref().map_or(0, |old| old.retransmits).max(row.retransmits),
            sockets,
            counts: counted || in_the_clear || sockets > 1,
        };
        let at = self.sights.iter().position(|one| one.unit == new.unit && one.seen < new.seen);
        self.sights.insert(at.unwrap_or(self.sights.len()), new);
        self.touch_in_line(row.unit, others);
        self.keep_the_newest(row.unit);
        old.is_none()
    }

    /// Of each unit the newest sightings are kept, and one of each of the newest zones.
    fn keep_the_newest(&mut self, unit: Unit) {
        let keep = (self.policy.drop_quorum as usize + SPARE_WITNESSES).max(LOGGED_WITNESSES);
        let own: Vec<Sight> = self.sights.iter().filter(|one| one.unit == unit).cloned().collect();
        if own.len() <= keep {
            return;
        }
        let mut zones: Vec<Option<Zone>> = Vec::new();
        let mut kept: Vec<usize> = Vec::new();
        for one in &own {
            let zone = self.hosts[one.host].zone.clone();
            if self.policy.min_zones > 1
                && zones.len() < self.policy.min_zones as usize
                && !zones.contains(&zone)
            {
                zones.push(zone);
                kept.push(one.host);
            }
        }
        for one in &own {
            if kept.len() < keep && !kept.contains(&one.host) {
                kept.push(one.host);
            }
        }
        self.sights.retain(|one| one.unit != unit || kept.contains(&one.host));
    }

    /// The fresh sightings of `unit` by hosts that are not in outage, the newest first.
    pub(super) fn fresh_of(&self, unit: Unit) -> Vec<&Sight> {
        let is_good =
            |one: &&Sight| one.unit == unit && self.is_fresh(one.seen) && !self.is_in_outage(one.host);
        let mut found: Vec<&Sight> = self.sights.iter().filter(is_good).collect();
        found.sort_by_key(|one| Reverse(one.seen));
        found
    }

    /// The hosts whose sightings of `unit` count now, the newest first.
    pub(super) fn counting(&self, unit: Unit) -> Vec<usize> {
        self.fresh_of(unit).iter().filter(|one| one.counts).map(|one| one.host).collect()
    }
}
