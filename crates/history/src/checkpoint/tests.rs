//! The whole state comes back, in whichever format it was written.

use std::{net::IpAddr, time::Duration};

use sekisho_engine::{
    Engine, Held, HostRecord, Limit, Meter, Recent,
    checkpoint::{
        CounterRecord, CounterSighting, DoneRequest, Hold, PastListing, ResolvedName, SightingRecord,
        StandingRecord, UnitRecord,
    },
};
use sekisho_model::{
    Allowed, Batch, Change, Completed, Entry, Hit, HostId, Input, Key, LogEntry, Moment, Never, Observation,
    Order, OrderKind, Policy, Prefix, Reason, Revision, Tier, Totals, Unit,
};

use super::*;

fn moment(millis: i64) -> Moment {
    Moment::from_millis(millis)
}

fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn order(kind: OrderKind) -> Order {
    let (operator, request) = ("ana".parse().unwrap(), "deploy-7".parse().ok());
    Order { operator, text: "drill".into(), request, kind }
}

fn sighting(host: u32, seen: i64) -> SightingRecord {
    SightingRecord {
        host,
        seen: moment(seen),
        retransmits: 255,
        sockets: 254,
        counts: host.is_multiple_of(2),
    }
}

fn entry(text: &str, tier: Tier, reason: Reason) -> Entry {
    let (created, expires) = (moment(5), moment(1_700_000_600_000));
    Entry {
        prefix: prefix(text),
        tier,
        reason,
        created,
        expires,
        renewals: 3,
        repeats: 2,
        revision: Revision(9),
    }
}

fn host(name: &str) -> HostRecord {
    HostRecord {
        id: name.parse().unwrap(),
        zone: "z".parse().ok(),
        addresses: vec!["192.0.2.9".parse::<IpAddr>().unwrap(), "2001:db8::9".parse().unwrap()],
        connected: true,
        session: u64::MAX,
        sequence: 5,
        last_seen: moment(-3),
        totals: Totals { half_open: 1, completed: 6, stuck_units: 7, ..Totals::default() },
        observations: 8,
        flooded_until: moment(9),
        outage_until: moment(10),
        is_limited: true,
        held: Held { uncounted: 17, ignored: 18, untracked: u64::MAX },
        minute: -11,
        minute_units: 12,
        meter: Meter {
            taken: Some(moment(13)),
            usual: Some(0),
            millis: 15,
            completed: 16,
            networks: vec![prefix("198.51.0.0/16"), prefix("2001:db8::/48")],
        },
    }
}

/// A state with something in every field, however unlikely.
fn full() -> Checkpoint {
    let mut state = Engine::new().checkpoint();
    (state.index, state.revision, state.now, state.horizon) =
        (Revision(7), Revision(6), moment(1_700_000_000_000), moment(i64::MIN));
    state.policy = Policy {
        prefix_tier: Some(Tier::Drop),
        never: Never {
            private: false,
            prefixes: vec![prefix("2001:db8::/32")],
            names: vec!["a.example".into()],
        },
        ..Policy::default()
    };
    (state.chance, state.units_full, state.units_lost) = (4, true, 19);
    state.withheld = vec![(moment(3), prefix("198.51.100.0/24"))];
    (state.counted_rate, state.seen_rate) = (vec![(340_000, 5), (340_001, 6)], vec![(-1, u64::MAX)]);
    state.held_back = vec![(Limit::Entries, 3), (Limit::NewPerMinute, 0)];
    let recent = |at, text, is_new| Recent { at: moment(at), prefix: prefix(text), is_new };
    state.recent = vec![recent(1, "203.0.113.7", true), recent(2, "203.0.113.0/24", false)];
    state.hosts = vec![host("b"), host("a"), HostRecord { zone: None, meter: Meter::default(), ..host("c") }];
    state.names = vec![ResolvedName { name: "a.example".into(), addresses: vec![] }];
    lists(&mut state);
    state.units = units();
    let hosts = vec![CounterSighting { host: 2, seen: moment(3), connections: u32::MAX }];
    state.counter = vec![
        CounterRecord { unit: Unit::V4(1), hosts: hosts.clone() },
        CounterRecord { unit: Unit::V6(u64::MAX), hosts },
    ];
    state.blocks = vec![prefix("198.51.100.0/24"), prefix("2001:db8::/56")];
    state.counters.batches = 5;
    state.counters.objections = 6;
    state
}

