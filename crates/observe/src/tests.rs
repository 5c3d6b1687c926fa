//! All sensors over a world in which it is known what happened: whatever is polled when, a stuck handshake counts
//! once and an honest one never.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use proptest::{collection::vec, prelude::*};
use sekisho_model::{Handshake, Moment, Row, Sensor, Sign, Unit};

use crate::Observer;

/// How long conntrack keeps a half-open entry.
const TRACKED_FOR: u64 = 60_000;

/// One handshake that came to pass. Times are milliseconds.
#[derive(Clone, Debug)]
struct Event {
    begins: u64,
    /// `tcp_synack_retries`.
    retries: u32,
    /// When the client's answer came, after the beginning.
    answered: Option<u64>,
    /// Whether the listener then waits for data.
    deferred: bool,
    /// Answered by a SYN cookie: no socket, no retransmits.
    by_cookie: bool,
}

impl Event {
    /// When the kernel sent its SYN-ACK again: after 1, 3, 7 s and so on, as long as there is no answer.
    fn resent(&self) -> Vec<u64> {
        let times = (1..=self.retries).map(|n| (1000 << n) - 1000);
        let until = self.answered.unwrap_or(u64::MAX);
        if self.by_cookie { Vec::new() } else { times.filter(|after| *after < until).collect() }
    }

    fn socket(&self, age: u64) -> Option<(u8, u64)> {
        let gone = (1000 << (self.retries + 1)) - 1000;
        let done = if self.deferred { gone } else { self.answered.unwrap_or(gone) };
        if self.by_cookie || age >= done {
            return None;
        }
        let retransmits = self.resent().iter().filter(|after| **after <= age).count();
        // The timer goes on for an answered one too, without anything being sent.
        let timeouts = (1..=self.retries).filter(|n| (1000 << n) - 1000 <= age).count();
        Some((u8::try_from(retransmits).unwrap(), (1000 << (timeouts + 1)) - 1000 - age))
    }

    fn tracked(&self, age: u64) -> bool {
        age < self.answered.unwrap_or(TRACKED_FOR)
    }

    fn row(&self, number: usize, sign: Sign) -> Row {
        let victim = SocketAddr::from(([203, 0, 113, u8::try_from(number).unwrap()], 40_000));
        let handshake = Handshake::new(victim, SocketAddr::from(([192, 0, 2, 1], 443)));
        Row { victim: victim.ip(), handshake, sign }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let answered = prop_oneof![Just(None), Just(None), (0u64..950).prop_map(Some)];
    (0u64..90_000, 0u32..=5, answered, any::<bool>(), any::<bool>()).prop_map(
        |(begins, retries, answered, deferred, by_cookie)| Event {
            begins,
            retries,
            answered,
            deferred: deferred && answered.is_some() && !by_cookie,
            by_cookie,
        },
    )
}

/// A sensor and the time between its looks.
type Look = (Sensor, u64);

fn looks() -> impl Strategy<Value = Vec<Look>> {
    let one = |sensor, intervals: core::ops::Range<u64>| (Just(sensor), intervals);
    let all = (
        one(Sensor::SockDiag, 200..10_000),
        one(Sensor::Conntrack, 500..20_000),
        one(Sensor::Tracepoint, 100..400),
    );
    (all, 1u8..8).prop_map(|((a, b, c), which)| {
        let picked = [a, b, c].into_iter().enumerate().filter(|(bit, _)| which >> bit & 1 == 1);
        picked.map(|(_, look)| look).collect()
    })
}

/// What a look at `now`, the one before being at `before`, tells of an event.
fn signs(event: &Event, number: usize, sensor: Sensor, before: u64, now: u64) -> Vec<Sign> {
    let Some(age) = now.checked_sub(event.begins) else { return Vec::new() };
    match sensor {
        Sensor::SockDiag => event
            .socket(age)
            .map(|(retransmits, expires)| Sign::Socket {
                cookie: number as u64 + 1,
                retransmits,
                expires: Duration::from_millis(expires),
            })
            .into_iter()
            .collect(),
        Sensor::Conntrack if event.tracked(age) => {
            Vec::from([Sign::Tracked { id: u32::try_from(number).unwrap() + 1 }])
        }
        Sensor::Conntrack => Vec::new(),
        Sensor::Tracepoint => {
            let resent = event.resent().into_iter().map(|after| event.begins + after);
            resent.filter(|at| *at > before && *at <= now).map(|_| Sign::Resent).collect()
        }
    }
}

/// The sockets that were told of each victim.
fn run(events: &[Event], looks: &[Look]) -> BTreeMap<Unit, u32> {
    let mut observer = Observer::new([3; 16]);
    observer.set_sensors(looks.len());
    let mut times: Vec<(u64, Look)> = looks
        .iter()
        .flat_map(|look| (1..).map(|n| (n * look.1, *look)).take_while(|(at, _)| *at < 280_000))
        .collect();
    times.sort_unstable();
    let mut told = BTreeMap::new();
    for (now, (sensor, interval)) in times {
        let moment = Moment::from_millis(i64::try_from(now).unwrap());
        for (number, event) in events.iter().enumerate() {
            for sign in signs(event, number, sensor, now - interval, now) {
                observer.row(&event.row(number, sign), moment);
            }
        }
        for seen in observer.end_pass(sensor, true, moment).observations {
            *told.entry(seen.unit).or_default() += seen.sockets;
        }
    }
    assert_eq!(observer.followed(), 0, "nothing is remembered for ever");
    told
}

/// Whether some look must have found the proof.
fn is_proven(event: &Event, looks: &[Look]) -> bool {
    let looks_within = |interval: u64, from: u64, to: u64| to / interval - from / interval;
    looks.iter().any(|(sensor, interval)| match sensor {
        Sensor::Tracepoint => !event.resent().is_empty(),
        Sensor::SockDiag => {
            let gone = (1000 << (event.retries + 1)) - 1000;
            !event.by_cookie
                && event.retries > 0
                && looks_within(*interval, event.begins + 1_000, event.begins + gone - 1) > 0
        }
        // The first sight, and another at least 1 s later.
        Sensor::Conntrack => true,
    })
}

proptest! {
    #[test]
    fn a_stuck_handshake_counts_once_and_an_honest_one_never(events in vec(event(), 1..12), looks in looks()) {
        let told = run(&events, &looks);
        for (number, event) in events.iter().enumerate() {
            let unit = Unit::of(event.row(number, Sign::Resent).victim);
            let sockets = told.get(&unit).copied().unwrap_or(0);
            if event.answered.is_some() {
                prop_assert_eq!(sockets, 0, "{:?}", event);
            } else if is_proven(event, &looks) {
                prop_assert_eq!(sockets, 1, "{:?}", event);
            } else {
                prop_assert!(sockets <= 1, "{:?}", event);
            }
        }
    }
}
