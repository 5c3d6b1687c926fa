//! Everything is bounded, and what is lost is counted.

use alloc::{format, string::String, vec::Vec};

use sekisho_model::{Input, Order, Tier, Unit, limits::PREFIX_UNITS_BASE};

use super::world::{VICTIM, World, allow, block, host, prefix, unblock, unit};
use crate::{Engine, Event, engine::Bounds};

fn room(units: usize) -> World {
    World::bounded(Bounds { units, ..Bounds::default() })
}

fn tracked(world: &World) -> Vec<Unit> {
    world.engine.checkpoint().units.iter().map(|one| one.unit).collect()
}

fn units(texts: &[&str]) -> Vec<Unit> {
    texts.iter().map(|text| unit(text)).collect()
}

/// The first addresses of 198.51.0.0/16.
fn many(count: u32) -> impl Iterator<Item = Unit> {
    (0..count).map(|number| Unit::V4(0xc633_0000 + number))
}

#[test]
fn of_single_units_the_first_in_line_goes_unless_it_was_seen_again() {
    let mut world = room(8);
    for last in 1..=4 {
        world.seen(&[last % 4], &format!("192.0.2.{last}"));
        world.seen(&[last % 4], &format!("192.0.2.{}", last + 4));
    }
    world.seen(&[1], "192.0.2.1");
    let outcome = world.seen(&[5], "192.0.2.9");
    assert!(matches!(outcome.events[..], [Event::UnitsFull { max: 8 }]), "{outcome:?}");
    let left = ["192.0.2.2", "192.0.2.6", "192.0.2.3", "192.0.2.7", "192.0.2.4", "192.0.2.8", "192.0.2.1"];
    assert_eq!(tracked(&world), units(&[&left[..], &["192.0.2.9"]].concat()));
    assert_eq!((world.engine.counters().evicted_units, world.engine.counters().tracked_units), (1, 8));
    assert!(world.seen(&[6], "192.0.2.10").events.is_empty(), "it is said once");
}

#[test]
fn what_several_hosts_saw_stays_while_one_saw_something_alone() {
    let mut world = room(8);
    world.policy(|policy| policy.suppress_quorum = 3);
    world.seen(&[1, 2], VICTIM);
    for last in 1..=40 {
        world.seen(&[last % 20 + 3], &format!("192.0.2.{last}"));
    }
    assert_eq!(world.engine.counters().evicted_units, 33);
    world.seen(&[3], VICTIM);
    assert_eq!(world.tier(VICTIM), Some(Tier::Drop));
}

#[test]
fn one_host_alone_may_bring_a_quarter() {
    let mut world = room(40);
    let limited = |outcome: &crate::Outcome| {
        outcome.events.iter().filter(|event| matches!(event, Event::HostLimited { .. })).count()
    };
    assert_eq!(limited(&world.sees_all(1, many(10))), 0);
    assert_eq!(limited(&world.sees_all(1, many(30))), 1, "once");
    assert_eq!(limited(&world.sees_all(1, many(30))), 0);
    assert_eq!((world.engine.counters().tracked_units, world.engine.counters().untracked), (10, 40));
    world.sees_all(2, many(6));
    assert_eq!(limited(&world.sees_all(1, many(40).skip(20))), 1, "there was room for six in between");
    assert_eq!(world.engine.counters().tracked_units, 16);
}

#[test]
fn stale_evidence_is_swept() {
    let mut world = World::new();
    for number in 0..40 {
        world.sees_all(1, many(4_000).skip(number * 100).take(100));
    }
    assert_eq!(world.engine.counters().tracked_units, 4_000);
    world.wait(301);
    let left: Vec<u64> = (0..5).map(|_| (world.tick(), world.engine.counters().tracked_units).1).collect();
    assert_eq!(left, [3_000, 2_000, 1_000, 0, 0], "a bounded number for each entry");
    assert_eq!(world.engine.counters().evicted_units, 0);
}

#[test]
fn blocks_that_are_not_looked_at_wait_for_the_next_entry() {
    let mut world = World::new();
    world.policy(|policy| {
        (policy.prefix_min_units, policy.widest_ipv4) = (4, 24);
        policy.host_units_per_minute = 1_000_000;
    });
    // One host sees half of 500 networks /24, another two units of each: every one is bombed.
    let last = |unit: &Unit| if let Unit::V4(bits) = unit { bits % 256 } else { 0 };
    world.sees_all(1, many(500 * 256).filter(|unit| last(unit) % 2 == 0));
    assert_eq!((world.listed().len(), world.engine.poll_timeout()), (0, None));
    world.sees_all(2, many(500 * 256).filter(|unit| [1, 3].contains(&last(unit))));
    let first = world.listed().len();
    assert_eq!(first, (PREFIX_UNITS_BASE + 16 * 1_000).div_ceil(257), "257 for each look, 16 for each row");
    assert_eq!(world.engine.poll_timeout(), Some(world.now()), "the rest at once");
    world.tick();
    assert_eq!(world.listed().len(), 500);
    assert_ne!(world.engine.poll_timeout(), Some(world.now()));
}

#[test]
fn further_hosts_are_refused() {
    let mut world = World::bounded(Bounds { hosts: 2, ..Bounds::default() });
    world.join(1, &[]);
    world.seen(&[2], VICTIM);
    let outcome = world.join(3, &[VICTIM]);
    assert!(matches!(&outcome.events[..], [Event::HostRefused { host }] if host.as_str() == "host-3"));
    world.seen(&[3, 4], VICTIM);
    assert_eq!(world.engine.counters().refused_hosts, 3);
    assert_eq!((world.engine.hosts().count(), world.explain(VICTIM).witnesses.len()), (2, 1));
    world.join(1, &["192.0.2.1"]);
    assert!(world.engine.host(&host(1)).is_some_and(|one| one.connected));
}

