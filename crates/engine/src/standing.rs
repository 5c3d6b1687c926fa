//! How each entry that evidence listed stands: who still sees or hits something in it, and since when
//! nobody does.
//!
//! Kept apart from the evidence: this keeps up what is listed, but lists nothing.

use alloc::collections::{BTreeMap, BTreeSet};

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use sekisho_model::{Moment, Prefix, Unit};

use crate::{
    prefixes::PrefixMap,
    witness::{Keep, Sighting, Witnesses},
};

/// How one entry stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// The hosts that saw or hit something in it.
    pub(crate) witnesses: Witnesses,
    /// When that was last.
    pub(crate) active: Moment,
    /// When it is next looked at whether it is quiet.
    pub(crate) check: Option<Moment>,
}

/// The standings of all entries that evidence listed: an entry has one exactly if it is one of those.
#[derive(Debug, Default)]
pub(crate) struct Standings {
    all: BTreeMap<Prefix, Standing>,
    /// Those that are wider than a unit.
    wide: PrefixMap<()>,
    /// The same by length and leading bits, for every sighting asks. Only looked into, never walked.
    wide_index: HashSet<(u8, u64), FixedState>,
    /// How many of each length there are.
    wide_lengths: BTreeMap<u8, u32>,
    checks: BTreeSet<(Moment, Prefix)>,
}

impl Standings {
    /// Evidence has an entry of `prefix` that stands so, whatever stood there before.
    pub(crate) fn open(&mut self, prefix: Prefix, standing: Standing) {
        self.close(&prefix);
        self.checks.extend(standing.check.map(|at| (at, prefix)));
        if !is_unit(&prefix) {
            self.wide.insert(prefix, ());
            self.wide_index.insert(leading(Unit::of(prefix.address()), prefix.length()));
            *self.wide_lengths.entry(prefix.length()).or_default() += 1;
        }
        self.all.insert(prefix, standing);
    }

    /// `prefix` is off the list, or on it by order.
    pub(crate) fn close(&mut self, prefix: &Prefix) {
        let Some(standing) = self.all.remove(prefix) else { return };
        if let Some(at) = standing.check {
            self.checks.remove(&(at, *prefix));
        }
        if self.wide.remove(prefix).is_some() {
            self.wide_index.remove(&leading(Unit::of(prefix.address()), prefix.length()));
            if let Some(count) = self.wide_lengths.get_mut(&prefix.length()) {
                *count -= 1;
            }
            self.wide_lengths.retain(|_, count| *count > 0);
        }
    }

    pub(crate) fn get(&self, prefix: &Prefix) -> Option<&Standing> {
        self.all.get(prefix)
    }

    /// How many entries of evidence are wider than a unit.
    pub(crate) fn wide_len(&self) -> usize {
        self.wide.len()
    }

    /// The wider entry of evidence that covers `unit`, if there is one.
    pub(crate) fn wide_over(&self, unit: Unit) -> Option<Prefix> {
        if self.wide_index.is_empty() {
            return None;
        }
        let lengths = match unit {
            Unit::V4(_) => 0..=32,
            Unit::V6(_) => 33..=64,
        };
        let mut lengths = self.wide_lengths.range(lengths).map(|(length, _)| *length);
        let length = lengths.find(|length| self.wide_index.contains(&leading(unit, *length)))?;
        Some(unit.prefix().widened(length))
    }

    /// The entry of evidence that covers `block`, if there is one.
    pub(crate) fn wide_over_block(&self, block: &Prefix) -> Option<Prefix> {
        self.wide_overlapping(block).find(|one| one.covers(block))
    }

    /// The entries of evidence that are wider than a unit, sorted.
    pub(crate) fn wide(&self) -> impl Iterator<Item = Prefix> + use<'_> {
        self.wide.iter().map(|(prefix, ())| *prefix)
    }

    /// The wider entries of evidence that overlap `prefix`, those that cover it first.
    pub(crate) fn wide_overlapping(&self, prefix: &Prefix) -> impl Iterator<Item = Prefix> + use<'_> {
        self.wide.overlapping(prefix).map(|(found, ())| *found)
    }

    /// A host saw or hit something in `prefix`.
    pub(crate) fn note(&mut self, prefix: &Prefix, new: Sighting, keep: Keep<'_>) {
        if let Some(standing) = self.all.get_mut(prefix) {
            standing.active = standing.active.max(new.seen());
            standing.witnesses.note(new, keep);
        }
    }

    /// Looks at `prefix` again at `at`, or never.
    pub(crate) fn set_check(&mut self, prefix: &Prefix, at: Option<Moment>) {
        let Some(standing) = self.all.get_mut(prefix) else { return };
        if let Some(before) = core::mem::replace(&mut standing.check, at) {
            self.checks.remove(&(before, *prefix));
        }
        self.checks.extend(at.map(|at| (at, *prefix)));
    }

    /// The earliest look.
    pub(crate) fn first_check(&self) -> Option<(Moment, Prefix)> {
        self.checks.first().copied()
    }

    /// All of them, sorted by prefix.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Prefix, &Standing)> {
        self.all.iter()
    }
}

/// The first `length` bits of a unit, with the length. IPv4 prefixes wider than a unit have at most 31, the
/// IPv6 ones that evidence lists at least 48, so that the families do not mix.
fn leading(unit: Unit, length: u8) -> (u8, u64) {
    let (bits, all) = match unit {
        Unit::V4(bits) => (u64::from(bits), 32),
        Unit::V6(bits) => (bits, 64),
    };
    (length, bits.checked_shr(u32::from(all - length.min(all))).unwrap_or(0))
}

/// Whether `prefix` is just one unit.
pub(crate) fn is_unit(prefix: &Prefix) -> bool {
    Unit::of(prefix.address()).prefix() == *prefix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn what_is_noted_stays_while_the_entry_does() {
        let keep = Keep { hosts: 3, zones: 1, horizon: at(0), zone_of: &[] };
        let (unit, wide) = ("203.0.113.7".parse().unwrap(), "198.51.100.0/23".parse().unwrap());
        let mut standings = Standings::default();
        standings.note(&unit, Sighting::new(1, at(5), 1, 1, true), keep);
        assert!(standings.get(&unit).is_none());
        standings.open(unit, Standing { check: Some(at(9)), ..Standing::default() });
        standings.open(wide, Standing { check: Some(at(7)), ..Standing::default() });
        standings.note(&unit, Sighting::new(1, at(5), 1, 1, true), keep);
        assert_eq!(
            standings.get(&unit).map(|one| (one.active, one.witnesses.as_slice().len())),
            Some((at(5), 1))
        );
        assert_eq!(standings.first_check(), Some((at(7), wide)));
        standings.set_check(&wide, None);
        assert_eq!(standings.first_check(), Some((at(9), unit)));
        let over = |address: &str| standings.wide_over(Unit::of(address.parse().unwrap()));
        assert_eq!(
            [over("198.51.101.9"), over("198.51.102.9"), over("203.0.113.7")],
            [Some(wide), None, None]
        );
        standings.close(&unit);
        standings.close(&wide);
        assert!(standings.first_check().is_none() && standings.iter().next().is_none());
    }
}
