//! The standing of what evidence listed: who has seen or hit something inside it.

use alloc::vec::Vec;

use sekisho_model::{Moment, Prefix, Unit};

use super::{Naive, Standing, Stood, sightings::block_of};

impl Naive {
    /// Something was seen or hit of `unit`. Returns whether an entry that evidence listed covers it.
    pub(super) fn stand(&mut self, host: usize, seen: Moment, unit: Unit) -> bool {
        let Some(entry) = self.covering(&unit.prefix()).filter(|entry| entry.reason.is_evidence()) else {
            return false;
        };
        let prefix = entry.prefix;
        let at = self.standings.iter().position(|one| one.prefix == prefix).unwrap();
        let standing = self.standings[at].clone();
        self.standings[at] = self.with(standing, host, seen);
        if prefix != unit.prefix() {
            self.put_in_line(block_of(unit));
        }
        true
    }

    /// The standing with one more: a host that is not fresh any more is forgotten.
    fn with(&self, mut standing: Standing, host: usize, seen: Moment) -> Standing {
        standing.active = standing.active.max(seen);
        standing.hosts.retain(|one| self.is_fresh(one.seen));
        let at = standing.hosts.iter().position(|one| one.host == host);
        let seen = at.map_or(seen, |at| standing.hosts[at].seen.max(seen));
        if at.is_none_or(|at| standing.hosts[at].seen != seen) {
            standing.hosts.retain(|one| one.host != host);
            let at = standing.hosts.iter().position(|one| one.seen < seen);
            standing.hosts.insert(at.unwrap_or(standing.hosts.len()), Stood { host, seen });
        }
        let kept = self.kept(standing.hosts.iter().map(|one| (one.host, true)).collect());
        standing.hosts.retain(|one| kept.contains(&one.host));
        standing
    }

    /// The standing that `prefix` begins with: what is fresh in it, and that of what it takes the place of.
    pub(super) fn begin_standing(&mut self, prefix: Prefix) {
        let seen = self.sights.iter().filter(|one| prefix.covers(&one.unit.prefix()));
        let mut all: Vec<(Moment, usize)> = seen.map(|one| (one.seen, one.host)).collect();
        if Unit::of(prefix.address()).prefix() != prefix {
            all.sort_by_key(|one| one.1);
        }
        let mut inside: Vec<&Standing> =
            self.standings.iter().filter(|one| prefix.covers(&one.prefix)).collect();
        inside.sort_by_key(|one| one.prefix);
        for one in inside {
            all.extend(one.hosts.iter().map(|one| (one.seen, one.host)));
        }
        all.retain(|one| self.is_fresh(one.0));
        let active = all.iter().map(|one| one.0).max().unwrap_or(self.now);
        let empty = Standing { prefix, active, check: None, hosts: Vec::new() };
        let standing = all.iter().fold(empty, |standing, (seen, host)| self.with(standing, *host, *seen));
        self.standings.retain(|one| one.prefix != prefix);
        self.standings.push(standing);
    }

    /// The hosts of an entry's standing that count now.
    pub(super) fn standing_hosts(&self, prefix: &Prefix) -> Vec<usize> {
        let standing = self.standings.iter().find(|one| one.prefix == *prefix).unwrap();
        let is_good = |one: &&Stood| self.is_fresh(one.seen) && !self.is_in_outage(one.host);
        standing.hosts.iter().filter(is_good).map(|one| one.host).collect()
    }
}
