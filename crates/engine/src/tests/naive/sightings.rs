//! Sightings: which count, and how many are kept.

use alloc::vec::Vec;

use sekisho_model::{Moment, Observation, Prefix, Tier, Unit, Zone};

use super::{Naive, Sight};

/// The block that a unit is seen together with others in.
pub(super) fn block_of(unit: Unit) -> Prefix {
    let prefix = unit.prefix();
    prefix.widened(if prefix.is_ipv4() { 24 } else { 56 })
}

impl Naive {
    pub(super) fn take_row(&mut self, host: usize, seen: Moment, row: &Observation) {
        if row.retransmits < self.policy.min_retransmits {
            return;
        }
        if self.is_flooded(host) && row.sockets <= 1 {
            self.hosts[host].held[0] += 1;
        }
        if !self.admit(host, row.unit) {
            return;
        }
        let is_first = !self.has_fresh(row.unit, false);
        let is_first_counting = !self.has_fresh(row.unit, true);
        let is_news = self.note(host, seen, row);
        if row.unit.prefix().is_ipv4() {
            if is_first {
                self.firsts.push(self.now);
            }
            if is_first_counting && self.has_fresh(row.unit, true) {
                self.counted.push(self.now);
            }
        }
        self.stand(host, seen, row.unit);
        if is_news {
            self.line_up(row.unit);
        }
        self.judge_unit(row.unit);
    }

    pub(super) fn take_hit(&mut self, host: usize, seen: Moment, unit: Unit) {
        if self.stand(host, seen, unit) {
            self.judge_unit(unit);
        }
    }

    /// Something is to be seen in the block of `unit`: it stands in line where there may be units enough.
    fn line_up(&mut self, unit: Unit) {
        let block = block_of(unit);
        let widest = block.widened(self.widest(&block));
        let least = self.policy.prefix_min_units as usize;
        if self.policy.prefix_tier.is_some() && self.tracked_in(&widest) >= least {
            self.put_in_line(block);
        }
    }

    pub(super) fn put_in_line(&mut self, block: Prefix) {
        if !self.blocks.contains(&block) {
            self.blocks.push(block);
        }
    }

    /// Whether somebody has a fresh sighting of `unit`, one that counts if that is asked.
    pub(super) fn has_fresh(&self, unit: Unit, counting: bool) -> bool {
        self.sights.iter().any(|one| one.unit == unit && self.is_fresh(one.seen) && (one.counts || !counting))
    }

    /// Takes a sighting in; returns whether the host had not seen it for an eighth of the window.
    fn note(&mut self, host: usize, seen: Moment, row: &Observation) -> bool {
        let (unit, horizon, is_flooded) = (row.unit, self.horizon, self.is_flooded(host));
        self.touch_in_line(host, unit);
        self.sights.retain(|one| one.unit != unit || one.seen >= horizon);
        let at = self.sights.iter().position(|one| one.unit == unit && one.host == host);
        let old = at.map(|at| self.sights[at].clone());
        let sockets = u32::from(old.as_ref().map_or(0, |old| old.sockets)).saturating_add(row.sockets);
        let sockets = u8::try_from(sockets).unwrap_or(u8::MAX);
        // A row without a new socket tells of one that was seen before.
        let in_the_clear = !is_flooded && (row.sockets > 0 || old.is_none());
        let new = Sight {
            unit,
            host,
            seen: old.as_ref().map_or(seen, |old| old.seen.max(seen)),
            retransmits: old.as_ref().map_or(0, |old| old.retransmits).max(row.retransmits),
            sockets,
            counts: old.as_ref().is_some_and(|old| old.counts) || in_the_clear || sockets > 1,
        };
        match (at, &old) {
            (Some(at), Some(old)) if old.seen == new.seen => self.sights[at] = new,
            _ => {
                self.sights.retain(|one| one.unit != unit || one.host != host);
                let at = self.sights.iter().position(|one| one.unit == unit && one.seen < new.seen);
                self.sights.insert(at.unwrap_or(self.sights.len()), new);
            }
        }
        let own = self.sights.iter().filter(|one| one.unit == unit);
        let kept = self.kept(own.map(|one| (one.host, one.counts)).collect());
        self.sights.retain(|one| one.unit != unit || kept.contains(&one.host));
        let lately = seen - self.policy.window / 8;
        old.is_none_or(|old| old.seen < lately)
    }

    /// Which of these hosts, the newest first, are kept: of too many the oldest goes that does not count, or, if
    /// all do, that is not the newest of one of the newest zones.
    pub(super) fn kept(&self, mut hosts: Vec<(usize, bool)>) -> Vec<usize> {
        let zones = self.policy.min_zones as usize;
        let most = 2 + self.asked(Tier::Drop).max(self.chance).max(8) as usize + zones - 1;
        while hosts.len() > most {
            let mut seen: Vec<Option<&Zone>> = Vec::new();
            let mut is_safe = |(host, _): &(usize, bool)| {
                let zone = self.hosts[*host].zone.as_ref();
                let is_safe = seen.len() < zones && !seen.contains(&zone);
                seen.extend(is_safe.then_some(zone));
                is_safe
            };
            let safe: Vec<bool> = hosts.iter().map(&mut is_safe).collect();
            let oldest = safe.iter().rposition(|safe| !safe).unwrap();
            let weak = hosts.iter().rposition(|(_, counts)| !counts);
            hosts.remove(weak.unwrap_or(oldest));
        }
        hosts.iter().map(|(host, _)| *host).collect()
    }

    /// The fresh sightings of `unit` by hosts that are not in outage, the newest first.
    pub(super) fn fresh_of(&self, unit: Unit) -> Vec<&Sight> {
        let is_good =
            |one: &&Sight| one.unit == unit && self.is_fresh(one.seen) && !self.is_in_outage(one.host);
        self.sights.iter().filter(is_good).collect()
    }

    /// The hosts whose sightings of `unit` count now, the newest first.
    pub(super) fn counting(&self, unit: Unit) -> Vec<usize> {
        self.fresh_of(unit).iter().filter(|one| one.counts).map(|one| one.host).collect()
    }
}
