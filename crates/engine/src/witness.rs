//! The hosts that saw one thing: the most recent distinct ones, the newest first.

use alloc::vec::Vec;
use core::fmt;

use sekisho_model::Moment;

/// Sightings that fit without memory of their own.
const INLINE: usize = 3;
/// Bits of the moment that stand in the second word.
const HIGH_BITS: i64 = 0xffff;
/// The flag in the third word; the host's number is in the rest.
const COUNTS: u32 = 1 << 31;

/// One host's most recent sighting. 12 bytes: 48 bits of milliseconds since 1970, 8 of retransmits, 8 of
/// sockets, 31 of the host's number and one for whether it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting([u32; 3]);

impl Sighting {
    /// A sighting at `seen`, which is not before 1970.
    pub(crate) fn new(host: u32, seen: Moment, retransmits: u8, sockets: u8, counts: bool) -> Self {
        let [a, b, c, d, e, f, ..] = u64::try_from(seen.as_millis()).unwrap_or(0).to_le_bytes();
        let counts = if counts { COUNTS } else { 0 };
        Self([
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, retransmits, sockets]),
            (host & !COUNTS) | counts,
        ])
    }

    /// When it was seen, by the log's time.
    pub(crate) fn seen(self) -> Moment {
        Moment::from_millis(i64::from(self.0[0]) | (i64::from(self.0[1]) & HIGH_BITS) << 32)
    }

    /// The host's number.
    pub(crate) fn host(self) -> u32 {
        self.0[2] & !COUNTS
    }

    /// The most retransmits that it has reported; 0 for a hit.
    pub(crate) fn retransmits(self) -> u8 {
        self.0[1].to_le_bytes()[2]
    }

    /// Stuck sockets that it has reported, up to 255; 0 for a hit.
    pub(crate) fn sockets(self) -> u8 {
        self.0[1].to_le_bytes()[3]
    }

    /// Whether it counts towards a quorum.
    pub(crate) fn counts(self) -> bool {
        self.0[2] & COUNTS != 0
    }

    /// This one, which is the newer, and what is still fresh of the one before.
    fn after(self, old: Self, horizon: Moment) -> Self {
        if old.seen() < horizon {
            return self;
        }
        let sockets = self.sockets().saturating_add(old.sockets());
        let counts = self.counts() || old.counts() || sockets > 1;
        let retransmits = self.retransmits().max(old.retransmits());
        Self::new(self.host(), self.seen().max(old.seen()), retransmits, sockets, counts)
    }
}

impl fmt::Debug for Sighting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.seen().as_millis();
        write!(out, "{}@{seen} x{}/{}", self.host(), self.sockets(), self.retransmits())?;
        if self.counts() { Ok(()) } else { out.write_str(" weak") }
    }
}

/// How much of a list is kept.
#[derive(Clone, Copy)]
pub(crate) struct Keep<'a> {
    /// So many hosts.
    pub(crate) hosts: usize,
    /// Of so many zones the newest host before others.
    pub(crate) zones: usize,
    /// What is before goes.
    pub(crate) horizon: Moment,
    /// The zone of a host, as a number.
    pub(crate) zone_of: &'a [u32],
}

impl<'a> Keep<'a> {
    /// With these zones.
    pub(crate) fn in_zones(self, zone_of: &'a [u32]) -> Self {
        Self { zone_of, ..self }
    }
}

/// Sightings by distinct hosts, the newest first. 40 bytes while there are few.
#[derive(Clone, Debug)]
pub(crate) enum Witnesses {
    Few { count: u8, list: [Sighting; INLINE] },
    Many(Vec<Sighting>),
}

impl Default for Witnesses {
    fn default() -> Self {
        Self::Few { count: 0, list: [Sighting([0; 3]); INLINE] }
    }
}

impl Witnesses {
    pub(crate) fn as_slice(&self) -> &[Sighting] {
        match self {
            Self::Few { count, list } => &list[..usize::from(*count)],
            Self::Many(list) => list,
        }
    }

    /// Takes a sighting in, and keeps the most recent hosts.
    ///
    /// Keeping only so many is exact: "at least N hosts since the horizon" is "the Nth most recent is
    /// since the horizon". Among equals, who came first stays first.
    pub(crate) fn note(&mut self, mut new: Sighting, keep: Keep<'_>) {
        if let Some(at) = self.as_slice().iter().position(|old| old.host() == new.host()) {
            let old = self.as_slice()[at];
            new = new.after(old, keep.horizon);
            if new.seen() == old.seen() {
                self.as_mut_slice()[at] = new;
                return;
            }
            self.remove(at);
        }
        self.truncate(since(self.as_slice(), keep.horizon).len());
        let at = since(self.as_slice(), new.seen()).len();
        self.insert(at, new);
        while self.as_slice().len() > keep.hosts {
            self.remove(dispensable(self.as_slice(), keep));
        }
    }

    /// Puts a sighting behind all others: for a restored list, which is in order already.
    pub(crate) fn push(&mut self, last: Sighting) {
        self.insert(self.as_slice().len(), last);
    }

