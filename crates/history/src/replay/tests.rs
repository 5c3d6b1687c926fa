//! Replays of logs that an engine went through, judged by what the engine itself does under the policy.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    path::PathBuf,
};

use sekisho_engine::Engine;
use sekisho_model::{
    Batch, Hit, HostId, Input, LogEntry, Observation, Order, OrderKind, Totals, Unit,
    limits::CHECKPOINT_SPACING,
};
use sekisho_store::{Log, Options, Record, Store};
use sekisho_wire::log;

use super::*;
use crate::{checkpoint, records::FORMAT};

const BEGIN: i64 = 1_700_000_000_000;

/// A log on the disk, and the engine that took it in.
struct World {
    dir: tempfile::TempDir,
    store: Store,
    engine: Engine,
    now: Moment,
    sequence: u64,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        Self { dir, store, engine: Engine::new(), now: Moment::from_millis(BEGIN), sequence: 0 }
    }

    fn log(&mut self, inputs: Vec<Input>) {
        let payload = log::encode(&inputs);
        self.sequence += 1;
        let record =
            Record { format: FORMAT, writer: 1, sequence: self.sequence, time: self.now, payload: &payload };
        let index = self.store.append(record).unwrap();
        self.engine.handle(&LogEntry { index, time: self.now, inputs });
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Each of the first `hosts` hosts sees `address` stuck.
    fn seen(&mut self, address: &str, hosts: usize) {
        for host in &HOSTS[..hosts] {
            self.sequence += 1;
            let batch = batch(host, self.sequence, &[unit(address)]);
            self.log(vec![Input::Batch(batch)]);
        }
    }

    fn checkpoint(&mut self) {
        let state = self.engine.checkpoint();
        self.store.put_checkpoint(state.index, state.now, checkpoint::encode(&state)).unwrap();
    }

    fn replay(&self, policy: &Policy, from: Option<Moment>) -> Result<Replayed, ReplayError> {
        replay(&self.store.reader(), policy.clone(), from, |_| ControlFlow::Continue(()))
    }

    fn kinds(&self, policy: &Policy, from: Option<Moment>) -> Vec<(String, Kind)> {
        let replayed = self.replay(policy, from).unwrap();
        assert_eq!(replayed.summary.differences, replayed.differences.len() as u64);
        replayed.differences.iter().map(|one| (one.prefix.to_string(), one.kind)).collect()
    }
}

const HOSTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn unit(address: &str) -> Unit {
    Unit::of(address.parse().unwrap())
}

fn batch(host: &str, sequence: u64, units: &[Unit]) -> Batch {
    let row = |unit: &Unit| Observation { unit: *unit, sockets: 1, retransmits: 1 };
    Batch {
        host: host.parse().unwrap(),
        session: 1,
        sequence,
        age: Duration::ZERO,
        observations: units.iter().map(row).collect(),
        hits: vec![],
        completed: vec![],
        totals: Totals::default(),
    }
}

fn order(kind: OrderKind) -> Input {
    let (operator, text) = ("ana".parse().unwrap(), "drill".into());
    Input::Order(Order { operator, text, request: None, kind })
}

fn named(expected: &[(&str, Kind)]) -> Vec<(String, Kind)> {
    expected.iter().map(|(prefix, kind)| ((*prefix).to_owned(), *kind)).collect()
}

/// A long log with a bit of everything, from a simple generator.
fn eventful() -> World {
    let mut world = World::new();
    let mut state = 7_u64;
    let mut random = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let address = |n: u64| Unit::V4(0xcb00_7100 | u32::try_from(n).unwrap());
    for step in 0..600 {
        world.wait(random(20));
        let host = HOSTS[usize::try_from(random(6)).unwrap()];
        world.sequence += 1;
        let units: Vec<Unit> = (0..random(5)).map(|_| address(random(30) * 5)).collect();
        let mut report = batch(host, world.sequence, &units);
        report.hits = (0..random(2))
            .map(|_| Hit { unit: address(random(30) * 5), tier: Tier::Drop, packets: 3 })
            .collect();
        let host: HostId = host.parse().unwrap();
        let prefix = address(random(150)).prefix();
        let ttl = Duration::from_secs(100);
        let mut inputs = vec![Input::Batch(report)];
        match step % 40 {
            0 => inputs.push(Input::HostJoined { host, zone: None, addresses: vec![] }),
            10 => inputs.push(Input::HostLeft { host }),
            20 => inputs.push(order(OrderKind::Block { prefix, tier: Tier::Drop, ttl })),
            25 => inputs.push(order(OrderKind::Unblock { prefix, hold: ttl })),
            30 => inputs.push(order(OrderKind::Allow { prefix, ttl })),
            35 => inputs.push(Input::Tick),
            _ => {}
        }
        world.log(inputs);
        if step % 150 == 100 {
            world.checkpoint();
        }
    }
    world
}

