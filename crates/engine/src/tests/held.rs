//! What guards say when they end: how much each held back.

use alloc::{format, string::String, vec, vec::Vec};

use sekisho_model::{Batch, Input, Observation, Totals};

use super::world::{VICTIM, World, allow, host, prefix, sees, unit};
use crate::{Cause, Engine, Event, engine::Bounds};

/// Addresses of 198.51.100.0/24, from this one on.
fn network(from: u8, count: u8) -> Vec<String> {
    (from..from + count).map(|last| format!("198.51.100.{last}")).collect()
}

fn texts(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

#[test]
fn a_host_that_is_calm_again_says_what_did_not_count() {
    let mut world = World::new();
    world.policy(|policy| policy.host_units_per_minute = 2);
    let all = network(1, 3);
    world.tell(vec![Input::Batch(sees(1, 1, &texts(&all)))]);
    let twice = Observation { unit: unit(VICTIM), sockets: 2, retransmits: 1 };
    let batch = Batch { observations: vec![twice], ..sees(1, 2, &[]) };
    world.wait(1).tell(vec![Input::Batch(batch)]);
    let calm = world.wait(61).tell(vec![Input::Batch(sees(1, 3, &[]))]);
    assert_eq!(calm.events, [Event::HostCalm { host: host(1), uncounted: 3 }]);
    let again = world.wait(1).tell(vec![Input::Batch(sees(1, 4, &texts(&network(9, 5))))]);
    assert!(matches!(again.events[..], [Event::HostFlooded { .. }]), "{again:?}");
    let calm = world.wait(61).tell(vec![Input::Batch(sees(1, 5, &[]))]);
    assert_eq!(calm.events, [Event::HostCalm { host: host(1), uncounted: 5 }], "counted anew");
}

#[test]
fn a_path_that_works_again_says_what_was_ignored() {
    let mut world = World::new();
    let mut completed = 0;
    let mut tell = |world: &mut World, sequence, more, what: &[&str]| {
        completed += more;
        let totals = Totals { completed, ..Totals::default() };
        world.wait(1).tell(vec![Input::Batch(Batch { totals, ..sees(1, sequence, what) })])
    };
    (1..=120).for_each(|sequence| drop(tell(&mut world, sequence, 50, &[])));
    let all: Vec<String> = (1..=9).map(|second| format!("20.{second}.0.1")).collect();
    let rows = |sequence| if sequence <= 123 { texts(&all) } else { Vec::new() };
    let began: Vec<Event> =
        (121..=125).flat_map(|sequence| tell(&mut world, sequence, 0, &rows(sequence)).events).collect();
    assert!(matches!(began[..], [Event::OutageBegan { .. }]), "{began:?}");
    let counted = world.engine.counters().outage_rows;
    assert!(counted >= 9, "{counted}");
    let engine = Engine::restore(world.engine.checkpoint());
    assert_eq!(engine.host(&host(1)).unwrap().held.ignored, counted, "a restart forgets nothing");
    world.wait(301);
    let ended = tell(&mut world, 126, 15_000, &[]);
    assert_eq!(ended.events, [Event::OutageEnded { host: host(1), ignored: counted }]);
}

#[test]
fn a_host_with_room_again_says_what_was_not_tracked() {
    let mut world = World::bounded(Bounds { units: 40, ..Bounds::default() });
    let limited = world.tell(vec![Input::Batch(sees(1, 1, &texts(&network(1, 40))))]);
    assert_eq!(limited.events, [Event::HostLimited { host: host(1), max: 10 }]);
    world.policy(|policy| policy.suppress_quorum = 3);
    world.tell(vec![Input::Batch(sees(2, 1, &texts(&network(1, 6))))]);
    let room = world.tell(vec![Input::Batch(sees(1, 2, &["203.0.113.1"]))]);
    assert_eq!(room.events, [Event::HostUnlimited { host: host(1), untracked: 30 }]);
    assert_eq!(world.engine.counters().untracked, 30);
}

#[test]
fn room_for_units_says_how_many_went() {
    let mut world = World::bounded(Bounds { units: 8, ..Bounds::default() });
    for last in 1..=11 {
        world.seen(&[last], &format!("192.0.2.{last}"));
    }
    let restored = Engine::restore(world.engine.checkpoint());
    assert_eq!(restored.checkpoint(), world.engine.checkpoint());
    let cleared = world.wait(301).tick();
    assert_eq!(cleared.events, [Event::UnitsCleared { lost: 3 }]);
    assert_eq!(world.engine.counters().evicted_units, 3);
}

#[test]
fn a_prefix_that_is_withheld_says_what_is_seen_in_it() {
    let mut world = World::new();
    world.policy(|policy| (policy.prefix_min_units, policy.suppress_quorum) = (8, 3));
    world.order(allow("198.51.100.200", 3_600));
    let all = network(1, 8);
    let mut withheld = Vec::new();
    for (number, rows) in [(1, 0..7), (2, 0..7), (3, 0..7), (4, 7..8)] {
        let outcome = world.tell(vec![Input::Batch(sees(number, 1, &texts(&all)[rows]))]);
        withheld.extend(outcome.events.into_iter().filter(|event| matches!(event, Event::Withheld { .. })));
    }
    let (prefix, cause) = (prefix("198.51.100.0/24"), Cause::Allowed);
    let by = Some("198.51.100.200".parse().unwrap());
    assert_eq!(withheld, [Event::Withheld { prefix, cause, by, units: 8, hosts: 4 }]);
    let explained = world.explain("198.51.100.1");
    assert_eq!(
        (explained.forbidden, explained.forbidden_by),
        (None, None),
        "the address by itself may be listed"
    );
    let picture = &explained.prefixes[0];
    assert_eq!((picture.forbidden, picture.forbidden_by), (Some(cause), by));
    let allowed = world.explain("198.51.100.200");
    assert_eq!((allowed.forbidden, allowed.forbidden_by), (Some(cause), by));
}
