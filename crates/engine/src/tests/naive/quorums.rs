//! Quorums: what is asked for, and what chance asks for.

use alloc::vec::Vec;
use core::time::Duration;

use sekisho_model::{Moment, Tier, Unit};

use super::Naive;
use crate::Event;

/// IPv4 addresses that can be listed.
const ADDRESSES: f64 = 3_707_764_736.0;
/// Units by chance that are too many a window.
const TOO_MANY: f64 = 0.01;
/// Prefixes of one length by chance that are too many a window.
const TOO_MANY_OF_A_LENGTH: f64 = 0.001;
/// What comes first is counted in steps of this many milliseconds.
const STEP: i64 = 5_000;

/// The smallest N so that an arrival meets N - 1 others of the last window at its place too seldom, when places
/// are chosen at random: of the arrivals of a window, (arrivals/places)^(N - 1) / (N - 1)! do.
fn by_chance(places: f64, arrivals: f64, too_many: f64) -> u32 {
    let mut expected = arrivals;
    let mut number = 1;
    while expected >= too_many {
        expected *= arrivals / places / f64::from(number);
        number += 1;
    }
    number
}

impl Naive {
    /// The policy's quorum, or the fraction of the connected hosts, whichever is more.
    pub(super) fn asked(&self, tier: Tier) -> u32 {
        let policy = match tier {
            Tier::Suppress => self.policy.suppress_quorum,
            Tier::Drop => self.policy.drop_quorum,
        };
        policy.max(self.fraction())
    }

    pub(super) fn fraction(&self) -> u32 {
        let live = self.hosts.iter().filter(|one| one.is_connected).count();
        let share = live * self.policy.quorum_per_mille as usize;
        u32::try_from(share.div_ceil(1_000)).unwrap()
    }

    /// What lists a unit: for IPv4 at least what chance asks for.
    pub(super) fn effective(&self, tier: Tier, unit: Unit) -> u32 {
        let asked = self.asked(tier);
        if unit.prefix().is_ipv4() { asked.max(self.chance) } else { asked }
    }

    /// Whether these hosts are enough, and in enough zones.
    pub(super) fn is_met(&self, hosts: &[usize], quorum: u32) -> bool {
        hosts.len() >= quorum as usize && self.zones_of(hosts) >= self.policy.min_zones
    }

    /// In how many zones these hosts are; those without one are in one together.
    pub(super) fn zones_of(&self, hosts: &[usize]) -> u32 {
        let mut zones: Vec<_> = hosts.iter().map(|host| self.hosts[*host].zone.as_ref()).collect();
        zones.sort();
        zones.dedup();
        u32::try_from(zones.len()).unwrap()
    }

    /// The strictest tier whose quorum, by `quorum`, these hosts meet.
    pub(super) fn strictest(&self, hosts: &[usize], quorum: impl Fn(Tier) -> u32) -> Option<Tier> {
        [Tier::Drop, Tier::Suppress].into_iter().find(|tier| self.is_met(hosts, quorum(*tier)))
    }

    /// How many of `moments` are within the window.
    fn within(&self, moments: &[Moment]) -> u64 {
        let step = |moment: Moment| moment.as_millis().div_euclid(STEP);
        let first = step(self.horizon);
        moments.iter().filter(|one| step(**one) >= first).count() as u64
    }

    pub(super) fn counted_units(&self) -> u64 {
        self.within(&self.counted)
    }

    pub(super) fn first_units(&self) -> u64 {
        self.within(&self.firsts)
    }

    /// The chance bound rises at once, and falls only when a quarter more would be few enough. What is below
    /// the asked quorums says nothing.
    pub(super) fn look_at_chance(&mut self) {
        self.forget_firsts();
        let units = self.counted_units();
        let (now, easy) = (units as f64, (units + units / 4) as f64);
        let (now, easy) = (by_chance(ADDRESSES, now, TOO_MANY), by_chance(ADDRESSES, easy, TOO_MANY));
        let from = self.chance;
        self.chance = if now > from { now } else { from.min(easy) };
        if self.chance != from && self.chance.max(from) > self.asked(Tier::Suppress) {
            self.events.push(Event::ChanceBound { from, to: self.chance, units });
        }
    }

    fn forget_firsts(&mut self) {
        let old = self.now - Duration::from_secs(2 * 3_600);
        self.counted.retain(|one| *one >= old);
        self.firsts.retain(|one| *one >= old);
    }

    /// The fewest units of a prefix of this length that chance does not bring.
    pub(super) fn units_by_chance(&self, length: u8) -> u32 {
        let places = ADDRESSES / f64::from(1u32 << (32 - length));
        by_chance(places, self.first_units() as f64, TOO_MANY_OF_A_LENGTH)
    }
}
