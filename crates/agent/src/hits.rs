//! The kernel's counters of recently hit units as differences: what was hit since the last reading.

use std::collections::HashMap;

use sekisho_model::{Hit, Tier, Unit};

/// Remembers the last reading.
#[derive(Debug, Default)]
pub struct HitReader {
    last: HashMap<(Unit, Tier), u64>,
}

impl HitReader {
    /// Takes a reading in: every unit in the kernel's sets and its packets. A counter that went back was
    /// begun anew, since a unit leaves the set when it is not hit for a while.
    pub fn read(&mut self, mut reading: Vec<Hit>) -> Vec<Hit> {
        let before = std::mem::take(&mut self.last);
        self.last = reading.iter().map(|hit| ((hit.unit, hit.tier), hit.packets)).collect();
        for hit in &mut reading {
            let known = before.get(&(hit.unit, hit.tier)).copied().unwrap_or(0);
            hit.packets = hit.packets.checked_sub(known).unwrap_or(hit.packets);
        }
        reading.retain(|hit| hit.packets > 0);
        reading.sort_unstable_by_key(|hit| (hit.unit, hit.tier));
        reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_counts() {
        let (a, b) = (Unit::V4(1), Unit::V4(2));
        let hit = |unit, packets| Hit { unit, tier: Tier::Drop, packets };
        let mut reader = HitReader::default();
        assert_eq!(reader.read(vec![hit(b, 5), hit(a, 3)]), [hit(a, 3), hit(b, 5)]);
        assert_eq!(reader.read(vec![hit(a, 3), hit(b, 7)]), [hit(b, 2)]);
        assert_eq!(reader.read(vec![hit(b, 7)]), []);
        assert_eq!(reader.read(vec![hit(a, 2), hit(b, 4)]), [hit(a, 2), hit(b, 4)], "both began anew");
        // After a change of its tier a unit is in two sets for a while.
        let gentle = |unit, packets| Hit { unit, tier: Tier::Suppress, packets };
        assert_eq!(reader.read(vec![hit(a, 2), gentle(a, 2)]), [gentle(a, 2)]);
        assert_eq!(reader.read(vec![hit(a, 3), gentle(a, 4)]), [gentle(a, 2), hit(a, 1)]);
    }
}
