//! Rules of evidence, one story each: what lists, what renews, and what does neither.

use alloc::{format, string::String, vec, vec::Vec};
use core::time::Duration;

use sekisho_model::{Batch, Input, Observation, Reason, Tier};

use super::world::{VICTIM, World, block, ends, host, prefix, seconds, sees, unblock, unit};
use crate::{Counts, End, Event, Retier};

fn is_listed(world: &World) -> bool {
    world.tier(VICTIM).is_some()
}

#[test]
fn a_quorum_of_hosts_lists() {
    let mut world = World::new();
    world.seen(&[1], VICTIM);
    assert!(!is_listed(&world));
    let outcome = world.seen(&[2], VICTIM);
    let entry = world.engine.entry(&prefix(VICTIM)).unwrap().clone();
    assert_eq!((entry.tier, &entry.reason), (Tier::Suppress, &Reason::Quorum { hosts: 2, quorum: 2 }));
    assert_eq!((entry.created, entry.expires), (world.now(), world.now() + seconds(600)));
    assert_eq!((entry.revision, entry.renewals, entry.repeats), (world.engine.revision(), 0, 0));
    let hosts = vec![host(1), host(2)];
    assert_eq!(outcome.events, [Event::Listed { entry, hosts }]);
    assert_eq!(outcome.delta.unwrap().changes.len(), 1);
}

#[test]
fn a_stricter_quorum_moves_it_up() {
    let mut world = World::new();
    world.seen(&[1, 2], VICTIM);
    let created = world.now();
    let outcome = world.wait(100).seen(&[3], VICTIM);
    let entry = world.engine.entry(&prefix(VICTIM)).unwrap().clone();
    assert_eq!((entry.tier, &entry.reason), (Tier::Drop, &Reason::Quorum { hosts: 3, quorum: 3 }));
    assert_eq!((entry.created, world.left(VICTIM), entry.renewals), (created, 600, 0));
    assert_eq!(outcome.events, [Event::Retiered { entry, before: Tier::Suppress, why: Retier::Quorum }]);
}

#[test]
fn one_lying_host_lists_nothing() {
    let mut world = World::new();
    world.join(1, &[]);
    let network: Vec<String> = (1..=40).map(|last| format!("198.51.100.{last}")).collect();
    let network: Vec<&str> =
        network.iter().map(String::as_str).chain([VICTIM, VICTIM, "2001:db8::1"]).collect();
    for session in 1..50 {
        for sequence in 1..5 {
            let batch = Batch { session, ..sees(1, sequence, &network) };
            world.wait(1).tell(vec![Input::Batch(batch)]);
        }
    }
    assert_eq!(world.engine.member_count(), 0);
    assert_eq!((world.explain(VICTIM).hosts, world.explain(VICTIM).witnesses.len()), (1, 1));
}

#[test]
fn witnesses_out_of_the_window_do_not_count() {
    let mut world = World::new();
    world.seen(&[1], VICTIM);
    world.wait(301).seen(&[2], VICTIM);
    assert!(!is_listed(&world));
    world.wait(300).seen(&[1], VICTIM);
    assert!(is_listed(&world), "300 s are within a window of 300 s");
}

#[test]
fn what_was_seen_long_ago_is_as_old_as_the_batch_says() {
    let mut world = World::new();
    world.policy(|policy| policy.suppress_quorum = 3);
    for (number, age) in [(1, 0), (2, 299), (3, 301)] {
        let batch = Batch { age: seconds(age), ..sees(number, 1, &[VICTIM]) };
        world.tell(vec![Input::Batch(batch)]);
    }
    assert_eq!(world.engine.counters().stale_observations, 1);
    assert!(!is_listed(&world));
    world.policy(|policy| (policy.window, policy.ttl_quiet) = (seconds(3_600), seconds(3_600)));
    let late = Batch { age: seconds(601), ..sees(3, 2, &[VICTIM]) };
    world.tell(vec![Input::Batch(late)]);
    assert_eq!(world.engine.counters().stale_observations, 2, "over the oldest that is taken");
    assert_eq!(world.explain(VICTIM).hosts, 2);
}

