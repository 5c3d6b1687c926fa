//! The decision about one unit: list it, move it between tiers, renew it, or leave it.

use alloc::vec::Vec;

use sekisho_model::{Entry, HostId, Moment, Prefix, Reason, Tier, Unit};

use crate::{
    engine::{Engine, Recent},
    outcome::{Cause, Event, Retier},
    past::ttl,
    protected::Protection,
    standing::{Standing, is_unit},
    step::Step,
    witness::{Sighting, Witnesses, since},
};

/// What is to be done about a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: no quorum, or covered, or listed and lasting.
    Leave,
    /// It has a quorum and is not listed.
    List(Tier),
    /// It is listed, and a stricter tier's quorum is met.
    Raise(Tier),
    /// It is listed, its time is half over, and this tier still stands.
    Renew(Tier),
    /// It has a quorum, but must not be listed.
    Withhold(Cause),
}

impl Engine {
    /// What is to be done about `unit` at `now`. What is over by then counts as gone.
    pub(crate) fn decide(&self, unit: Unit, now: Moment) -> Decision {
        let (all, is_listed) = self.evidence.look(unit).unwrap_or_else(|| (&[], self.is_listed(unit)));
        self.decide_seen(unit, all, is_listed, now)
    }

    /// The same, of which these are all sightings.
    pub(crate) fn decide_seen(&self, unit: Unit, all: &[Sighting], is_listed: bool, now: Moment) -> Decision {
        let seen = since(all, self.horizon_at(now));
        if is_listed && let Some(entry) = self.entries.get(&unit.prefix()).filter(|entry| entry.expires > now)
        {
            return self.decide_own(entry, unit, seen, now);
        }
        let Some(tier) = self.wanted(unit, seen, now) else { return Decision::Leave };
        if self.standings.wide_over(unit).is_some() {
            return Decision::Leave;
        }
        self.cause(&unit.prefix(), now).map_or(Decision::List(tier), Decision::Withhold)
    }

    /// Whether evidence has an entry of just `unit`.
    pub(crate) fn is_listed(&self, unit: Unit) -> bool {
        self.standings.get(&unit.prefix()).is_some()
    }

    /// The tier that the fresh sightings `seen` of `unit` ask for.
    pub(crate) fn wanted(&self, unit: Unit, seen: &[Sighting], now: Moment) -> Option<Tier> {
        let met = self.met(unit, seen, now)?;
        let is_capped = met > Tier::Suppress && !self.counter.of(unit, self.horizon_at(now)).is_empty();
        Some(if is_capped { Tier::Suppress } else { met })
    }

    /// Decides about `unit`, of which there is something new, and does it.
    pub(crate) fn act(&mut self, unit: Unit, step: &mut Step) {
        self.enact(self.decide(unit, self.now), unit, step);
    }

    /// Does what was decided about `unit`.
    pub(crate) fn enact(&mut self, decision: Decision, unit: Unit, step: &mut Step) {
        match decision {
            Decision::Leave => {}
            Decision::List(tier) => {
                self.recent.push_back(Recent { at: self.now, prefix: unit.prefix(), is_new: true });
                self.list_unit(unit, tier, step);
            }
            Decision::Raise(tier) => self.raise(&unit.prefix(), tier, step),
            Decision::Renew(tier) => self.renew(&unit.prefix(), tier, None, step),
            Decision::Withhold(cause) => self.withhold(unit.prefix(), cause, step),
        }
    }

    fn decide_own(&self, entry: &Entry, unit: Unit, seen: &[Sighting], now: Moment) -> Decision {
        let shown = self.wanted(unit, seen, now);
        if let Some(tier) = shown.filter(|tier| *tier > entry.tier) {
            return Decision::Raise(tier);
        }
        if !self.is_half_over(entry, now) {
            return Decision::Leave;
        }
        let standing = self.standings.get(&entry.prefix).map_or(&[][..], |one| one.witnesses.as_slice());
        // Whose SYNs are dropped shows nothing but hits: it goes on at suppress, where a victim shows itself within
        // seconds and an honest client connects.
        let upheld = self.upheld(entry.tier, standing, now);
        upheld.map_or(Decision::Leave, |tier| Decision::Renew(tier.min(shown.unwrap_or(Tier::Suppress))))
    }

