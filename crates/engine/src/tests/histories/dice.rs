//! Deterministic random numbers: SplitMix64, whose whole state is one number.

use core::time::Duration;

pub(in crate::tests) struct Dice(u64);

impl Dice {
    pub(in crate::tests) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(in crate::tests) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(in crate::tests) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).unwrap()
    }

    /// A place in a list of this length.
    pub(in crate::tests) fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length as u64).unwrap()
    }

    /// True once in so many times.
    pub(in crate::tests) fn once_in(&mut self, times: u32) -> bool {
        self.below(times) == 0
    }

    pub(in crate::tests) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.place(from.len())].clone()
    }

    pub(in crate::tests) fn span(&mut self, seconds: &[u64]) -> Duration {
        Duration::from_secs(self.pick(seconds))
    }
}
