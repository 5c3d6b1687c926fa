//! Who saw which unit stuck: bounded, and of those that one host alone saw the longest in line go first.
//!
//! About 110 bytes a unit: 64 for its node, the rest for the index and the line. Nodes stand in chunks,
//! so that growing copies nothing.

use alloc::{collections::VecDeque, vec::Vec};
use core::hint::black_box;

use sekisho_model::{Moment, Prefix, Unit};

use crate::{
    index::Index,
    units::units_within,
    witness::{Keep, Sighting, Witnesses, since},
};

/// Nodes in one chunk, as a power of two.
const CHUNK_BITS: u32 = 12;
/// Units that are brought near the processor at a time.
pub(crate) const WARMED: usize = 64;
/// Units that were seen again and stand at the front: so many may go to the end before one has to go.
const SECOND_CHANCES: usize = 8;

/// One cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Node {
    unit: Unit,
    /// Whoever brought it, while nobody else has seen it.
    owner: u32,
    is_shared: bool,
    is_touched: bool,
    /// Whether evidence has an entry of just this unit.
    is_listed: bool,
    /// Whether the node stands for no unit, and waits to be used again.
    is_free: bool,
    witnesses: Witnesses,
}

/// Where a unit was found a moment ago: a hint that spares a search while it holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot(u32);

impl Spot {
    /// Nowhere.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// What became of a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Noted {
    /// Where the unit's node is.
    at: u32,
    /// The unit was not tracked before.
    pub(crate) is_new: bool,
    /// The host had no sighting of it lately.
    pub(crate) is_news: bool,
    /// Nobody had a fresh one.
    pub(crate) is_first: bool,
    /// Nobody had a fresh one that counts, and now somebody has.
    pub(crate) is_first_counting: bool,
    /// Evidence has an entry of just this unit.
    pub(crate) is_listed: bool,
}

/// How a unit stands in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) unit: Unit,
    pub(crate) owner: u32,
    pub(crate) is_shared: bool,
    /// Whether it stands in the line of the shared ones already.
    pub(crate) is_moved: bool,
    pub(crate) is_touched: bool,
}

/// Which line a unit stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Single,
    Shared,
}

/// The witnesses of each tracked unit.
#[derive(Debug)]
pub(crate) struct Evidence {
    index: Index,
    chunks: Vec<Vec<Node>>,
    free: Vec<u32>,
    /// Units that one host alone has seen, in line; and some that others have seen since.
    single: VecDeque<u32>,
    shared: VecDeque<u32>,
    /// Units of each host that nobody else has seen, by its number.
    owned: Vec<u32>,
    bound: usize,
}

