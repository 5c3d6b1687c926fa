//! Every refusal, word for word: its text is all that an operator gets to see.

use alloc::{
    string::{String, ToString},
    vec,
};

use sekisho_model::{Input, Order, OrderKind, Policy, Tier};

use super::world::{VICTIM, World, allow, block, disallow, order, unblock};
use crate::{Event, engine::Bounds};

/// A world in which everything that orders can run into is there.
fn crowded() -> World {
    let mut world = World::bounded(Bounds { allowlist: 1, holds: 1, ..Bounds::default() });
    world.policy(|policy| {
        policy.max_entries = 3;
        policy.never.prefixes = vec!["192.0.2.0/25".parse().unwrap()];
        policy.never.names = vec![String::from("example.org")];
    });
    world.resolve("example.org", &["192.0.2.200"]);
    world.join(1, &["192.0.2.201"]);
    world.order(allow("198.51.100.0/24", 60));
    world.order(block("203.0.113.99", 60));
    world.order(unblock("203.0.113.99", 60));
    for what in ["203.0.113.0/28", "203.0.113.16", "203.0.113.17"] {
        world.order(block(what, 60));
    }
    world
}

#[track_caller]
fn refused(order: Order, expected: &str) {
    let mut world = crowded();
    let said = world.engine.check_order(&order, world.now());
    let outcome = world.tell(vec![Input::Order(order)]);
    assert_eq!(outcome.orders, core::slice::from_ref(&said));
    assert_eq!(said.unwrap_err().to_string(), expected);
    assert!(outcome.delta.is_none());
    assert!(matches!(outcome.events[..], [Event::OrderRefused { .. }]));
    assert_eq!(world.engine.counters().refused_orders, 1);
}

#[test]
fn an_order_needs_a_reason() {
    let order = Order { text: String::from("  "), ..block(VICTIM, 60) };
    refused(order, "an order needs a reason: say why, in a few words");
    let order = Order { text: "x".repeat(513), ..block(VICTIM, 60) };
    refused(order, "the reason has 513 bytes; shorten it to 512");
}

#[test]
fn a_policy_has_ranges() {
    let policy = Policy { min_zones: 0, ..Policy::default() };
    refused(
        order(OrderKind::SetPolicy(policy.into())),
        "the policy cannot be applied: quorum.min_zones: must be from 1 to 16",
    );
}

#[test]
fn a_request_id_is_for_one_order() {
    let request = |order: Order| Order { request: "one".parse().ok(), ..order };
    let mut world = crowded();
    world.order(request(block("203.0.113.16", 90)));
    let said = world.order(request(block("203.0.113.16", 91))).orders[0].clone().unwrap_err();
    let expected = "this request id was used for another order, carried out at revision 10; use a new id";
    assert_eq!(said.to_string(), expected);
    let said = world.order(request(block("203.0.113.16", 90))).orders[0].clone().unwrap();
    assert_eq!(said.done, Some(sekisho_model::Revision(10)));
}

#[test]
fn times_have_ranges() {
    refused(block(VICTIM, 0), "a block may last from 1s to 30d, not 0s");
    refused(block(VICTIM, 31 * 86_400), "a block may last from 1s to 30d, not 31d");
    refused(allow(VICTIM, 0), "an allowance may last from 1s to 3650d, not 0s");
    refused(unblock("203.0.113.16", 30 * 86_400 + 1), "a hold may last from 0s to 30d, not 2592001s");
    refused(unblock("203.0.113.16", 721 * 3_600), "a hold may last from 0s to 30d, not 721h");
}

#[test]
fn blocks_have_a_width() {
    refused(
        block("198.0.0.0/15", 60),
        "198.0.0.0/15 is too wide to block: block /16 or narrower, several times if need be",
    );
    refused(
        block("2001:da8::/31", 60),
        "2001:da8::/31 is too wide to block: block /32 or narrower, several times if need be",
    );
}

#[test]
fn protected_prefixes_say_by_what() {
    refused(
        block("127.0.0.1", 60),
        "127.0.0.1 can never be listed: it has loopback, link-local, multicast, reserved or translated \
         addresses; block a prefix without them",
    );
    refused(
        block("10.0.0.1", 60),
        "10.0.0.1 has private addresses; set never.private to false in the policy to list them",
    );
    refused(
        block("192.0.2.1", 60),
        "192.0.2.1 overlaps 192.0.2.0/25, which never.prefixes of the policy protects; take it out there first",
    );
    refused(
        block("192.0.2.200", 60),
        "192.0.2.200 overlaps 192.0.2.200 of example.org, which never.names of the policy protects; \
         take it out there first",
    );
    refused(
        block("192.0.2.201", 60),
        "192.0.2.201 has 192.0.2.201, which is our own host host-1; block a prefix without it",
    );
    refused(
        block("198.51.100.0/25", 60),
        "198.51.100.0/25 overlaps 198.51.100.0/24 on the allowlist; disallow that first",
    );
}