#[test]
fn the_policy_that_was_in_force_differs_in_nothing() {
    let world = eventful();
    let middle = Moment::from_millis(i64::midpoint(BEGIN, world.now.as_millis()));
    for from in [None, Some(middle)] {
        let replayed = world.replay(&Policy::default(), from).unwrap();
        assert_eq!(replayed.differences, []);
        let summary = replayed.summary;
        assert!(summary.happened > 20 && summary.happened == summary.in_both, "{summary:?}");
        assert_eq!((summary.would_have, summary.caveats.len()), (summary.happened, 0), "{summary:?}");
        assert_eq!(summary.end, world.now);
    }
    let whole = world.replay(&Policy::default(), None).unwrap().summary;
    assert_eq!((whole.log_entries, whole.start.as_millis() - BEGIN < 20_000), (600, true));
}

/// What an engine lists that has `policy` from the first entry on: the whole list looked at each time.
fn listings(world: &World, policy: &Policy) -> BTreeMap<Prefix, Listing> {
    let mut engine = Engine::new();
    let mut listings: BTreeMap<Prefix, Listing> = BTreeMap::new();
    for record in world.store.read(Revision(1)).unwrap() {
        let mut entry = crate::records::entry(&record.unwrap()).unwrap();
        if entry.index.0 == 1 {
            entry.inputs.insert(0, Input::Policy(policy.clone()));
        }
        engine.handle(&entry);
        let listed: BTreeMap<Prefix, Tier> =
            engine.entries_from(None).map(|one| (one.prefix, one.tier)).collect();
        for (prefix, tier) in &listed {
            let new = Listing { tier: *tier, start: entry.time, end: None, listings: 0 };
            let known = listings.entry(*prefix).or_insert(new);
            known.tier = known.tier.max(*tier);
            known.listings += u32::from(known.end.take().is_some() || known.listings == 0);
        }
        for (prefix, known) in &mut listings {
            if known.end.is_none() && !listed.contains_key(prefix) {
                known.end = Some(entry.time);
            }
        }
    }
    listings
}

#[test]
fn both_sides_are_what_an_engine_does_under_each_policy() {
    let world = eventful();
    let policy = Policy { suppress_quorum: 3, drop_quorum: 4, prefix_tier: None, ..Policy::default() };
    let replayed = world.replay(&policy, None).unwrap();
    let (was, would) = (listings(&world, &Policy::default()), listings(&world, &policy));
    let prefixes: BTreeSet<&Prefix> = was.keys().chain(would.keys()).collect();
    let mut differences = replayed.differences.iter();
    let mut kinds = BTreeSet::new();
    for prefix in prefixes {
        let (happened, would_have) = (was.get(prefix).copied(), would.get(prefix).copied());
        let same =
            |of: fn(&Listing) -> (Tier, Moment)| happened.as_ref().map(of) == would_have.as_ref().map(of);
        if !same(|one| (one.tier, one.start)) {
            let told = differences.next().unwrap();
            assert_eq!((&told.prefix, told.happened, told.would_have), (prefix, happened, would_have));
            kinds.insert(told.kind);
        }
    }
    assert_eq!(differences.next(), None);
    assert_eq!(kinds.len(), 5, "the log must show every kind: {kinds:?}");
    let summary = replayed.summary;
    assert_eq!((summary.happened, summary.would_have), (was.len() as u64, would.len() as u64));
    assert_eq!(summary.in_both, was.keys().filter(|prefix| would.contains_key(prefix)).count() as u64);
}

