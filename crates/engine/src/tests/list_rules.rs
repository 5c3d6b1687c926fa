//! Rules of the lists, one story each: orders, protected addresses, limits.

use alloc::{string::String, vec, vec::Vec};

use sekisho_model::{Change, Input, Order, OrderKind, Policy, Reason, Tier, Zone};

use super::world::{VICTIM, World, allow, block, disallow, ends, host, order, prefix, seconds, unblock};
use crate::{AllowanceEnd, End, Event, Outcome};

/// Whether three hosts that see `what` get it listed.
fn lists(world: &mut World, what: &str) -> bool {
    world.seen(&[1, 2, 3], what);
    world.engine.entry_covering(what.parse().unwrap()).is_some()
}

#[test]
fn what_is_never_listed_is_not() {
    let mut world = World::new();
    world.policy(|policy| {
        policy.never.prefixes = vec![prefix("198.51.100.0/24")];
        policy.never.names = vec![String::from("example.org")];
    });
    world.resolve("example.org", &["192.0.2.1", "2001:db8:5::1"]);
    world.join(9, &["192.0.2.2", "::ffff:192.0.2.3"]);
    world.tell(vec![Input::HostLeft { host: host(9) }]);
    let never = ["127.0.0.1", "10.0.0.1", "100.64.0.1", "fe80::1", "fd00::1", "198.51.100.9", "192.0.2.1"];
    for what in never.into_iter().chain(["2001:db8:5::2", "192.0.2.2", "192.0.2.3"]) {
        assert!(!lists(&mut world, what), "{what}");
    }
    assert_eq!(world.engine.counters().withheld_never, 20);
    assert!(lists(&mut world, VICTIM));
    world.policy(|policy| policy.never.private = false);
    assert!(lists(&mut world, "10.0.0.1"));
}

#[test]
fn what_becomes_protected_comes_off() {
    let mut world = World::new();
    world.policy(|policy| policy.never.private = false);
    for what in ["10.0.0.1", "198.51.100.1", "192.0.2.1", VICTIM] {
        assert!(lists(&mut world, what));
    }
    let outcome = world.join(9, &[VICTIM]);
    assert_eq!(ends(&outcome), [End::Never]);
    let outcome = world.policy(|policy| {
        policy.never.private = true;
        policy.never.prefixes = vec![prefix("198.51.100.0/24")];
        policy.never.names = vec![String::from("example.org")];
    });
    assert_eq!(ends(&outcome), [End::Never, End::Never]);
    let outcome = world.resolve("example.org", &["192.0.2.1"]);
    assert_eq!(ends(&outcome), [End::Never]);
    assert_eq!(world.engine.member_count(), 0);
    assert_eq!(outcome.delta.unwrap().changes.len(), 1);
}

#[test]
fn an_address_that_a_name_has_no_more_is_listable() {
    let mut world = World::new();
    world.policy(|policy| policy.never.names = vec![String::from("example.org")]);
    world.resolve("example.org", &[VICTIM]);
    assert!(!lists(&mut world, VICTIM));
    world.resolve("example.org", &["192.0.2.1"]);
    assert!(lists(&mut world, VICTIM));
    assert!(!lists(&mut world, "192.0.2.1"));
    world.policy(|policy| policy.never.names.clear());
    assert!(lists(&mut world, "192.0.2.1"));
    world.resolve("example.org", &["192.0.2.1"]);
    assert_eq!(world.engine.counters().unknown_names, 1);
}

#[test]
fn a_bad_policy_changes_nothing() {
    let mut world = World::new();
    let outcome = world.policy(|policy| policy.drop_quorum = 0);
    assert!(matches!(&outcome.events[..], [Event::PolicyRefused { error }] if error.key == "quorum.drop"));
    assert_eq!(world.engine.policy(), &Policy::default());
    assert_eq!(world.engine.counters().refused_policies, 1);
}