#[test]
fn however_many_zones_a_host_names_a_restart_changes_nothing() {
    let mut world = World::new();
    world.policy(|policy| policy.min_zones = 2);
    for number in 0..10_001 {
        world.join_in(1, Some(&format!("zone-{number}")), &[]);
    }
    world.join_in(2, Some("tokyo"), &[]);
    world.join_in(3, Some("osaka"), &[]);
    let mut restored = World::new();
    restored.engine = Engine::restore(world.engine.checkpoint());
    restored.log.clone_from(&world.log);
    assert_eq!(restored.seen(&[2, 3], VICTIM), world.seen(&[2, 3], VICTIM));
    assert_eq!(world.tier(VICTIM), Some(Tier::Suppress), "they are in two zones");
}

#[test]
fn past_listings_are_forgotten_oldest_first() {
    let mut world = World::bounded(Bounds { past: 1, ..Bounds::default() });
    world.seen(&[1, 2, 3], VICTIM);
    world.wait(1).seen(&[1, 2, 3], "192.0.2.1");
    world.wait(600).tick();
    world.seen(&[1, 2, 3], VICTIM);
    world.seen(&[1, 2, 3], "192.0.2.1");
    let repeats = |what| world.engine.entry(&prefix(what)).unwrap().repeats;
    assert_eq!((repeats(VICTIM), repeats("192.0.2.1")), (0, 1));
}

#[test]
fn requests_are_forgotten_oldest_first() {
    let mut world = World::bounded(Bounds { requests: 2, ..Bounds::default() });
    let request = |id: &str, order: Order| Order { request: id.parse().ok(), ..order };
    for (id, what) in [("one", "192.0.2.1"), ("two", "192.0.2.2"), ("three", "192.0.2.3")] {
        world.order(request(id, block(what, 600)));
    }
    let done = |world: &mut World, id, what| world.order(request(id, block(what, 600))).orders[0].clone();
    assert_eq!(done(&mut world, "one", "192.0.2.1").unwrap().done, None, "carried out again");
    assert!(done(&mut world, "three", "192.0.2.3").unwrap().done.is_some());
}

#[test]
fn counter_evidence_is_forgotten_oldest_first() {
    let mut world = World::bounded(Bounds { counter: 1, ..Bounds::default() });
    world.serves(4, VICTIM);
    world.serves(5, "192.0.2.1");
    world.seen(&[1, 2, 3], VICTIM);
    world.seen(&[1, 2, 3], "192.0.2.1");
    assert_eq!((world.tier(VICTIM), world.tier("192.0.2.1")), (Some(Tier::Drop), Some(Tier::Suppress)));
}

#[test]
fn what_was_told_of_again_is_not_the_oldest() {
    let mut world = World::bounded(Bounds { counter: 2, ..Bounds::default() });
    for (host, what) in [(4, VICTIM), (5, "192.0.2.1"), (4, VICTIM), (6, "192.0.2.2")] {
        world.serves(host, what);
    }
    world.seen(&[1, 2, 3], VICTIM);
    world.seen(&[1, 2, 3], "192.0.2.1");
    assert_eq!((world.tier(VICTIM), world.tier("192.0.2.1")), (Some(Tier::Suppress), Some(Tier::Drop)));
}

#[test]
fn no_host_pushes_out_the_counter_evidence_of_others() {
    let mut world = World::bounded(Bounds { counter: 40, ..Bounds::default() });
    world.serves(4, VICTIM);
    for number in 0..100 {
        world.serves(5, &format!("192.0.2.{number}"));
    }
    assert_eq!(world.engine.counters().ignored_completed, 90);
    world.seen(&[1, 2, 3], VICTIM);
    assert_eq!(world.tier(VICTIM), Some(Tier::Suppress));
}

#[test]
fn a_damaged_checkpoint_does_no_harm() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.order(allow("192.0.2.0/24", 60));
    world.order(block("198.51.100.0/24", 60));
    let mut checkpoint = world.engine.checkpoint();
    checkpoint.hosts.truncate(1);
    let mut restored = World::new();
    restored.engine = Engine::restore(checkpoint);
    restored.log.clone_from(&world.log);
    assert_eq!(restored.engine.digest(), world.engine.digest());
    assert_eq!(restored.explain(VICTIM).witnesses.len(), 1);
    restored.wait(310).seen(&[1, 2, 3], VICTIM);
    assert!(restored.order(unblock(VICTIM, 0)).orders[0].is_ok());
    assert_eq!(restored.tell(Vec::from([Input::Tick])).delta, None);
}

#[test]
fn the_longest_names_and_the_most_addresses_are_fine() {
    let mut world = World::new();
    let addresses: Vec<String> =
        (0..400).map(|number| format!("198.51.{}.{}", number / 256, number % 256)).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    world.join(1, &addresses);
    assert_eq!(world.engine.host(&host(1)).unwrap().addresses.len(), 256, "the lowest");
    world.seen(&[2, 3], "198.51.1.143");
    world.seen(&[2, 3], "198.51.0.255");
    assert_eq!(world.listed(), ["198.51.1.143"]);
}