    /// Whether an entry is in the second half of its time.
    pub(crate) fn is_half_over(&self, entry: &Entry, now: Moment) -> bool {
        entry.expires.since(now) * 2 < ttl(&self.policy, entry.repeats)
    }

    /// What keeps evidence from listing `prefix`, which no entry of evidence covers.
    pub(crate) fn cause(&self, prefix: &Prefix, now: Moment) -> Option<Cause> {
        self.forbidden(prefix, now).or_else(|| {
            let replaces = self.entries.overlapping(prefix, now).next().is_some();
            self.limit(replaces, now).map(Cause::Limit)
        })
    }

    /// What forbids that evidence lists `prefix`, limits apart.
    pub(crate) fn forbidden(&self, prefix: &Prefix, now: Moment) -> Option<Cause> {
        let mut overlapping = self.entries.overlapping(prefix, now);
        if self.protected.why(prefix).is_some() {
            Some(Cause::Never)
        } else if self.allowlist.overlapping(prefix, now).next().is_some() {
            Some(Cause::Allowed)
        } else if self.holds.overlapping(prefix, now).next().is_some() {
            Some(Cause::Held)
        } else {
            // A prefix takes the place of what evidence listed inside it.
            let stays = overlapping.any(|entry| is_unit(prefix) || !entry.reason.is_evidence());
            stays.then_some(Cause::Covered)
        }
    }

    /// What forbids `prefix` for this cause: an entry, an allowance, a hold, or what is never listed.
    pub(crate) fn forbidding(&self, prefix: &Prefix, cause: Cause, now: Moment) -> Option<Prefix> {
        match cause {
            Cause::Never => match self.protected.why(prefix)? {
                Protection::Prefix(by) | Protection::Name(by) | Protection::Host(by) => Some(by),
                Protection::Unlistable | Protection::Private => None,
            },
            Cause::Allowed => self.allowlist.overlapping(prefix, now).next().map(|one| one.prefix),
            Cause::Held => self.holds.overlapping(prefix, now).next().map(|one| one.prefix),
            Cause::Covered => {
                let stays = |one: &&Entry| is_unit(prefix) || !one.reason.is_evidence();
                self.entries.overlapping(prefix, now).find(stays).map(|one| one.prefix)
            }
            Cause::Limit(_) => None,
        }
    }

    /// Lists a unit by itself.
    pub(crate) fn list_unit(&mut self, unit: Unit, tier: Tier, step: &mut Step) {
        let (reason, hosts) = self.reason_to_list(unit, tier);
        let mut witnesses = Witnesses::default();
        for one in since(self.evidence.of(unit), self.horizon) {
            witnesses.push(Sighting::new(one.host(), one.seen(), 0, 0, true));
        }
        self.list(unit.prefix(), tier, reason, hosts, witnesses, step);
    }

    /// Why a unit is listed at `tier`, and by whom.
    fn reason_to_list(&self, unit: Unit, tier: Tier) -> (Reason, Vec<HostId>) {
        let seen = since(self.evidence.of(unit), self.horizon);
        let counting: Vec<Sighting> = seen.iter().filter(|one| self.counts(one, self.now)).copied().collect();
        let reason = Reason::Quorum {
            hosts: u32::try_from(counting.len()).unwrap_or(u32::MAX),
            quorum: u32::try_from(self.effective(unit, tier)).unwrap_or(u32::MAX),
        };
        (reason, self.names_of(&counting))
    }

    /// Lists what evidence asks for, by these hosts; it stands by these witnesses.
    pub(crate) fn list(
        &mut self,
        prefix: Prefix,
        tier: Tier,
        reason: Reason,
        hosts: Vec<HostId>,
        witnesses: Witnesses,
        step: &mut Step,
    ) {
        let repeats = self.past.take(&prefix, &self.policy, self.now);
        let entry = Entry {
            prefix,
            tier,
            reason,
            created: self.now,
            expires: self.now + ttl(&self.policy, repeats),
            renewals: 0,
            repeats,
            revision: self.index,
        };
        self.counters.listed += 1;
        step.events.push(Event::Listed { entry: entry.clone(), hosts });
        self.put_entry(entry, step);
        self.stand(prefix, witnesses);
    }

