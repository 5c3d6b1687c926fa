//! Where each unit's node is: an index that answers from one cache line.
//!
//! Why not a map of a library: with millions of units each look-up waits for memory, and a general map asks it twice,
//! one after the other: for a byte of the hash, then for the key. Here the key stands in the line that the hash
//! names, and [`Index::touch`] lets many of those waits overlap. Linear probing, removal by shifting back
//! (Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithm R).

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use sekisho_model::Unit;

/// What stands where nothing is: no node has this number.
const NONE: u32 = u32::MAX;
/// Slots of the smallest table, a power of two.
const LEAST_SLOTS: usize = 64;

/// A map from units to the numbers of their nodes, which are below `u32::MAX`. Only looked into, never walked: its
/// order, and so its seed, show nowhere.
#[derive(Debug, Default)]
pub(crate) struct Index {
    v4: Table<u32>,
    v6: Table<u64>,
}

impl Index {
    /// Bytes of a slot of IPv6 units, the larger ones.
    #[cfg(test)]
    pub(crate) const SLOT_V6: usize = size_of::<Slot<u64>>();
    /// At most so many slots of each 8 are taken.
    pub(crate) const FULL_EIGHTHS: usize = 5;

    /// Hashes with `seed` from here on.
    pub(crate) fn reseed(&mut self, seed: u64) {
        self.v4.reseed(seed);
        self.v6.reseed(seed);
    }

    pub(crate) fn len(&self) -> usize {
        self.v4.taken + self.v6.taken
    }

    /// Reads what stands where `unit` would, so that it is near the processor afterwards. What is returned means
    /// nothing.
    pub(crate) fn touch(&self, unit: Unit) -> u32 {
        match unit {
            Unit::V4(bits) => self.v4.touch(bits),
            Unit::V6(bits) => self.v6.touch(bits),
        }
    }

    pub(crate) fn get(&self, unit: Unit) -> Option<u32> {
        match unit {
            Unit::V4(bits) => self.v4.get(bits),
            Unit::V6(bits) => self.v6.get(bits),
        }
    }

    /// Puts `unit`, which is not there, to `node`.
    pub(crate) fn insert(&mut self, unit: Unit, node: u32) {
        match unit {
            Unit::V4(bits) => self.v4.insert(bits, node),
            Unit::V6(bits) => self.v6.insert(bits, node),
        }
    }

    pub(crate) fn remove(&mut self, unit: Unit) {
        match unit {
            Unit::V4(bits) => self.v4.remove(bits),
            Unit::V6(bits) => self.v6.remove(bits),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot<K> {
    key: K,
    node: u32,
}

#[derive(Debug, Default)]
struct Table<K> {
    /// None, or a power of two, of which enough are free that each search ends.
    slots: Vec<Slot<K>>,
    taken: usize,
    hasher: FixedState,
}

impl<K: Copy + Default + Eq + Hash> Table<K> {
    fn reseed(&mut self, seed: u64) {
        self.hasher = FixedState::with_seed(seed);
        self.resize(self.slots.len());
    }

    fn touch(&self, key: K) -> u32 {
        self.slots.get(self.home(key)).map_or(NONE, |slot| slot.node)
    }

    fn get(&self, key: K) -> Option<u32> {
        self.find(key).map(|at| self.slots[at].node)
    }

    fn insert(&mut self, key: K, node: u32) {
        if (self.taken + 1) * 8 > self.slots.len() * Index::FULL_EIGHTHS {
            self.resize((self.slots.len() * 2).max(LEAST_SLOTS));
        }
        self.place(Slot { key, node });
        self.taken += 1;
    }

    fn remove(&mut self, key: K) {
        let Some(mut hole) = self.find(key) else { return };
        self.taken -= 1;
        let mut at = self.after(hole);
        while self.slots[at].node != NONE {
            // It may go where it is not before its home.
            let (from_home, from_hole) =
                (self.distance(self.home(self.slots[at].key), at), self.distance(hole, at));
            if from_home >= from_hole {
                self.slots[hole] = self.slots[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.slots[hole].node = NONE;
    }

    fn find(&self, key: K) -> Option<usize> {
        let mut at = self.home(key);
        loop {
            let slot = self.slots.get(at)?;
            if slot.node == NONE {
                return None;
            }
            if slot.key == key {
                return Some(at);
            }
            at = self.after(at);
        }
    }

    /// Puts a slot into the first free place.
    fn place(&mut self, slot: Slot<K>) {
        let mut at = self.home(slot.key);
        while self.slots[at].node != NONE {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    fn resize(&mut self, slots: usize) {
        let free = Slot { key: K::default(), node: NONE };
        let old = core::mem::replace(&mut self.slots, alloc::vec![free; slots]);
        for slot in old.into_iter().filter(|slot| slot.node != NONE) {
            self.place(slot);
        }
    }

    /// Where a key stands if nothing else does. The upper half of the hash, which is mixed best.
    fn home(&self, key: K) -> usize {
        (self.hasher.hash_one(key) >> 32) as usize & self.slots.len().wrapping_sub(1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    /// Steps from one place to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Few keys in a small table, so that long runs form, wrap round its end and are torn apart.
        #[test]
        fn it_holds_what_a_map_holds(steps in vec((any::<bool>(), 0u32..90, 0u32..3), 0..400), seed: u64) {
            let (mut index, mut map) = (Index::default(), BTreeMap::new());
            for (step, (four, bits, what)) in (0u32..).zip(steps) {
                let unit = if four { Unit::V4(bits) } else { Unit::V6(bits.into()) };
                match what {
                    0 => { index.remove(unit); map.remove(&unit); }
                    1 if step % 16 == 0 => index.reseed(seed ^ u64::from(step)),
                    _ if !map.contains_key(&unit) => { index.insert(unit, step); map.insert(unit, step); }
                    _ => {}
                }
            }
            prop_assert_eq!(index.len(), map.len());
            for bits in 0..90 {
                for unit in [Unit::V4(bits), Unit::V6(bits.into())] {
                    prop_assert_eq!(index.get(unit), map.get(&unit).copied());
                }
            }
        }
    }

    #[test]
    fn an_empty_index_can_be_asked() {
        let mut index = Index::default();
        index.remove(Unit::V4(1));
        assert_eq!((index.get(Unit::V4(1)), index.touch(Unit::V6(1)), index.len()), (None, NONE, 0));
    }

    #[test]
    fn it_grows_and_stays_sparse() {
        let mut index = Index::default();
        for bits in 0..100_000 {
            index.insert(Unit::V4(bits), bits);
        }
        assert!((0..100_000).all(|bits| index.get(Unit::V4(bits)) == Some(bits)));
        assert!(index.v4.slots.len() * Index::FULL_EIGHTHS >= index.len() * 8);
        assert_eq!(index.v4.slots.len(), 1 << 18);
    }
}