    fn as_mut_slice(&mut self) -> &mut [Sighting] {
        match self {
            Self::Few { count, list } => &mut list[..usize::from(*count)],
            Self::Many(list) => list,
        }
    }

    fn insert(&mut self, at: usize, new: Sighting) {
        match self {
            Self::Few { count, list } if usize::from(*count) < INLINE => {
                list.copy_within(at..usize::from(*count), at + 1);
                list[at] = new;
                *count += 1;
            }
            Self::Few { list, .. } => {
                let mut many = Vec::with_capacity(INLINE + 2);
                many.extend_from_slice(list);
                many.insert(at, new);
                *self = Self::Many(many);
            }
            Self::Many(list) => list.insert(at, new),
        }
    }

    fn remove(&mut self, at: usize) {
        match self {
            Self::Few { count, list } => {
                list.copy_within(at + 1..usize::from(*count), at);
                *count -= 1;
            }
            Self::Many(list) => {
                list.remove(at);
            }
        }
    }

    fn truncate(&mut self, length: usize) {
        match self {
            Self::Few { count, .. } => *count = u8::try_from(length).map_or(*count, |new| new.min(*count)),
            Self::Many(list) => list.truncate(length),
        }
    }
}

/// The place in `list` of the one to do without: the oldest that is not the newest of one of the newest
/// `zones` zones. Those behind it are so few that the hosts before it are enough by number, too.
fn dispensable(list: &[Sighting], keep: Keep<'_>) -> usize {
    let last = list.len().saturating_sub(1);
    if keep.zones < 2 {
        return last;
    }
    let zone = |at: usize| keep.zone_of.get(list[at].host() as usize).copied().unwrap_or(0);
    let (mut zones, mut found) = (Vec::with_capacity(keep.zones), last);
    for at in 0..list.len() {
        if zones.len() < keep.zones && !zones.contains(&zone(at)) {
            zones.push(zone(at));
        } else {
            found = at;
        }
    }
    found
}

/// The part of a list, newest first, that is not before `horizon`.
pub(crate) fn since(list: &[Sighting], horizon: Moment) -> &[Sighting] {
    // Short lists: a walk from the front costs less than a binary search.
    let fresh = list.iter().take_while(|sighting| sighting.seen() >= horizon).count();
    &list[..fresh]
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn keep(hosts: usize, zones: usize, horizon: i64, zone_of: &[u32]) -> Keep<'_> {
        Keep { hosts, zones, horizon: Moment::from_millis(horizon), zone_of }
    }

    #[test]
    fn a_sighting_holds_what_was_put_in() {
        let seen = Moment::from_millis(1_795_000_123_456);
        let one = Sighting::new(99_999, seen, 5, 255, true);
        assert_eq!((one.host(), one.seen(), one.retransmits(), one.sockets()), (99_999, seen, 5, 255));
        assert!(one.counts() && !Sighting::new(1, seen, 1, 1, false).counts());
        assert_eq!((size_of::<Sighting>(), size_of::<Witnesses>()), (12, 40));
    }

    #[test]
    fn a_second_socket_makes_a_weak_sighting_count() {
        let weak = |seen| Sighting::new(1, Moment::from_millis(seen), 1, 1, false);
        let mut list = Witnesses::default();
        list.note(weak(10), keep(4, 1, 0, &[]));
        assert!(!list.as_slice()[0].counts());
        list.note(weak(20), keep(4, 1, 15, &[]));
        assert!(!list.as_slice()[0].counts(), "the first was forgotten");
        list.note(weak(20), keep(4, 1, 15, &[]));
        assert!(list.as_slice()[0].counts() && list.as_slice()[0].sockets() == 2);
    }

    proptest! {
        #[test]
        fn quorums_are_as_with_everything_kept(
            raw in vec((0i64..40, 0u32..12), 1..60), (hosts, zones) in (1usize..5, 1usize..4), horizon in 0i64..40
        ) {
            let zone_of: Vec<u32> = (0..12).map(|host| host % 5).collect();
            let (mut list, mut all) = (Witnesses::default(), [None; 12]);
            for (seen, host) in raw {
                list.note(
                    Sighting::new(host, Moment::from_millis(seen), 1, 1, true),
                    keep(hosts + zones, zones, i64::MIN, &zone_of),
                );
                all[host as usize] = all[host as usize].max(Some(seen));
            }
            let listed = since(list.as_slice(), Moment::from_millis(horizon));
            prop_assert!(list.as_slice().is_sorted_by_key(|one| -one.seen().as_millis()));
            let fresh: Vec<usize> = (0..12).filter(|host| all[*host].is_some_and(|seen| seen >= horizon)).collect();
            let zones_of = |hosts: &mut dyn Iterator<Item = usize>| hosts.map(|host| zone_of[host]).collect::<BTreeSet<_>>().len();
            prop_assert_eq!(listed.len() >= hosts, fresh.len() >= hosts);
            prop_assert_eq!(
                zones_of(&mut listed.iter().map(|one| one.host() as usize)) >= zones,
                zones_of(&mut fresh.iter().copied()) >= zones
            );
        }
    }
}