    /// An entry that evidence put on the list stands by these witnesses.
    pub(crate) fn stand(&mut self, prefix: Prefix, witnesses: Witnesses) {
        let active = witnesses.as_slice().first().map_or(self.now, |newest| newest.seen());
        self.standings.open(prefix, Standing { witnesses, active, check: None });
        self.arm(&prefix);
        if is_unit(&prefix) {
            self.evidence.set_listed(Unit::of(prefix.address()), true);
        }
    }

    pub(crate) fn names_of(&self, witnesses: &[Sighting]) -> Vec<HostId> {
        let hosts = witnesses.iter().filter_map(|one| self.hosts.by_number(one.host()));
        hosts.map(|record| record.id.clone()).collect()
    }

    /// Moves an entry up: it begins anew.
    pub(crate) fn raise(&mut self, prefix: &Prefix, tier: Tier, step: &mut Step) {
        let Some(old) = self.entries.get(prefix) else { return };
        let expires = old.expires.max(self.now + ttl(&self.policy, old.repeats));
        let reason = match old.reason {
            Reason::Quorum { .. } => self.reason_to_list(Unit::of(prefix.address()), tier).0,
            _ => self.reason_now(old, tier),
        };
        self.put_retiered(prefix, tier, reason, expires, Retier::Quorum, step);
        self.recent.push_back(Recent { at: self.now, prefix: *prefix, is_new: false });
    }

    /// Puts an entry into another tier.
    pub(crate) fn retier(
        &mut self,
        prefix: &Prefix,
        tier: Tier,
        expires: Moment,
        why: Retier,
        step: &mut Step,
    ) {
        let Some(old) = self.entries.get(prefix) else { return };
        let reason = self.reason_now(old, tier);
        self.put_retiered(prefix, tier, reason, expires, why, step);
    }

    fn put_retiered(
        &mut self,
        prefix: &Prefix,
        tier: Tier,
        reason: Reason,
        expires: Moment,
        why: Retier,
        step: &mut Step,
    ) {
        let Some(old) = self.entries.get(prefix) else { return };
        let before = old.tier;
        let entry = Entry { tier, reason, expires, revision: self.index, ..old.clone() };
        self.counters.retiered += 1;
        step.events.push(Event::Retiered { entry: entry.clone(), before, why });
        self.put_entry(entry, step);
        self.arm(prefix);
    }

    /// Lets an entry last longer, at `tier`; of a prefix that many `units` are fresh.
    pub(crate) fn renew(&mut self, prefix: &Prefix, tier: Tier, units: Option<u32>, step: &mut Step) {
        let Some(old) = self.entries.get(prefix) else { return };
        let expires = self.now + ttl(&self.policy, old.repeats);
        if tier < old.tier {
            let standing = self.standings.get(prefix).map_or(&[][..], |one| one.witnesses.as_slice());
            let is_upheld = self.upheld(old.tier, standing, self.now) == Some(old.tier);
            let why = if is_upheld { Retier::Probation } else { Retier::Faded };
            return self.retier(prefix, tier, expires, why, step);
        }
        let mut reason = self.reason_now(old, tier);
        if let (Reason::Prefix { units: before, .. }, Some(now)) = (&mut reason, units) {
            *before = now;
        }
        let renewals = old.renewals.saturating_add(1);
        let entry = Entry { reason, expires, renewals, revision: self.index, ..old.clone() };
        self.counters.renewed += 1;
        step.events.push(Event::Renewed { entry: entry.clone() });
        self.put_entry(entry, step);
        self.arm(prefix);
    }

    /// The reason of an entry, with the hosts that keep it up now at `tier`.
    fn reason_now(&self, entry: &Entry, tier: Tier) -> Reason {
        let standing = self.standings.get(&entry.prefix).map_or(&[][..], |one| one.witnesses.as_slice());
        let standing = u32::try_from(self.standing_hosts(standing, self.now).len()).unwrap_or(u32::MAX);
        let asked = u32::try_from(self.asked(tier)).unwrap_or(u32::MAX);
        match &entry.reason {
            Reason::Quorum { .. } => Reason::Quorum { hosts: standing, quorum: asked },
            Reason::Prefix { units, least, .. } => {
                Reason::Prefix { hosts: standing, quorum: asked, units: *units, least: *least }
            }
            order @ Reason::Order { .. } => order.clone(),
        }
    }
}
