//! How many hosts it takes: the policy's number, the share of the connected hosts, and what chance asks.

use alloc::vec::Vec;

use sekisho_model::{
    Moment, Tier, Unit,
    limits::{LOGGED_WITNESSES, MAX_QUORUM, SPARE_WITNESSES},
};

use crate::{
    chance::host_bound,
    engine::Engine,
    explain::Quorums,
    outcome::Event,
    step::Step,
    witness::{Keep, Sighting, since},
};

impl Engine {
    /// The quorum that an operator asked for.
    pub(crate) fn asked(&self, tier: Tier) -> usize {
        let policy = match tier {
            Tier::Suppress => self.policy.suppress_quorum,
            Tier::Drop => self.policy.drop_quorum,
        };
        policy.max(self.fraction()) as usize
    }

    /// The quorum that lists `unit`.
    pub(crate) fn effective(&self, unit: Unit, tier: Tier) -> usize {
        let chance = if matches!(unit, Unit::V4(_)) { self.chance as usize } else { 0 };
        self.asked(tier).max(chance)
    }

    /// The quorums as they are.
    pub fn quorums(&self) -> Quorums {
        let effective = |tier| u32::try_from(self.effective(Unit::V4(0), tier)).unwrap_or(u32::MAX);
        Quorums {
            suppress: effective(Tier::Suppress),
            drop: effective(Tier::Drop),
            policy_suppress: self.policy.suppress_quorum,
            policy_drop: self.policy.drop_quorum,
            fraction: self.fraction(),
            chance: self.chance,
            units: self.counted_rate.since(self.horizon),
            live_hosts: self.hosts.connected(),
            zones: self.policy.min_zones,
        }
    }

    /// How much of the witnesses of one thing is kept, but for the zones.
    pub(crate) fn keep(&self) -> Keep<'static> {
        let quorum = self.asked(Tier::Drop).max(self.chance as usize).max(LOGGED_WITNESSES);
        let zones = self.policy.min_zones as usize;
        let hosts = quorum + SPARE_WITNESSES + zones - 1;
        Keep { hosts, zones, horizon: self.horizon, zone_of: &[] }
    }

    /// Looks at what chance asks for now. It falls only with a margin, so that it does not flap.
    pub(crate) fn refresh_chance(&mut self, step: &mut Step) {
        let units = self.counted_rate.since(self.horizon);
        let bound = host_bound(units, MAX_QUORUM);
        let to =
            if bound < self.chance { host_bound(units.saturating_add(units / 4), MAX_QUORUM) } else { bound };
        let from = core::mem::replace(&mut self.chance, to);
        // Below the policy's quorums it says nothing to an operator.
        let asked = self.asked(Tier::Suppress);
        if from.max(1) != to.max(1) && from.max(to) as usize > asked {
            step.events.push(Event::ChanceBound { from, to, units });
        }
    }

    /// Whether a sighting counts towards a quorum at `now`; it is fresh.
    pub(crate) fn counts(&self, sighting: &Sighting, now: Moment) -> bool {
        sighting.counts() && !self.hosts.is_in_outage(sighting.host(), now)
    }

    /// The strictest tier whose quorum is met by the fresh sightings `seen` of `unit`.
    pub(crate) fn met(&self, unit: Unit, seen: &[Sighting], now: Moment) -> Option<Tier> {
        // Most units have fewer sightings than the gentlest quorum asks for.
        if seen.len() < self.effective(unit, Tier::Suppress) {
            return None;
        }
        let hosts: Vec<u32> = seen.iter().filter(|one| self.counts(one, now)).map(|one| one.host()).collect();
        let tiers = [Tier::Drop, Tier::Suppress];
        tiers.into_iter().find(|tier| self.is_quorum(&hosts, self.effective(unit, *tier)))
    }

    /// The tier that the standing of an entry at `tier` keeps up at `now`, if any.
    pub(crate) fn upheld(&self, tier: Tier, witnesses: &[Sighting], now: Moment) -> Option<Tier> {
        let hosts = self.standing_hosts(witnesses, now);
        let tiers = [Tier::Drop, Tier::Suppress];
        tiers.into_iter().filter(|one| *one <= tier).find(|one| self.is_quorum(&hosts, self.asked(*one)))
    }

    /// The hosts of a standing that are fresh and not in outage.
    pub(crate) fn standing_hosts(&self, witnesses: &[Sighting], now: Moment) -> Vec<u32> {
        let fresh = since(witnesses, self.horizon_at(now)).iter().map(|one| one.host());
        fresh.filter(|host| !self.hosts.is_in_outage(*host, now)).collect()
    }

    /// Whether these distinct hosts are enough, in enough zones.
    pub(crate) fn is_quorum(&self, hosts: &[u32], least: usize) -> bool {
        let zones = self.policy.min_zones as usize;
        hosts.len() >= least && (zones < 2 || self.zones(hosts) >= zones)
    }

    /// In how many zones these hosts are.
    pub(crate) fn zones(&self, hosts: &[u32]) -> usize {
        let zone = |host: &u32| self.hosts.zone_of().get(*host as usize).copied().unwrap_or(0);
        let mut zones: Vec<u32> = hosts.iter().map(zone).collect();
        zones.sort_unstable();
        zones.dedup();
        zones.len()
    }

    /// What the share of the connected hosts comes to, rounded up.
    fn fraction(&self) -> u32 {
        let share = u64::from(self.policy.quorum_per_mille) * u64::from(self.hosts.connected());
        u32::try_from(share.div_ceil(1_000)).unwrap_or(u32::MAX)
    }
}
