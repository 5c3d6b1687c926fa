//! The decision about one unit: list it, renew it, or leave it.

use alloc::vec::Vec;

use sekisho_model::{Entry, HostId, Moment, Prefix, Reason, Tier, Unit, limits::SPARE_WITNESSES};

use crate::{
    engine::Engine,
    outcome::Event,
    past::ttl,
    step::Step,
    witness::{Sighting, since},
};

/// What is to be done about a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: no quorum, or listed and lasting.
    Leave,
    /// It has its quorum and is not listed.
    List,
    /// It is listed, its time is half over, and this many hosts still witness it.
    Renew(u32),
    /// It has its quorum, but must not be listed.
    Withhold(Cause),
}

/// Why a unit with a quorum is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Never,
    Allowed,
    Held,
    Covered,
    Limit,
}

impl Engine {
    /// Witnesses that are kept of each unit.
    pub(crate) fn kept(&self) -> usize {
        self.quorum() + SPARE_WITNESSES
    }

    pub(crate) fn quorum(&self) -> usize {
        self.policy.drop_quorum as usize
    }

    /// What is to be done about `unit` at `now`. What is over by then counts as gone.
    pub(crate) fn decide(&self, unit: Unit, now: Moment) -> Decision {
        let horizon = self.horizon_at(now);
        let seen = since(self.evidence.of(unit), horizon);
        let entry = self.hits.is_open(unit).then(|| self.entries.get(&unit.prefix())).flatten();
        if let Some(entry) = entry.filter(|entry| entry.expires > now) {
            return self.decide_renewal(entry, seen, since(self.hits.of(unit), horizon), now);
        }
        if seen.len() < self.quorum() {
            return Decision::Leave;
        }
        self.cause(&unit.prefix(), now).map_or(Decision::List, Decision::Withhold)
    }

    /// Whether one more entry may be listed at `now`.
    pub(crate) fn has_room(&self, now: Moment) -> bool {
        let max = self.policy.max_entries as usize;
        self.entries.len() < max || self.entries.live(now) < max
    }

    /// Decides about `unit`, which has a new witness, and does it.
    pub(crate) fn act(&mut self, unit: Unit, step: &mut Step) {
        match self.decide(unit, self.now) {
            Decision::Leave => {}
            Decision::List => self.list(unit, step),
            Decision::Renew(hosts) => self.renew(unit, hosts, step),
            Decision::Withhold(cause) => self.withhold(unit, cause, step),
        }
    }

    /// One host alone cannot keep an entry up: what drops its packets may be an honest client that
    /// tries again and again.
    fn decide_renewal(&self, entry: &Entry, seen: &[Sighting], hit: &[Sighting], now: Moment) -> Decision {
        if entry.expires.since(now) * 2 >= ttl(&self.policy, entry.repeats) {
            return Decision::Leave;
        }
        let hosts = distinct(seen, hit);
        if hosts < self.quorum() {
            return Decision::Leave;
        }
        Decision::Renew(u32::try_from(hosts).unwrap_or(u32::MAX))
    }

    fn cause(&self, prefix: &Prefix, now: Moment) -> Option<Cause> {
        if self.protected.why(prefix).is_some() {
            Some(Cause::Never)
        } else if self.allowlist.overlapping(prefix, now).next().is_some() {
            Some(Cause::Allowed)
        } else if self.holds.overlapping(prefix, now).next().is_some() {
            Some(Cause::Held)
        } else if self.entries.overlapping(prefix, now).next().is_some() {
            Some(Cause::Covered)
        } else {
            (!self.has_room(now)).then_some(Cause::Limit)
        }
    }

    fn list(&mut self, unit: Unit, step: &mut Step) {
        let prefix = unit.prefix();
        let hosts: Vec<HostId> = since(self.evidence.of(unit), self.horizon)
            .iter()
            .filter_map(|sighting| self.hosts.by_number(sighting.host))
            .map(|record| record.id.clone())
            .collect();
        let repeats = self.past.take(&prefix, &self.policy, self.now);
        let entry = Entry {
            prefix,
            tier: Tier::Drop,
            reason: self.reason(hosts.len()),
            created: self.now,
            expires: self.now + ttl(&self.policy, repeats),
            renewals: 0,
            repeats,
            revision: self.index,
        };
        self.counters.listed += 1;
        step.events.push(Event::Listed { entry: entry.clone(), hosts });
        self.put_entry(entry, step);
    }

    fn renew(&mut self, unit: Unit, hosts: u32, step: &mut Step) {
        let Some(old) = self.entries.get(&unit.prefix()) else { return };
        let entry = Entry {
            reason: self.reason(hosts as usize),
            expires: self.now + ttl(&self.policy, old.repeats),
            renewals: old.renewals.saturating_add(1),
            revision: self.index,
            ..old.clone()
        };
        self.counters.renewed += 1;
        step.events.push(Event::Renewed { entry: entry.clone() });
        self.put_entry(entry, step);
    }

    fn withhold(&mut self, unit: Unit, cause: Cause, step: &mut Step) {
        let counters = &mut self.counters;
        match cause {
            Cause::Never => counters.withheld_never += 1,
            Cause::Allowed => counters.withheld_allowed += 1,
            Cause::Held => counters.withheld_held += 1,
            Cause::Covered => counters.withheld_covered += 1,
            Cause::Limit => {
                counters.withheld_limit += 1;
                if !core::mem::replace(&mut self.is_full, true) {
                    let (max_entries, prefix) = (self.policy.max_entries, unit.prefix());
                    step.events.push(Event::LimitReached { max_entries, prefix });
                }
            }
        }
    }

    fn reason(&self, hosts: usize) -> Reason {
        Reason::Quorum { hosts: u32::try_from(hosts).unwrap_or(u32::MAX), quorum: self.policy.drop_quorum }
    }
}

/// How many distinct hosts are in either list, each of which has a host once.
pub(crate) fn distinct(seen: &[Sighting], hit: &[Sighting]) -> usize {
    let both = hit.iter().filter(|one| seen.iter().any(|other| other.host == one.host)).count();
    seen.len() + hit.len() - both
}
