//! Whose turn it is, where only so many can be asked at a time: what is new first, then one after the other.

use alloc::{collections::VecDeque, vec::Vec};

use sekisho_model::limits::MAX_CANDIDATES;

/// The order of asking, over a set that somebody else holds.
#[derive(Clone, Debug)]
pub struct Turns<K> {
    /// What has come and was not asked yet; the newest last.
    fresh: VecDeque<K>,
    /// What was last asked in its order.
    last: Option<K>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { fresh: VecDeque::new(), last: None }
    }
}

impl<K: Copy + Ord> Turns<K> {
    /// `key` has come. Of too many new ones the oldest wait for their turn in the order.
    pub fn came(&mut self, key: K) {
        if self.fresh.len() >= MAX_CANDIDATES {
            self.fresh.pop_front();
        }
        self.fresh.push_back(key);
    }

    /// The next `limit` keys, each once: new ones that the set still `holds`, the newest first, and then those
    /// that the set has `after` the last one, round and round.
    pub fn next<I: Iterator<Item = K>>(
        &mut self,
        limit: usize,
        holds: impl Fn(&K) -> bool,
        after: impl Fn(Option<K>) -> I,
    ) -> Vec<K> {
        let mut taken: Vec<K> = Vec::new();
        while taken.len() < limit
            && let Some(key) = self.fresh.pop_back()
        {
            if holds(&key) && !taken.contains(&key) {
                taken.push(key);
            }
        }
        let start = self.last;
        // Once round: what comes up to the start again ends it.
        let again = after(None).take_while(|key| start.is_some_and(|start| *key <= start));
        for key in after(start).chain(again) {
            if taken.len() >= limit {
                break;
            }
            self.last = Some(key);
            if !taken.contains(&key) {
                taken.push(key);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use core::ops::Bound;

    use proptest::{
        collection::{btree_set, vec},
        prelude::*,
    };

    use super::*;

    fn next(turns: &mut Turns<u32>, set: &BTreeSet<u32>, limit: usize) -> Vec<u32> {
        turns.next(
            limit,
            |key| set.contains(key),
            |after| set.range((after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)).copied(),
        )
    }

    #[test]
    fn what_is_new_is_asked_first_and_then_everything_in_turn() {
        let mut set: BTreeSet<u32> = (1..=5).collect();
        let mut turns = Turns::default();
        assert_eq!(next(&mut turns, &set, 2), [1, 2]);
        set.extend([8, 9]);
        turns.came(9);
        turns.came(8);
        turns.came(77);
        assert_eq!(next(&mut turns, &set, 3), [8, 9, 3], "what has gone meanwhile is not asked");
        assert_eq!(next(&mut turns, &set, 3), [4, 5, 8]);
        assert_eq!(next(&mut turns, &set, 9), [9, 1, 2, 3, 4, 5, 8], "each once, however many may be");
        assert_eq!(next(&mut turns, &BTreeSet::new(), 3), []);
        assert_eq!(next(&mut turns, &set, 0), []);
    }

    proptest! {
        #[test]
        fn everything_has_its_turn_within_one_round(set in btree_set(0u32..200, 1..100), limit in 1usize..20,
                                                    came in vec(0u32..200, 0..30), before in 0usize..10) {
            let mut turns = Turns::default();
            for _ in 0..before {
                next(&mut turns, &set, limit);
            }
            came.iter().for_each(|key| turns.came(*key));
            let passes = (came.len() + set.len()).div_ceil(limit);
            let mut asked = BTreeSet::new();
            for _ in 0..passes {
                let taken = next(&mut turns, &set, limit);
                prop_assert!(taken.len() <= limit);
                prop_assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), taken.len());
                asked.extend(taken);
            }
            prop_assert_eq!(asked, set);
        }
    }
}
