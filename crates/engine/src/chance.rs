//! What chance alone would bring: sources that are spoofed at random meet on several hosts, and in one
//! prefix, by accident. From their rate comes how many it takes to rule that out.

use alloc::collections::VecDeque;
use core::time::Duration;

use sekisho_model::Moment;

/// IPv4 addresses that can be listed: 221 of the 256 /8 networks (`sekisho_model::never`, RFC 6890).
const ADDRESSES: f64 = 221.0 * 16_777_216.0;
/// Accidents a window that are put up with among addresses.
const TOLERATED: f64 = 0.01;
/// Accidents a window that are put up with among the prefixes of one length; there are up to nine lengths.
const TOLERATED_OF_A_LENGTH: f64 = 0.001;
/// What is split off from numbers that would grow too large.
const HUGE: f64 = 1e200;
/// The width of a bucket.
const BUCKET_MS: i64 = 5_000;
/// The longest window that a policy may ask for.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The smallest number of things that no bin of `bins` would get within a window by accident, when `units` come
/// in a window: the smallest k with bins·(units/bins)^k / (k - 1)! below `tolerated`.
///
/// In a window that slides along, a bin gets its kth thing whenever one comes within a window of k - 1 others:
/// that many times a window it happens. At any one moment there are fewer, bins·(units/bins)^k / k!.
///
/// Only the four basic operations are used, which IEEE 754 defines to the last bit.
fn smallest(units: u64, bins: f64, tolerated: f64, most: u32) -> u32 {
    let mean = units as f64 / bins;
    // The number is expected·10^(200·scale): it grows beyond what an f64 holds before it shrinks.
    let (mut expected, mut scale) = (units as f64, 0u32);
    for k in 1..=most {
        if scale == 0 && expected < tolerated {
            return k;
        }
        expected = expected * mean / f64::from(k);
        if expected > HUGE {
            (expected, scale) = (expected / HUGE, scale + 1);
        } else if scale > 0 && expected < 1.0 {
            (expected, scale) = (expected * HUGE, scale - 1);
        }
    }
    most
}

/// The fewest hosts that do not see one address by accident, when `units` were first seen within a window:
/// 1 to `most`.
pub(crate) fn host_bound(units: u64, most: u32) -> u32 {
    smallest(units, ADDRESSES, TOLERATED, most)
}

/// The fewest units that are not in one IPv4 prefix of `length` (up to 24) by accident, likewise.
pub(crate) fn prefix_bound(units: u64, length: u8, most: u32) -> u32 {
    let size = 1u32.checked_shl(32 - u32::from(length.clamp(1, 32))).unwrap_or(u32::MAX);
    smallest(units, ADDRESSES / f64::from(size), TOLERATED_OF_A_LENGTH, most)
}

/// How many there were lately, in buckets of 5 s.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate {
    buckets: VecDeque<(i64, u64)>,
}

impl Rate {
    /// One more at `now`, which never goes back.
    pub(crate) fn note(&mut self, now: Moment) {
        let bucket = bucket(now);
        match self.buckets.back_mut() {
            Some((last, count)) if *last == bucket => *count += 1,
            _ => {
                self.buckets.push_back((bucket, 1));
                let oldest = self::bucket(now - LONGEST);
                while self.buckets.front().is_some_and(|(first, _)| *first < oldest) {
                    self.buckets.pop_front();
                }
            }
        }
    }

    /// How many there were since the bucket of `horizon`.
    pub(crate) fn since(&self, horizon: Moment) -> u64 {
        let oldest = bucket(horizon);
        self.buckets.iter().rev().take_while(|(at, _)| *at >= oldest).map(|(_, count)| count).sum()
    }

    /// The buckets, the oldest first.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (i64, u64)> {
        self.buckets.iter().copied()
    }

    /// A rate of these buckets, the oldest first.
    pub(crate) fn restored(buckets: impl IntoIterator<Item = (i64, u64)>) -> Self {
        Self { buckets: buckets.into_iter().collect() }
    }
}

fn bucket(at: Moment) -> i64 {
    at.as_millis().div_euclid(BUCKET_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quorum_rises_with_the_rate() {
        // 200,000 a second for 5 minutes: five hosts would list about 0.2 addresses a window by accident.
        assert_eq!(host_bound(200_000 * 300, 64), 6);
        assert_eq!(
            [0, 1, 6_000, 7_000, 600_000, 700_000].map(|units| host_bound(units, 64)),
            [1, 2, 2, 3, 3, 4]
        );
        assert_eq!(host_bound(u64::MAX, 64), 64);
    }

    #[test]
    fn wider_prefixes_need_more_units() {
        assert_eq!(prefix_bound(0, 24, 4_096), 1);
        let bounds = [24, 22, 20, 16].map(|length| prefix_bound(10_000_000, length, 65_536));
        assert!(bounds.is_sorted() && bounds[0] > 5, "{bounds:?}");
    }

    #[test]
    fn what_is_over_is_not_counted() {
        let at = |seconds: i64| Moment::from_millis(seconds * 1_000);
        let mut rate = Rate::default();
        for second in 0..100 {
            rate.note(at(second));
        }
        assert_eq!(
            (rate.since(at(0)), rate.since(at(50)), rate.since(at(52)), rate.since(at(100))),
            (100, 50, 50, 0)
        );
        rate.note(at(10_000));
        assert_eq!((rate.since(at(0)), rate.buckets().count()), (1, 1));
        assert_eq!(Rate::restored(rate.buckets()).since(at(9_000)), 1);
    }
}
