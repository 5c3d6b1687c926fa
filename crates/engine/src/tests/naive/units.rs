//! Units: listed, moved between the tiers, renewed.

use sekisho_model::{Entry, HostId, Moment, Prefix, Reason, Tier, Unit};

use super::Naive;
use crate::{Event, Retier};

impl Naive {
    /// Whenever a sighting of a unit is taken.
    pub(super) fn judge_unit(&mut self, unit: Unit) {
        let prefix = unit.prefix();
        match self.covering(&prefix) {
            Some(entry) if entry.prefix == prefix && entry.reason.is_evidence() => self.judge_entry(unit),
            Some(_) => {}
            None => self.judge_listing(unit, 0),
        }
    }

    /// The tier that a unit is listed at by itself.
    pub(super) fn wanted(&self, unit: Unit) -> Option<Tier> {
        let tier = self.strictest(&self.counting(unit), |tier| self.effective(tier, unit))?;
        Some(if self.has_counter(&unit.prefix()) { Tier::Suppress } else { tier })
    }

    /// Lists a unit whose quorum is met, unless something forbids it.
    pub(super) fn judge_listing(&mut self, unit: Unit, replaced: usize) {
        let Some(tier) = self.wanted(unit) else { return };
        let prefix = unit.prefix();
        if let Some(cause) = self.forbids(&prefix, false, replaced) {
            self.hold_back(&prefix, cause);
            return;
        }
        let hosts = self.counting(unit);
        let reason =
            Reason::Quorum { hosts: u32::try_from(hosts.len()).unwrap(), quorum: self.effective(tier, unit) };
        self.list(prefix, tier, reason, &hosts, replaced);
    }

    /// Puts an entry by evidence on the list.
    pub(super) fn list(&mut self, prefix: Prefix, tier: Tier, reason: Reason, hosts: &[usize], replaced: usize) {
        let repeats = self.take_past(&prefix);
        let entry = Entry {
            prefix,
            tier,
            reason,
            created: self.now,
            expires: self.now + self.doubled(self.policy.ttl_base, repeats),
            renewals: 0,
            repeats,
            revision: self.index,
        };
        self.begin_standing(prefix, matches!(entry.reason, Reason::Quorum { .. }));
        let names: alloc::vec::Vec<HostId> = hosts.iter().map(|host| self.hosts[*host].id.clone()).collect();
        self.events.push(Event::Listed { entry: entry.clone(), hosts: names });
        self.entries.push(entry);
        if replaced == 0 {
            self.recent.push((self.now, prefix));
        }
    }

    fn judge_entry(&mut self, unit: Unit) {
        let prefix = unit.prefix();
        let tier = self.entry(&prefix).unwrap().tier;
        let wanted = self.wanted(unit);
        if wanted > Some(tier) {
            let hosts = u32::try_from(self.counting(unit).len()).unwrap();
            let reason = Reason::Quorum { hosts, quorum: self.effective(Tier::Drop, unit) };
            self.move_to(&prefix, Tier::Drop, reason, Retier::Quorum);
        } else if self.is_half_over(&prefix) {
            let hosts = self.standing_hosts(&prefix);
            let quorum = |tier| self.asked(tier);
            let Some(met) = self.strictest(&hosts, quorum) else { return };
            let met = met.min(tier);
            let reason =
                Reason::Quorum { hosts: u32::try_from(hosts.len()).unwrap(), quorum: self.asked(met) };
            self.renew(&prefix, met, reason);
        }
    }

    pub(super) fn is_half_over(&self, prefix: &Prefix) -> bool {
        let entry = self.entry(prefix).unwrap();
        entry.expires.since(self.now) * 2 < self.doubled(self.policy.ttl_base, entry.repeats)
    }

    /// Moves an entry to another tier; it begins anew.
    pub(super) fn move_to(&mut self, prefix: &Prefix, tier: Tier, reason: Reason, why: Retier) {
        let expires = self.anew(prefix);
        let index = self.index;
        let entry = self.entry_mut(prefix);
        let before = entry.tier;
        (entry.tier, entry.reason, entry.expires, entry.revision) = (tier, reason, expires, index);
        let entry = entry.clone();
        self.events.push(Event::Retiered { entry, before, why });
    }

    /// Renews an entry at its tier, or at the gentler one.
    pub(super) fn renew(&mut self, prefix: &Prefix, tier: Tier, reason: Reason) {
        let expires = self.anew(prefix);
        let index = self.index;
        let entry = self.entry_mut(prefix);
        let before = entry.tier;
        entry.renewals += 1;
        (entry.tier, entry.reason, entry.expires, entry.revision) = (tier, reason, expires, index);
        let entry = entry.clone();
        self.events.push(if tier == before {
            Event::Renewed { entry }
        } else {
            Event::Retiered { entry, before, why: Retier::Faded }
        });
    }

    fn anew(&self, prefix: &Prefix) -> Moment {
        let repeats = self.entry(prefix).unwrap().repeats;
        self.now + self.doubled(self.policy.ttl_base, repeats)
    }
}
