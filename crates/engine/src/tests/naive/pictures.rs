//! What the reference would explain.

use alloc::vec::Vec;

use sekisho_model::{Prefix, Tier, Unit};

use super::{Naive, sightings::block_of};
use crate::{Cause, PrefixPicture, Quorums};

/// What is compared of an explanation.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::tests) struct Explained {
    pub(in crate::tests) hosts: u32,
    pub(in crate::tests) zones: u32,
    pub(in crate::tests) wanted: Option<Tier>,
    pub(in crate::tests) forbidden: Option<Cause>,
    pub(in crate::tests) prefixes: Vec<PrefixPicture>,
}

impl Naive {
    pub(in crate::tests) fn quorums(&self) -> Quorums {
        Quorums {
            suppress: self.asked(Tier::Suppress).max(self.chance),
            drop: self.asked(Tier::Drop).max(self.chance),
            policy_suppress: self.policy.suppress_quorum,
            policy_drop: self.policy.drop_quorum,
            fraction: self.fraction(),
            chance: self.chance,
            units: self.counted_units(),
            live_hosts: u32::try_from(self.hosts.iter().filter(|one| one.is_connected).count()).unwrap(),
            zones: self.policy.min_zones,
        }
    }

    pub(in crate::tests) fn explained(&self, unit: Unit) -> Explained {
        let prefix = unit.prefix();
        let counting = self.counting(unit);
        let block = block_of(unit);
        let lengths = (self.widest(&block)..=block.length()).rev();
        let is_listed = self.covering(&prefix).is_some();
        Explained {
            hosts: u32::try_from(counting.len()).unwrap(),
            zones: self.zones_of(&counting),
            wanted: self.wanted(unit),
            forbidden: if is_listed {
                None
            } else {
                self.forbids(&prefix, false, self.inside(&prefix).len())
            },
            prefixes: lengths.map(|length| self.explained_prefix(block.widened(length))).collect(),
        }
    }

    fn explained_prefix(&self, prefix: Prefix) -> PrefixPicture {
        let picture = self.picture(&prefix);
        let forbidden = self.forbids_for_good(&prefix, true);
        PrefixPicture {
            prefix,
            units: picture.units,
            least_units: picture.least,
            without_one: picture.without_one,
            least_without_one: self.least_without_one(picture.hosts.len()),
            hosts: u32::try_from(picture.hosts.len()).unwrap(),
            least_hosts: self.asked(Tier::Suppress),
            zones: self.zones_of(&picture.hosts),
            has_counter: self.has_counter(&prefix),
            is_bombed: self.bombed(&prefix, &picture).is_some(),
            forbidden,
            forbidden_by: forbidden.and_then(|cause| self.forbidding(&prefix, cause)),
        }
    }
}
