//! A map by prefix that answers "what overlaps this?" without looking at the rest.

use alloc::collections::BTreeMap;

use sekisho_model::Prefix;

/// A sorted map by prefix. Prefixes may nest.
///
/// What covers a prefix is found by one look-up per length that is in use, what it covers by one
/// range: both cost the logarithm of the size, times the few lengths that operators write.
#[derive(Clone, Debug)]
pub(crate) struct PrefixMap<V> {
    values: BTreeMap<Prefix, V>,
    /// How many prefixes of each length there are: IPv4, IPv6.
    lengths: [[u32; 129]; 2],
}

impl<V> Default for PrefixMap<V> {
    fn default() -> Self {
        Self { values: BTreeMap::new(), lengths: [[0; 129]; 2] }
    }
}

impl<V> PrefixMap<V> {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn get(&self, prefix: &Prefix) -> Option<&V> {
        self.values.get(prefix)
    }

    pub(crate) fn get_mut(&mut self, prefix: &Prefix) -> Option<&mut V> {
        self.values.get_mut(prefix)
    }

    pub(crate) fn insert(&mut self, prefix: Prefix, value: V) -> Option<V> {
        let before = self.values.insert(prefix, value);
        if before.is_none() {
            *self.count(&prefix) += 1;
        }
        before
    }

    pub(crate) fn remove(&mut self, prefix: &Prefix) -> Option<V> {
        let before = self.values.remove(prefix)?;
        *self.count(prefix) -= 1;
        Some(before)
    }

    /// All of them, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Prefix, &V)> {
        self.values.iter()
    }

    /// Those after `after`, sorted; all for `None`.
    pub(crate) fn iter_after(&self, after: Option<Prefix>) -> impl Iterator<Item = (&Prefix, &V)> {
        use core::ops::Bound::{Excluded, Unbounded};
        self.values.range((after.map_or(Unbounded, Excluded), Unbounded))
    }

    /// Those that cover `prefix`, itself included, the widest first.
    pub(crate) fn covering<'a>(
        &'a self,
        prefix: &Prefix,
    ) -> impl Iterator<Item = (&'a Prefix, &'a V)> + use<'a, V> {
        let prefix = *prefix;
        let lengths = &self.lengths[usize::from(!prefix.is_ipv4())];
        (0..=prefix.length())
            .filter(|length| lengths[usize::from(*length)] > 0)
            .filter_map(move |length| self.values.get_key_value(&prefix.widened(length)))
    }

    /// Those that `prefix` covers, itself included, sorted.
    pub(crate) fn within<'a>(
        &'a self,
        prefix: &Prefix,
    ) -> impl Iterator<Item = (&'a Prefix, &'a V)> + use<'a, V> {
        let prefix = *prefix;
        // By address, then by length: what a prefix covers stands in one piece, right behind it.
        self.values.range(prefix..).take_while(move |(inner, _)| prefix.covers(inner))
    }

    /// Those that share an address with `prefix`: first those that cover it, then those inside.
    pub(crate) fn overlapping<'a>(
        &'a self,
        prefix: &Prefix,
    ) -> impl Iterator<Item = (&'a Prefix, &'a V)> + use<'a, V> {
        let own = *prefix;
        self.covering(prefix).chain(self.within(prefix).filter(move |(inner, _)| **inner != own))
    }

    fn count(&mut self, prefix: &Prefix) -> &mut u32 {
        &mut self.lengths[usize::from(!prefix.is_ipv4())][usize::from(prefix.length())]
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;
    use core::net::IpAddr;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn prefix() -> impl Strategy<Value = Prefix> {
        let v4 = (0u32..64, 26u8..=32)
            .prop_map(|(bits, length)| Prefix::host(IpAddr::V4((0xcb00_7100 | bits).into())).widened(length));
        let v6 = (0u128..64, 122u8..=128).prop_map(|(bits, length)| {
            Prefix::host(IpAddr::V6((0x2001 << 112 | bits).into())).widened(length)
        });
        prop_oneof![v4, v6, Just("0.0.0.0/0".parse().unwrap()), Just("::/0".parse().unwrap())]
    }

    proptest! {
        #[test]
        fn overlaps_are_what_a_search_through_all_finds(
            put in vec(prefix(), 0..30), taken in vec(prefix(), 0..10), asked in prefix()
        ) {
            let mut map = PrefixMap::default();
            for one in &put {
                map.insert(*one, ());
            }
            for one in &taken {
                map.remove(one);
            }
            let search = |good: &dyn Fn(&Prefix) -> bool| -> Vec<Prefix> {
                map.iter().map(|(one, ())| *one).filter(|one| good(one)).collect()
            };
            let found = |some: Vec<(&Prefix, &())>| -> Vec<Prefix> {
                let mut some: Vec<Prefix> = some.into_iter().map(|(one, ())| *one).collect();
                some.sort();
                some
            };
            prop_assert_eq!(found(map.covering(&asked).collect()), search(&|one| one.covers(&asked)));
            prop_assert_eq!(found(map.within(&asked).collect()), search(&|one| asked.covers(one)));
            prop_assert_eq!(found(map.overlapping(&asked).collect()), search(&|one| one.overlaps(&asked)));
            prop_assert_eq!(found(map.iter_after(Some(asked)).collect()), search(&|one| *one > asked));
        }
    }
}
