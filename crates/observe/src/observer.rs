//! Follows half-open handshakes by what the sensors tell of them, and says what is new.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{
    hash::{Hash, Hasher},
    net::IpAddr,
    time::Duration,
};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, hash_map::Entry};
use sekisho_model::{
    Handshake, Moment, Observation, Row, Sensor, Unit,
    limits::{HANDSHAKE_MEMORY, MAX_HANDSHAKES, MAX_SYNACK_RETRIES},
    never::is_unlistable,
};
use siphasher::sip::SipHasher13;

use crate::life::Life;

/// How often handshakes that ended are looked for where no pass says that they did.
const SWEEP: Duration = Duration::from_secs(1);

/// What one pass of a sensor brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What is new since the pass before, sorted by unit.
    pub observations: Vec<Observation>,
    /// Units among them with a handshake that is newly proven stuck.
    pub stuck_units: u64,
    /// Rows of the pass, proven stuck or not.
    pub half_open: u64,
    /// Rows left out since too many handshakes are followed already.
    pub truncated: u64,
    /// SYN-ACKs that were sent to sockets proven stuck, and not told of in an earlier pass: their first ones,
    /// and all that were sent again.
    pub syn_acks: u64,
    /// Sockets proven stuck that are gone since the pass before, by how many retransmits they had come to; the last
    /// place has those with more.
    pub given_up: [u64; GIVEN_UP],
}

/// Places for handshakes that are gone, by their retransmits.
pub const GIVEN_UP: usize = MAX_SYNACK_RETRIES as usize + 2;

/// The memory between passes, one for all sensors.
#[derive(Clone, Debug)]
pub struct Observer {
    /// The lives by a hash of both ends. Its key is a secret: who could find two handshakes with the same hash
    /// could hide one behind the other.
    lives: HashMap<u64, Life, FixedState>,
    key: [u8; 16],
    own: Vec<IpAddr>,
    memory: Duration,
    news: BTreeMap<Unit, News>,
    swept: Moment,
    half_open: u64,
    truncated: u64,
    syn_acks: u64,
    limit: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct News {
    sockets: u32,
    retransmits: u8,
}

impl Observer {
    /// One that knows nothing yet. `key` is a random number that nobody else knows.
    pub fn new(key: [u8; 16]) -> Self {
        Self::with_limit(key, MAX_HANDSHAKES)
    }

    fn with_limit(key: [u8; 16], limit: usize) -> Self {
        Self {
            lives: HashMap::with_hasher(FixedState::default()),
            key,
            own: Vec::new(),
            memory: Duration::ZERO,
            news: BTreeMap::new(),
            swept: Moment::EPOCH,
            half_open: 0,
            truncated: 0,
            syn_acks: 0,
            limit,
        }
    }

    /// How many sensors there are: with several, what one told of is remembered for the others.
    pub fn set_sensors(&mut self, count: usize) {
        self.memory = if count > 1 { HANDSHAKE_MEMORY } else { Duration::ZERO };
    }

    /// The host's own addresses: handshakes with them are no reflection. The tracepoint sees a masquerade of ours
    /// as the peer, where conntrack knows the true client.
    pub fn set_own(&mut self, mut addresses: Vec<IpAddr>) {
        addresses.sort_unstable();
        self.own = addresses;
    }

    /// Takes one row of the current pass of a sensor, seen at `now`.
    pub fn row(&mut self, row: &Row, now: Moment) {
        self.half_open += 1;
        let unit = Unit::of(row.victim);
        if is_unlistable(&unit.prefix()) || self.own.binary_search(&row.victim.to_canonical()).is_ok() {
            return;
        }
        let room = self.lives.len() < self.limit;
        let life = match self.lives.entry(hash(self.key, &row.handshake)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if room => new.insert(Life::begun(now)),
            Entry::Vacant(_) => {
                self.truncated += 1;
                return;
            }
        };
        let told = life.take(&row.sign, now);
        self.syn_acks += life.sent_since(&row.sign);
        let Some(told) = told else { return };
        let news = self.news.entry(unit).or_default();
        news.sockets = news.sockets.saturating_add(u32::from(told.is_first));
        news.retransmits = news.retransmits.max(told.retransmits);
    }

