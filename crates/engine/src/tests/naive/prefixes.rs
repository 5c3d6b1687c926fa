//! Prefixes under carpet bombing: listed, merged, renewed, withdrawn.

use alloc::vec::Vec;

use sekisho_model::{Entry, Prefix, Reason, Tier, Unit};

use super::Naive;
use crate::{End, Event};

impl Naive {
    pub(super) fn look_at_blocks(&mut self) {
        for block in core::mem::take(&mut self.blocks) {
            match self.evidence_prefix(&block) {
                Some(prefix) => self.keep_prefix(prefix),
                None => self.widen(block),
            }
        }
    }

    /// The evidence prefix that covers `prefix`.
    fn evidence_prefix(&self, prefix: &Prefix) -> Option<Prefix> {
        let entry = self.covering(prefix)?;
        matches!(entry.reason, Reason::Prefix { .. }).then_some(entry.prefix)
    }

    fn widest(&self, prefix: &Prefix) -> u8 {
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
            self.merge(prefix);
            return;
        }
    }

    fn inside(&self, prefix: &Prefix) -> Vec<Prefix> {
        let mut inside: Vec<Prefix> = self.entries.iter().map(|one| one.prefix).collect();
        inside.retain(|one| prefix.covers(one));
        inside.sort();
        inside
    }

    /// Lists a prefix in the place of what is inside it.
    fn list_prefix(&mut self, prefix: Prefix, tier: Tier, reason: Reason, hosts: &[usize], inside: &[Prefix]) {
        self.list(prefix, tier, reason, hosts, inside.len());
        for one in inside {
            self.remove(one, End::Covered);
        }
        if self.withheld == Some(prefix) {
            self.withheld = None;
        }
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
        let picture = self.picture_of_merged(&whole, &inside);
        let reason = self.prefix_reason(&picture, tier);
        self.list_prefix(whole, tier, reason, &picture.hosts, &inside);
        self.merge(whole);
    }

    fn picture_of_merged(&self, whole: &Prefix, inside: &[Prefix]) -> super::bombed::Picture {
        let mut without = self.clone();
        without.entries.retain(|one| !inside.contains(&one.prefix));
        without.picture(whole)
    }

    /// Renews, or withdraws, a listed prefix in which something is new.
    fn keep_prefix(&mut self, prefix: Prefix) {
        let units = self.units_in(&prefix);
        let few = (units.len() as u64) < u64::from(self.half());
        let entry = self.entry(&prefix).unwrap();
        let (tier, created) = (entry.tier, entry.created);
        if tier == Tier::Suppress && few && self.now.since(created) > self.policy.window {
            let narrow: Vec<Unit> = units.iter().copied().filter(|unit| self.wanted(*unit).is_some()).collect();
            if !narrow.is_empty() {
                self.withdraw(&prefix, &narrow);
                return;
            }
        }
        if self.is_half_over(&prefix) && !(few && tier == Tier::Suppress) {
            let hosts = self.standing_hosts(&prefix);
            if let Some(met) = self.strictest(&hosts, |tier| self.asked(tier)) {
                let picture = super::bombed::Picture { hosts, ..self.picture(&prefix) };
                let met = met.min(tier);
                let reason = self.prefix_reason(&picture, met);
                self.renew(&prefix, met, reason);
            }
        }
        self.merge(prefix);
    }

    fn withdraw(&mut self, prefix: &Prefix, narrow: &[Unit]) {
        self.remove(prefix, End::Narrowed);
        for unit in narrow {
            self.judge_listing(*unit, 1);
        }
    }

    fn hold_back_prefix(&mut self, prefix: &Prefix, cause: crate::Cause) {
        if let crate::Cause::Limit(_) = cause {
            self.hold_back(prefix, cause);
        }
        if self.withheld.replace(*prefix) != Some(*prefix) {
            self.events.push(Event::Withheld { prefix: *prefix, cause });
        }
    }
}
