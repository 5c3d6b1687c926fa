//! Prefixes under carpet bombing: listed, merged, renewed, withdrawn.

use alloc::vec::Vec;

use sekisho_model::{Entry, Prefix, Reason, Tier, Unit};

use super::{Naive, sightings::block_of};
use crate::{Cause, End, Event};

impl Naive {
    pub(super) fn look_at_blocks(&mut self) {
        let mut done = Vec::new();
        for block in core::mem::take(&mut self.blocks) {
            match self.evidence_prefix(&block) {
                Some(prefix) if done.contains(&prefix) => {}
                Some(prefix) => {
                    done.push(prefix);
                    self.keep_prefix(prefix);
                }
                None => self.widen(block),
            }
        }
    }

    /// The evidence prefix that covers `prefix`.
    fn evidence_prefix(&self, prefix: &Prefix) -> Option<Prefix> {
        let entry = self.covering(prefix)?;
        matches!(entry.reason, Reason::Prefix { .. }).then_some(entry.prefix)
    }

    pub(super) fn widest(&self, prefix: &Prefix) -> u8 {
        if prefix.is_ipv4() { self.policy.widest_ipv4 } else { self.policy.widest_ipv6 }
    }

    /// Step by step, up to the first that is bombed.
    fn widen(&mut self, block: Prefix) {
        for length in (self.widest(&block)..=block.length()).rev() {
            let prefix = block.widened(length);
            let picture = self.picture(&prefix);
            let Some(tier) = self.bombed(&prefix, &picture) else { continue };
            let inside = self.inside(&prefix);
            if let Some(cause) = self.forbids(&prefix, true, inside.len()) {
                self.hold_back_prefix(&prefix, cause);
                return;
            }
            let reason = self.prefix_reason(&picture, tier);
            self.list_prefix(prefix, tier, reason, &picture.hosts, &inside);
            self.recent.push((self.now, prefix, true));
            self.merge(prefix);
            return;
        }
    }

    pub(super) fn inside(&self, prefix: &Prefix) -> Vec<Prefix> {
        let mut inside: Vec<Prefix> = self.entries.iter().map(|one| one.prefix).collect();
        inside.retain(|one| prefix.covers(one));
        inside.sort();
        inside
    }

    /// Lists a prefix in the place of what is inside it.
    fn list_prefix(
        &mut self,
        prefix: Prefix,
        tier: Tier,
        reason: Reason,
        hosts: &[usize],
        inside: &[Prefix],
    ) {
        let mut before = self.clone();
        before.begin_standing(prefix);
        for one in inside {
            self.remove(one, End::Covered);
        }
        self.list(prefix, tier, reason, hosts);
        self.take_standing(before, &prefix);
    }

    /// When both halves of a prefix are listed by evidence at the same tier, it takes their place.
    fn merge(&mut self, half: Prefix) {
        if half.length() <= self.widest(&half) {
            return;
        }
        let whole = half.widened(half.length() - 1);
        let tier = self.entry(&half).unwrap().tier;
        let is_half = |one: &&Entry| {
            one.prefix.length() == half.length()
                && whole.covers(&one.prefix)
                && one.tier == tier
                && matches!(one.reason, Reason::Prefix { .. })
        };
        if self.entries.iter().filter(is_half).count() < 2 {
            return;
        }
        let inside = self.inside(&whole);
        if self.forbids_for_good(&whole, true).is_none() {
            self.put_whole(whole, tier, &inside);
            self.merge(whole);
        }
    }

    /// The whole ends when the later half would have, and has the repeats of the more repeated one.
    fn put_whole(&mut self, prefix: Prefix, tier: Tier, inside: &[Prefix]) {
        let halves: Vec<Entry> = inside.iter().map(|one| self.entry(one).unwrap().clone()).collect();
        let mut before = self.clone();
        before.begin_standing(prefix);
        for one in inside {
            self.remove(one, End::Covered);
        }
        let picture = self.picture(&prefix);
        let entry = Entry {
            prefix,
            tier,
            reason: self.prefix_reason(&picture, tier),
            created: self.now,
            expires: halves.iter().map(|one| one.expires).max().unwrap(),
            renewals: 0,
            repeats: halves.iter().map(|one| one.repeats).max().unwrap(),
            revision: self.index,
        };
        self.put_evidence(entry, &picture.hosts);
        self.take_standing(before, &prefix);
    }