#[test]
fn a_stricter_policy_lists_fewer_later_or_gentler() {
    let mut world = World::new();
    world.seen("203.0.113.7", 2);
    world.seen("203.0.113.8", 3);
    world.seen("203.0.113.10", 2);
    world.wait(10);
    world.seen("203.0.113.10", 4);
    let stricter = Policy { suppress_quorum: 3, drop_quorum: 4, ..Policy::default() };
    let expected =
        [("203.0.113.7", Kind::Fewer), ("203.0.113.8", Kind::OtherTier), ("203.0.113.10", Kind::Later)];
    assert_eq!(world.kinds(&stricter, None), named(&expected));
}

#[test]
fn a_gentler_policy_lists_more_and_earlier() {
    let mut world = World::new();
    world.log(vec![Input::Policy(Policy { suppress_quorum: 3, ..Policy::default() })]);
    world.seen("203.0.113.7", 2);
    world.seen("203.0.113.8", 2);
    world.wait(10);
    world.seen("203.0.113.8", 3);
    let gentler = Policy { suppress_quorum: 2, ..Policy::default() };
    let replayed = world.replay(&gentler, None).unwrap();
    let [more, earlier] = &replayed.differences[..] else { panic!("{:?}", replayed.differences) };
    assert_eq!((more.kind, more.happened), (Kind::More, None));
    let start = Moment::from_millis(BEGIN);
    let listing = Listing { tier: Tier::Suppress, start, end: None, listings: 1 };
    assert_eq!(more.would_have, Some(listing));
    assert_eq!(earlier.kind, Kind::Earlier);
    assert_eq!(earlier.happened.map(|one| (one.tier, one.start)), Some((Tier::Drop, world.now)));
    assert_eq!(earlier.would_have.map(|one| (one.tier, one.start)), Some((Tier::Drop, start)));
    assert!(replayed.summary.caveats.iter().any(|text| text.contains("a guess")));
}

#[test]
fn only_what_came_since_is_compared_and_later_policies_are_ignored() {
    let mut world = World::new();
    world.seen("203.0.113.7", 2);
    world.wait(60);
    let from = world.now;
    world.seen("203.0.113.8", 2);
    let other = Policy { suppress_quorum: 4, drop_quorum: 5, ..Policy::default() };
    world.log(vec![Input::Policy(other.clone()), order(OrderKind::SetPolicy(Box::new(other)))]);
    world.seen("203.0.113.9", 3);
    let stricter = Policy { suppress_quorum: 3, ..Policy::default() };
    let expected = named(&[("203.0.113.8", Kind::Fewer), ("203.0.113.9", Kind::More)]);
    assert_eq!(world.kinds(&stricter, Some(from)), expected);
    assert_eq!(world.kinds(&stricter, None).len(), 3);
}

/// A log of several days, whose first day is gone.
fn cut() -> World {
    let mut world = World::new();
    world.log(vec![Input::Policy(Policy { drop_quorum: 5, ..Policy::default() })]);
    for day in 0..4 {
        world.seen(&Ipv4Addr::from_bits(0xcb00_7107 + day).to_string(), 2);
        world.checkpoint();
        world.now = world.now + CHECKPOINT_SPACING;
    }
    let places = world.store.reader().checkpoints().unwrap();
    world.store.truncate_log_before(places[2].0).unwrap();
    world
}

#[test]
fn a_replay_begins_at_a_checkpoint_and_knows_what_was_before() {
    let world = cut();
    let last_day = world.now - CHECKPOINT_SPACING - Duration::from_secs(1);
    let stricter = Policy { drop_quorum: 5, suppress_quorum: 3, ..Policy::default() };
    assert_eq!(world.kinds(&stricter, Some(last_day)), named(&[("203.0.113.10", Kind::Fewer)]));
    let replayed = world.replay(&stricter, Some(last_day)).unwrap();
    assert_eq!((replayed.summary.log_entries, replayed.summary.caveats.len()), (2, 0), "{replayed:?}");
}

