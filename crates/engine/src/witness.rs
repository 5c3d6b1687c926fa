//! The hosts that saw one unit: the most recent distinct ones, the newest first.

use alloc::vec::Vec;

use sekisho_model::Moment;

/// Witnesses that fit without memory of their own. An unlisted unit has fewer than its quorum, so
/// with the default quorum of 3 only listed ones spill.
const INLINE: usize = 3;

/// One host's most recent sighting of a unit. 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// When it was seen, by the log's time.
    pub(crate) seen: Moment,
    /// The host's number.
    pub(crate) host: u32,
    /// The most retransmits that it has reported; 0 for a hit.
    pub(crate) retransmits: u8,
}

const NOBODY: Sighting = Sighting { seen: Moment::EPOCH, host: 0, retransmits: 0 };

/// Sightings of one unit by distinct hosts, the newest first. 56 bytes while there are few.
#[derive(Clone, Debug)]
pub(crate) enum Witnesses {
    Few { count: u8, list: [Sighting; INLINE] },
    Many(Vec<Sighting>),
}

impl Default for Witnesses {
    fn default() -> Self {
        Self::Few { count: 0, list: [NOBODY; INLINE] }
    }
}

impl Witnesses {
    pub(crate) fn as_slice(&self) -> &[Sighting] {
        match self {
            Self::Few { count, list } => &list[..usize::from(*count)],
            Self::Many(list) => list,
        }
    }

    /// Takes a sighting in, and keeps the `keep` most recent hosts with one since `horizon`.
    ///
    /// Keeping only so many is exact: "at least N hosts since the horizon" is "the Nth most recent
    /// is since the horizon", and `keep` is over N. Among equals, who came first stays first.
    pub(crate) fn note(&mut self, mut new: Sighting, keep: usize, horizon: Moment) {
        if let Some(at) = self.as_slice().iter().position(|old| old.host == new.host) {
            let old = &mut self.as_mut_slice()[at];
            if new.seen <= old.seen {
                old.retransmits = old.retransmits.max(new.retransmits);
                return;
            }
            if old.seen >= horizon {
                new.retransmits = new.retransmits.max(old.retransmits);
            }
            self.remove(at);
        }
        self.truncate(since(self.as_slice(), horizon).len());
        let at = since(self.as_slice(), new.seen).len();
        if at < keep {
            self.insert(at, new);
        }
        self.truncate(keep);
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
                list[at..].rotate_right(1);
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
                list[at..].rotate_left(1);
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

/// The part of a list, newest first, that is not before `horizon`.
pub(crate) fn since(list: &[Sighting], horizon: Moment) -> &[Sighting] {
    &list[..list.partition_point(|sighting| sighting.seen >= horizon)]
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_most_recent_distinct_hosts_are_kept(
            raw in vec((0i64..20, 0u32..8, 1u8..4), 0..40), keep in 1usize..7, horizon in 0i64..20
        ) {
            let horizon = Moment::from_millis(horizon);
            let mut kept = Witnesses::default();
            let mut all: Vec<Sighting> = Vec::new();
            for (seen, host, retransmits) in raw {
                let new = Sighting { seen: Moment::from_millis(seen), host, retransmits };
                kept.note(new, keep, Moment::EPOCH);
                match all.iter_mut().find(|old| old.host == host) {
                    Some(old) => old.seen = old.seen.max(new.seen),
                    None => all.push(new),
                }
            }
            let list = kept.as_slice();
            prop_assert!(list.is_sorted_by(|a, b| a.seen >= b.seen));
            prop_assert!(list.len() <= keep);
            // Whether N hosts agree is answered as if all had been kept, for every N up to `keep`.
            let truth = all.iter().filter(|one| one.seen >= horizon).count();
            prop_assert_eq!(since(list, horizon).len(), truth.min(keep));
            for one in list {
                prop_assert!(all.iter().any(|other| other.host == one.host && other.seen == one.seen));
            }
        }
    }

    #[test]
    fn sizes_stay_small() {
        assert_eq!(size_of::<Sighting>(), 16);
        assert!(size_of::<Witnesses>() <= 56, "{}", size_of::<Witnesses>());
    }

    #[test]
    fn what_is_out_of_the_window_is_forgotten_with_its_retransmits() {
        let at = |seen, host, retransmits| Sighting { seen: Moment::from_millis(seen), host, retransmits };
        let mut list = Witnesses::default();
        list.note(at(1, 1, 5), 5, Moment::EPOCH);
        list.note(at(2, 2, 5), 5, Moment::EPOCH);
        list.note(at(9, 1, 1), 5, Moment::from_millis(5));
        assert_eq!(list.as_slice(), [at(9, 1, 1)]);
        list.note(at(10, 1, 3), 5, Moment::from_millis(5));
        list.note(at(8, 1, 4), 5, Moment::from_millis(5));
        assert_eq!(list.as_slice(), [at(10, 1, 4)]);
    }
}
