//! Random histories over a world so small that everything meets everything.

use alloc::{format, string::String, vec, vec::Vec};
use core::{net::IpAddr, time::Duration};

use proptest::{collection::vec, prelude::*, sample::select};
use sekisho_model::{
    Batch, Hit, Input, LogEntry, Moment, Never, Observation, Order, OrderKind, Policy, Prefix, Revision,
    Totals, Unit,
};

use super::world::{host, prefix, seconds, unit};

const UNITS: [&str; 9] = [
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.3",
    "203.0.113.4",
    "198.51.100.1",
    "10.0.0.1",
    "127.0.0.1",
    "2001:db8::7",
    "2001:db8:0:1::7",
];

const PREFIXES: [&str; 12] = [
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.0/30",
    "203.0.113.0/24",
    "203.0.0.0/16",
    "198.51.100.0/24",
    "10.0.0.0/24",
    "2001:db8::/64",
    "2001:db8::/48",
    "2001:db8::1",
    "203.0.0.0/8",
    "::/0",
];

const ADDRESSES: [&str; 5] =
    ["203.0.113.2", "::ffff:203.0.113.3", "198.51.100.1", "2001:db8::1", "192.0.2.1"];

const NAMES: [&str; 3] = ["a.example", "b.example", "c.example"];

fn a_unit() -> impl Strategy<Value = Unit> {
    select(&UNITS[..]).prop_map(unit)
}

fn a_prefix() -> impl Strategy<Value = Prefix> {
    select(&PREFIXES[..]).prop_map(prefix)
}

fn addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    vec(select(&ADDRESSES[..]).prop_map(|text| text.parse().unwrap()), 0..3)
}

fn span(choices: &'static [u64]) -> impl Strategy<Value = Duration> {
    select(choices).prop_map(seconds)
}

/// A policy with short times and small numbers; one in many is out of its range.
pub(super) fn policy() -> impl Strategy<Value = Policy> {
    let numbers = (1u8..=2, prop_oneof![1 => 0u32..=0, 30 => 1u32..=4], select(&[1u32, 2, 3, 100][..]));
    let times = (span(&[5, 20, 60, 300]), span(&[10, 20, 60]), select(&[1u32, 4, 16][..]));
    let never = (any::<bool>(), vec(a_prefix(), 0..2), vec(select(&NAMES[..]).prop_map(String::from), 0..3));
    (numbers, times, never).prop_map(|(numbers, times, never)| Policy {
        window: times.0,
        min_retransmits: numbers.0,
        drop_quorum: numbers.1,
        ttl_base: times.1,
        ttl_max: times.1 * times.2,
        max_entries: numbers.2,
        never: Never { private: never.0, prefixes: never.1, names: never.2 },
    })
}

/// A batch; its sequence is set when the history is put together, 0 standing for a repeat.
pub(super) fn batch() -> impl Strategy<Value = Batch> {
    let row = (a_unit(), 0u8..4).prop_map(|(unit, retransmits)| Observation {
        unit,
        sockets: 1,
        retransmits: retransmits.max(1),
    });
    let hit = a_unit().prop_map(|unit| Hit { unit, packets: 1 });
    let age = prop_oneof![6 => Just(0u64), 3 => 0u64..20_000, 1 => 590_000u64..610_000];
    let head =
        (0u32..6, prop_oneof![9 => Just(1u64), 1 => Just(2)], prop_oneof![1 => Just(0u64), 9 => Just(1)]);
    (head, age, vec(row, 0..5), vec(hit, 0..3)).prop_map(|(head, age, observations, hits)| Batch {
        host: host(head.0),
        session: head.1,
        sequence: head.2,
        age: Duration::from_millis(age),
        observations,
        hits,
        totals: Totals::default(),
    })
}

/// An order about anything; many are refused.
pub(super) fn order() -> impl Strategy<Value = Order> {
    let ttl = || span(&[0, 1, 15, 60, 4_000, 400_000_000]);
    let kind = prop_oneof![
        4 => ttl().prop_map(|ttl| OrderKind::Block { ttl }),
        3 => span(&[0, 5, 60, 4_000_000]).prop_map(|hold| OrderKind::Unblock { hold }),
        1 => ttl().prop_map(|ttl| OrderKind::Allow { ttl }),
        1 => Just(OrderKind::Disallow),
    ];
    let text = prop_oneof![20 => Just(String::from("a test")), 1 => Just(String::new())];
    (a_prefix(), text, kind).prop_map(|(prefix, text, kind)| Order {
        operator: "ana".parse().unwrap(),
        text,
        prefix,
        kind,
    })
}

fn input() -> impl Strategy<Value = Input> {
    let name = select(&NAMES[..]).prop_map(String::from);
    prop_oneof![
        24 => batch().prop_map(Input::Batch),
        3 => order().prop_map(Input::Order),
        1 => policy().prop_map(Input::Policy),
        1 => (0u32..6, addresses()).prop_map(|(number, addresses)| {
            let zone = format!("zone-{number}").parse().ok();
            Input::HostJoined { host: host(number), zone, addresses }
        }),
        1 => (0u32..6).prop_map(|number| Input::HostLeft { host: host(number) }),
        1 => (name, addresses()).prop_map(|(name, addresses)| Input::Resolved { name, addresses }),
        1 => Just(Input::Tick),
    ]
}

/// How far the clock moves between two entries, in milliseconds; sometimes it is set back.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 0i64..2_000,
        4 => 2_000i64..15_000,
        2 => 15_000i64..120_000,
        1 => 600_000i64..4_000_000,
        1 => -5_000i64..0,
    ]
}

/// Numbers entries and batches: indices with gaps, sequences that grow unless they are repeats.
fn put_together(raw: Vec<(i64, Vec<Input>)>) -> Vec<LogEntry> {
    let (mut time, mut sequence) = (1_000_000, 0);
    let mut entries = Vec::new();
    for ((pause, mut inputs), number) in raw.into_iter().zip(1i64..) {
        time += pause;
        for input in &mut inputs {
            if let Input::Batch(batch) = input {
                sequence += batch.sequence;
                batch.sequence = sequence;
            }
        }
        entries.push(LogEntry { index: Revision(number * 3), time: Moment::from_millis(time), inputs });
    }
    entries
}

fn history_of(input: impl Strategy<Value = Input>) -> impl Strategy<Value = Vec<LogEntry>> {
    (policy(), vec((pause(), vec(input, 0..4)), 1..80)).prop_map(|(policy, mut raw)| {
        raw.insert(0, (0, vec![Input::Policy(policy)]));
        put_together(raw)
    })
}

/// Everything that can happen.
pub(super) fn history() -> impl Strategy<Value = Vec<LogEntry>> {
    history_of(input())
}

/// Reports only, under one policy.
pub(super) fn reports() -> impl Strategy<Value = Vec<LogEntry>> {
    history_of(batch().prop_map(Input::Batch))
}
