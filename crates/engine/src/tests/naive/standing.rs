//! The standing of what evidence listed: who has seen or hit something inside it.

use alloc::vec::Vec;

use sekisho_model::{Moment, Prefix, Unit};

use super::{Naive, Standing, Stood};

impl Standing {
    fn add(&mut self, new: &Stood, horizon: Moment) {
        self.active = self.active.max(new.seen);
        match self.hosts.iter_mut().find(|one| one.host == new.host) {
            Some(old) => {
                old.counts = new.counts || (old.counts && old.seen >= horizon);
                old.seen = old.seen.max(new.seen);
            }
            None => self.hosts.push(new.clone()),
        }
    }
}

impl Naive {
    /// Something was seen or hit of `unit`. Returns whether an entry that evidence listed covers it.
    pub(super) fn stand(&mut self, host: usize, seen: Moment, unit: Unit, counts: bool) -> bool {
        let Some(entry) = self.covering(&unit.prefix()).filter(|entry| entry.reason.is_evidence()) else {
            return false;
        };
        let (prefix, horizon) = (entry.prefix, self.horizon);
        let standing = self.standings.iter_mut().find(|one| one.prefix == prefix).unwrap();
        standing.add(&Stood { host, seen, counts: counts || prefix != unit.prefix() }, horizon);
        if prefix != unit.prefix() {
            self.line_up(unit);
        }
        true
    }

    /// The standing that `prefix` begins with: that of what it replaces, and what is fresh in it.
    pub(super) fn begin_standing(&mut self, prefix: Prefix, is_unit: bool) {
        let mut new = Standing { prefix, active: Moment::from_millis(i64::MIN), hosts: Vec::new() };
        for old in self.standings.iter().filter(|one| prefix.covers(&one.prefix)) {
            new.active = new.active.max(old.active);
            for one in &old.hosts {
                new.add(one, self.horizon);
            }
        }
        for one in self.sights.iter().filter(|one| prefix.covers(&one.unit.prefix()) && self.is_fresh(one.seen)) {
            let counts = one.counts || !is_unit;
            new.add(&Stood { host: one.host, seen: one.seen, counts }, self.horizon);
        }
        self.standings.retain(|one| one.prefix != prefix);
        self.standings.push(new);
    }

    /// The hosts of an entry's standing that count now.
    pub(super) fn standing_hosts(&self, prefix: &Prefix) -> Vec<usize> {
        let standing = self.standings.iter().find(|one| one.prefix == *prefix).unwrap();
        let is_good =
            |one: &&Stood| one.counts && self.is_fresh(one.seen) && !self.is_in_outage(one.host);
        standing.hosts.iter().filter(is_good).map(|one| one.host).collect()
    }

    /// When an entry is quiet, if it is so now: nothing was seen or hit, by hosts that are all connected.
    pub(super) fn quiet_since(&self, prefix: &Prefix) -> Option<Moment> {
        let entry = self.entry(prefix)?;
        let standing = self.standings.iter().find(|one| one.prefix == *prefix)?;
        if self.policy.ttl_quiet.is_zero() {
            return None;
        }
        let quiet = self.doubled(self.policy.ttl_quiet, entry.repeats);
        let at = standing.active + quiet;
        let all_connected = standing.hosts.iter().all(|one| self.hosts[one.host].is_connected);
        (at <= self.now && all_connected).then_some(at)
    }
}