    /// Ends a pass of `sensor` at `now`. Only a `whole` pass, which saw all that the sensor can see, shows which
    /// handshakes are gone; the tracepoint has no such pass.
    pub fn end_pass(&mut self, sensor: Sensor, whole: bool, now: Moment) -> Seen {
        let mut given_up = [0; GIVEN_UP];
        if sensor != Sensor::Tracepoint || now.since(self.swept) >= SWEEP {
            self.swept = now;
            let memory = self.memory;
            self.lives.retain(|_, life| {
                let gone = life.end_pass(sensor, whole);
                if let Some(count) =
                    gone.and_then(|sent| given_up.get_mut(usize::from(sent).min(GIVEN_UP - 1)))
                {
                    *count += 1;
                }
                life.is_remembered(memory, now)
            });
        }
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

    /// Handshakes that are followed.
    pub fn followed(&self) -> usize {
        self.lives.len()
    }
}

fn hash(key: [u8; 16], handshake: &Handshake) -> u64 {
    let mut hasher = SipHasher13::new_with_key(&key);
    handshake.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use core::net::SocketAddr;

    use proptest::{collection::vec, prelude::*};
    use sekisho_model::Sign;

    use super::*;

    /// A socket of a handshake of its own: the port is the cookie's.
    fn row(peer: &str, cookie: u64, retransmits: u8) -> Row {
        let victim = peer.parse().unwrap();
        let port = u16::try_from(cookie).unwrap();
        let handshake = Handshake::new(SocketAddr::new(victim, port), "192.0.2.1:443".parse().unwrap());
        let sign = Sign::Socket { cookie, retransmits, expires: Duration::from_millis(900) };
        Row { victim, handshake, sign }
    }

    fn alone() -> Observer {
        Observer::new([7; 16])
    }

    fn whole(observer: &mut Observer) -> Seen {
        observer.end_pass(Sensor::SockDiag, true, Moment::EPOCH)
    }

    fn pass(observer: &mut Observer, rows: &[Row]) -> Vec<(Unit, u32, u8)> {
        rows.iter().for_each(|row| observer.row(row, Moment::EPOCH));
        let seen = whole(observer);
        assert_eq!(seen.half_open, rows.len() as u64);
        assert_eq!(seen.stuck_units, seen.observations.iter().filter(|o| o.sockets > 0).count() as u64);
        seen.observations.iter().map(|o| (o.unit, o.sockets, o.retransmits)).collect()
    }

    #[test]
    fn presence_alone_is_no_evidence() {
        let mut observer = alone();
        for _ in 0..3 {
            assert_eq!(pass(&mut observer, &[row("203.0.113.7", 1, 0)]), []);
        }
    }

    #[test]
    fn one_socket_counts_once_and_its_retransmits_are_told() {
        let mut observer = alone();
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
        assert_eq!(pass(&mut observer, &[row("203.0.113.7", 3, 1)]), [(unit, 1, 1)]);
        assert_eq!(observer.followed(), 1);
        // A new socket may get the old one's ends, never its cookie.
        let mut again = row("203.0.113.7", 3, 1);
        again.sign = Sign::Socket { cookie: 4, retransmits: 1, expires: Duration::ZERO };
        assert_eq!(pass(&mut observer, &[again]), [(unit, 1, 1)]);
    }

    #[test]
    fn a_unit_is_newly_stuck_in_each_pass_that_proves_one_more_socket_of_it() {
        let mut observer = alone();
        let mut stuck = |rows: &[Row]| {
            rows.iter().for_each(|row| observer.row(row, Moment::EPOCH));
            whole(&mut observer).stuck_units
        };
        assert_eq!(stuck(&[row("203.0.113.7", 1, 1), row("203.0.113.7", 2, 1), row("203.0.113.8", 3, 1)]), 2);
        assert_eq!(stuck(&[row("203.0.113.7", 1, 2), row("203.0.113.7", 2, 1)]), 0, "only retransmits grew");
        assert_eq!(stuck(&[row("203.0.113.7", 1, 2), row("203.0.113.7", 4, 1)]), 1);
    }

    #[test]
    fn each_syn_ack_to_a_stuck_socket_is_counted_once_and_its_end_too() {
        let mut observer = alone();
        let mut pass = |rows: &[Row]| {
            rows.iter().for_each(|row| observer.row(row, Moment::EPOCH));
            let seen = whole(&mut observer);
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
        let mut observer = alone();
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
        let mut observer = alone();
        let mut waiting = row("203.0.113.7", 1, 0);
        waiting.sign = Sign::Socket { cookie: 1, retransmits: 0, expires: Duration::from_millis(1_900) };
        assert_eq!(pass(&mut observer, &[waiting]), []);
        // At the end of its patience the listener sends once more: still an answered handshake.
        assert_eq!(pass(&mut observer, &[row("203.0.113.7", 1, 1)]), []);
    }

    #[test]
    fn what_can_never_be_listed_is_not_reported() {
        let mut observer = alone();
        assert_eq!(
            pass(&mut observer, &[row("127.0.0.1", 1, 3), row("fe80::1", 2, 3), row("::1", 3, 3)]),
            []
        );
    }

    #[test]
    fn our_own_addresses_are_not_reported() {
        let mut observer = alone();
        observer.set_own(["198.51.100.3", "198.51.100.2"].map(|own| own.parse().unwrap()).to_vec());
        let rows = ["::ffff:198.51.100.2", "198.51.100.3", "198.51.100.4"].map(|peer| row(peer, 1, 1));
        assert_eq!(pass(&mut observer, &rows), [(Unit::V4(0xc633_6404), 1, 1)]);
    }

    #[test]
    fn an_interrupted_pass_forgets_nothing() {
        let mut observer = alone();
        assert_eq!(pass(&mut observer, &[row("203.0.113.7", 1, 1)]).len(), 1);
        observer.end_pass(Sensor::SockDiag, false, Moment::EPOCH);
        assert_eq!(pass(&mut observer, &[row("203.0.113.7", 1, 1)]), []);
    }

    #[test]
    fn the_number_of_sockets_is_bounded_and_the_rest_counted() {
        let mut observer = Observer::with_limit([7; 16], 2);
        (1..6).for_each(|cookie| observer.row(&row("203.0.113.7", cookie, 1), Moment::EPOCH));
        let seen = whole(&mut observer);
        assert_eq!((seen.half_open, seen.truncated, observer.followed()), (5, 3, 2));
    }

    proptest! {
        #[test]
        fn sockets_are_counted_as_by_a_list_of_all(passes in vec(vec((1u64..12, 0u8..4), 0..12), 1..12)) {
            let mut observer = alone();
            let (mut counted, mut total) = (BTreeSet::new(), 0);
            let mut alive = BTreeSet::new();
            for rows in passes {
                let rows: BTreeMap<u64, u8> = rows.into_iter().collect();
                // The naive rule: a socket counts when first seen with a retransmit in one stretch of life.
                counted.retain(|cookie| rows.contains_key(cookie));
                let fresh = rows.iter().filter(|(cookie, retransmits)| **retransmits > 0 && counted.insert(**cookie));
                let want = fresh.count();
                let rows: Vec<Row> = rows.into_iter().map(|(cookie, n)| row("203.0.113.7", cookie, n)).collect();
                alive = rows.iter().map(|row| row.handshake).collect();
                let got: u32 = pass(&mut observer, &rows).iter().map(|(_, sockets, _)| sockets).sum();
                prop_assert_eq!(got as usize, want);
                total += want;
            }
            prop_assert_eq!(observer.followed(), alive.len());
            prop_assert!(total >= counted.len());
        }
    }
}