#[test]
fn a_policy_by_order_takes_off_what_it_never_lists() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    let mut policy = Policy::default();
    policy.never.prefixes = vec![prefix("203.0.113.0/24")];
    let set = order(OrderKind::SetPolicy(policy.clone().into()));
    let said = world.engine.check_order(&set, world.now()).unwrap();
    assert_eq!(said.changes.len(), 1);
    let outcome = world.order(set);
    assert_eq!(outcome.orders, [Ok(said)]);
    assert_eq!(ends(&outcome), [End::Never]);
    assert!(matches!(
        &outcome.events[..2],
        [Event::OrderTaken { .. }, Event::PolicyChanged { operator: Some(_) }]
    ));
    assert_eq!(world.engine.policy(), &policy);
}

#[test]
fn a_request_is_carried_out_once() {
    let mut world = World::new();
    let request = |order: Order| Order { request: "one".parse().ok(), ..order };
    let first = world.order(request(block(VICTIM, 60)));
    let preview = first.orders[0].clone().unwrap();
    assert_eq!(preview.done, None);
    let again = world.wait(10).order(request(block(VICTIM, 60)));
    let repeated = again.orders[0].clone().unwrap();
    assert_eq!((repeated.changes, repeated.done), (preview.changes, Some(world.engine.revision())));
    assert_eq!((world.left(VICTIM), again.events.len(), again.delta), (50, 0, None));
    let other = world.order(request(block(VICTIM, 61)));
    assert!(other.orders[0].is_err() && matches!(other.events[..], [Event::OrderRefused { .. }]));
    world.wait(86_389).order(request(unblock("192.0.2.1", 0))).orders[0].clone().unwrap_err();
    assert!(world.wait(1).order(request(block(VICTIM, 61))).orders[0].is_ok(), "after a day");
    assert_eq!(world.left(VICTIM), 61);
}

#[test]
fn a_refused_request_may_be_repeated() {
    let mut world = World::new();
    let unblock = Order { request: "one".parse().ok(), ..unblock(VICTIM, 0) };
    assert!(world.order(unblock.clone()).orders[0].is_err());
    world.seen(&[1, 2, 3], VICTIM);
    assert_eq!(ends(&world.order(unblock)), [End::Unblocked]);
}

#[test]
fn a_block_has_the_tier_that_was_ordered() {
    let mut world = World::new();
    let at = |tier| order(OrderKind::Block { prefix: prefix(VICTIM), tier, ttl: seconds(60) });
    world.seen(&[1, 2, 3], VICTIM);
    world.order(at(Tier::Suppress));
    world.seen(&[1, 2, 3], VICTIM);
    assert_eq!(world.tier(VICTIM), Some(Tier::Suppress), "whatever the evidence");
    world.order(at(Tier::Drop));
    let objection = world.serves(4, VICTIM);
    assert!(matches!(&objection.events[..], [Event::Objected { tier: Tier::Drop, .. }]));
    assert_eq!(world.tier(VICTIM), Some(Tier::Drop), "and whatever the counter-evidence");
}

#[test]
fn a_host_objects_once_in_a_window() {
    let mut world = World::new();
    let objected = |outcome: &Outcome| {
        outcome.events.iter().filter(|event| matches!(event, Event::Objected { .. })).count()
    };
    assert_eq!(objected(&world.serves(4, VICTIM)), 0, "nothing is listed");
    world.wait(1).seen(&[1, 2, 3], VICTIM);
    assert_eq!(world.tier(VICTIM), Some(Tier::Suppress));
    let told: Vec<usize> = (0..5).map(|_| objected(&world.wait(1).serves(4, VICTIM))).collect();
    assert_eq!(told, [1, 0, 0, 0, 0]);
    assert_eq!(objected(&world.serves(5, VICTIM)), 1, "another host");
    assert_eq!(objected(&world.wait(300).serves(4, VICTIM)), 0);
    assert_eq!(objected(&world.wait(1).serves(5, VICTIM)), 1, "301 s after it told that last");
}

