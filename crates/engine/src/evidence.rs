//! Who saw which unit stuck: bounded, the longest untouched unit goes first.
//!
//! About 130 bytes a unit: 80 for its node, the rest for the index. Nodes stand in chunks, so that
//! growing copies nothing, and are chained from the longest untouched to the last touched.

use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sekisho_model::{Moment, Prefix, Unit};

use crate::witness::{Sighting, Witnesses};

/// Nodes in one chunk, as a power of two.
const CHUNK_BITS: u32 = 12;
/// The end of the chain.
const NONE: u32 = u32::MAX;
/// Units in a prefix up to which they are looked up one by one instead of searching through all.
const LOOKED_UP: u64 = 65_536;

#[derive(Debug)]
struct Node {
    unit: Unit,
    older: u32,
    newer: u32,
    witnesses: Witnesses,
}

/// The witnesses of each tracked unit.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// Only looked into, never walked: its order, and so its seed, show nowhere.
    index: HashMap<Unit, u32, FixedState>,
    chunks: Vec<Vec<Node>>,
    free: Vec<u32>,
    oldest: u32,
    newest: u32,
    bound: usize,
}

impl Evidence {
    /// Room for `bound` units, at least 1.
    pub(crate) fn new(bound: usize) -> Self {
        let index = HashMap::with_hasher(FixedState::default());
        let bound = bound.clamp(1, NONE as usize);
        Self { index, chunks: Vec::new(), free: Vec::new(), oldest: NONE, newest: NONE, bound }
    }

    /// Hashes with `seed` from here on.
    pub(crate) fn reseed(&mut self, seed: u64) {
        let mut index = HashMap::with_capacity_and_hasher(self.index.len(), FixedState::with_seed(seed));
        index.extend(self.index.drain());
        self.index = index;
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// The sightings of `unit`, the newest first; some may be out of the window.
    pub(crate) fn of(&self, unit: Unit) -> &[Sighting] {
        self.index.get(&unit).map_or(&[], |at| self.node(*at).witnesses.as_slice())
    }

    /// Takes a sighting in (see [`Witnesses::note`]). Returns whether another unit, with evidence
    /// since `horizon`, had to go for it.
    pub(crate) fn note(&mut self, unit: Unit, new: Sighting, keep: usize, horizon: Moment) -> bool {
        let known = self.index.get(&unit).copied();
        let evicted = known.is_none() && self.len() >= self.bound && self.evict(horizon);
        let at = known.unwrap_or_else(|| self.add(unit));
        self.touch(at);
        self.node_mut(at).witnesses.note(new, keep, horizon);
        evicted
    }

    /// Puts a sighting behind what is there: for a restored engine.
    pub(crate) fn push(&mut self, unit: Unit, last: Sighting) {
        let known = self.index.get(&unit).copied();
        let at = known.unwrap_or_else(|| self.add(unit));
        self.touch(at);
        self.node_mut(at).witnesses.push(last);
    }

    /// Drops the units that have had nothing since `horizon`, the longest untouched first, at most
    /// `budget` of them, up to the first that has.
    pub(crate) fn sweep(&mut self, horizon: Moment, budget: usize) {
        for _ in 0..budget {
            if self.oldest == NONE || self.is_fresh(self.oldest, horizon) {
                return;
            }
            self.drop_at(self.oldest);
        }
    }

    /// Drops the evidence of every unit that overlaps `prefix`.
    pub(crate) fn forget(&mut self, prefix: &Prefix) {
        let found: Vec<u32> = match units_within(prefix) {
            Some(units) => units.filter_map(|unit| self.index.get(&unit).copied()).collect(),
            None => self.chain().filter(|at| prefix.overlaps(&self.node(*at).unit.prefix())).collect(),
        };
        for at in found {
            self.drop_at(at);
        }
    }

    /// Every sighting, the longest untouched unit first, and within a unit the newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Unit, Sighting)> {
        self.chain().flat_map(|at| {
            let node = self.node(at);
            node.witnesses.as_slice().iter().map(|sighting| (node.unit, *sighting))
        })
    }

    fn chain(&self) -> impl Iterator<Item = u32> {
        let first = Some(self.oldest).filter(|at| *at != NONE);
        core::iter::successors(first, |at| Some(self.node(*at).newer).filter(|next| *next != NONE))
    }

    fn is_fresh(&self, at: u32, horizon: Moment) -> bool {
        self.node(at).witnesses.as_slice().first().is_some_and(|newest| newest.seen >= horizon)
    }

    fn evict(&mut self, horizon: Moment) -> bool {
        let fresh = self.is_fresh(self.oldest, horizon);
        self.drop_at(self.oldest);
        fresh
    }

    fn add(&mut self, unit: Unit) -> u32 {
        let node = Node { unit, older: NONE, newer: NONE, witnesses: Witnesses::default() };
        let at = if let Some(at) = self.free.pop() {
            *self.node_mut(at) = node;
            at
        } else {
            self.append(node)
        };
        self.index.insert(unit, at);
        self.link(at);
        at
    }

    fn append(&mut self, node: Node) -> u32 {
        if self.chunks.last().is_none_or(|chunk| chunk.len() == 1 << CHUNK_BITS) {
            self.chunks.push(Vec::with_capacity(1 << CHUNK_BITS));
        }
        let before = (self.chunks.len() - 1) << CHUNK_BITS;
        let chunk = &mut self.chunks[before >> CHUNK_BITS];
        chunk.push(node);
        // Below `bound`, which fits.
        u32::try_from(before + chunk.len() - 1).unwrap_or(NONE)
    }

    fn drop_at(&mut self, at: u32) {
        self.unlink(at);
        let node = self.node_mut(at);
        node.witnesses = Witnesses::default();
        let unit = node.unit;
        self.index.remove(&unit);
        self.free.push(at);
    }

