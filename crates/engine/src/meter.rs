//! How many handshakes a host completes: a path that is broken, ours or an internet provider's, looks like an
//! attack on many networks at once, but then the host completes next to none of what it usually does.

use alloc::vec::Vec;

use sekisho_model::{Moment, Observation, Prefix, Unit};

use crate::hosts::Meter;

/// The shortest time that is judged.
const LEAST_MILLIS: u64 = 2_000;
/// Handshakes that must be expected before none of them can be no accident.
const LEAST_EXPECTED: u64 = 8;
/// A host that completes one part in this many of what it usually does has a broken path.
const COLLAPSED: u64 = 4;
/// Networks that must get stuck meanwhile.
const LEAST_NETWORKS: usize = 8;
/// After so long without a judgement something is learnt all the same.
const PATIENCE_MILLIS: u64 = 60_000;
/// The time constant of what is usual.
const MEMORY_MILLIS: u64 = 600_000;

/// A collapse of what a host completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Collapse {
    /// Handshakes that it completed.
    pub(crate) completed: u64,
    /// Handshakes that it would have completed usually.
    pub(crate) expected: u64,
}

impl Meter {
    /// Takes a batch of these rows in, seen by `at`, whose totals are `completed` more handshakes than the batch
    /// before of the same session said; none for the first. Says whether they collapsed.
    pub(crate) fn take(
        &mut self,
        rows: &[Observation],
        completed: Option<u64>,
        at: Moment,
    ) -> Option<Collapse> {
        let at = self.taken.map_or(at, |taken| taken.max(at));
        let taken = self.taken.replace(at);
        let (Some(completed), Some(taken)) = (completed, taken) else {
            *self = Self { taken: Some(at), usual: self.usual, ..Self::default() };
            return None;
        };
        self.millis = self.millis.saturating_add(whole_millis(at, taken));
        self.completed = self.completed.saturating_add(completed);
        for row in rows.iter().filter(|row| row.sockets > 0) {
            note_network(&mut self.networks, row.unit);
        }
        let expected = self.expected();
        let may_judge = self.millis >= LEAST_MILLIS && expected >= LEAST_EXPECTED;
        if !may_judge && self.millis < PATIENCE_MILLIS {
            return None;
        }
        let collapse = Collapse { completed: self.completed, expected };
        let collapsed = may_judge
            && self.completed.saturating_mul(COLLAPSED) < expected
            && self.networks.len() >= LEAST_NETWORKS;
        if !collapsed {
            self.learn();
        }
        (self.millis, self.completed) = (0, 0);
        self.networks.clear();
        collapsed.then_some(collapse)
    }

    /// The networks that are noted, if it looks as if the path was broken, with `completed` handshakes more by
    /// `at`: then each further one is news.
    pub(crate) fn suspects(&self, completed: u64, at: Moment) -> Option<Vec<Prefix>> {
        let millis = self.millis.saturating_add(whole_millis(at, self.taken?));
        let completed = self.completed.saturating_add(completed);
        let expected = self.usual.unwrap_or(0).saturating_mul(millis);
        (completed.saturating_mul(COLLAPSED * 1_000_000) < expected).then(|| self.networks.clone())
    }

    /// Handshakes that would usually have been completed in the time that is not judged yet.
    fn expected(&self) -> u64 {
        self.usual.unwrap_or(0).saturating_mul(self.millis) / 1_000_000
    }

    fn learn(&mut self) {
        if self.millis == 0 {
            return;
        }
        let rate = self.completed.saturating_mul(1_000_000) / self.millis;
        let weight = self.millis.min(MEMORY_MILLIS);
        self.usual = Some(match self.usual {
            None => rate,
            Some(usual) => {
                let old = u128::from(usual) * u128::from(MEMORY_MILLIS - weight);
                let new = u128::from(rate) * u128::from(weight);
                u64::try_from((old + new) / u128::from(MEMORY_MILLIS)).unwrap_or(u64::MAX)
            }
        });
    }
}

/// Notes the network of `unit`, if there are not enough. Returns whether it is a new one.
pub(crate) fn note_network(networks: &mut Vec<Prefix>, unit: Unit) -> bool {
    if networks.len() >= LEAST_NETWORKS {
        return false;
    }
    let prefix = unit.prefix();
    let network = prefix.widened(if prefix.is_ipv4() { 16 } else { 48 });
    let place = networks.binary_search(&network);
    if let Err(at) = place {
        networks.insert(at, network);
    }
    place.is_err()
}

fn whole_millis(now: Moment, before: Moment) -> u64 {
    u64::try_from(now.since(before).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn rows(networks: u32) -> Vec<Observation> {
        let row = |n: u32| Observation { unit: Unit::V4((n + 1) << 16), sockets: 1, retransmits: 1 };
        (0..networks).map(row).collect()
    }

    /// A meter that has seen ten minutes of 10 handshakes a second, and how it goes on from there.
    fn usual() -> (Meter, impl FnMut(&mut Meter, u64, u64, u32) -> Option<Collapse>) {
        let (mut meter, mut now) = (Meter::default(), Moment::from_millis(1_000_000));
        meter.take(&rows(0), None, now);
        let mut go_on = move |meter: &mut Meter, millis: u64, completed: u64, networks: u32| {
            now = now + Duration::from_millis(millis);
            meter.take(&rows(networks), Some(completed), now)
        };
        for _ in 0..20 {
            assert_eq!(go_on(&mut meter, 30_000, 300, 3), None);
        }
        (meter, go_on)
    }

    #[test]
    fn a_collapse_with_many_networks_stuck_is_a_broken_path() {
        let (mut meter, mut go_on) = usual();
        assert_eq!(go_on(&mut meter, 1_000, 0, 20), None, "too early to tell");
        assert_eq!(go_on(&mut meter, 1_000, 1, 20), Some(Collapse { completed: 1, expected: 20 }));
        assert_eq!(
            go_on(&mut meter, 2_000, 0, 20),
            Some(Collapse { completed: 0, expected: 20 }),
            "not learnt"
        );
        assert_eq!(go_on(&mut meter, 2_000, 20, 20), None);
    }

    #[test]
    fn few_networks_or_enough_handshakes_are_none() {
        let (mut meter, mut go_on) = usual();
        assert_eq!(go_on(&mut meter, 2_000, 0, 7), None);
        assert_eq!(go_on(&mut meter, 2_000, 5, 200), None);
        assert!(meter.usual.is_some_and(|usual| (9_800..10_000).contains(&usual)), "{:?}", meter.usual);
    }

    #[test]
    fn a_host_that_completes_nothing_is_not_judged() {
        let (mut meter, mut now) = (Meter::default(), Moment::EPOCH);
        for _ in 0..100 {
            now = now + Duration::from_secs(10);
            assert_eq!(meter.take(&rows(20), Some(0), now), None);
        }
        assert_eq!(meter.usual, Some(0));
    }

    #[test]
    fn a_new_session_begins_anew_with_what_is_usual() {
        let (mut meter, mut go_on) = usual();
        let usual = meter.usual;
        go_on(&mut meter, 1_500, 0, 20);
        assert_eq!(meter.take(&rows(20), None, Moment::from_millis(9_000_000)), None);
        assert_eq!((meter.usual, meter.millis, meter.networks.len()), (usual, 0, 0));
    }
}
