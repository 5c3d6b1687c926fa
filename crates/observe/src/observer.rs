//! Follows half-open sockets from pass to pass by their cookies.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, hash_map::Entry};
use sekisho_model::{
    Observation, Row, Unit,
    limits::{MAX_SOCKETS, MAX_SYNACK_RETRIES},
    never::is_unlistable,
};

/// The kernel's first SYN-ACK timeout is 1 s (`TCP_TIMEOUT_INIT`, RFC 6298) and doubles with each. A
/// socket whose timer is further off than that has had a timeout; if nothing was sent again by it, the
/// peer has answered and the listener waits for data (`TCP_DEFER_ACCEPT`): no victim of spoofing.
pub(crate) const FIRST_TIMEOUT: Duration = Duration::from_millis(1_100);

/// What one pass brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What is new since the pass before, sorted by unit.
    pub observations: Vec<Observation>,
    /// Units among them with a socket that is newly proven stuck.
    pub stuck_units: u64,
    /// Half-open sockets in the pass, proven stuck or not.
    pub half_open: u64,
    /// Sockets left out since too many are followed already.
    pub truncated: u64,
    /// SYN-ACKs that were sent to sockets proven stuck, and not told of in an earlier pass: their first ones,
    /// and all that were sent again.
    pub syn_acks: u64,
    /// Sockets proven stuck that are gone since the pass before, by how many retransmits they had come to; the last
    /// place has those with more.
    pub given_up: [u64; GIVEN_UP],
}

/// Places for sockets that are gone, by their retransmits.
pub const GIVEN_UP: usize = MAX_SYNACK_RETRIES as usize + 2;

/// The memory between passes.
#[derive(Clone, Debug)]
pub struct Observer {
    sockets: HashMap<u64, Socket, FixedState>,
    news: BTreeMap<Unit, News>,
    pass: u32,
    half_open: u64,
    truncated: u64,
    syn_acks: u64,
    limit: usize,
}

#[derive(Clone, Copy, Debug)]
struct Socket {
    pass: u32,
    retransmits: u8,
    deferred: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct News {
    sockets: u32,
    retransmits: u8,
}

impl Default for Observer {
    fn default() -> Self {
        Self::with_limit(MAX_SOCKETS)
    }
}

impl Observer {
    fn with_limit(limit: usize) -> Self {
        let sockets = HashMap::with_hasher(FixedState::default());
        Self { sockets, news: BTreeMap::new(), pass: 0, half_open: 0, truncated: 0, syn_acks: 0, limit }
    }

    /// Takes one row of the current pass.
    pub fn row(&mut self, row: &Row) {
        self.half_open += 1;
        let room = self.sockets.len() < self.limit;
        let socket = match self.sockets.entry(row.cookie) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if room => new.insert(Socket { pass: 0, retransmits: 0, deferred: false }),
            Entry::Vacant(_) => {
                self.truncated += 1;
                return;
            }
        };
        socket.pass = self.pass;
        socket.deferred |= row.retransmits == 0 && row.expires > FIRST_TIMEOUT;
        if socket.deferred || row.retransmits <= socket.retransmits {
            return;
        }
        let first = socket.retransmits == 0;
        self.syn_acks += u64::from(row.retransmits - socket.retransmits) + u64::from(first);
        socket.retransmits = row.retransmits;
        let unit = Unit::of(row.peer);
        if is_unlistable(&unit.prefix()) {
            return;
        }
        let news = self.news.entry(unit).or_default();
        news.sockets = news.sockets.saturating_add(u32::from(first));
        news.retransmits = news.retransmits.max(row.retransmits);
    }