    fn touch(&mut self, at: u32) {
        if self.newest != at {
            self.unlink(at);
            self.link(at);
        }
    }

    fn link(&mut self, at: u32) {
        let older = core::mem::replace(&mut self.newest, at);
        let node = self.node_mut(at);
        (node.older, node.newer) = (older, NONE);
        match older {
            NONE => self.oldest = at,
            _ => self.node_mut(older).newer = at,
        }
    }

    fn unlink(&mut self, at: u32) {
        let (older, newer) = (self.node(at).older, self.node(at).newer);
        match older {
            NONE => self.oldest = newer,
            _ => self.node_mut(older).newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            _ => self.node_mut(newer).older = older,
        }
    }

    fn node(&self, at: u32) -> &Node {
        &self.chunks[(at >> CHUNK_BITS) as usize][(at & ((1 << CHUNK_BITS) - 1)) as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.chunks[(at >> CHUNK_BITS) as usize][(at & ((1 << CHUNK_BITS) - 1)) as usize]
    }
}

/// The units that overlap `prefix`, or `None` when they are too many to look each of them up.
fn units_within(prefix: &Prefix) -> Option<impl Iterator<Item = Unit>> {
    let (first, last) = (Unit::of(prefix.address()), Unit::of(prefix.last()));
    let bits = |unit| match unit {
        Unit::V4(bits) => u64::from(bits),
        Unit::V6(bits) => bits,
    };
    let (four, first, last) = (matches!(first, Unit::V4(_)), bits(first), bits(last));
    (last - first < LOOKED_UP).then(|| {
        (first..=last).map(move |bits| match u32::try_from(bits) {
            Ok(bits) if four => Unit::V4(bits),
            _ => Unit::V6(bits),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seen: i64) -> Sighting {
        Sighting { seen: Moment::from_millis(seen), host: 0, retransmits: 1 }
    }

    fn units(evidence: &Evidence) -> Vec<Unit> {
        evidence.iter().map(|(unit, _)| unit).collect()
    }

    fn noted(bound: usize, order: &[u32]) -> (Evidence, Vec<bool>) {
        let mut evidence = Evidence::new(bound);
        let evicted = order
            .iter()
            .zip(1..)
            .map(|(unit, seen)| evidence.note(Unit::V4(*unit), at(seen), 3, Moment::EPOCH));
        let evicted = evicted.collect();
        (evidence, evicted)
    }

    #[test]
    fn a_unit_stays_within_its_bytes() {
        assert!(size_of::<Node>() <= 80, "{}", size_of::<Node>());
        // A bucket and its control byte, at the emptiest that a full table of 10 million can be.
        let (bucket, buckets) = (size_of::<(Unit, u32)>() + 1, 1usize << 24);
        assert!(size_of::<Node>() + bucket * buckets / sekisho_model::limits::MAX_UNITS <= 150);
    }

    #[test]
    fn the_longest_untouched_goes_first() {
        let (evidence, evicted) = noted(3, &[1, 2, 3, 1, 4, 5]);
        assert_eq!(units(&evidence), [Unit::V4(1), Unit::V4(4), Unit::V4(5)]);
        assert_eq!(evicted, [false, false, false, false, true, true]);
        assert!(evidence.of(Unit::V4(2)).is_empty());
    }

    #[test]
    fn slots_are_used_again() {
        let (evidence, _) = noted(5_000, &(0..40_000).collect::<Vec<u32>>());
        assert_eq!(evidence.len(), 5_000);
        assert!(evidence.chunks.len() <= 2);
    }

    #[test]
    fn sweeping_stops_at_its_budget_and_at_fresh_evidence() {
        let (mut evidence, _) = noted(100, &[1, 2, 3, 4, 5]);
        evidence.sweep(Moment::from_millis(4), 2);
        assert_eq!(evidence.len(), 3);
        evidence.sweep(Moment::from_millis(4), 100);
        assert_eq!(units(&evidence), [Unit::V4(4), Unit::V4(5)]);
        evidence.sweep(Moment::MAX, 100);
        assert_eq!(evidence.len(), 0);
        assert_eq!((evidence.oldest, evidence.newest), (NONE, NONE));
    }

    #[test]
    fn an_evicted_unit_that_was_stale_anyway_is_no_loss() {
        let (mut evidence, _) = noted(1, &[1]);
        assert!(!evidence.note(Unit::V4(2), at(20), 3, Moment::from_millis(10)));
    }

    #[test]
    fn a_prefix_is_forgotten_whole() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let mut evidence = Evidence::new(100);
        for unit in [Unit::V4(0xcb00_7107), Unit::V4(0xcb00_7108), Unit::V4(0xc633_6401)] {
            evidence.note(unit, at(1), 3, Moment::EPOCH);
        }
        for text in ["2001:db8::", "2001:db8:1::", "2001:db9::"] {
            evidence.note(Unit::of(text.parse().unwrap()), at(1), 3, Moment::EPOCH);
        }
        evidence.forget(&prefix("203.0.113.0/24"));
        assert_eq!(evidence.len(), 4);
        evidence.forget(&prefix("2001:db8::/32"));
        assert_eq!(evidence.len(), 2);
        evidence.forget(&prefix("2001:db9::1"));
        assert_eq!(units(&evidence), [Unit::V4(0xc633_6401)]);
    }

    #[test]
    fn a_new_seed_changes_nothing() {
        let (mut evidence, _) = noted(50, &(0..80).collect::<Vec<u32>>());
        let before = units(&evidence);
        evidence.reseed(7);
        assert_eq!(units(&evidence), before);
        assert!(!evidence.of(Unit::V4(79)).is_empty());
    }
}
