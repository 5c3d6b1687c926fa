//! Units as keys: a map from them to small numbers, and the units of a prefix.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sekisho_model::{Prefix, Unit};

/// Units in a prefix up to which they are looked up one by one instead of searching through all.
const LOOKED_UP: u64 = 65_536;

/// A map from units. Only looked into, never walked: its order, and so its seed, show nowhere.
#[derive(Debug, Default)]
pub(crate) struct UnitMap {
    v4: HashMap<u32, u32, FixedState>,
    v6: HashMap<u64, u32, FixedState>,
}

impl UnitMap {
    /// Bytes of a bucket of IPv6 units, the larger ones, with its control byte.
    #[cfg(test)]
    pub(crate) const BUCKET_V6: usize = size_of::<(u64, u32)>() + 1;

    pub(crate) fn reseed(&mut self, seed: u64) {
        let state = FixedState::with_seed(seed);
        let mut v4 = HashMap::with_capacity_and_hasher(self.v4.len(), state);
        v4.extend(self.v4.drain());
        let state = FixedState::with_seed(seed);
        let mut v6 = HashMap::with_capacity_and_hasher(self.v6.len(), state);
        v6.extend(self.v6.drain());
        *self = Self { v4, v6 };
    }

    pub(crate) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(crate) fn get(&self, unit: Unit) -> Option<u32> {
        match unit {
            Unit::V4(bits) => self.v4.get(&bits).copied(),
            Unit::V6(bits) => self.v6.get(&bits).copied(),
        }
    }

    pub(crate) fn insert(&mut self, unit: Unit, value: u32) {
        match unit {
            Unit::V4(bits) => self.v4.insert(bits, value),
            Unit::V6(bits) => self.v6.insert(bits, value),
        };
    }

    pub(crate) fn remove(&mut self, unit: Unit) {
        match unit {
            Unit::V4(bits) => self.v4.remove(&bits),
            Unit::V6(bits) => self.v6.remove(&bits),
        };
    }
}

/// The units that overlap `prefix`, in order, or `None` when they are too many to look at each of them.
pub(crate) fn units_within(prefix: &Prefix) -> Option<impl Iterator<Item = Unit> + use<>> {
    let (first, last) = (Unit::of(prefix.address()), Unit::of(prefix.last()));
    let bits = |unit| match unit {
        Unit::V4(bits) => u64::from(bits),
        Unit::V6(bits) => bits,
    };
    let (four, first, last) = (matches!(first, Unit::V4(_)), bits(first), bits(last));
    (last - first < LOOKED_UP).then(|| {
        (first..=last).map(move |bits| match u32::try_from(bits) {
            Ok(bits) if four => Unit::V4(bits),
            _ => Unit::V6(bits),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_do_not_mix_and_a_new_seed_changes_nothing() {
        let mut map = UnitMap::default();
        map.insert(Unit::V4(7), 1);
        map.insert(Unit::V6(7), 2);
        map.reseed(9);
        assert_eq!((map.get(Unit::V4(7)), map.get(Unit::V6(7)), map.len()), (Some(1), Some(2), 2));
        map.remove(Unit::V4(7));
        assert_eq!((map.get(Unit::V4(7)), map.get(Unit::V6(7))), (None, Some(2)));
    }

    #[test]
    fn units_of_a_prefix_are_all_there() {
        let count = |text: &str| units_within(&text.parse().unwrap()).map(Iterator::count);
        assert_eq!(
            [count("203.0.113.0/24"), count("203.0.113.7"), count("2001:db8::/56")],
            [Some(256), Some(1), Some(256)]
        );
        assert_eq!(
            [count("2001:db8::1"), count("2001:db8::/48"), count("203.0.0.0/15")],
            [Some(1), Some(65_536), None]
        );
    }
}
