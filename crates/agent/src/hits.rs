//! The kernel's counters of recently hit units as differences: what was hit since the last reading.

use std::collections::HashMap;

use sekisho_model::{Hit, Unit};

/// Remembers the last reading.
#[derive(Debug, Default)]
pub struct HitReader {
    last: HashMap<Unit, u64>,
}

impl HitReader {
    /// Takes a reading in: every unit in the kernel's set and its packets. A counter that went back was
    /// begun anew, since a unit leaves the set when it is not hit for a while.
    pub fn read(&mut self, reading: Vec<(Unit, u64)>) -> Vec<Hit> {
        let before = std::mem::take(&mut self.last);
        let mut hits: Vec<Hit> = reading
            .iter()
            .filter_map(|(unit, packets)| {
                let known = before.get(unit).copied().unwrap_or(0);
                let more = packets.checked_sub(known).unwrap_or(*packets);
                (more > 0).then_some(Hit { unit: *unit, packets: more })
            })
            .collect();
        hits.sort_unstable_by_key(|hit| hit.unit);
        self.last = reading.into_iter().collect();
        hits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_counts() {
        let (a, b) = (Unit::V4(1), Unit::V4(2));
        let hit = |unit, packets| Hit { unit, packets };
        let mut reader = HitReader::default();
        assert_eq!(reader.read(vec![(b, 5), (a, 3)]), [hit(a, 3), hit(b, 5)]);
        assert_eq!(reader.read(vec![(a, 3), (b, 7)]), [hit(b, 2)]);
        assert_eq!(reader.read(vec![(b, 7)]), []);
        assert_eq!(reader.read(vec![(a, 2), (b, 4)]), [hit(a, 2), hit(b, 4)], "both began anew");
    }
}
