//! Everything is bounded, and what is lost is counted.

use alloc::{format, vec, vec::Vec};

use proptest::{collection::vec, prelude::*};
use sekisho_model::{Input, Unit};

use super::world::{VICTIM, World, allow, block, prefix, sees, unit};
use crate::{Engine, Event, engine::Bounds};

fn tracked(world: &World) -> Vec<Unit> {
    let mut units: Vec<Unit> = world.engine.checkpoint().evidence.iter().map(|one| one.unit).collect();
    units.dedup();
    units
}

#[test]
fn the_longest_untouched_unit_goes_first() {
    let mut world = World::bounded(Bounds { units: 2, ..Bounds::default() });
    world.seen(&[1], "192.0.2.1");
    world.seen(&[1], "192.0.2.2");
    world.seen(&[2], "192.0.2.1");
    world.seen(&[1], "192.0.2.3");
    assert_eq!(tracked(&world), [unit("192.0.2.1"), unit("192.0.2.3")]);
    assert_eq!((world.engine.counters().evicted_units, world.engine.counters().tracked_units), (1, 2));
}

#[test]
fn stale_evidence_is_swept() {
    let mut world = World::new();
    for number in 0..40u32 {
        let text: Vec<_> = (0..100).map(|last| format!("203.0.{number}.{last}")).collect();
        let mut batch = sees(1, u64::from(number) + 1, &[]);
        batch.observations = text.iter().flat_map(|text| sees(1, 1, &[text.as_str()]).observations).collect();
        world.tell(vec![Input::Batch(batch)]);
    }
    assert_eq!(world.engine.counters().tracked_units, 4_000);
    world.wait(301);
    let left: Vec<u64> = (0..5).map(|_| (world.tick(), world.engine.counters().tracked_units).1).collect();
    assert_eq!(left, [3_000, 2_000, 1_000, 0, 0], "a bounded number for each entry");
    assert_eq!(world.engine.counters().evicted_units, 0);
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
    assert_eq!((world.engine.hosts().count(), world.engine.witnesses(unit(VICTIM)).len()), (2, 1));
    world.join(1, &["192.0.2.1"]);
    assert!(world.engine.host(&super::world::host(1)).is_some_and(|one| one.connected));
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
fn a_damaged_checkpoint_does_no_harm() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.order(allow("192.0.2.0/24", 60));
    world.order(block("198.51.100.0/24", 60));
    let mut checkpoint = world.engine.checkpoint();
    checkpoint.hosts.truncate(1);
    let restored = Engine::restore(checkpoint);
    assert_eq!(restored.digest(), world.engine.digest());
    assert_eq!(restored.witnesses(unit(VICTIM)).len(), 1);
}

proptest! {
    /// Against a list that is walked through each time.
    #[test]
    fn eviction_is_by_the_last_touch(rows in vec((0u32..12, 1u32..3), 1..80), bound in 1usize..8) {
        let mut world = World::bounded(Bounds { units: bound, ..Bounds::default() });
        let mut expected: Vec<Unit> = Vec::new();
        for (number, host) in rows {
            let what = format!("203.0.113.{number}");
            world.seen(&[host], &what);
            expected.retain(|one| *one != unit(&what));
            expected.push(unit(&what));
            if expected.len() > bound {
                expected.remove(0);
            }
            prop_assert_eq!(tracked(&world), &expected[..]);
            let checkpoint = world.engine.checkpoint();
            let bounds = world.engine.bounds;
            prop_assert_eq!(Engine::restore_within(checkpoint.clone(), bounds).checkpoint(), checkpoint);
        }
    }
}
