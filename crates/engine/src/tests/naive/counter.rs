//! Counter-evidence: proof of honest clients caps the tier.

use sekisho_model::{Completed, Moment, Prefix, Tier, limits::COUNTER_WITNESSES};

use super::{Naive, Told};
use crate::{Event, Retier};

impl Naive {
    pub(super) fn take_counter(&mut self, host: usize, seen: Moment, told: &Completed) {
        let (unit, horizon) = (told.unit, self.horizon);
        let before = self.told.iter().find(|one| one.unit == unit && one.host == host).map(|one| one.seen);
        self.note_counter(host, seen, told);
        let Some(entry) = self.covering(&unit.prefix()).cloned() else { return };
        let since = horizon.max(entry.created);
        if seen >= entry.created && before.is_none_or(|before| before < since) {
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
        let old = self.told.iter().position(|one| one.unit == unit && one.host == host);
        let seen = old.map_or(seen, |at| self.told.remove(at).seen.max(seen));
        let at = self.told.iter().position(|one| one.unit == unit && one.seen < seen);
        self.told.insert(at.unwrap_or(self.told.len()), Told { unit, host, seen });
        let mut kept = 0;
        self.told.retain(|one| {
            kept += usize::from(one.unit == unit);
            one.unit != unit || kept <= COUNTER_WITNESSES
        });
        if !self.told_line.contains(&unit) {
            self.told_line.push(unit);
            if self.told_line.len() > self.bounds.counter {
                let oldest = self.told_line.remove(0);
                self.told.retain(|one| one.unit != oldest);
            }
        }
    }

    /// Whether some host has fresh connections with something in `prefix`.
    pub(super) fn has_counter(&self, prefix: &Prefix) -> bool {
        self.told.iter().any(|one| prefix.covers(&one.unit.prefix()) && self.is_fresh(one.seen))
    }
}
