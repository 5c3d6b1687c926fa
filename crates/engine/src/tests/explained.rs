//! What an explanation says of the entry that covers an address: who keeps it up, until when, and what was before.

use alloc::{format, string::String, vec, vec::Vec};

use sekisho_model::{HostId, Input, Tier};

use super::world::{VICTIM, World, block, host, prefix, seconds, sees};
use crate::{End, Event, Keeper, StandingPicture};

const NETWORK: &str = "198.51.100.0/24";
/// An address of the network that nobody has seen.
const INSIDE: &str = "198.51.100.200";

/// Hosts 1 to 3 see the same units of the network, one host a second.
fn bombed(world: &mut World) {
    let all: Vec<String> = (1..=40).map(|last| format!("198.51.100.{last}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for number in 1..=3 {
        world.wait(1).tell(vec![Input::Batch(sees(number, 1, &all))]);
    }
}

fn carpet() -> World {
    let mut world = World::new();
    // Only the network is listed.
    world.policy(|policy| (policy.suppress_quorum, policy.drop_quorum, policy.prefix_min_units) = (3, 4, 8));
    (1..=3).for_each(|number| drop(world.join(number, &[])));
    bombed(&mut world);
    assert_eq!(world.listed(), [NETWORK]);
    world
}

fn standing(world: &World) -> StandingPicture {
    world.explain(INSIDE).standing.unwrap()
}

fn keepers(world: &World, is: impl Fn(&Keeper) -> bool) -> Vec<HostId> {
    standing(world).keepers.into_iter().filter(is).map(|one| one.host).collect()
}

#[test]
fn who_keeps_up_the_prefix_that_covers_it_is_told() {
    let world = carpet();
    let explained = world.explain(INSIDE);
    assert_eq!((explained.hosts, explained.witnesses.len()), (0, 0), "nobody has seen it itself");
    assert_eq!(explained.entry.unwrap().prefix, prefix(NETWORK));
    assert_eq!(keepers(&world, |one| one.renews && !one.is_away), [host(3), host(2), host(1)]);
    let picture = standing(&world);
    assert_eq!(picture.active, world.now());
    assert_eq!(picture.quiet, Some(world.now() + world.engine.policy().ttl_quiet));
}

#[test]
fn it_ends_when_it_says_it_is_quiet() {
    let mut world = carpet();
    let quiet = standing(&world).quiet.unwrap();
    let left = quiet.since(world.now()).as_secs();
    world.wait(left - 1).tick();
    assert_eq!((world.listed().len(), standing(&world).quiet), (1, Some(quiet)));
    let outcome = world.wait(1).tick();
    assert!(
        outcome.events.iter().any(|event| matches!(event, Event::Removed { why: End::Quiet, .. })),
        "{outcome:?}"
    );
}

#[test]
fn a_host_that_is_away_is_waited_for() {
    let mut world = carpet();
    world.tell(vec![Input::HostLeft { host: host(2) }]);
    assert_eq!(keepers(&world, |one| one.is_away), [host(2)]);
    let (quiet, span) = (standing(&world).quiet.unwrap(), world.engine.policy().ttl_quiet);
    world.wait(quiet.since(world.now()).as_secs()).tick();
    assert_eq!(world.listed(), [NETWORK]);
    assert_eq!(standing(&world).quiet, Some(quiet + span), "it is looked at again then");
    world.join(2, &[]);
    world.wait(span.as_secs()).tick();
    assert!(world.listed().is_empty());
}

#[test]
fn what_renews_is_fresh() {
    let mut world = carpet();
    world.policy(|policy| policy.ttl_quiet = seconds(0));
    assert_eq!(standing(&world).quiet, None, "a quiet entry does not end early");
    world.wait(301);
    assert_eq!(keepers(&world, |one| one.renews), []);
    assert_eq!(keepers(&world, |one| !one.renews).len(), 3);
}

#[test]
fn an_order_is_kept_up_by_nobody() {
    let mut world = World::new();
    world.order(block(VICTIM, 60));
    assert_eq!((world.tier(VICTIM), world.explain(VICTIM).standing), (Some(Tier::Drop), None));
}

#[test]
fn the_past_of_its_prefixes_is_told() {
    let mut world = carpet();
    let ended = standing(&world).quiet.unwrap();
    world.wait(ended.since(world.now()).as_secs()).tick();
    let explained = world.explain(INSIDE);
    assert_eq!((explained.entry, explained.past), (None, None));
    let past: Vec<_> = explained.prefixes_past.iter().map(|one| (one.prefix, one.count, one.ended)).collect();
    assert_eq!(past, [(prefix(NETWORK), 1, ended)]);
}
