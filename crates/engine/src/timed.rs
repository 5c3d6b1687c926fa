//! A prefix map whose values have a time, and the order of those times.

use alloc::collections::BTreeSet;

use sekisho_model::{Allowed, Entry, Moment, Prefix};

use crate::{
    checkpoint::{Hold, PastListing},
    prefixes::PrefixMap,
};

/// Something that stands in a [`TimedMap`].
pub(crate) trait Timed {
    /// What it is about.
    fn prefix(&self) -> Prefix;
    /// The moment that it is ordered by.
    fn moment(&self) -> Moment;
}

macro_rules! timed {
    ($name:ty, $moment:ident) => {
        impl Timed for $name {
            fn prefix(&self) -> Prefix {
                self.prefix
            }

            fn moment(&self) -> Moment {
                self.$moment
            }
        }
    };
}

timed!(Entry, expires);
timed!(Allowed, expires);
timed!(Hold, until);
timed!(PastListing, ended);

/// A prefix map with a second index by time, so that ending things costs what ends.
#[derive(Clone, Debug)]
pub(crate) struct TimedMap<V> {
    values: PrefixMap<V>,
    times: BTreeSet<(Moment, Prefix)>,
}

impl<V> Default for TimedMap<V> {
    fn default() -> Self {
        Self { values: PrefixMap::default(), times: BTreeSet::new() }
    }
}

impl<V: Timed> TimedMap<V> {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// How many have a moment after `now`.
    pub(crate) fn live(&self, now: Moment) -> usize {
        self.len() - self.times.iter().take_while(|(moment, _)| *moment <= now).count()
    }

    pub(crate) fn get(&self, prefix: &Prefix) -> Option<&V> {
        self.values.get(prefix)
    }

    pub(crate) fn insert(&mut self, value: V) -> Option<V> {
        let (prefix, moment) = (value.prefix(), value.moment());
        let before = self.values.insert(prefix, value);
        if let Some(before) = &before {
            self.times.remove(&(before.moment(), prefix));
        }
        self.times.insert((moment, prefix));
        before
    }

    pub(crate) fn remove(&mut self, prefix: &Prefix) -> Option<V> {
        let before = self.values.remove(prefix)?;
        self.times.remove(&(before.moment(), *prefix));
        Some(before)
    }

    /// The earliest moment, and whose it is.
    pub(crate) fn first(&self) -> Option<(Moment, Prefix)> {
        self.times.first().copied()
    }

    /// The earliest, if its moment is `now` or before.
    pub(crate) fn first_due(&self, now: Moment) -> Option<Prefix> {
        self.first().filter(|(moment, _)| *moment <= now).map(|(_, prefix)| prefix)
    }

    /// All of them, sorted by prefix.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &V> {
        self.values.iter().map(|(_, value)| value)
    }

    /// Those after `after`, sorted by prefix.
    pub(crate) fn iter_after(&self, after: Option<Prefix>) -> impl Iterator<Item = &V> {
        self.values.iter_after(after).map(|(_, value)| value)
    }

    /// All of them, the earliest first.
    pub(crate) fn iter_by_time(&self) -> impl Iterator<Item = &V> {
        self.times.iter().filter_map(|(_, prefix)| self.values.get(prefix))
    }

    /// Those after `now` that cover `prefix`, the widest first.
    pub(crate) fn covering(&self, prefix: &Prefix, now: Moment) -> impl Iterator<Item = &V> + use<'_, V> {
        self.values.covering(prefix).map(|(_, value)| value).filter(move |value| value.moment() > now)
    }

    /// Those after `now` that overlap `prefix`.
    pub(crate) fn overlapping(&self, prefix: &Prefix, now: Moment) -> impl Iterator<Item = &V> + use<'_, V> {
        self.values.overlapping(prefix).map(|(_, value)| value).filter(move |value| value.moment() > now)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{collections::BTreeMap, vec::Vec};

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn hold(last: u8, until: i64) -> Hold {
        Hold { prefix: Prefix::host([192, 0, 2, last].into()), until: Moment::from_millis(until) }
    }

    proptest! {
        #[test]
        fn both_indexes_tell_the_same(
            steps in vec((0u8..10, 0i64..50, any::<bool>()), 0..60), now in 0i64..50
        ) {
            let (mut map, mut expected) = (TimedMap::default(), BTreeMap::new());
            for (last, until, is_in) in steps {
                let one = hold(last, until);
                if is_in {
                    prop_assert_eq!(map.insert(one), expected.insert(one.prefix, one));
                } else {
                    prop_assert_eq!(map.remove(&one.prefix), expected.remove(&one.prefix));
                }
            }
            let now = Moment::from_millis(now);
            let mut by_time: Vec<Hold> = expected.values().copied().collect();
            by_time.sort_by_key(|one| (one.until, one.prefix));
            let first = by_time.first().map(|one| (one.until, one.prefix));
            prop_assert_eq!(map.first(), first);
            prop_assert_eq!(map.first_due(now), first.filter(|one| one.0 <= now).map(|one| one.1));
            prop_assert!(map.iter().eq(expected.values()));
            prop_assert!(map.iter_by_time().eq(&by_time));
            prop_assert_eq!(map.len(), expected.len());
            prop_assert_eq!(map.live(now), by_time.iter().filter(|one| one.until > now).count());
        }
    }
}