impl Evidence {
    /// Room for `bound` units, at least 1.
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            index: Index::default(),
            chunks: Vec::new(),
            free: Vec::new(),
            single: VecDeque::new(),
            shared: VecDeque::new(),
            owned: Vec::new(),
            bound: bound.clamp(1, u32::MAX as usize - 1),
        }
    }

    /// Hashes with `seed` from here on.
    pub(crate) fn reseed(&mut self, seed: u64) {
        self.index.reseed(seed);
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether another unit has to go for the next.
    pub(crate) fn is_full(&self) -> bool {
        self.len() >= self.bound
    }

    /// The units that only `host` has seen.
    pub(crate) fn owned_by(&self, host: u32) -> usize {
        self.owned.get(host as usize).map_or(0, |count| *count as usize)
    }

    /// The sightings of `unit`, the newest first; some may be out of the window.
    pub(crate) fn of(&self, unit: Unit) -> &[Sighting] {
        self.index.get(unit).map_or(&[], |at| self.node(at).witnesses.as_slice())
    }

    /// The sightings of `unit`, and whether evidence has an entry of just that, as far as it is tracked.
    pub(crate) fn look(&self, unit: Unit) -> Option<(&[Sighting], bool)> {
        let node = self.node(self.index.get(unit)?);
        Some((node.witnesses.as_slice(), node.is_listed))
    }

    /// Says whether evidence has an entry of just `unit`.
    pub(crate) fn set_listed(&mut self, unit: Unit, is_listed: bool) {
        if let Some(at) = self.index.get(unit) {
            self.node_mut(at).is_listed = is_listed;
        }
    }

    /// Brings what is known of `units` near the processor, and says where they are. First all of the index, then all
    /// nodes, so that none of the many waits for memory is behind another one. `far` is told of those about which
    /// `host` has something new to say.
    pub(crate) fn warm(
        &self,
        units: impl Iterator<Item = Unit> + Clone,
        host: u32,
        mut far: impl FnMut(Unit),
    ) -> [Spot; WARMED] {
        let mut spots = [Spot::NONE; WARMED];
        black_box(units.clone().fold(0, |sum, unit| self.index.touch(unit) ^ sum));
        for (spot, unit) in spots.iter_mut().zip(units.clone()) {
            *spot = Spot(self.index.get(unit).unwrap_or(u32::MAX));
        }
        let known = spots.iter().filter(|spot| spot.0 != u32::MAX);
        black_box(known.fold(0, |sum, spot| self.node(spot.0).owner ^ sum));
        for (spot, unit) in spots.iter().zip(units) {
            if spot.0 == u32::MAX || self.node(spot.0).owner != host {
                far(unit);
            }
        }
        spots
    }

    /// Where `unit` is, which was at `spot` a moment ago.
    fn find(&self, unit: Unit, spot: Spot) -> Option<u32> {
        let node = self.chunks.get((spot.0 >> CHUNK_BITS) as usize);
        let node = node.and_then(|chunk| chunk.get((spot.0 & ((1 << CHUNK_BITS) - 1)) as usize));
        if node.is_some_and(|node| node.unit == unit && !node.is_free) {
            Some(spot.0)
        } else {
            self.index.get(unit)
        }
    }

    /// Whether `unit`, which was at `spot` a moment ago, is tracked.
    pub(crate) fn is_tracked(&self, unit: Unit, spot: Spot) -> bool {
        self.find(unit, spot).is_some()
    }

    /// The sightings of the unit that `noted` is about, if nothing was done since.
    pub(crate) fn sightings(&self, noted: Noted) -> &[Sighting] {
        self.node(noted.at).witnesses.as_slice()
    }

    /// Takes a sighting in (see [`Witnesses::note`]); there is room for it. A new unit is listed already
    /// if `is_listed` says so. It is news of a host that had no sighting since `lately`.
    pub(crate) fn note(
        &mut self,
        (unit, spot): (Unit, Spot),
        new: Sighting,
        lately: Moment,
        keep: Keep<'_>,
        is_listed: impl FnOnce() -> bool,
    ) -> Noted {
        let known = self.find(unit, spot);
        let at = known.unwrap_or_else(|| self.add(unit, new.host(), Line::Single, is_listed()));
        let node = self.node_mut(at);
        let before = since(node.witnesses.as_slice(), keep.horizon);
        let noted = Noted {
            at,
            is_new: known.is_none(),
            is_news: !before.iter().any(|old| old.host() == new.host() && old.seen() >= lately),
            is_first: before.is_empty(),
            is_first_counting: !before.iter().any(|old| old.counts()),
            is_listed: node.is_listed,
        };
        node.is_touched = known.is_some();
        node.witnesses.note(new, keep);
        let counts = |one: &Sighting| one.host() == new.host() && one.counts();
        let is_counting = noted.is_first_counting && node.witnesses.as_slice().iter().any(counts);
        if !node.is_shared && node.owner != new.host() {
            node.is_shared = true;
            let owner = node.owner;
            self.disown(owner);
        }
        Noted { is_first_counting: is_counting, ..noted }
    }

    /// Puts a unit behind those in its line: for a restored engine.
    pub(crate) fn push(&mut self, place: &Place, sightings: impl Iterator<Item = Sighting>) {
        let line = if place.is_moved { Line::Shared } else { Line::Single };
        let at = self.add(place.unit, place.owner, line, false);
        if place.is_shared && !place.is_moved {
            self.disown(place.owner);
        }
        let node = self.node_mut(at);
        (node.is_shared, node.is_touched) = (place.is_shared, place.is_touched);
        for sighting in sightings {
            node.witnesses.push(sighting);
        }
    }

    /// Drops units that have had nothing since `horizon`, at most `budget` of each line, up to the first
    /// that has and was not seen again. `gone` is told which.
    pub(crate) fn sweep(&mut self, horizon: Moment, budget: usize, mut gone: impl FnMut(Unit)) {
        for line in [Line::Single, Line::Shared] {
            for _ in 0..budget {
                let Some(at) = self.line(line).front().copied() else { break };
                if !self.is_fresh(at, horizon) {
                    gone(self.drop_front(line));
                } else if !self.pass_on(at, line) {
                    break;
                }
            }
        }
    }

    /// Makes room for one more unit. Tells which unit went, and whether it had evidence since `horizon`.
    pub(crate) fn evict(&mut self, horizon: Moment) -> Option<(Unit, bool)> {
        for line in [Line::Single, Line::Shared] {
            let mut chances = SECOND_CHANCES;
            while let Some(at) = self.line(line).front().copied() {
                let fresh = self.is_fresh(at, horizon);
                let moves = line == Line::Single && self.node(at).is_shared;
                if moves && self.pass_on(at, line) {
                    continue;
                }
                if fresh && chances > 0 && self.pass_on(at, line) {
                    chances -= 1;
                    continue;
                }
                return Some((self.drop_front(line), fresh));
            }
        }
        None
    }

    /// Forgets who saw the units that overlap `prefix`, unless those are too many. They stay in line until their
    /// turn.
    pub(crate) fn forget(&mut self, prefix: &Prefix) {
        for unit in units_within(prefix).into_iter().flatten() {
            if let Some(at) = self.index.get(unit) {
                self.node_mut(at).witnesses = Witnesses::default();
            }
        }
    }

    /// Every unit in line, those of one host first, with its sightings.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Place, &[Sighting])> {
        let single = self.single.iter().map(|at| (at, false));
        let shared = self.shared.iter().map(|at| (at, true));
        single.chain(shared).map(|(at, is_moved)| {
            let Node { unit, owner, is_shared, is_touched, witnesses, .. } = self.node(*at);
            let place = Place {
                unit: *unit,
                owner: *owner,
                is_shared: *is_shared,
                is_moved,
                is_touched: *is_touched,
            };
            (place, witnesses.as_slice())
        })
    }

    fn is_fresh(&self, at: u32, horizon: Moment) -> bool {
        self.node(at).witnesses.as_slice().first().is_some_and(|newest| newest.seen() >= horizon)
    }

    /// Sends the front of `line` to an end, if it belongs into the other line or was seen again.
    fn pass_on(&mut self, at: u32, line: Line) -> bool {
        let node = self.node_mut(at);
        let moves = line == Line::Single && node.is_shared;
        if !moves && !node.is_touched {
            return false;
        }
        node.is_touched &= moves;
        self.line(line).pop_front();
        self.line(if moves { Line::Shared } else { line }).push_back(at);
        true
    }

    fn drop_front(&mut self, line: Line) -> Unit {
        let at = self.line(line).pop_front().unwrap_or_default();
        let node = self.node_mut(at);
        node.witnesses = Witnesses::default();
        node.is_free = true;
        let (unit, owner, is_shared) = (node.unit, node.owner, node.is_shared);
        if !is_shared {
            self.disown(owner);
        }
        self.index.remove(unit);
        self.free.push(at);
        unit
    }

    fn add(&mut self, unit: Unit, owner: u32, line: Line, is_listed: bool) -> u32 {
        let is_shared = line == Line::Shared;
        let witnesses = Witnesses::default();
        let node = Node { unit, owner, is_shared, is_touched: false, is_listed, is_free: false, witnesses };
        let at = if let Some(at) = self.free.pop() {
            *self.node_mut(at) = node;
            at
        } else {
            self.append(node)
        };
        self.index.insert(unit, at);
        self.line(line).push_back(at);
        if !is_shared {
            self.own(owner);
        }
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
        u32::try_from(before + chunk.len() - 1).unwrap_or(u32::MAX)
    }

    fn own(&mut self, host: u32) {
        let at = host as usize;
        if at >= self.owned.len() {
            self.owned.resize(at + 1, 0);
        }
        self.owned[at] += 1;
    }

    fn disown(&mut self, host: u32) {
        if let Some(count) = self.owned.get_mut(host as usize) {
            *count = count.saturating_sub(1);
        }
    }

    fn line(&mut self, line: Line) -> &mut VecDeque<u32> {
        match line {
            Line::Single => &mut self.single,
            Line::Shared => &mut self.shared,
        }
    }

    fn node(&self, at: u32) -> &Node {
        &self.chunks[(at >> CHUNK_BITS) as usize][(at & ((1 << CHUNK_BITS) - 1)) as usize]
    }

    fn node_mut(&mut self, at: u32) -> &mut Node {
        &mut self.chunks[(at >> CHUNK_BITS) as usize][(at & ((1 << CHUNK_BITS) - 1)) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(horizon: i64) -> Keep<'static> {
        Keep { hosts: 3, zones: 1, horizon: Moment::from_millis(horizon), zone_of: &[] }
    }

    fn note(evidence: &mut Evidence, unit: u32, host: u32, seen: i64, horizon: i64) -> Option<(Unit, bool)> {
        let unit = Unit::V4(unit);
        let room = evidence.is_full() && evidence.look(unit).is_none();
        let gone = room.then(|| evidence.evict(Moment::from_millis(horizon))).flatten();
        let sighting = Sighting::new(host, Moment::from_millis(seen), 1, 1, true);
        evidence.note((unit, Spot::NONE), sighting, Moment::from_millis(0), keep(horizon), || false);
        gone
    }

    fn units(evidence: &Evidence) -> Vec<u32> {
        let bits = |unit: Unit| if let Unit::V4(bits) = unit { bits } else { 0 };
        evidence.iter().map(|(place, _)| bits(place.unit)).collect()
    }

    #[test]
    fn a_unit_stays_within_its_bytes() {
        assert_eq!(size_of::<Node>(), 64);
        // The index of ten million units, and their line.
        let units = sekisho_model::limits::MAX_UNITS;
        let slots = (units * 8 / Index::FULL_EIGHTHS).next_power_of_two();
        assert!(64 + slots * Index::SLOT_V6 / units + 8 <= 150);
    }

    #[test]
    fn the_first_in_line_goes_unless_it_was_seen_again() {
        let mut evidence = Evidence::new(3);
        for (unit, seen) in [(1, 1), (2, 2), (3, 3), (1, 4)] {
            assert_eq!(note(&mut evidence, unit, 0, seen, 0), None);
        }
        assert_eq!(note(&mut evidence, 4, 0, 5, 0), Some((Unit::V4(2), true)));
        assert_eq!(units(&evidence), [3, 1, 4]);
        assert_eq!(note(&mut evidence, 5, 0, 5, 5), Some((Unit::V4(3), false)), "it was stale anyway");
        assert_eq!(evidence.owned_by(0), 3);
    }

    #[test]
    fn what_several_hosts_saw_goes_last() {
        let mut evidence = Evidence::new(3);
        for (unit, host) in [(1, 0), (1, 1), (2, 0), (3, 0)] {
            note(&mut evidence, unit, host, 1, 0);
        }
        assert_eq!((evidence.owned_by(0), evidence.owned_by(1)), (2, 0));
        let gone: Vec<Unit> =
            (4..8).filter_map(|unit| note(&mut evidence, unit, 2, 2, 0)).map(|gone| gone.0).collect();
        assert_eq!(gone, [2, 3, 4, 5].map(Unit::V4));
        assert_eq!((evidence.owned_by(0), evidence.owned_by(2)), (0, 2));
        assert!(!evidence.of(Unit::V4(1)).is_empty());
    }

    #[test]
    fn slots_are_used_again() {
        let mut evidence = Evidence::new(5_000);
        for unit in 0..40_000 {
            note(&mut evidence, unit, 0, i64::from(unit), 0);
        }
        assert_eq!((evidence.len(), evidence.owned_by(0)), (5_000, 5_000));
        assert!(evidence.chunks.len() <= 2);
    }

    #[test]
    fn sweeping_stops_at_its_budget_and_at_fresh_evidence() {
        let mut evidence = Evidence::new(100);
        for unit in 1..=5 {
            note(&mut evidence, unit, 0, i64::from(unit), 0);
        }
        note(&mut evidence, 1, 0, 6, 0);
        let mut gone = Vec::new();
        evidence.sweep(Moment::from_millis(4), 2, |unit| gone.push(unit));
        assert_eq!(gone, [Unit::V4(2)], "the first was seen again");
        evidence.sweep(Moment::from_millis(4), 100, |unit| gone.push(unit));
        assert_eq!(units(&evidence), [4, 5, 1]);
        evidence.sweep(Moment::MAX, 100, |unit| gone.push(unit));
        assert_eq!((evidence.len(), gone.len(), evidence.owned_by(0)), (0, 5, 0));
    }

    #[test]
    fn a_prefix_is_forgotten_whole() {
        let mut evidence = Evidence::new(100);
        let addresses =
            ["203.0.113.7", "203.0.113.8", "198.51.100.1", "2001:db8::", "2001:db8:1::", "2001:db9::"];
        let all = addresses.map(|text| Unit::of(text.parse().unwrap()));
        for unit in all {
            let sighting = Sighting::new(0, Moment::from_millis(1), 1, 1, true);
            evidence.note((unit, Spot::NONE), sighting, Moment::from_millis(0), keep(0), || false);
        }
        let left = |evidence: &Evidence| all.map(|unit| evidence.of(unit).len());
        evidence.forget(&"203.0.113.0/24".parse().unwrap());
        assert_eq!(left(&evidence), [0, 0, 1, 1, 1, 1]);
        evidence.forget(&"2001:db8::/47".parse().unwrap());
        assert_eq!(left(&evidence), [0, 0, 1, 1, 1, 1], "too many to look at each");
        evidence.forget(&"2001:db8::/48".parse().unwrap());
        evidence.forget(&"2001:db8:1::/48".parse().unwrap());
        assert_eq!(left(&evidence), [0, 0, 1, 0, 0, 1]);
        evidence.forget(&"2001:db9::1".parse().unwrap());
        assert_eq!(left(&evidence), [0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn firsts_are_told() {
        let mut evidence = Evidence::new(10);
        let mut note = |host, seen, counts, horizon| {
            let sighting = Sighting::new(host, Moment::from_millis(seen), 1, 1, counts);
            let noted = evidence.note(
                (Unit::V4(1), Spot::NONE),
                sighting,
                Moment::from_millis(0),
                keep(horizon),
                || true,
            );
            (noted.is_new, noted.is_news, noted.is_first, noted.is_first_counting)
        };
        assert_eq!(note(0, 1, false, 0), (true, true, true, false));
        assert_eq!(note(0, 2, false, 0), (false, false, false, true), "two sockets count");
        assert_eq!(note(1, 3, true, 0), (false, true, false, false));
        assert_eq!(note(0, 9, false, 5), (false, true, true, false), "what is over begins anew");
        assert!(evidence.look(Unit::V4(1)).is_some_and(|(_, is_listed)| is_listed));
    }
}
