//! The allowlist as the kernel can hold it: disjoint ranges, since prefixes of an allowlist may lie
//! in each other and end at different times.

use alloc::{collections::BTreeMap, vec::Vec};
use core::net::IpAddr;

use sekisho_model::{Moment, Prefix};

use crate::range::{Range, next, previous};

/// A run of addresses that are allowlisted until the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Piece {
    /// The addresses.
    pub range: Range,
    /// When the last of the prefixes that hold them ends.
    pub expires: Moment,
}

/// Cuts `prefixes` into disjoint pieces, sorted: each address until the latest end of any prefix that
/// holds it.
///
/// Prefixes are either nested or disjoint, so one walk in order, with the chain of enclosing ones on
/// a stack, is enough. A prefix that ends no later than one around it adds nothing; it comes to light
/// when the wider one is taken off and the cover is made anew.
pub fn cover(prefixes: &BTreeMap<Prefix, Moment>) -> Vec<Piece> {
    let mut sweep = Sweep::default();
    for (prefix, expires) in prefixes {
        sweep.enter(Range::from(*prefix), *expires);
    }
    while sweep.leave() {}
    sweep.pieces
}

#[derive(Default)]
struct Sweep {
    pieces: Vec<Piece>,
    around: Vec<Piece>,
    /// The first address of the innermost open range that is in no piece yet; none past the family's last.
    cursor: Option<IpAddr>,
}

impl Sweep {
    fn enter(&mut self, range: Range, expires: Moment) {
        while self.around.last().is_some_and(|open| open.range.last() < range.first()) {
            self.leave();
        }
        if let Some(open) = self.around.last().copied() {
            if expires <= open.expires {
                return;
            }
            self.emit(previous(range.first()), open.expires);
        }
        self.cursor = Some(range.first());
        self.around.push(Piece { range, expires });
    }

    /// Closes the innermost open range.
    fn leave(&mut self) -> bool {
        let Some(open) = self.around.pop() else { return false };
        self.emit(Some(open.range.last()), open.expires);
        self.cursor = next(open.range.last());
        true
    }

    /// Makes a piece of everything from the cursor to `last`, if there is anything.
    fn emit(&mut self, last: Option<IpAddr>, expires: Moment) {
        let range = self.cursor.zip(last).and_then(|(first, last)| Range::new(first, last));
        self.pieces.extend(range.map(|range| Piece { range, expires }));
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use proptest::prelude::*;

    use super::*;

    fn text(prefixes: &[(&str, i64)]) -> String {
        let map = prefixes.iter().map(|(p, e)| (p.parse().unwrap(), Moment::from_millis(*e))).collect();
        let pieces = cover(&map);
        pieces.iter().map(|piece| format!("{}={} ", piece.range, piece.expires.as_millis())).collect()
    }

    #[test]
    fn a_longer_lived_host_is_cut_out_of_its_network() {
        assert_eq!(
            text(&[("203.0.113.0/24", 5), ("203.0.113.1", 9)]),
            "203.0.113.0=5 203.0.113.1=9 203.0.113.2-203.0.113.255=5 "
        );
    }

    #[test]
    fn what_ends_no_later_than_its_network_adds_nothing() {
        assert_eq!(text(&[("203.0.113.0/24", 5), ("203.0.113.1", 5)]), "203.0.113.0/24=5 ");
        assert_eq!(
            text(&[("203.0.113.0/24", 5), ("203.0.113.0/25", 4), ("203.0.113.0", 6)]),
            "203.0.113.0=6 203.0.113.1-203.0.113.255=5 "
        );
    }

    #[test]
    fn the_edges_of_a_family_hold() {
        assert_eq!(
            text(&[("0.0.0.0/0", 5), ("255.255.255.255", 9)]),
            "0.0.0.0-255.255.255.254=5 255.255.255.255=9 "
        );
        assert_eq!(
            text(&[("0.0.0.0/0", 5), ("0.0.0.0", 9), ("::/0", 5)]),
            "0.0.0.0=9 0.0.0.1-255.255.255.255=5 ::/0=5 "
        );
    }

    proptest! {
        #[test]
        fn every_address_ends_with_the_latest_prefix_around_it(
            raw in proptest::collection::btree_map((0u8..64, 26u8..=32), 0i64..6, 0..12)
        ) {
            let address = |low: u8| IpAddr::V4([203, 0, 113, low].into());
            let map: BTreeMap<Prefix, Moment> = raw.iter()
                .map(|((low, length), e)| (Prefix::host(address(*low)).widened(*length), Moment::from_millis(*e)))
                .collect();
            let pieces = cover(&map);
            for pair in pieces.windows(2) {
                prop_assert!(pair[0].range.last() < pair[1].range.first());
            }
            for low in 0..=255 {
                let wanted = map.iter().filter(|(p, _)| p.contains(address(low))).map(|(_, e)| *e).max();
                let single = Range::single(address(low));
                let got = pieces.iter().find(|piece| piece.range.overlaps(&single)).map(|piece| piece.expires);
                prop_assert_eq!(got, wanted);
            }
        }
    }
}
