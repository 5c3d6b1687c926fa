//! What was listed and what would have been, prefix by prefix.

use std::collections::HashMap;

use sekisho_model::{Change, Delta, Entry, Key, List, Member, Moment, Prefix};

use super::{COMPARED, Difference, Kind, Listing, TOLD};

/// The listings of both.
#[derive(Default)]
pub(super) struct Listings {
    prefixes: HashMap<Prefix, Pair>,
    /// Prefixes came that there was no room for.
    is_full: bool,
}

#[derive(Clone, Copy, Default)]
struct Pair {
    happened: Option<Listing>,
    would_have: Option<Listing>,
}

/// The comparison.
pub(super) struct Compared {
    pub(super) differences: Vec<Difference>,
    pub(super) left_out: u64,
    pub(super) happened: u64,
    pub(super) would_have: u64,
    pub(super) in_both: u64,
    /// Prefixes that would have been listed and were not, or later.
    pub(super) more: u64,
    /// Prefixes that are listed at the same moment and tier, and end at another time.
    pub(super) other_end: u64,
    /// Some prefixes were not compared.
    pub(super) is_full: bool,
}

impl Listings {
    /// Begins with what is listed under both.
    pub(super) fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut listings = Self::default();
        for entry in entries {
            let listing = Listing { tier: entry.tier, start: entry.created, end: None, listings: 1 };
            let pair = Pair { happened: Some(listing), would_have: Some(listing) };
            if let Some(known) = listings.pair(entry.prefix) {
                *known = pair;
            }
        }
        listings
    }

    /// What happened at `now`.
    pub(super) fn happened(&mut self, delta: Option<&Delta>, now: Moment) {
        self.note(delta, now, |pair| &mut pair.happened);
    }

    /// What would have happened at `now`.
    pub(super) fn would_have(&mut self, delta: Option<&Delta>, now: Moment) {
        self.note(delta, now, |pair| &mut pair.would_have);
    }

    fn note(&mut self, delta: Option<&Delta>, now: Moment, side: impl Fn(&mut Pair) -> &mut Option<Listing>) {
        for change in delta.into_iter().flat_map(|delta| &delta.changes) {
            match change {
                Change::Put(Member { prefix, list: List::Block(tier), .. }) => {
                    let Some(pair) = self.pair(*prefix) else { continue };
                    let listing =
                        side(pair).get_or_insert(Listing { tier: *tier, start: now, end: None, listings: 1 });
                    listing.tier = listing.tier.max(*tier);
                    if listing.end.take().is_some() {
                        listing.listings += 1;
                    }
                }
                Change::Remove(Key { allow: false, prefix }) => {
                    if let Some(listing) = self.prefixes.get_mut(prefix).and_then(|pair| side(pair).as_mut())
                    {
                        listing.end = Some(now);
                    }
                }
                _ => {}
            }
        }
    }

    fn pair(&mut self, prefix: Prefix) -> Option<&mut Pair> {
        if self.prefixes.len() >= COMPARED && !self.prefixes.contains_key(&prefix) {
            self.is_full = true;
            return None;
        }
        Some(self.prefixes.entry(prefix).or_default())
    }

    /// Compares, and sorts.
    pub(super) fn compared(self) -> Compared {
        let count =
            |is_in: fn(&Pair) -> bool| self.prefixes.values().filter(|pair| is_in(pair)).count() as u64;
        let happened = count(|pair| pair.happened.is_some());
        let would_have = count(|pair| pair.would_have.is_some());
        let in_both = count(|pair| pair.happened.is_some() && pair.would_have.is_some());
        let other_end = count(|pair| kind(pair).is_none() && pair.happened != pair.would_have);
        let more = count(|pair| matches!(kind(pair), Some(Kind::More | Kind::Earlier)));
        let differs = |(prefix, pair): (&Prefix, &Pair)| {
            let Pair { happened, would_have } = *pair;
            Some(Difference { prefix: *prefix, kind: kind(pair)?, happened, would_have })
        };
        let mut differences: Vec<_> = self.prefixes.iter().filter_map(differs).collect();
        differences.sort_unstable_by_key(|difference| difference.prefix);
        let left_out = differences.len().saturating_sub(TOLD) as u64;
        differences.truncate(TOLD);
        let is_full = self.is_full;
        Compared { differences, left_out, happened, would_have, in_both, more, other_end, is_full }
    }
}