#[test]
fn the_allowlist_wins() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.order(block("203.0.113.64/26", 60));
    let outcome = world.order(allow("203.0.113.0/24", 60));
    assert_eq!(ends(&outcome), [End::Allowed, End::Allowed]);
    assert_eq!(outcome.delta.unwrap().changes.len(), 3);
    assert!(!lists(&mut world, VICTIM));
    assert!(world.engine.counters().withheld_allowed > 0);
    let outcome = world.wait(60).tick();
    assert!(matches!(&outcome.events[..], [Event::Disallowed { why: AllowanceEnd::Expired, .. }]));
    assert!(lists(&mut world, VICTIM));
}

#[test]
fn a_disallowed_prefix_may_be_listed_again() {
    let mut world = World::new();
    world.order(allow(VICTIM, 60));
    world.order(allow("203.0.113.0/24", 60));
    world.order(disallow(VICTIM));
    assert!(!lists(&mut world, VICTIM), "the wider allowance still holds");
    let outcome = world.order(disallow("203.0.113.0/24"));
    assert!(matches!(
        &outcome.events[..],
        [Event::OrderTaken { .. }, Event::Disallowed { why: AllowanceEnd::Disallowed, .. }]
    ));
    assert!(lists(&mut world, VICTIM));
}

#[test]
fn a_hold_keeps_it_off_and_the_evidence_stays() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    let outcome = world.order(unblock(VICTIM, 100));
    assert_eq!(ends(&outcome), [End::Unblocked]);
    assert!(!lists(&mut world, VICTIM));
    assert!(world.engine.counters().withheld_held > 0);
    world.wait(100).seen(&[1], VICTIM);
    assert_eq!(world.listed(), [VICTIM]);
}

#[test]
fn without_a_hold_new_evidence_is_needed() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.order(unblock(VICTIM, 0));
    assert!(world.explain(VICTIM).witnesses.is_empty());
    world.seen(&[1], VICTIM);
    assert!(world.listed().is_empty());
    world.seen(&[2], VICTIM);
    assert_eq!(world.listed(), [VICTIM]);
}

#[test]
fn a_wider_block_takes_the_narrower_ones_over() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.order(block("203.0.113.128/25", 900));
    let outcome = world.order(block("203.0.113.0/24", 60));
    assert_eq!(ends(&outcome), [End::Covered, End::Covered]);
    assert_eq!(world.listed(), ["203.0.113.0/24"]);
    assert!(matches!(
        outcome.delta.unwrap().changes[..],
        [Change::Put(_), Change::Remove(_), Change::Remove(_)]
    ));
    assert!(lists(&mut world, VICTIM), "it is blocked by the wider entry");
    assert!(world.engine.counters().withheld_covered > 0);
    let overlapping = world.engine.entries_overlapping(&prefix(VICTIM)).count();
    assert_eq!(overlapping, 1);
}

#[test]
fn an_order_wins_over_a_quorum() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    let created = world.now();
    world.wait(5).order(block(VICTIM, 50));
    let entry = world.engine.entry(&prefix(VICTIM)).unwrap();
    assert!(matches!(&entry.reason, Reason::Order { text, .. } if text == "a test"));
    assert_eq!((entry.created, world.left(VICTIM)), (created, 50));
    world.order(block(VICTIM, 70));
    assert_eq!(world.left(VICTIM), 70);
    assert_eq!(ends(&world.wait(70).tick()), [End::Expired]);
}

#[test]
fn a_unit_around_an_ordered_address_is_left_to_the_operator() {
    let mut world = World::new();
    world.order(block("2001:db8::1", 60));
    world.seen(&[1, 2, 3], "2001:db8::2");
    assert_eq!(world.listed(), ["2001:db8::1"]);
    assert!(world.engine.counters().withheld_covered > 0);
    world.wait(60).seen(&[1], "2001:db8::2");
    assert_eq!(world.listed(), ["2001:db8::/64"]);
}