#[test]
fn a_log_that_does_not_reach_back_is_told() {
    let world = cut();
    let reaches = world.store.reader().checkpoints().unwrap().last().unwrap().1;
    match world.replay(&Policy::default(), Some(Moment::from_millis(BEGIN - 1))) {
        Err(error @ ReplayError::Truncated { .. }) => {
            let text = error.to_string();
            assert!(text.contains(&Shown(reaches).to_string()) && text.contains("2023-11-14"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    // Without a moment it is all that there is.
    assert!(world.replay(&Policy::default(), None).unwrap().summary.start >= reaches);
    let none = World::new();
    assert!(matches!(none.replay(&Policy::default(), None), Err(ReplayError::Empty)));
}

#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let mut world = eventful();
    let (at, time) = world.store.reader().checkpoints().unwrap()[0];
    let before = world.replay(&Policy::default(), Some(time)).unwrap().summary;
    world.store.put_checkpoint(at, time, [b"nonsense"]).unwrap();
    let after = world.replay(&Policy::default(), Some(time)).unwrap().summary;
    assert!(after.log_entries > before.log_entries);
    assert_eq!((after.happened, after.differences), (before.happened, before.differences));
}

#[test]
fn what_makes_it_inexact_is_told() {
    let mut world = World::new();
    world.log(vec![Input::Policy(Policy { min_retransmits: 2, ..Policy::default() })]);
    world.seen("203.0.113.7", 2);
    world.checkpoint();
    world.wait(60);
    world.seen("203.0.113.7", 2);
    let told = |policy: Policy, from| world.replay(&policy, from).unwrap().summary.caveats.join("; ");
    let now = Some(world.now);
    let force = || Policy { min_retransmits: 2, ..Policy::default() };
    assert_eq!(told(force(), now), "");
    assert!(told(Policy { drop_quorum: 9, ..force() }, now).contains("asks for 9 hosts"));
    assert!(told(Policy::default(), now).contains("min_retransmits was 2"));
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let long = Policy { window: minutes(10), ttl_quiet: minutes(5), ..force() };
    assert!(told(long, now).contains("missing for the first 10m"));
    assert!(told(Policy { window: minutes(1), ..force() }, now).contains("only after 37s 500ms"));
    let mut names = force();
    names.never.names = (0..7).map(|n| format!("n{n}.example")).collect();
    assert!(
        told(names, now).contains(
            "no addresses of n0.example, n1.example, n2.example, n3.example, n4.example and others"
        )
    );
    let young = told(force(), Some(Moment::from_millis(BEGIN - 1_000)));
    assert!(young.contains("the log begins at 2023-11-14T22:13:20Z"), "{young}");
    let later = world.replay(&force(), Some(Moment::MAX)).unwrap().summary;
    assert!(later.caveats[0].contains("nothing to compare"));
}

#[test]
fn a_replay_tells_how_far_it_is_and_can_be_stopped() {
    let world = eventful();
    let mut told = Vec::new();
    let progress = |progress| {
        told.push(progress);
        ControlFlow::Continue(())
    };
    replay(&world.store.reader(), Policy::default(), None, progress).unwrap();
    assert_eq!(told.last(), Some(&Progress { done: 600, total: 600, time: world.now }));
    let stopped = replay(&world.store.reader(), Policy::default(), None, |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(ReplayError::Stopped)));
    let wrong = Policy { drop_quorum: 0, ..Policy::default() };
    assert!(matches!(world.replay(&wrong, None), Err(ReplayError::Policy(_))));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let to = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &to);
        } else {
            fs::copy(item.path(), to).unwrap();
        }
    }
}

#[test]
fn a_copy_and_a_directory_in_use_give_the_same() {
    let world = eventful();
    let policy = Policy { suppress_quorum: 3, ..Policy::default() };
    let since = Some(Duration::from_secs(1_000));
    let expected = world.replay(&policy, since.map(|since| world.now - since)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let to = place.path().join("copy");
    copy(world.dir.path(), &to);
    let in_use: PathBuf = world.dir.path().into();
    for dir in [to, in_use] {
        let got = replay_directory(&dir, policy.clone(), since, |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(got.differences, expected.differences);
        assert_eq!(Summary { elapsed: expected.summary.elapsed, ..got.summary }, expected.summary);
    }
    let nowhere = replay_directory(&place.path().join("x"), policy, None, |_| ControlFlow::Continue(()));
    assert!(matches!(nowhere, Err(ReplayError::Store(StoreError::NoStore { .. }))));
}