fn lists(state: &mut Checkpoint) {
    let bombed = Reason::Prefix { hosts: 4, quorum: 2, units: 9, least: 5 };
    let ordered = Reason::Order { operator: "ana".parse().unwrap(), text: "drill".into() };
    state.entries = vec![
        entry("198.51.100.0/24", Tier::Suppress, bombed),
        entry("203.0.113.7", Tier::Drop, Reason::Quorum { hosts: 4, quorum: 3 }),
        entry("2001:db8::/64", Tier::Suppress, ordered),
    ];
    state.standings = vec![
        StandingRecord {
            prefix: prefix("198.51.100.0/24"),
            active: moment(4),
            check: None,
            witnesses: vec![],
        },
        StandingRecord {
            prefix: prefix("203.0.113.7"),
            active: moment(5),
            check: Some(moment(0)),
            witnesses: vec![sighting(1, 9), sighting(0, 8)],
        },
    ];
    let (operator, text) = ("ana".parse().unwrap(), "monitoring".into());
    let (created, expires) = (moment(1), Moment::MAX);
    state.allowlist = vec![Allowed {
        prefix: prefix("192.0.2.0/24"),
        operator,
        text,
        created,
        expires,
        revision: Revision(2),
    }];
    state.holds = vec![Hold { prefix: prefix("203.0.113.9"), until: moment(77) }];
    state.past = vec![PastListing { prefix: prefix("203.0.113.9"), count: 3, ended: moment(66) }];
    state.requests = vec![
        DoneRequest {
            at: moment(5),
            revision: Revision(6),
            order: order(OrderKind::Unblock { prefix: prefix("203.0.113.9"), hold: Duration::from_secs(1) }),
            changes: vec![Change::Remove(Key { allow: false, prefix: prefix("203.0.113.9") })],
        },
        DoneRequest {
            at: moment(6),
            revision: Revision(7),
            order: order(OrderKind::SetPolicy(Box::default())),
            changes: vec![],
        },
    ];
}

/// Units of every shape, in no order, over more than one part.
fn units() -> Vec<UnitRecord> {
    let record = |n: u32| UnitRecord {
        unit: if n.is_multiple_of(3) { Unit::V6(u64::from(n) << 40) } else { Unit::V4(u32::MAX - n) },
        owner: n % 7,
        is_shared: n & 1 != 0,
        is_moved: n & 2 != 0,
        is_touched: n & 4 != 0,
        sightings: (0..n % 5).map(|host| sighting(host, i64::from(n) * 1_000 - i64::from(host))).collect(),
    };
    (0..u32::try_from(ROWS).unwrap() + 50).map(record).collect()
}

#[test]
fn every_field_comes_back() {
    let state = full();
    assert_eq!(decode(&encode(&state).concat()).unwrap(), state);
}

#[test]
fn units_are_packed_tightly() {
    let mut state = Engine::new().checkpoint();
    let one = |n: u32| UnitRecord {
        unit: Unit::V4(n.wrapping_mul(2_654_435_761)),
        owner: 3,
        is_shared: false,
        is_moved: false,
        is_touched: false,
        sightings: vec![SightingRecord {
            host: 3,
            seen: moment(1_700_000_000_000 + i64::from(n / 10)),
            retransmits: 1,
            sockets: 1,
            counts: true,
        }],
    };
    state.units = (0..20_000).map(one).collect();
    let bytes = encode(&state).concat().len();
    assert!(bytes < 20_000 * 11, "{bytes} bytes for 20,000 units");
}

#[test]
fn a_cut_or_torn_checkpoint_is_refused() {
    let bytes = encode(&full()).concat();
    assert!(decode(&bytes[..bytes.len() - 1]).is_err());
    assert!(decode(&[]).is_err());
    let torn: [fn(&mut pb::CheckpointUnits); 8] = [
        |packed| packed.ipv4.truncate(3),
        |packed| packed.ipv6.truncate(3),
        |packed| packed.owners.truncate(3),
        |packed| packed.hosts.truncate(3),
        |packed| packed.details.truncate(3),
        |packed| packed.shapes.truncate(3),
        |packed| packed.seen_steps_ms.push(1),
        |packed| packed.shapes.push(SIGHTINGS_WITHOUT_ROWS),
    ];
    for change in torn {
        let mut packed = units::encode(&units());
        assert!(units::decode(&packed, &mut Vec::new()).is_ok());
        change(&mut packed);
        assert!(units::decode(&packed, &mut Vec::new()).is_err());
    }
}

/// The shape of an IPv4 unit with a great many sightings.
const SIGHTINGS_WITHOUT_ROWS: u32 = u32::MAX << 4;

#[test]
fn what_a_newer_version_wrote_is_refused_by_name() {
    let mut head = head::encode(&full());
    head.format = FORMAT + 1;
    let part = pb::CheckpointPart { head: Some(head), ..Default::default() };
    let error = decode(&part.encode_length_delimited_to_vec()).unwrap_err().to_string();
    assert!(error.contains("newer version"), "{error}");
}