#[test]
fn too_few_retransmits_are_no_evidence() {
    let mut world = World::new();
    world.policy(|policy| policy.min_retransmits = 2);
    world.seen(&[1, 2, 3], VICTIM);
    assert!(!is_listed(&world));
    assert_eq!(world.engine.counters().weak_observations, 3);
    assert_eq!(world.engine.counters().observations, 0);
}

#[test]
fn a_repeated_batch_is_ignored_and_a_new_session_is_not() {
    let mut world = World::new();
    let tell = |world: &mut World, session, sequence| {
        world.tell(vec![Input::Batch(Batch { session, ..sees(1, sequence, &[VICTIM]) })]);
        (world.engine.counters().batches, world.engine.counters().duplicate_batches)
    };
    assert_eq!(tell(&mut world, 7, 5), (1, 0));
    assert_eq!(tell(&mut world, 7, 5), (1, 1));
    assert_eq!(tell(&mut world, 7, 4), (1, 2));
    assert_eq!(world.engine.durable_sequence(&host(1), 7), 5);
    assert_eq!(tell(&mut world, 8, 1), (2, 2));
    assert_eq!(world.engine.durable_sequence(&host(1), 8), 1);
    assert_eq!(world.engine.durable_sequence(&host(1), 7), 0);
    assert_eq!(world.engine.durable_sequence(&host(9), 7), 0);
}

#[test]
fn a_repeated_log_entry_is_ignored() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    let (log, before) = (world.log.clone(), world.engine.checkpoint());
    let outcome = world.engine.handle(&log[0]);
    assert_eq!(outcome, Default::default());
    assert_eq!(world.engine.checkpoint(), before);
}

#[test]
fn both_families_of_a_dual_stack_listener_are_one() {
    let mut world = World::new();
    world.seen(&[1], "::ffff:203.0.113.7");
    world.seen(&[2], VICTIM);
    assert_eq!(world.listed(), [VICTIM]);
    world.seen(&[1], "2001:db8::1");
    assert_eq!(world.listed(), [VICTIM]);
    world.seen(&[2], "2001:db8::2:3");
    assert_eq!(world.listed(), [VICTIM, "2001:db8::/64"]);
}

#[test]
fn a_socket_counts_once_and_two_outweigh_a_flood() {
    let mut world = World::new();
    world.policy(|policy| policy.host_units_per_minute = 1);
    let row = |sockets| Observation { unit: unit(VICTIM), sockets, retransmits: 1 };
    let mut tell = |number: u32, sockets: u32| {
        let observations = vec![row(sockets), Observation { unit: unit("192.0.2.1"), ..row(1) }];
        let batch = Batch { observations, ..world.batch(number, &[]) };
        world.tell(vec![Input::Batch(batch)]);
        world.explain(VICTIM).witnesses.iter().map(|one| one.counts).collect::<Vec<_>>()
    };
    assert_eq!(tell(1, 1), [Counts::Flooded], "the batch that tells is judged so itself");
    assert_eq!(tell(1, 0), [Counts::Flooded], "it is the same socket");
    assert_eq!(tell(1, 1), [Counts::Yes], "a second one");
    assert_eq!(tell(2, 2), [Counts::Yes, Counts::Yes]);
    assert_eq!(world.tier(VICTIM), Some(Tier::Suppress));
    assert_eq!(world.listed(), [VICTIM]);
}

#[test]
fn a_socket_that_was_seen_in_a_flood_does_not_count_later() {
    let mut world = World::new();
    world.policy(|policy| policy.host_units_per_minute = 1);
    world.tell(vec![Input::Batch(sees(1, 1, &[VICTIM, "192.0.2.1"]))]);
    let retransmit = Observation { unit: unit(VICTIM), sockets: 0, retransmits: 4 };
    world.wait(90).tell(vec![Input::Batch(Batch { observations: vec![retransmit], ..sees(1, 2, &[]) })]);
    assert_eq!(world.explain(VICTIM).witnesses[0].counts, Counts::Flooded);
    world.tell(vec![Input::Batch(sees(1, 3, &[VICTIM]))]);
    assert_eq!(world.explain(VICTIM).witnesses[0].counts, Counts::Yes);
}