    /// The standing that `prefix` had `before` what is inside it was removed.
    fn take_standing(&mut self, before: Self, prefix: &Prefix) {
        self.standings.retain(|one| one.prefix != *prefix);
        self.standings.extend(before.standings.into_iter().filter(|one| one.prefix == *prefix));
        self.arm(prefix);
    }

    /// Moves up, withdraws or renews a listed prefix in which something is new.
    fn keep_prefix(&mut self, prefix: Prefix) {
        let picture = self.picture(&prefix);
        let entry = self.entry(&prefix).unwrap();
        let (tier, created) = (entry.tier, entry.created);
        if self.bombed(&prefix, &picture) > Some(tier) {
            let reason = self.reason_of_standing(&prefix, Tier::Drop, None);
            self.move_up(&prefix, reason);
            return;
        }
        let is_narrow = tier == Tier::Suppress && picture.units < picture.least.div_ceil(2);
        let is_old = created + self.policy.window <= self.now;
        if is_narrow && is_old {
            self.withdraw(&prefix);
        } else if !is_narrow && self.is_half_over(&prefix) {
            if is_old && let Some((inner, tier)) = self.narrower(&prefix) {
                self.narrow(&prefix, inner, tier);
            } else {
                self.judge_renewal(&prefix, self.bombed(&prefix, &picture), Some(picture.units));
            }
        }
    }

    /// The narrowest prefix that all fresh units of `prefix` lie in, if it is narrower and bombed.
    fn narrower(&self, prefix: &Prefix) -> Option<(Prefix, Tier)> {
        let units = self.units_in(prefix);
        let block = block_of(*units.first()?);
        let inner = (prefix.length()..=block.length())
            .map(|length| block.widened(length))
            .rfind(|inner| units.iter().all(|unit| inner.covers(&unit.prefix())))?;
        if inner == *prefix || self.forbids_for_good(&inner, true).is_some() {
            return None;
        }
        Some((inner, self.bombed(&inner, &self.picture(&inner))?))
    }

    fn narrow(&mut self, prefix: &Prefix, inner: Prefix, tier: Tier) {
        let picture = self.picture(&inner);
        // Who has hit something in the wider one says nothing about the narrower one.
        self.remove(prefix, End::Narrowed);
        let reason = self.prefix_reason(&picture, tier);
        self.list(inner, tier, reason, &picture.hosts);
    }

    /// The attack narrowed: those units that meet a quorum by themselves are listed instead, if there is
    /// room for all of them.
    fn withdraw(&mut self, prefix: &Prefix) {
        let mut units: Vec<Unit> = self.units_in(prefix);
        units.retain(|unit| self.wanted(*unit).is_some());
        units.sort();
        let entries = self.entries.len() - 1 + units.len();
        if units.is_empty() || (units.len() > 1 && entries > self.policy.max_entries as usize) {
            return;
        }
        self.remove(prefix, End::Narrowed);
        for unit in units {
            let tier = self.wanted(unit).unwrap();
            self.list_unit(unit, tier);
        }
    }

    fn hold_back_prefix(&mut self, prefix: &Prefix, cause: Cause) {
        if let Cause::Limit(_) = cause {
            self.hold_back(prefix, cause);
        } else {
            let around = prefix.widened(self.widest(prefix).min(prefix.length()));
            let window = self.policy.window;
            self.withheld.retain(|one| one.0 != around || one.1 + window > self.now);
            if self.withheld.iter().all(|one| one.0 != around) {
                self.withheld.push((around, self.now));
                let picture = self.picture(prefix);
                let hosts = u32::try_from(picture.hosts.len()).unwrap();
                let by = self.forbidding(prefix, cause);
                self.events.push(Event::Withheld { prefix: *prefix, cause, by, units: picture.units, hosts });
            }
        }
    }
}