fn limits(outcome: &Outcome) -> usize {
    outcome.events.iter().filter(|event| matches!(event, Event::LimitReached { .. })).count()
}

#[test]
fn a_full_list_says_so_once_and_evicts_nothing() {
    let mut world = World::new();
    world.policy(|policy| policy.max_entries = 1);
    world.seen(&[1, 2, 3], VICTIM);
    let told: Vec<usize> =
        ["192.0.2.1", "192.0.2.2", "192.0.2.1"].map(|what| limits(&world.seen(&[1, 2, 3], what))).into();
    assert_eq!((told, world.listed()), (vec![1, 0, 0], vec![String::from(VICTIM)]));
    assert_eq!(world.engine.counters().withheld_limit, 7, "each attempt counts");
    world.wait(600).tick();
    world.seen(&[1, 2, 3], "192.0.2.1");
    assert_eq!(limits(&world.seen(&[1, 2, 3], "192.0.2.2")), 1, "it filled up again");
}

#[test]
fn a_lower_limit_takes_nothing_off() {
    let mut world = World::new();
    for what in [VICTIM, "192.0.2.1", "192.0.2.2"] {
        world.seen(&[1, 2, 3], what);
    }
    world.policy(|policy| policy.max_entries = 1);
    assert_eq!(world.listed().len(), 3);
}

#[test]
fn hosts_come_and_go() {
    let mut world = World::new();
    let zone: Option<Zone> = "tokyo".parse().ok();
    let addresses = vec!["192.0.2.9".parse().unwrap(), "192.0.2.1".parse().unwrap()];
    let (id, joined) = (host(4), zone.clone());
    world.tell(vec![Input::HostJoined { host: id.clone(), zone: joined, addresses }]);
    world.wait(7).seen(&[4, 2], VICTIM);
    world.tell(vec![Input::HostLeft { host: id.clone() }, Input::HostLeft { host: host(77) }]);
    let record = world.engine.host(&id).unwrap();
    assert_eq!((record.zone.clone(), record.connected, record.last_seen), (zone, false, world.now()));
    assert!(record.addresses.is_sorted());
    assert_eq!(record.observations, 1);
    let ids: Vec<String> = world.engine.hosts().map(|one| String::from(one.id.as_str())).collect();
    assert_eq!(ids, ["host-2", "host-4"]);
}

#[test]
fn a_moved_host_leaves_its_old_address() {
    let mut world = World::new();
    world.join(9, &[VICTIM]);
    world.join(9, &["192.0.2.9"]);
    assert!(lists(&mut world, VICTIM));
    assert!(!lists(&mut world, "192.0.2.9"));
}

#[test]
fn lists_are_read_in_order_from_any_place() {
    let mut world = World::new();
    for what in ["2001:db8::/64", "198.51.100.0/24", "192.0.2.1"] {
        world.order(block(what, 60));
        world.order(allow(&String::from(what).replace("198.51", "203.0"), 60)).orders[0].clone().ok();
    }
    let from = |after: Option<&str>| world.engine.entries_from(after.map(prefix)).count();
    let allowed = |after: Option<&str>| world.engine.allowlist_from(after.map(prefix)).count();
    assert_eq!((from(None), from(Some("0.0.0.0")), from(Some("198.51.100.0/24"))), (1, 1, 0));
    assert_eq!((allowed(None), allowed(Some("192.0.2.1")), allowed(Some("2001:db8::/64"))), (3, 2, 0));
    assert!(world.engine.members().is_sorted_by_key(|member| member.key()));
}

#[test]
fn an_order_with_the_longest_times_is_fine() {
    let mut world = World::new();
    assert!(world.order(allow("192.0.2.0/24", 3_650 * 86_400)).orders[0].is_ok());
    assert!(world.order(block(VICTIM, 30 * 86_400)).orders[0].is_ok());
    assert!(world.order(unblock(VICTIM, 30 * 86_400)).orders[0].is_ok());
}