#[test]
fn hits_of_a_quorum_renew() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.wait(290).hit(&[4, 5, 6], VICTIM);
    assert_eq!(world.left(VICTIM), 310, "not half over");
    let outcome = world.wait(11).hit(&[4, 5, 6], VICTIM);
    let entry = world.engine.entry(&prefix(VICTIM)).unwrap().clone();
    assert_eq!((world.left(VICTIM), entry.tier), (600, Tier::Suppress));
    assert_eq!(entry.reason, Reason::Quorum { hosts: 3, quorum: 2 });
    assert_eq!(outcome.events, [Event::Retiered { entry, before: Tier::Drop, why: Retier::Probation }]);
    assert!(world.explain(VICTIM).witnesses.iter().all(|witness| witness.is_hit));
}

#[test]
fn a_drop_proves_itself_anew() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.wait(310).hit(&[1, 2, 3], VICTIM);
    assert_eq!(world.tier(VICTIM), Some(Tier::Suppress));
    world.wait(2).seen(&[1, 2, 3], VICTIM);
    assert_eq!(world.tier(VICTIM), Some(Tier::Drop), "a victim shows itself at once");
    world.wait(310).hit(&[1, 2, 3], VICTIM);
    world.wait(1).serves(1, VICTIM);
    world.wait(1).seen(&[1, 2, 3], VICTIM);
    assert_eq!(world.tier(VICTIM), Some(Tier::Suppress), "an honest client has connected");
}

#[test]
fn hits_of_one_host_do_not_renew_for_ever() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    for _ in 0..60 {
        world.wait(10).hit(&[1], VICTIM);
    }
    assert!(!is_listed(&world));
    assert_eq!(world.engine.counters().renewed, 0);
    assert_eq!(world.engine.counters().expired, 1);
}

#[test]
fn observations_and_hits_count_together_but_a_host_once() {
    let mut world = World::new();
    world.policy(|policy| policy.suppress_quorum = 3);
    world.seen(&[1, 2, 3], VICTIM);
    world.wait(310).seen(&[1, 2], VICTIM);
    world.hit(&[1, 2], VICTIM);
    assert_eq!(world.left(VICTIM), 290);
    world.hit(&[4], VICTIM);
    assert_eq!(world.left(VICTIM), 600);
}

#[test]
fn what_only_the_gentler_quorum_keeps_up_moves_down() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    let outcome = world.wait(310).hit(&[1, 2], VICTIM);
    let entry = world.engine.entry(&prefix(VICTIM)).unwrap().clone();
    assert_eq!((entry.tier, world.left(VICTIM)), (Tier::Suppress, 600));
    assert_eq!(outcome.events, [Event::Retiered { entry, before: Tier::Drop, why: Retier::Faded }]);
}

#[test]
fn hits_at_drop_list_nothing() {
    let mut world = World::new();
    world.hit(&[1, 2, 3, 4], VICTIM);
    world.seen(&[1], VICTIM);
    world.hit(&[3, 4], VICTIM);
    assert!(!is_listed(&world));
    assert_eq!(world.engine.counters().ignored_hits, 6);
}

#[test]
fn dropped_retransmits_are_as_good_as_seen() {
    let mut world = World::new();
    world.order(block(VICTIM, 10));
    world.hit_at(Tier::Suppress, &[1, 2, 3], VICTIM);
    assert!(world.wait(10).tick().delta.is_some());
    world.hit_at(Tier::Suppress, &[1], VICTIM);
    assert_eq!(world.tier(VICTIM), Some(Tier::Drop));
    let mut strict = World::new();
    strict.policy(|policy| policy.min_retransmits = 2);
    strict.hit_at(Tier::Suppress, &[1, 2, 3], VICTIM);
    assert!(!is_listed(&strict), "one retransmit is not enough there");
}

#[test]
fn what_was_ordered_ends_at_its_time_whatever_is_seen() {
    let mut world = World::new();
    world.order(block(VICTIM, 100));
    world.order(block("198.51.100.0/24", 100));
    for _ in 0..9 {
        world.wait(10).seen(&[1, 2, 3], VICTIM);
        world.hit(&[1, 2, 3], VICTIM);
        world.seen(&[1, 2, 3], "198.51.100.9");
        world.hit(&[1, 2, 3], "198.51.100.9");
    }
    assert_eq!((world.left(VICTIM), world.left("198.51.100.0/24")), (10, 10));
    assert_eq!(world.engine.counters().ignored_hits, 54);
    let outcome = world.wait(10).tick();
    assert_eq!(ends(&outcome), [End::Expired, End::Expired]);
}

