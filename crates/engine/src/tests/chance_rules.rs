//! What chance asks for, with numbers that random histories are too small for.

use sekisho_model::Unit;

use super::world::{World, host, seconds};
use crate::Event;

/// Addresses that are far apart: no two of them in one /20.
fn scattered(first: u32, count: u32) -> impl Iterator<Item = Unit> {
    (first..first + count).map(|number| Unit::V4(0x1000_0000 + number * 12_115))
}

fn world() -> World {
    let mut world = World::new();
    world.policy(|policy| policy.host_units_per_minute = 1_000_000);
    world
}

/// Addresses of a window that come to `hosts` sightings by chance, of so many that are seen: by the rule's words.
fn accidents(units: u32, hosts: i32) -> f64 {
    let (units, places) = (f64::from(units), 3_707_764_736.0);
    let met: f64 = (1..hosts).map(|nth| units / places / f64::from(nth)).product();
    units * met
}

#[test]
fn the_bound_rises_where_the_accidents_become_too_many() {
    let last = (1..).find(|units| accidents(units + 1, 2) >= 0.01).unwrap();
    assert!((6_000..6_200).contains(&last), "{last}");
    let mut world = world();
    world.sees_all(1, scattered(0, last));
    world.sees_all(1, scattered(0, 1));
    assert_eq!((world.engine.quorums().chance, world.engine.quorums().units), (2, u64::from(last)));
    world.sees_all(1, scattered(last, 1));
    let outcome = world.sees_all(1, scattered(0, 1));
    assert_eq!(world.engine.quorums().chance, 3);
    let units = u64::from(last) + 1;
    assert_eq!(outcome.events, [Event::ChanceBound { from: 2, to: 3, units }]);
    world.seen(&[2, 3], "203.0.113.7");
    assert!(world.listed().is_empty());
    world.seen(&[4], "203.0.113.7");
    assert_eq!(world.listed(), ["203.0.113.7"]);
}

#[test]
fn the_bound_falls_only_with_a_margin() {
    let mut world = world();
    world.sees_all(1, scattered(0, 1_000));
    world.wait(100).sees_all(1, scattered(1_000, 500));
    world.wait(100).sees_all(1, scattered(1_500, 5_000));
    let bound = |world: &mut World, span| {
        world.wait(span).sees_all(1, scattered(1_500, 1));
        (world.engine.quorums().chance, world.engine.quorums().units)
    };
    assert_eq!(bound(&mut world, 0), (3, 6_500));
    assert_eq!(bound(&mut world, 110), (3, 5_500), "6,875 would be too many");
    assert_eq!(bound(&mut world, 100), (3, 5_000), "6,250 would be");
    world.policy(|policy| policy.window = seconds(100));
    world.wait(201).sees_all(1, scattered(0, 4_800));
    assert_eq!(bound(&mut world, 0), (2, 4_800), "6,000 would not");
}

#[test]
fn a_network_needs_more_than_chance_would_bring() {
    let mut world = world();
    world.policy(|policy| policy.prefix_min_units = 3);
    for number in 10..14 {
        world.sees_all(number, scattered(number * 5_000, 5_000));
    }
    // Of 20,000 units a window some three would be in one /24 every few hours; four would not in years.
    for (number, address) in [(1, "203.0.113.1"), (2, "203.0.113.2"), (3, "203.0.113.3")] {
        world.seen(&[number], address);
    }
    let narrowest = world.explain("203.0.113.1").prefixes.remove(0);
    assert_eq!((narrowest.units, narrowest.least_units, narrowest.is_bombed), (3, 4, false));
    assert!(world.listed().is_empty());
    let outcome = world.seen(&[4], "203.0.113.4");
    assert_eq!(world.listed(), ["203.0.113.0/24"]);
    assert!(matches!(&outcome.events[..], [Event::Listed { hosts, .. }] if hosts.contains(&host(4))));
}

#[test]
fn addresses_of_ipv6_need_no_more_than_is_asked() {
    let mut world = world();
    world.sees_all(1, scattered(0, 10_000));
    world.seen(&[2, 3], "2001:db8::1");
    assert_eq!(world.listed(), ["2001:db8::/64"]);
    assert_eq!((world.engine.quorums().chance, world.engine.quorums().suppress), (3, 3));
}
