//! Counter-evidence: proof of honest clients caps the tier.

use alloc::vec::Vec;

use sekisho_model::{
    Completed, Moment, Prefix, Tier,
    limits::{COUNTER_WITNESSES, HOST_UNITS_SHARE},
};

use super::{Naive, Told};
use crate::{Event, Retier};

impl Naive {
    pub(super) fn take_counter(&mut self, host: usize, seen: Moment, told: &Completed) {
        let unit = told.unit;
        let entry = self.covering(&unit.prefix()).cloned();
        let is_known = self.told.iter().any(|one| one.unit == unit && one.host == host);
        let share = (self.bounds.counter / HOST_UNITS_SHARE).max(1);
        if !is_known && self.told.iter().filter(|one| one.host == host).count() >= share {
            return;
        }
        let since = entry.as_ref().map_or(self.horizon, |entry| self.horizon.max(entry.created));
        let before: Vec<usize> = self
            .told
            .iter()
            .filter(|one| one.unit == unit && one.seen >= since)
            .map(|one| one.host)
            .collect();
        self.note_counter(host, seen, told);
        let Some(entry) = entry else { return };
        if seen >= entry.created && before.len() < COUNTER_WITNESSES && !before.contains(&host) {
            self.events.push(Event::Objected {
                host: self.hosts[host].id.clone(),
                unit,
                connections: told.connections,
                prefix: entry.prefix,
                tier: entry.tier,
            });
        }
        if entry.reason.is_evidence() && entry.tier == Tier::Drop {
            self.move_to(&entry.prefix, Tier::Suppress, entry.expires, Retier::CounterEvidence);
        }
    }

    fn note_counter(&mut self, host: usize, seen: Moment, told: &Completed) {
        let unit = told.unit;
        if !self.told_line.contains(&unit) && self.told_line.len() >= self.bounds.counter {
            let oldest = self.told_line.remove(0);
            self.told.retain(|one| one.unit != oldest);
        }
        self.told_line.retain(|one| *one != unit);
        self.told_line.push(unit);
        let horizon = self.horizon;
        let old = self.told.iter().position(|one| one.unit == unit && one.host == host);
        let seen = old.map_or(seen, |at| self.told.remove(at).seen.max(seen));
        self.told.retain(|one| one.unit != unit || one.seen >= horizon);
        let at = self.told.iter().position(|one| one.unit == unit && one.seen < seen);
        self.told.insert(at.unwrap_or(self.told.len()), Told { unit, host, seen });
        let mut kept = 0;
        self.told.retain(|one| {
            kept += usize::from(one.unit == unit);
            one.unit != unit || kept <= COUNTER_WITNESSES
        });
    }

    /// Whether some host has fresh connections with something in `prefix`.
    pub(super) fn has_counter(&self, prefix: &Prefix) -> bool {
        self.told.iter().any(|one| prefix.covers(&one.unit.prefix()) && self.is_fresh(one.seen))
    }
}