#[test]
fn each_repeat_lasts_twice_as_long_until_it_is_forgiven() {
    let mut world = World::new();
    world.policy(|policy| policy.ttl_max = seconds(4_000));
    for expected in [600, 1_200, 2_400, 4_000, 4_000] {
        world.seen(&[1, 2, 3], VICTIM);
        assert_eq!(world.left(VICTIM), expected);
        world.wait(expected).tick();
        assert!(!is_listed(&world));
    }
    // Five listings; two times the longest life later, three are left.
    world.wait(8_000).seen(&[1, 2, 3], VICTIM);
    assert_eq!(world.engine.entry(&prefix(VICTIM)).unwrap().repeats, 3);
}

#[test]
fn what_was_undone_is_not_held_against_a_prefix() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.order(unblock(VICTIM, 0));
    world.seen(&[1, 2, 3], VICTIM);
    assert_eq!(world.left(VICTIM), 600);
}

#[test]
fn what_is_quiet_ends_once_all_who_would_see_it_are_there() {
    let mut world = World::new();
    for number in 1..=3 {
        world.join(number, &[]);
    }
    world.seen(&[1, 2], VICTIM);
    world.tell(vec![Input::HostLeft { host: host(2) }]);
    assert_eq!(ends(&world.wait(180).tick()), [], "host 2 cannot tell");
    world.join(2, &[]);
    assert_eq!(ends(&world.wait(179).tick()), [], "it is looked at again after as long");
    assert_eq!(ends(&world.wait(1).tick()), [End::Quiet]);
    world.seen(&[1, 2], VICTIM);
    assert_eq!(world.engine.entry(&prefix(VICTIM)).unwrap().repeats, 1);
    assert_eq!(ends(&world.wait(359).tick()), []);
    assert_eq!(ends(&world.wait(1).tick()), [End::Quiet], "twice as long");
}

#[test]
fn a_shorter_quiet_time_is_for_what_is_listed_too() {
    let mut world = World::new();
    world.join(1, &[]);
    world.join(2, &[]);
    world.policy(|policy| policy.ttl_quiet = seconds(0));
    world.seen(&[1, 2], VICTIM);
    assert_eq!(ends(&world.wait(500).tick()), [], "never");
    world.policy(|policy| policy.ttl_quiet = seconds(200));
    assert_eq!(ends(&world.tick()), [End::Quiet]);
}

#[test]
fn a_raised_quorum_leaves_what_is_listed() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.policy(|policy| (policy.suppress_quorum, policy.drop_quorum) = (4, 4));
    assert_eq!(world.tier(VICTIM), Some(Tier::Drop));
    world.seen(&[1, 2, 3], "198.51.100.1");
    assert_eq!(world.listed(), [VICTIM]);
    world.policy(|policy| (policy.suppress_quorum, policy.drop_quorum) = (3, 3));
    world.seen(&[1], "198.51.100.1");
    assert_eq!(world.listed().len(), 2);
}

#[test]
fn a_longer_window_does_not_bring_back_what_was_over() {
    let mut world = World::new();
    world.seen(&[1], VICTIM);
    world.wait(400).policy(|policy| {
        (policy.window, policy.ttl_quiet) = (seconds(3_600), seconds(1_800));
    });
    world.seen(&[2], VICTIM);
    assert!(!is_listed(&world));
    world.wait(3_000).seen(&[1], VICTIM);
    assert!(is_listed(&world), "from here on, it is an hour");
}

#[test]
fn time_never_goes_back() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    let mut early = world.log[0].clone();
    (early.index.0, early.time) = (2, early.time - Duration::from_secs(900));
    let (now, before) = (world.engine.now(), world.engine.members().next());
    world.engine.handle(&early);
    assert_eq!((world.engine.now(), world.engine.members().next()), (now, before));
}
