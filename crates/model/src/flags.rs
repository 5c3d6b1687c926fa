//! A small set of named things, in one byte.

use core::{fmt, marker::PhantomData};

/// What can be in a [`Flags`]: at most 8 of them.
pub trait Flag: Copy + PartialEq + fmt::Debug + 'static {
    /// All of them; each one's bit is its place here.
    const ALL: &'static [Self];
}

/// Some of the flags of a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags<T>(u8, PhantomData<T>);

impl<T> Default for Flags<T> {
    fn default() -> Self {
        Self(0, PhantomData)
    }
}

impl<T: Flag> Flags<T> {
    /// With `flag`.
    #[must_use]
    pub fn with(self, flag: T) -> Self {
        Self(self.0 | bit(flag), PhantomData)
    }

    /// With `flag` if `is`.
    #[must_use]
    pub fn with_if(self, flag: T, is: bool) -> Self {
        if is { self.with(flag) } else { self }
    }

    /// Without `flag`.
    #[must_use]
    pub fn without(self, flag: T) -> Self {
        Self(self.0 & !bit(flag), PhantomData)
    }

    /// Whether `flag` is among them.
    pub fn has(self, flag: T) -> bool {
        self.0 & bit(flag) != 0
    }

    /// All that are there, in the order of their kind.
    pub fn iter(self) -> impl Iterator<Item = T> {
        T::ALL.iter().copied().filter(move |flag| self.has(*flag))
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl<T: Flag> FromIterator<T> for Flags<T> {
    fn from_iter<I: IntoIterator<Item = T>>(flags: I) -> Self {
        flags.into_iter().fold(Self::default(), Self::with)
    }
}

impl<T: Flag> fmt::Debug for Flags<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

fn bit<T: Flag>(flag: T) -> u8 {
    let place = T::ALL.iter().position(|one| *one == flag).unwrap_or(0);
    1u8.wrapping_shl(u32::try_from(place).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::{collection::btree_set, prelude::*, sample::select};

    use crate::{Flags, Sensor, observation::Truncation};

    proptest! {
        #[test]
        fn what_goes_in_comes_out(some in btree_set(select(&Sensor::ALL[..]), 0..4), more in select(&Sensor::ALL[..])) {
            let flags: Flags<Sensor> = some.iter().copied().collect();
            prop_assert_eq!(flags.iter().collect::<Vec<_>>(), some.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!((flags.len(), flags.is_empty()), (some.len(), some.is_empty()));
            prop_assert!(flags.with(more).has(more) && !flags.without(more).has(more));
            prop_assert_eq!(flags.with_if(more, false), flags);
        }
    }

    #[test]
    fn each_has_a_bit_of_its_own() {
        let all: Flags<Truncation> = Truncation::ALL.into_iter().collect();
        assert_eq!(all.len(), Truncation::ALL.len());
    }
}
