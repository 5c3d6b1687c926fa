//! The units that this host reported lately: those about which counter-evidence is asked for before they
//! are listed.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::ops::Bound;

use sekisho_model::{
    Moment, Unit,
    limits::{CANDIDATE_TIME, MAX_CANDIDATES},
};

use crate::Turns;

/// At most [`MAX_CANDIDATES`] units, each for [`CANDIDATE_TIME`] after it was last reported.
#[derive(Clone, Debug)]
pub struct Candidates {
    /// When each was last reported.
    reported: BTreeMap<Unit, Moment>,
    /// The same units as they came, or as they were seen to have been reported again.
    line: VecDeque<Unit>,
    turns: Turns<Unit>,
    limit: usize,
}

impl Default for Candidates {
    fn default() -> Self {
        Self::with_limit(MAX_CANDIDATES)
    }
}

impl Candidates {
    fn with_limit(limit: usize) -> Self {
        Self { reported: BTreeMap::new(), line: VecDeque::new(), turns: Turns::default(), limit }
    }

    /// `unit` was reported as stuck. Where there are too many, the one that came first goes.
    pub fn reported(&mut self, unit: Unit, now: Moment) {
        if self.reported.insert(unit, now).is_some() {
            return;
        }
        self.line.push_back(unit);
        self.turns.came(unit);
        if self.line.len() > self.limit
            && let Some(oldest) = self.line.pop_front()
        {
            self.reported.remove(&oldest);
        }
    }

    /// The next `limit` of them to ask about: new ones first, then one after the other.
    pub fn next(&mut self, limit: usize, now: Moment) -> Vec<Unit> {
        self.expire(now);
        let units = &self.reported;
        self.turns.next(
            limit,
            |unit| units.contains_key(unit),
            |after| {
                let from = after.map_or(Bound::Unbounded, Bound::Excluded);
                units.range((from, Bound::Unbounded)).map(|(unit, _)| *unit)
            },
        )
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.reported.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.reported.is_empty()
    }

    /// Lets those go that were not reported for long. One that was since it stood in line goes to the end.
    fn expire(&mut self, now: Moment) {
        for _ in 0..self.line.len() {
            let Some(unit) = self.line.pop_front() else { return };
            let old = self.reported.get(&unit).is_none_or(|at| now.since(*at) >= CANDIDATE_TIME);
            if old {
                self.reported.remove(&unit);
            } else {
                self.line.push_back(unit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_newest_is_asked_about_first() {
        let mut candidates = Candidates::default();
        (0..10).for_each(|n| candidates.reported(Unit::V4(n), at(u64::from(n))));
        candidates.reported(Unit::V4(0), at(20));
        assert_eq!(candidates.next(2, at(20)), [Unit::V4(9), Unit::V4(8)]);
        assert_eq!(candidates.next(100, at(20)).len(), 10);
        assert_eq!(candidates.next(2, at(20)).len(), 2, "again and again while it stays true");
    }

    #[test]
    fn what_is_not_reported_any_more_is_forgotten() {
        let mut candidates = Candidates::default();
        candidates.reported(Unit::V4(1), at(0));
        candidates.reported(Unit::V4(2), at(0));
        candidates.reported(Unit::V4(1), at(300));
        assert_eq!(candidates.next(9, at(600)), [Unit::V4(1)]);
        assert_eq!(candidates.next(9, at(900)), []);
        assert!(candidates.is_empty());
    }

    proptest! {
        #[test]
        fn there_are_never_too_many(steps in vec((0u32..40, 0u64..90, any::<bool>()), 1..200)) {
            let mut candidates = Candidates::with_limit(10);
            let mut now = at(0);
            for (unit, wait, ask) in steps {
                now = now + Duration::from_secs(wait);
                candidates.reported(Unit::V4(unit), now);
                prop_assert!(candidates.len() <= 10);
                prop_assert_eq!(candidates.line.len(), candidates.len());
                prop_assert!(candidates.reported.contains_key(&Unit::V4(unit)));
                if ask {
                    let taken = candidates.next(4, now);
                    prop_assert!(taken.len() == candidates.len().min(4), "{:?}", taken);
                }
            }
        }
    }
}
