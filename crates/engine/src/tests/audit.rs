//! The events of one step, in their order: what an audit log is made of.

use alloc::{string::String, vec, vec::Vec};

use sekisho_model::{Input, Reason};

use super::world::{VICTIM, World, allow, block, host, prefix, unblock};
use crate::{AllowanceEnd, End, Event, Outcome, Owner};

#[test]
fn an_order_comes_before_its_effects() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    let listed = world.engine.entry(&prefix(VICTIM)).unwrap().clone();
    let order = unblock(VICTIM, 60);
    let outcome = world.order(order.clone());
    let removed = Event::Removed { entry: listed, why: End::Unblocked, owner: None };
    assert_eq!(outcome.events, [Event::OrderTaken { order }, removed]);
}

#[test]
fn several_orders_of_one_entry_are_answered_in_order() {
    let mut world = World::new();
    let orders = [block(VICTIM, 60), block(VICTIM, 0), unblock(VICTIM, 0), unblock(VICTIM, 0)];
    let outcome = world.tell(orders.iter().cloned().map(Input::Order).collect());
    let good: Vec<bool> = outcome.orders.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, true, false]);
    assert!(outcome.delta.is_none(), "what came and went in one entry changed nothing");
    assert_eq!((world.engine.counters().orders, world.engine.counters().refused_orders), (2, 2));
    assert_eq!(world.engine.index(), sekisho_model::Revision(1));
    assert_eq!(world.engine.revision(), sekisho_model::Revision(0));
}

#[test]
fn what_ends_is_told_before_what_begins() {
    let mut world = World::new();
    world.order(block("192.0.2.1", 20));
    world.order(block("192.0.2.2", 10));
    world.order(allow("198.51.100.0/24", 10));
    let outcome = world.wait(20).seen(&[1, 2], VICTIM);
    let told: Vec<String> = outcome
        .events
        .iter()
        .map(|event| match event {
            Event::Removed { entry, why: End::Expired, .. } => alloc::format!("- {}", entry.prefix),
            Event::Disallowed { allowed, why: AllowanceEnd::Expired } => {
                alloc::format!("a {}", allowed.prefix)
            }
            Event::Listed { entry, .. } => alloc::format!("+ {}", entry.prefix),
            other => alloc::format!("{other:?}"),
        })
        .collect();
    assert_eq!(told, ["- 192.0.2.2", "- 192.0.2.1", "a 198.51.100.0/24", "+ 203.0.113.7"]);
    assert_eq!(outcome.delta.unwrap().changes.len(), 4);
}

#[test]
fn operators_and_hosts_are_named() {
    let mut world = World::new();
    let outcome = world.order(block(VICTIM, 60));
    let Event::Listed { entry, hosts } = &outcome.events[1] else { panic!("{outcome:?}") };
    let Reason::Order { operator, text } = &entry.reason else { panic!("{entry:?}") };
    assert_eq!((operator.as_str(), text.as_str(), hosts.len()), ("ana", "a test", 0));
    let outcome = world.order(allow("198.51.100.0/24", 60));
    let Event::Allowed { allowed } = &outcome.events[1] else { panic!("{outcome:?}") };
    assert_eq!((allowed.operator.as_str(), allowed.created), ("ana", world.now()));
    assert_eq!(allowed.revision, world.engine.revision());
    let outcome = world.tell(vec![Input::HostLeft { host: host(1) }]);
    assert!(outcome.events.is_empty(), "nobody by that name was here");
    let joined = world.join(1, &[]);
    assert_eq!(joined.events, [Event::HostJoined { host: host(1) }]);
}

#[test]
fn who_claims_an_address_is_named_and_so_is_what_came_off_for_it() {
    let mut world = World::new();
    world.policy(|policy| policy.never.names = vec![String::from("a.example")]);
    let owner_of = |outcome: &Outcome| {
        outcome.events.iter().find_map(|event| match event {
            Event::Removed { owner, why: End::Never, .. } => owner.clone(),
            _ => None,
        })
    };
    world.order(block(VICTIM, 60));
    let own = vec![VICTIM.parse().unwrap()];
    let joined = world.join(1, &[VICTIM]);
    let changed = Event::AddressesChanged { host: host(1), added: own.clone(), gone: vec![] };
    assert_eq!(joined.events[..2], [Event::HostJoined { host: host(1) }, changed]);
    assert_eq!(owner_of(&joined), Some(Owner::Host(host(1))));
    assert_eq!(world.join(1, &[VICTIM]).events, [Event::HostJoined { host: host(1) }], "nothing new");
    let changed = Event::AddressesChanged { host: host(1), added: vec![], gone: own };
    assert_eq!(world.join(1, &[]).events[1], changed);
    world.order(block(VICTIM, 60));
    assert_eq!(world.engine.unresolved_names().collect::<Vec<_>>(), ["a.example"]);
    let named = world.resolve("a.example", &[VICTIM]);
    assert_eq!(world.engine.unresolved_names().count(), 0);
    assert_eq!(owner_of(&named), Some(Owner::Name("a.example".into())));
}
