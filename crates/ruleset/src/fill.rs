//! Whether the sets that the rules fill are full: told once when it begins, and once when it ends.

use alloc::{collections::BTreeSet, vec::Vec};

use crate::SetName;

/// A set counts as full with one part in this many of its size left, and until twice as much is.
const SPARE: u32 = 16;

/// How many elements a set has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The set.
    pub set: SetName,
    /// What is in it.
    pub elements: u32,
}

/// Which sets are full.
#[derive(Clone, Debug, Default)]
pub struct Fullness(BTreeSet<SetName>);

impl Fullness {
    /// Takes a reading in; gives the sets that have become full, and those that are full no more.
    pub fn read(&mut self, fills: &[Fill]) -> (Vec<SetName>, Vec<SetName>) {
        let (mut began, mut ended) = (Vec::new(), Vec::new());
        for Fill { set, elements } in fills {
            let Some(size) = set.size() else { continue };
            let left = size.saturating_sub(*elements);
            if left <= size / SPARE {
                if self.0.insert(*set) {
                    began.push(*set);
                }
            } else if left > 2 * (size / SPARE) && self.0.remove(set) {
                ended.push(*set);
            }
        }
        (began, ended)
    }

    /// How many are full.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use sekisho_model::limits::HIT_SET_SIZE;

    use super::*;

    #[test]
    fn an_episode_is_told_once_at_its_beginning_and_once_at_its_end() {
        let mut fullness = Fullness::default();
        let mut told = |elements| {
            let (began, ended) = fullness.read(&[
                Fill { set: SetName::Hit4, elements },
                Fill { set: SetName::SupHit4, elements: 5 },
                Fill { set: SetName::DropNet4, elements: u32::MAX },
            ]);
            (began.contains(&SetName::Hit4), ended.contains(&SetName::Hit4), fullness.len())
        };
        let part = HIT_SET_SIZE / SPARE;
        assert_eq!(told(HIT_SET_SIZE - part - 1), (false, false, 0));
        assert_eq!(told(HIT_SET_SIZE), (true, false, 1));
        assert_eq!(told(HIT_SET_SIZE + 9), (false, false, 1));
        assert_eq!(told(HIT_SET_SIZE - 2 * part), (false, false, 1), "a little room is no end");
        assert_eq!(told(HIT_SET_SIZE - 2 * part - 1), (false, true, 0));
        assert!(fullness.is_empty());
    }
}