#[test]
fn blocks_meet_blocks() {
    refused(
        block("203.0.113.1", 60),
        "203.0.113.1 is blocked already, at drop by the entry 203.0.113.0/28; unblock that first to replace it",
    );
    refused(
        block("203.0.113.200", 60),
        "the blocklist is full with 3 entries; raise limits.entries in the policy or unblock some",
    );
}

#[test]
fn a_block_inside_a_gentler_one_says_that_it_is_only_suppressed() {
    let mut world = World::new();
    let mut suppress = block("203.0.113.0/24", 60);
    let OrderKind::Block { tier, .. } = &mut suppress.kind else { panic!() };
    *tier = Tier::Suppress;
    world.order(suppress);
    let said = world.order(block("203.0.113.7", 60)).orders[0].clone().unwrap_err().to_string();
    assert_eq!(
        said,
        "203.0.113.7 is only at suppress, by the entry 203.0.113.0/24, and entries never nest; block \
         203.0.113.0/24 at drop instead, or unblock 203.0.113.0/24, of which evidence then lists nothing while the \
         hold lasts, and order this again"
    );
    assert!(world.order(block("203.0.113.0/24", 60)).orders[0].is_ok(), "as it says");
}

#[test]
fn the_policy_in_force_is_not_put_in_force_again() {
    let mut world = World::new();
    let same = || order(OrderKind::SetPolicy(world.engine.policy().clone().into()));
    let said = world.engine.check_order(&same(), world.now()).unwrap_err();
    assert_eq!(said.to_string(), "this policy is in force already; nothing to change");
    let other = Policy { min_zones: 2, ..world.engine.policy().clone() };
    let once = order(OrderKind::SetPolicy(other.into()));
    assert!(world.order(once.clone()).orders[0].is_ok());
    assert_eq!(world.order(once).orders, [Err(crate::Refusal::SamePolicy)]);
}

#[test]
fn a_full_list_still_takes_a_block_in_the_place_of_others() {
    let mut world = crowded();
    assert!(world.order(block("203.0.113.16", 90)).orders[0].is_ok());
    assert!(world.order(block("203.0.113.0/24", 90)).orders[0].is_ok());
    assert_eq!(world.listed(), ["203.0.113.0/24"]);
}

#[test]
fn full_tables_say_what_to_do() {
    refused(
        allow("192.0.2.0/24", 60),
        "the allowlist is full with 1 prefixes; disallow some, or allow a wider prefix instead",
    );
    refused(
        unblock("203.0.113.16", 60),
        "1 prefixes are held off the blocklist already; unblock without a hold, or allow it",
    );
    assert!(crowded().order(allow("198.51.100.0/24", 90)).orders[0].is_ok(), "it is there already");
    assert!(crowded().order(unblock("203.0.113.16", 0)).orders[0].is_ok(), "it needs no hold");
}

#[test]
fn what_is_not_there_cannot_be_taken_off() {
    refused(unblock("203.0.113.77", 0), "203.0.113.77 is not listed; nothing to unblock");
    refused(unblock("203.0.113.1", 0), "203.0.113.1 is not listed; 203.0.113.0/28 covers it: unblock that");
    refused(disallow("203.0.113.77"), "203.0.113.77 is not on the allowlist; nothing to disallow");
    refused(
        disallow("198.51.100.7"),
        "198.51.100.7 is not on the allowlist; 198.51.100.0/24 covers it: disallow that",
    );
}

#[test]
fn what_is_over_by_then_is_not_in_the_way() {
    let mut world = crowded();
    world.wait(60);
    let then = world.now();
    for order in [block("203.0.113.1", 60), block("198.51.100.0/25", 60), allow("192.0.2.0/24", 60)] {
        assert!(world.engine.check_order(&order, then).is_ok(), "{order:?}");
    }
    assert!(world.engine.check_order(&unblock("203.0.113.16", 0), then).is_err());
    assert!(world.engine.check_order(&disallow("198.51.100.0/24"), then).is_err());
}
