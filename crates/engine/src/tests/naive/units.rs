//! Units: listed, moved between the tiers, renewed.

use alloc::vec::Vec;

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
            None => self.judge_listing(unit),
        }
    }

    /// The tier that a unit is listed at by itself.
    pub(super) fn wanted(&self, unit: Unit) -> Option<Tier> {
        let tier = self.strictest(&self.counting(unit), |tier| self.effective(tier, unit))?;
        Some(if self.has_counter(&unit.prefix()) { Tier::Suppress } else { tier })
    }

    /// Lists a unit whose quorum is met, unless something forbids it.
    fn judge_listing(&mut self, unit: Unit) {
        let Some(tier) = self.wanted(unit) else { return };
        let prefix = unit.prefix();
        if let Some(cause) = self.forbids(&prefix, false, 0) {
            self.hold_back(&prefix, cause);
            return;
        }
        self.list_unit(unit, tier);
        self.recent.push((self.now, prefix, true));
    }

    pub(super) fn list_unit(&mut self, unit: Unit, tier: Tier) {
        let hosts = self.counting(unit);
        let reason =
            Reason::Quorum { hosts: u32::try_from(hosts.len()).unwrap(), quorum: self.effective(tier, unit) };
        self.list(unit.prefix(), tier, reason, &hosts);
    }

    /// Puts an entry by evidence on the list.
    pub(super) fn list(&mut self, prefix: Prefix, tier: Tier, reason: Reason, hosts: &[usize]) {
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
        self.begin_standing(prefix);
        self.put_evidence(entry, hosts);
    }

    pub(super) fn put_evidence(&mut self, entry: Entry, hosts: &[usize]) {
        let prefix = entry.prefix;
        let names: Vec<HostId> = self
            .kept(hosts.iter().map(|host| (*host, true)).collect())
            .iter()
            .map(|host| self.hosts[*host].id.clone())
            .collect();
        self.events.push(Event::Listed { entry: entry.clone(), hosts: names });
        self.entries.push(entry);
        self.arm(&prefix);
    }

    fn judge_entry(&mut self, unit: Unit) {
        let prefix = unit.prefix();
        let tier = self.entry(&prefix).unwrap().tier;
        if self.wanted(unit) > Some(tier) {
            let hosts = u32::try_from(self.counting(unit).len()).unwrap();
            let reason = Reason::Quorum { hosts, quorum: self.effective(Tier::Drop, unit) };
            self.move_up(&prefix, reason);
        } else if self.is_half_over(&prefix) {
            self.judge_renewal(&prefix, self.wanted(unit), None);
        }
    }

    pub(super) fn is_half_over(&self, prefix: &Prefix) -> bool {
        let entry = self.entry(prefix).unwrap();
        entry.expires.since(self.now) * 2 < self.doubled(self.policy.ttl_base, entry.repeats)
    }

    /// Moves an entry up: it begins anew.
    pub(super) fn move_up(&mut self, prefix: &Prefix, reason: Reason) {
        let expires = self.entry(prefix).unwrap().expires.max(self.anew(prefix));
        self.put_changed(prefix, Tier::Drop, expires, reason, Retier::Quorum);
        self.recent.push((self.now, *prefix, false));
    }

    /// Moves an entry to another tier: its reason is who keeps it up there.
    pub(super) fn move_to(&mut self, prefix: &Prefix, tier: Tier, expires: Moment, why: Retier) {
        let reason = self.reason_of_standing(prefix, tier, None);
        self.put_changed(prefix, tier, expires, reason, why);
    }

    fn put_changed(&mut self, prefix: &Prefix, tier: Tier, expires: Moment, reason: Reason, why: Retier) {
        let index = self.index;
        let entry = self.entry_mut(prefix);
        let before = entry.tier;
        (entry.tier, entry.reason, entry.expires, entry.revision) = (tier, reason, expires, index);
        let entry = entry.clone();
        self.events.push(Event::Retiered { entry, before, why });
        self.arm(prefix);
    }

    /// Renews an entry that the asked quorum keeps up, or only that of suppress; of a prefix so many units
    /// are fresh. What is at drop and does not show that now goes on at suppress.
    pub(super) fn judge_renewal(&mut self, prefix: &Prefix, shown: Option<Tier>, units: Option<u32>) {
        let tier = self.entry(prefix).unwrap().tier;
        let hosts = self.standing_hosts(prefix);
        let Some(met) = self.strictest(&hosts, |tier| self.asked(tier)) else { return };
        let expires = self.anew(prefix);
        if met < tier {
            self.move_to(prefix, met, expires, Retier::Faded);
            return;
        }
        if tier == Tier::Drop && shown != Some(Tier::Drop) {
            self.move_to(prefix, Tier::Suppress, expires, Retier::Probation);
            return;
        }
        let reason = self.reason_of_standing(prefix, tier, units);
        let index = self.index;
        let entry = self.entry_mut(prefix);
        entry.renewals += 1;
        (entry.reason, entry.expires, entry.revision) = (reason, expires, index);
        let entry = entry.clone();
        self.events.push(Event::Renewed { entry });
        self.arm(prefix);
    }

    pub(super) fn reason_of_standing(&self, prefix: &Prefix, tier: Tier, fresh: Option<u32>) -> Reason {
        let hosts = u32::try_from(self.standing_hosts(prefix).len()).unwrap();
        let quorum = self.asked(tier);
        match self.entry(prefix).unwrap().reason {
            Reason::Prefix { units, least, .. } => {
                Reason::Prefix { hosts, quorum, units: fresh.unwrap_or(units), least }
            }
            _ => Reason::Quorum { hosts, quorum },
        }
    }

    fn anew(&self, prefix: &Prefix) -> Moment {
        let repeats = self.entry(prefix).unwrap().repeats;
        self.now + self.doubled(self.policy.ttl_base, repeats)
    }
}