/// An engine that was told a bit of everything.
fn told() -> Engine {
    let mut engine = Engine::new();
    let ttl = Duration::from_secs(60);
    let mut inputs = vec![
        Input::Order(order(OrderKind::Block { prefix: prefix("198.18.0.0/24"), tier: Tier::Suppress, ttl })),
        Input::Order(Order { request: None, ..order(OrderKind::Allow { prefix: prefix("192.0.2.1"), ttl }) }),
    ];
    for (n, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let host: HostId = name.parse().unwrap();
        inputs.push(Input::HostJoined { host: host.clone(), zone: "z".parse().ok(), addresses: vec![] });
        let row = |unit| Observation { unit, sockets: 1, retransmits: 1 };
        let bombed = (0..4).map(|low| Unit::V4(0xc633_6400 + low * 4 + u32::try_from(n).unwrap()));
        let alone = Unit::V6(0x2001_0db8_00ba_0000 + n as u64);
        let observations = bombed.chain([Unit::V4(0xcb00_7107), alone]).map(row).collect();
        inputs.push(Input::Batch(Batch {
            host,
            session: 5,
            sequence: 1,
            age: Duration::ZERO,
            observations,
            hits: vec![Hit { unit: Unit::V4(0xcb00_7107), tier: Tier::Drop, packets: 5 }],
            completed: vec![Completed { unit: Unit::V4(0xcb00_7107), connections: 1 }],
            totals: Totals { half_open: 9, ..Totals::default() },
        }));
    }
    engine.handle(&LogEntry { index: Revision(4), time: moment(1_700_000_000_000), inputs });
    engine
}

#[test]
fn a_restored_engine_goes_on_as_the_one_that_was_kept() {
    let mut engine = told();
    let state = engine.checkpoint();
    let lists = [state.entries.len(), state.standings.len(), state.units.len(), state.counter.len()];
    assert!(lists.iter().all(|length| *length > 0), "{lists:?}");
    let mut restored = Engine::restore(decode(&encode(&state).concat()).unwrap());
    assert_eq!(restored.checkpoint(), state);
    for (index, seconds) in [(5, 30), (6, 400), (7, 90_000)] {
        let time = state.now + Duration::from_secs(seconds);
        let entry = LogEntry { index: Revision(index), time, inputs: vec![Input::Tick] };
        assert_eq!(restored.handle(&entry), engine.handle(&entry));
    }
    assert_eq!(restored.checkpoint(), engine.checkpoint());
}

/// A checkpoint of format 1: two entries, one of them by order; evidence of three units, and a hit.
fn old() -> Vec<u8> {
    let state = full();
    let mut first = head::encode(&state);
    first = pb::CheckpointHead { format: 0, chance: 0, withheld: vec![], is_full: true, ..first };
    (first.counted_rate, first.seen_rate, first.held_back) = Default::default();
    let seen = |ipv4: u32, host, seen_ms, retransmits| pb::CheckpointSighting {
        ipv4: Some(ipv4),
        ipv6: None,
        host,
        seen_ms,
        retransmits,
    };
    let now = state.now.as_millis();
    let parts = [
        pb::CheckpointPart { head: Some(first), ..Default::default() },
        pb::CheckpointPart { hosts: state.hosts.iter().map(hosts::encode).collect(), ..Default::default() },
        pb::CheckpointPart {
            entries: state.entries[1..].iter().map(lists::entry).collect(),
            evidence: vec![
                seen(9, 0, now - 9, 2),
                seen(0xcb00_7107, 1, now - 2, 1),
                seen(0xcb00_7107, 0, now - 4, 1),
                seen(5, 2, now - 1, 1),
            ],
            hits: vec![seen(0xcb00_7107, 2, now - 1, 0), seen(0xcb00_7107, 0, now - 3, 0)],
            ..Default::default()
        },
    ];
    parts.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
}

#[test]
fn a_checkpoint_from_before_there_were_two_tiers_stays_readable() {
    let state = decode(&old()).unwrap();
    let shapes: Vec<_> = state
        .units
        .iter()
        .map(|one| (one.unit, one.owner, one.is_shared, one.is_moved, one.sightings.len()))
        .collect();
    let expected = [
        (Unit::V4(9), 0, false, false, 1),
        (Unit::V4(5), 2, false, false, 1),
        (Unit::V4(0xcb00_7107), 1, true, true, 2),
    ];
    assert_eq!(shapes, expected);
    assert!(state.units.iter().flat_map(|one| &one.sightings).all(|one| one.counts && one.sockets == 1));
    let [standing] = &state.standings[..] else { panic!("{:?}", state.standings) };
    assert_eq!((standing.prefix, standing.active), (prefix("203.0.113.7"), state.now));
    assert_eq!(
        standing.witnesses.iter().map(|one| one.host).collect::<Vec<_>>(),
        [2, 1, 0],
        "each host once"
    );
    assert_eq!(state.chance, 1);
    // It is a state that an engine goes on from, and that comes back in the new format.
    let mut engine = Engine::restore(state.clone());
    assert_eq!(decode(&encode(&engine.checkpoint()).concat()).unwrap(), engine.checkpoint());
    let later =
        LogEntry { index: Revision(8), time: state.now + Duration::from_secs(1), inputs: vec![Input::Tick] };
    engine.handle(&later);
    assert!(engine.entry(&prefix("203.0.113.7")).is_some());
}
