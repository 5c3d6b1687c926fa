//! The one notion of time that pure rooms know: a moment handed in from outside.

use core::{
    ops::{Add, Sub},
    time::Duration,
};

/// Milliseconds since 1970-01-01T00:00:00Z, by the clock of whoever handed it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(i64);

impl Moment {
    /// The earliest moment, 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// The latest moment.
    pub const MAX: Self = Self(i64::MAX);

    /// The moment `millis` milliseconds after 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970; negative before.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or(0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Moment::MAX + Duration::MAX, Moment::MAX);
        assert_eq!(Moment::from_millis(5).since(Moment::MAX), Duration::ZERO);
        assert_eq!(Moment::MAX.since(Moment::from_millis(i64::MIN)), Duration::from_millis(i64::MAX as u64));
        assert_eq!(Moment::from_millis(1_500) - Duration::from_secs(1), Moment::from_millis(500));
    }
}
