//! The memory of ended listings, by which a repeat lasts longer.

use core::time::Duration;

use sekisho_model::{Moment, Policy, Prefix};

use crate::{checkpoint::PastListing, timed::TimedMap};

/// Past listings by prefix: bounded, the one that ended first is forgotten first.
#[derive(Debug)]
pub(crate) struct Past {
    listings: TimedMap<PastListing>,
    bound: usize,
}

impl Past {
    pub(crate) fn new(bound: usize) -> Self {
        Self { listings: TimedMap::default(), bound }
    }

    /// `prefix`, after `count` listings in a row, came off the list at `ended`.
    pub(crate) fn remember(&mut self, prefix: Prefix, count: u32, ended: Moment) {
        self.listings.insert(PastListing { prefix, count, ended });
        while self.listings.len() > self.bound {
            let Some((_, oldest)) = self.listings.first() else { return };
            self.listings.remove(&oldest);
        }
    }

    /// What is remembered of `prefix`.
    pub(crate) fn get(&self, prefix: &Prefix) -> Option<&PastListing> {
        self.listings.get(prefix)
    }

    /// Forgets `prefix`; returns how many listings of it are not forgiven at `now`.
    pub(crate) fn take(&mut self, prefix: &Prefix, policy: &Policy, now: Moment) -> u32 {
        let Some(past) = self.listings.remove(prefix) else { return 0 };
        past.count.saturating_sub(forgiven(now.since(past.ended), policy.ttl_max))
    }

    /// The one that ended first comes first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &PastListing> {
        self.listings.iter_by_time()
    }
}

/// One listing is forgiven for each `ttl_max` of good behaviour.
fn forgiven(good: Duration, ttl_max: Duration) -> u32 {
    u32::try_from(good.as_millis() / ttl_max.as_millis().max(1)).unwrap_or(u32::MAX)
}

/// How long a listing lasts after `repeats` earlier ones: doubled for each, up to the policy's most.
pub(crate) fn ttl(policy: &Policy, repeats: u32) -> Duration {
    let factor = 1u32.checked_shl(repeats).unwrap_or(u32::MAX);
    policy.ttl_base.saturating_mul(factor).min(policy.ttl_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(last: u8) -> Prefix {
        Prefix::host([192, 0, 2, last].into())
    }

    #[test]
    fn each_repeat_doubles_up_to_the_most() {
        let policy = Policy::default();
        let hours = |repeats| ttl(&policy, repeats).as_secs_f64() / 3_600.0;
        assert_eq!(ttl(&policy, 0), policy.ttl_base);
        assert_eq!(ttl(&policy, 3), policy.ttl_base * 8);
        assert_eq!([hours(8), hours(31), hours(32), hours(u32::MAX)], [24.0; 4]);
    }

    #[test]
    fn good_behaviour_is_forgiven_one_by_one() {
        let policy = Policy::default();
        let after = |count, days: u32| {
            let mut past = Past::new(10);
            past.remember(prefix(1), count, Moment::EPOCH);
            past.take(&prefix(1), &policy, Moment::EPOCH + policy.ttl_max * days)
        };
        assert_eq!([after(3, 0), after(3, 1), after(3, 2), after(3, 3), after(3, 9)], [3, 2, 1, 0, 0]);
    }

    #[test]
    fn the_first_to_have_ended_is_forgotten_first() {
        let mut past = Past::new(2);
        for (last, ended) in [(1, 30), (2, 10), (3, 20)] {
            past.remember(prefix(last), 1, Moment::from_millis(ended));
        }
        let left: alloc::vec::Vec<Prefix> = past.iter().map(|one| one.prefix).collect();
        assert_eq!(left, [prefix(3), prefix(1)]);
        assert_eq!(past.take(&prefix(2), &Policy::default(), Moment::EPOCH), 0);
    }
}