    /// Ends the pass. Only a `whole` pass, which saw every socket, shows which ones are gone.
    pub fn end_pass(&mut self, whole: bool) -> Seen {
        let mut given_up = [0; GIVEN_UP];
        if whole {
            let pass = self.pass;
            self.sockets.retain(|_, socket| {
                let place = usize::from(socket.retransmits).min(GIVEN_UP - 1);
                let gone = socket.pass != pass;
                if let Some(count) = given_up.get_mut(place).filter(|_| gone && !socket.deferred && place > 0)
                {
                    *count += 1;
                }
                !gone
            });
        }
        self.pass = self.pass.wrapping_add(1);
        let news = core::mem::take(&mut self.news);
        let stuck = news.values().filter(|news| news.sockets > 0).count();
        let observation = |(unit, news): (Unit, News)| Observation {
            unit,
            sockets: news.sockets,
            retransmits: news.retransmits,
        };
        Seen {
            observations: news.into_iter().map(observation).collect(),
            stuck_units: stuck as u64,
            half_open: core::mem::take(&mut self.half_open),
            truncated: core::mem::take(&mut self.truncated),
            syn_acks: core::mem::take(&mut self.syn_acks),
            given_up,
        }
    }

    /// Sockets that are followed.
    pub fn followed(&self) -> usize {
        self.sockets.len()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn row(peer: &str, cookie: u64, retransmits: u8) -> Row {
        Row { peer: peer.parse().unwrap(), cookie, retransmits, expires: Duration::from_millis(900) }
    }

    fn pass(observer: &mut Observer, rows: &[Row]) -> Vec<(Unit, u32, u8)> {
        rows.iter().for_each(|row| observer.row(row));
        let seen = observer.end_pass(true);
        assert_eq!(seen.half_open, rows.len() as u64);
        assert_eq!(seen.stuck_units, seen.observations.iter().filter(|o| o.sockets > 0).count() as u64);
        seen.observations.iter().map(|o| (o.unit, o.sockets, o.retransmits)).collect()
    }

    #[test]
    fn presence_alone_is_no_evidence() {
        let mut observer = Observer::default();
        for _ in 0..3 {
            assert_eq!(pass(&mut observer, &[row("203.0.113.7", 1, 0)]), []);
        }
    }

    #[test]
    fn one_socket_counts_once_and_its_retransmits_are_told() {
        let mut observer = Observer::default();
        let unit = Unit::V4(0xcb00_7107);
        assert_eq!(
            pass(&mut observer, &[row("203.0.113.7", 1, 0), row("203.0.113.7", 2, 1)]),
            [(unit, 1, 1)]
        );
        assert_eq!(
            pass(&mut observer, &[row("203.0.113.7", 1, 1), row("203.0.113.7", 2, 1)]),
            [(unit, 1, 1)]
        );
        assert_eq!(
            pass(&mut observer, &[row("203.0.113.7", 1, 1), row("203.0.113.7", 2, 3)]),
            [(unit, 0, 3)]
        );
        assert_eq!(pass(&mut observer, &[row("203.0.113.7", 1, 1), row("203.0.113.7", 2, 3)]), []);
        // A new socket may get the old one's place in the table, never its cookie.
        assert_eq!(pass(&mut observer, &[row("203.0.113.7", 3, 1)]), [(unit, 1, 1)]);
        assert_eq!(observer.followed(), 1);
    }

    #[test]
    fn a_unit_is_newly_stuck_in_each_pass_that_proves_one_more_socket_of_it() {
        let mut observer = Observer::default();
        let mut stuck = |rows: &[Row]| {
            rows.iter().for_each(|row| observer.row(row));
            observer.end_pass(true).stuck_units
        };
        assert_eq!(stuck(&[row("203.0.113.7", 1, 1), row("203.0.113.7", 2, 1), row("203.0.113.8", 3, 1)]), 2);
        assert_eq!(stuck(&[row("203.0.113.7", 1, 2), row("203.0.113.7", 2, 1)]), 0, "only retransmits grew");
        assert_eq!(stuck(&[row("203.0.113.7", 1, 2), row("203.0.113.7", 4, 1)]), 1);
    }

    #[test]
    fn each_syn_ack_to_a_stuck_socket_is_counted_once_and_its_end_too() {
        let mut observer = Observer::default();
        let mut pass = |rows: &[Row]| {
            rows.iter().for_each(|row| observer.row(row));
            let seen = observer.end_pass(true);
            (seen.syn_acks, seen.given_up)
        };
        let none = [0; GIVEN_UP];
        assert_eq!(pass(&[row("203.0.113.7", 1, 0), row("203.0.113.7", 2, 1)]), (2, none));
        assert_eq!(pass(&[row("203.0.113.7", 1, 3), row("203.0.113.7", 2, 1)]), (4, none));
        let mut gone = none;
        (gone[1], gone[3]) = (1, 1);
        assert_eq!(pass(&[row("203.0.113.8", 3, 0)]), (0, gone));
        assert_eq!(pass(&[]), (0, none), "one that shows no retransmit may have been answered");
    }

    #[test]
    fn mapped_peers_and_one_subscribers_ipv6_addresses_are_one_unit() {
        let mut observer = Observer::default();
        let rows = [
            row("::ffff:203.0.113.7", 1, 1),
            row("203.0.113.7", 2, 2),
            row("2001:db8:0:1::1", 3, 1),
            row("2001:db8:0:1:ffff::2", 4, 1),
        ];
        let seen = pass(&mut observer, &rows);
        assert_eq!(seen, [(Unit::V4(0xcb00_7107), 2, 2), (Unit::V6(0x2001_0db8_0000_0001), 2, 1)]);
    }

    #[test]
    fn a_deferred_accept_never_counts() {
        let mut observer = Observer::default();
        let mut waiting = row("203.0.113.7", 1, 0);
        waiting.expires = Duration::from_millis(1_900);
        assert_eq!(pass(&mut observer, &[waiting]), []);
        // At the end of its patience the listener sends once more: still an answered handshake.
        assert_eq!(pass(&mut observer, &[row("203.0.113.7", 1, 1)]), []);
    }

    #[test]
    fn what_can_never_be_listed_is_not_reported() {
        let mut observer = Observer::default();
        assert_eq!(
            pass(&mut observer, &[row("127.0.0.1", 1, 3), row("fe80::1", 2, 3), row("::1", 3, 3)]),
            []
        );
    }

    #[test]
    fn an_interrupted_pass_forgets_nothing() {
        let mut observer = Observer::default();
        assert_eq!(pass(&mut observer, &[row("203.0.113.7", 1, 1)]).len(), 1);
        observer.end_pass(false);
        assert_eq!(pass(&mut observer, &[row("203.0.113.7", 1, 1)]), []);
    }

    #[test]
    fn the_number_of_sockets_is_bounded_and_the_rest_counted() {
        let mut observer = Observer::with_limit(2);
        (0..5).for_each(|cookie| observer.row(&row("203.0.113.7", cookie, 1)));
        let seen = observer.end_pass(true);
        assert_eq!((seen.half_open, seen.truncated, observer.followed()), (5, 3, 2));
    }

    proptest! {
        #[test]
        fn sockets_are_counted_as_by_a_list_of_all(passes in vec(vec((0u64..12, 0u8..4), 0..12), 1..12)) {
            let mut observer = Observer::default();
            let (mut counted, mut total) = (BTreeSet::new(), 0);
            let mut alive = BTreeSet::new();
            for rows in passes {
                let rows: BTreeMap<u64, u8> = rows.into_iter().collect();
                // The naive rule: a socket counts when first seen with a retransmit in one stretch of life.
                counted.retain(|cookie| rows.contains_key(cookie));
                let fresh = rows.iter().filter(|(cookie, retransmits)| **retransmits > 0 && counted.insert(**cookie));
                let want = fresh.count();
                let rows: Vec<Row> = rows.into_iter().map(|(cookie, n)| row("203.0.113.7", cookie, n)).collect();
                alive = rows.iter().map(|row| row.cookie).collect();
                let got: u32 = pass(&mut observer, &rows).iter().map(|(_, sockets, _)| sockets).sum();
                prop_assert_eq!(got as usize, want);
                total += want;
            }
            prop_assert_eq!(observer.followed(), alive.len());
            prop_assert!(total >= counted.len());
        }
    }
}