/// How the two sides of a prefix differ, if they do.
fn kind(pair: &Pair) -> Option<Kind> {
    match (&pair.happened, &pair.would_have) {
        (None, None) => None,
        (None, Some(_)) => Some(Kind::More),
        (Some(_), None) => Some(Kind::Fewer),
        (Some(was), Some(would)) if was.tier != would.tier => Some(Kind::OtherTier),
        (Some(was), Some(would)) if would.start < was.start => Some(Kind::Earlier),
        (Some(was), Some(would)) if would.start > was.start => Some(Kind::Later),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sekisho_model::{Digest, Revision, Tier};

    use super::*;

    fn at(millis: i64) -> Moment {
        Moment::from_millis(millis)
    }

    fn delta(changes: Vec<Change>) -> Delta {
        Delta { previous: Revision(1), revision: Revision(2), changes, digest: Digest::EMPTY }
    }

    fn put(prefix: &str, tier: Tier) -> Delta {
        let (prefix, expires) = (prefix.parse().unwrap(), Moment::MAX);
        delta(vec![Change::Put(Member { prefix, list: List::Block(tier), expires })])
    }

    fn remove(prefix: &str) -> Delta {
        delta(vec![Change::Remove(Key { allow: false, prefix: prefix.parse().unwrap() })])
    }

    #[test]
    fn each_way_to_differ_is_told_apart() {
        let was = |all: &mut Listings, delta: Delta, now| all.happened(Some(&delta), now);
        let would = |all: &mut Listings, delta: Delta, now| all.would_have(Some(&delta), now);
        let mut all = Listings::default();
        let (more, fewer, earlier, later, tier, same, end) = (
            "203.0.113.1",
            "203.0.113.2",
            "203.0.113.3",
            "203.0.113.4",
            "203.0.113.5",
            "203.0.113.6",
            "203.0.113.7",
        );
        would(&mut all, put(more, Tier::Drop), at(1));
        was(&mut all, put(fewer, Tier::Drop), at(1));
        would(&mut all, put(earlier, Tier::Drop), at(1));
        was(&mut all, put(earlier, Tier::Drop), at(2));
        was(&mut all, put(later, Tier::Drop), at(1));
        would(&mut all, put(later, Tier::Drop), at(2));
        for prefix in [tier, same, end] {
            was(&mut all, put(prefix, Tier::Suppress), at(1));
            would(&mut all, put(prefix, Tier::Suppress), at(1));
        }
        was(&mut all, put(tier, Tier::Drop), at(2));
        was(&mut all, put(tier, Tier::Suppress), at(3));
        was(&mut all, remove(end), at(5));
        let compared = all.compared();
        let kinds: Vec<_> =
            compared.differences.iter().map(|one| (one.prefix.to_string(), one.kind)).collect();
        let expected = [
            (more, Kind::More),
            (fewer, Kind::Fewer),
            (earlier, Kind::Earlier),
            (later, Kind::Later),
            (tier, Kind::OtherTier),
        ];
        assert_eq!(kinds, expected.map(|(prefix, kind)| (prefix.to_owned(), kind)));
        assert_eq!((compared.happened, compared.would_have, compared.in_both), (6, 6, 5));
        assert_eq!((compared.more, compared.other_end, compared.left_out), (2, 1, 0));
        assert_eq!(compared.differences[4].happened.map(|one| one.tier), Some(Tier::Drop), "the strictest");
    }

    #[test]
    fn only_so_many_are_told_and_compared() {
        let mut all = Listings::default();
        let wide: Vec<Change> = (0..u32::try_from(COMPARED).unwrap() + 5)
            .map(|bits| {
                let prefix = Prefix::host(std::net::Ipv4Addr::from_bits(bits).into());
                Change::Put(Member { prefix, list: List::Block(Tier::Drop), expires: Moment::MAX })
            })
            .collect();
        all.would_have(Some(&delta(wide)), at(1));
        let compared = all.compared();
        assert!(compared.is_full);
        assert_eq!((compared.differences.len(), compared.left_out), (TOLD, (COMPARED - TOLD) as u64));
        assert!(compared.differences.is_sorted_by_key(|one| one.prefix));
    }

    #[test]
    fn a_prefix_that_comes_back_is_counted_again() {
        let mut all = Listings::default();
        for (start, end) in [(1, 5), (10, 15)] {
            all.happened(Some(&put("203.0.113.7", Tier::Drop)), at(start));
            all.happened(Some(&put("203.0.113.7", Tier::Drop)), at(start + 1));
            all.happened(Some(&remove("203.0.113.7")), at(end));
        }
        let compared = all.compared();
        let expected = Listing { tier: Tier::Drop, start: at(1), end: Some(at(15)), listings: 2 };
        assert_eq!(compared.differences[0].happened, Some(expected));
    }
}
