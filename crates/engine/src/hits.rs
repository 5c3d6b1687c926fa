//! Which hosts still drop packets of each unit that its quorum listed.
//!
//! Kept apart from the evidence: hits renew what is listed, but never list anything.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sekisho_model::{Moment, Unit};

use crate::witness::{Sighting, Witnesses};

/// The hosts that hit each listed unit. A unit is in here exactly while a quorum has it listed, so
/// that one look-up tells whether it is.
#[derive(Debug, Default)]
pub(crate) struct Hits {
    /// Only looked into, never walked: its order, and so its seed, show nowhere.
    units: HashMap<Unit, Witnesses, FixedState>,
}

impl Hits {
    /// Hashes with `seed` from here on.
    pub(crate) fn reseed(&mut self, seed: u64) {
        let mut units = HashMap::with_capacity_and_hasher(self.units.len(), FixedState::with_seed(seed));
        units.extend(self.units.drain());
        self.units = units;
    }

    /// A quorum listed `unit`: its hits count from here on.
    pub(crate) fn open(&mut self, unit: Unit) {
        self.units.entry(unit).or_default();
    }

    /// `unit` is off the list, or on it by order.
    pub(crate) fn close(&mut self, unit: Unit) {
        self.units.remove(&unit);
    }

    /// Whether a quorum has `unit` listed.
    pub(crate) fn is_open(&self, unit: Unit) -> bool {
        self.units.contains_key(&unit)
    }

    /// Takes a hit in. Returns false, and forgets it, when no quorum has `unit` listed.
    pub(crate) fn note(&mut self, unit: Unit, new: Sighting, keep: usize, horizon: Moment) -> bool {
        let open = self.units.get_mut(&unit);
        open.map(|witnesses| witnesses.note(new, keep, horizon)).is_some()
    }

    /// Puts a hit behind what is there: for a restored engine.
    pub(crate) fn push(&mut self, unit: Unit, last: Sighting) {
        if let Some(witnesses) = self.units.get_mut(&unit) {
            witnesses.push(last);
        }
    }

    /// The hits of `unit`, the newest first; some may be out of the window.
    pub(crate) fn of(&self, unit: Unit) -> &[Sighting] {
        self.units.get(&unit).map_or(&[], Witnesses::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_count_only_while_the_unit_is_listed() {
        let (unit, mut hits) = (Unit::V4(1), Hits::default());
        let hit = Sighting { seen: Moment::from_millis(5), host: 1, retransmits: 0 };
        assert!(!hits.note(unit, hit, 5, Moment::EPOCH));
        hits.push(unit, hit);
        assert!(hits.of(unit).is_empty());
        hits.open(unit);
        assert!(hits.is_open(unit) && hits.note(unit, hit, 5, Moment::EPOCH));
        hits.open(unit);
        hits.reseed(9);
        assert_eq!(hits.of(unit), [hit], "opening twice and another seed forget nothing");
        hits.close(unit);
        assert!(!hits.is_open(unit) && hits.of(unit).is_empty());
    }
}
