//! Whether a prefix is bombed.

use alloc::vec::Vec;

use sekisho_model::{Prefix, Reason, Tier, Unit};

use super::Naive;

/// What is seen in a prefix.
pub(super) struct Picture {
    pub(super) units: u32,
    pub(super) least: u32,
    /// The hosts that saw something, the newest first.
    pub(super) hosts: Vec<usize>,
    pub(super) without_one: u32,
}

impl Naive {
    /// Units that must be left without the most talkative of so many hosts: half of what is asked for, rounded up;
    /// all of it where two of three or more that are connected saw something.
    pub(super) fn least_without_one(&self, hosts: usize) -> u32 {
        let asked = self.policy.prefix_min_units;
        let connected = self.hosts.iter().filter(|one| one.is_connected).count();
        if connected >= 3 && hosts < 3 { asked } else { asked.div_ceil(2) }
    }

    /// The units of `prefix` that are fresh, but for those that a narrower evidence prefix covers.
    pub(super) fn units_in(&self, prefix: &Prefix) -> Vec<Unit> {
        let is_apart = |unit: &Unit| {
            let narrower = |one: &&sekisho_model::Entry| {
                matches!(one.reason, Reason::Prefix { .. })
                    && one.prefix != *prefix
                    && prefix.covers(&one.prefix)
                    && one.prefix.covers(&unit.prefix())
            };
            !self.entries.iter().any(|one| narrower(&one))
        };
        let mut units: Vec<Unit> = self.line.iter().map(|one| one.unit).collect();
        units.retain(|unit| {
            prefix.covers(&unit.prefix()) && is_apart(unit) && !self.fresh_of(*unit).is_empty()
        });
        units
    }

    pub(super) fn picture(&self, prefix: &Prefix) -> Picture {
        let units = self.units_in(prefix);
        let mut seen: Vec<_> = units.iter().flat_map(|unit| self.fresh_of(*unit)).collect();
        seen.sort_by_key(|one| (core::cmp::Reverse(one.seen), one.host));
        let mut hosts: Vec<usize> = Vec::new();
        for one in &seen {
            if !hosts.contains(&one.host) {
                hosts.push(one.host);
            }
        }
        let only = |host: usize| {
            units.iter().filter(|unit| self.fresh_of(**unit).iter().all(|one| one.host == host)).count()
        };
        let most = hosts.iter().map(|host| only(*host)).max().unwrap_or(0);
        let chance = if prefix.is_ipv4() { self.units_by_chance(prefix.length()) } else { 0 };
        Picture {
            units: u32::try_from(units.len()).unwrap(),
            least: self.policy.prefix_min_units.max(chance),
            without_one: u32::try_from(units.len() - most).unwrap(),
            hosts,
        }
    }

    /// The tier at which a prefix is bombed, if it is.
    pub(super) fn bombed(&self, prefix: &Prefix, picture: &Picture) -> Option<Tier> {
        let most = self.policy.prefix_tier?;
        let is_wide = picture.units >= picture.least
            && picture.without_one >= self.least_without_one(picture.hosts.len());
        if !is_wide || !self.is_met(&picture.hosts, self.asked(Tier::Suppress)) {
            return None;
        }
        let is_met = self.is_met(&picture.hosts, self.asked(Tier::Drop));
        let is_dropped = most == Tier::Drop && is_met && !self.has_counter(prefix);
        Some(if is_dropped { Tier::Drop } else { Tier::Suppress })
    }

    pub(super) fn prefix_reason(&self, picture: &Picture, tier: Tier) -> Reason {
        Reason::Prefix {
            hosts: u32::try_from(picture.hosts.len()).unwrap(),
            quorum: self.asked(tier),
            units: picture.units,
            least: picture.least,
        }
    }
}
