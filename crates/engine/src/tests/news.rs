//! What is not logged must not be missed.

use alloc::{collections::BTreeMap, format, string::String, vec, vec::Vec};
use core::time::Duration;

use sekisho_model::{
    Batch, Input, LogEntry, Moment, Order, OrderKind, Revision, Tier, Totals, Unit, limits::LOGGED_WITNESSES,
};

use super::{
    histories::{Dice, History, Verdict, batch, for_all_of, reports, stuck_units, world},
    world::{VICTIM, World, ends, sees},
};
use crate::{End, Engine, Event};

/// Rows of a batch.
fn rows(batch: &Batch) -> usize {
    batch.observations.len() + batch.hits.len() + batch.completed.len()
}

fn stripped(engine: &Engine, entry: &LogEntry) -> LogEntry {
    let mut entry = entry.clone();
    for input in &mut entry.inputs {
        if let Input::Batch(batch) = input {
            engine.strip_known(batch, entry.time);
        }
    }
    entry
}

/// A batch whose totals go on from what the engine knows of its host, and tell of all its rows; none of a host
/// that did not report yet.
fn next_batch(engine: &Engine, dice: &mut Dice) -> Option<Batch> {
    let mut batch = batch(dice);
    let record = engine.host(&batch.host).filter(|record| record.session > 0)?;
    let stuck_units = record.totals.stuck_units + stuck_units(&batch);
    (batch.session, batch.totals) = (record.session, Totals { stuck_units, ..record.totals });
    Some(batch)
}

/// Whether something ends quietly until `time`: the log gets a tick then, and what is not logged is judged after it.
fn ends_quietly(engine: &Engine, time: Moment) -> bool {
    let mut copy = Engine::restore_within(engine.checkpoint(), engine.bounds);
    let index = Revision(engine.index().0 + 1);
    let tick = copy.handle(&LogEntry { index, time, inputs: vec![Input::Tick] });
    ends(&tick).contains(&End::Quiet)
}

/// One batch lists, moves and renews the same with and without what is stripped.
fn stripping_changes_nothing(history: &History) -> Verdict {
    let mut engine = Engine::with_bounds(history.bounds);
    let mut dice = Dice::new(history.seed);
    for entry in &history.entries {
        engine.handle(entry);
        let Some(whole) = next_batch(&engine, &mut dice) else { continue };
        let time = engine.now() + Duration::from_millis(u64::from(dice.below(30_000)));
        if ends_quietly(&engine, time) {
            continue;
        }
        let mut rest = whole.clone();
        let gone = engine.strip_known(&mut rest, time);
        if rows(&rest) + gone != rows(&whole) {
            return Err(format!("{gone} of {whole:?} are gone, {rest:?} is left"));
        }
        let result = |batch: &Batch| {
            let mut copy = Engine::restore_within(engine.checkpoint(), engine.bounds);
            let index = Revision(engine.index().0 + 1);
            copy.handle(&LogEntry { index, time, inputs: vec![Input::Batch(batch.clone())] }).delta
        };
        let (all, left) = (result(&whole), result(&rest));
        if all != left {
            let index = entry.index;
            return Err(format!("after #{index} at {time:?}: {whole:?} brings {all:?}, {rest:?} {left:?}"));
        }
    }
    Ok(())
}

/// Everything that can happen, but that no networks are listed: where time or an operator has changed what is
/// bombed, that shows with the next row that is news.
fn only_units(seed: u64) -> History {
    let mut history = world(seed);
    for input in history.entries.iter_mut().flat_map(|entry| &mut entry.inputs) {
        match input {
            Input::Policy(policy) => policy.prefix_tier = None,
            Input::Order(Order { kind: OrderKind::SetPolicy(policy), .. }) => policy.prefix_tier = None,
            _ => {}
        }
    }
    history
}

#[test]
fn what_is_stripped_would_have_changed_nothing() {
    for_all_of(10_000, only_units, stripping_changes_nothing);
}

/// The moments of the fresh sightings that count, by unit, the newest first.
fn counting(engine: &Engine) -> BTreeMap<Unit, Vec<Moment>> {
    let fresh = |record: crate::checkpoint::UnitRecord| {
        let good = record.sightings.iter().filter(|one| one.counts && one.seen >= engine.horizon);
        (record.unit, good.map(|one| one.seen).collect())
    };
    engine.checkpoint().units.into_iter().map(fresh).collect()
}

/// Without what is stripped, the Nth sighting of a unit is at most an eighth of the window older, for every N
/// up to which witnesses are logged.
fn quorums_are_kept(history: &History) -> Verdict {
    let (mut whole, mut lean) = (Engine::new(), Engine::new());
    for entry in &history.entries {
        whole.handle(entry);
        let less = stripped(&lean, entry);
        lean.handle(&less);
        let slack = lean.policy().window / 8;
        let found = counting(&lean);
        for (unit, moments) in counting(&whole) {
            let found = found.get(&unit).map_or(&[][..], Vec::as_slice);
            for (nth, seen) in moments.iter().enumerate().take(LOGGED_WITNESSES) {
                let least = *seen - slack;
                let has = found.get(nth).is_some_and(|found| *found >= least);
                if !has && least >= lean.horizon {
                    let (unit, index) = (unit.prefix(), entry.index);
                    return Err(format!("#{index}: {unit} has {moments:?}, without {found:?}"));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_quorum_lacks_at_most_an_eighth_of_the_window() {
    for_all_of(20_000, reports, quorums_are_kept);
}

#[test]
fn a_flood_that_goes_on_costs_the_log_little() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    let (mut kept, mut sequence) = (0, 100);
    for _ in 0..300 {
        for number in 1..=20 {
            sequence += 1;
            let mut batch = sees(number, sequence, &[VICTIM]);
            world.engine.strip_known(&mut batch, world.now());
            if !batch.observations.is_empty() {
                kept += 1;
                world.tell(vec![Input::Batch(batch)]);
            }
        }
        world.wait(1);
    }
    // 300 s are a window: each eighth of it needs eight rows, of 6,000 in all.
    assert!((60..=80).contains(&kept), "{kept}");
    assert!((8..=10).contains(&world.explain(VICTIM).hosts), "{}", world.explain(VICTIM).hosts);
    assert!(world.engine.entry_covering(VICTIM.parse().unwrap()).is_some());
}

#[test]
fn a_host_of_another_zone_is_logged_however_many_of_one_were() {
    let mut world = World::new();
    world.policy(|policy| policy.min_zones = 2);
    let hosts: Vec<u32> = (1..=9).collect();
    for number in &hosts {
        world.join_in(*number, Some("tokyo"), &[]);
    }
    world.join_in(10, Some("osaka"), &[]);
    world.seen(&hosts, VICTIM);
    for (number, left) in [(9, 0), (10, 1)] {
        let mut batch = world.batch(number, &[VICTIM]);
        world.engine.strip_known(&mut batch, world.now());
        assert_eq!(batch.observations.len(), left, "host {number}");
        world.tell(vec![Input::Batch(batch)]);
    }
    assert_eq!(world.tier(VICTIM), Some(Tier::Drop));
}

#[test]
fn weak_sightings_do_not_keep_one_that_counts_out_of_the_log() {
    let mut world = World::new();
    world.policy(|policy| policy.host_units_per_minute = 1);
    for number in 1..=9 {
        world.tell(vec![Input::Batch(sees(number, 1, &[VICTIM, "192.0.2.1"]))]);
    }
    assert_eq!((world.explain(VICTIM).hosts, world.explain(VICTIM).witnesses.len()), (0, 9));
    for number in 10..=12 {
        let mut batch = sees(number, 1, &[VICTIM]);
        assert_eq!(world.engine.strip_known(&mut batch, world.now()), 0, "host {number}");
        world.tell(vec![Input::Batch(batch)]);
    }
    assert_eq!(world.tier(VICTIM), Some(Tier::Drop));
}

#[test]
fn networks_that_tell_of_a_broken_path_are_logged_though_they_are_known() {
    let mut world = World::new();
    let networks: Vec<String> = (1..=9).map(|number| format!("20.{number}.0.1")).collect();
    let networks: Vec<&str> = networks.iter().map(String::as_str).collect();
    let mut completed = 0;
    let mut tell = |world: &mut World, more: u64, what: &[&str]| {
        completed += more;
        let totals = Totals { completed, ..Totals::default() };
        let mut batch = Batch { totals, ..world.wait(1).batch(1, what) };
        world.engine.strip_known(&mut batch, world.now());
        let left = batch.observations.len();
        (left, world.tell(vec![Input::Batch(batch)]).events)
    };
    for _ in 0..120 {
        tell(&mut world, 50, &[]);
    }
    assert_eq!(tell(&mut world, 50, &networks).0, 9);
    assert_eq!(tell(&mut world, 50, &networks).0, 0, "all is well");
    let events: Vec<Event> = (0..3).flat_map(|_| tell(&mut world, 0, &networks).1).collect();
    assert!(matches!(events[..], [Event::OutageBegan { .. }]), "{events:?}");
}

#[test]
fn what_would_list_at_last_is_logged_though_it_is_known() {
    let mut world = World::new();
    world.policy(|policy| policy.max_entries = 1);
    world.seen(&[1, 2, 3], "198.51.100.1");
    world.wait(580).seen(&[1, 2, 3], VICTIM);
    let mut batch = world.batch(1, &[VICTIM]);
    assert_eq!(world.engine.strip_known(&mut batch.clone(), world.now()), 1, "the list is full");
    world.wait(21);
    assert_eq!(world.engine.strip_known(&mut batch, world.now()), 0, "the other entry is over by now");
    world.tell(vec![Input::Batch(batch)]);
    assert_eq!(world.listed(), [VICTIM]);
}

#[test]
fn what_would_renew_is_logged_though_it_is_known() {
    let mut world = World::new();
    world.seen(&[1, 2, 3], VICTIM);
    world.wait(290).seen(&[1, 2, 3], VICTIM);
    assert_eq!(world.left(VICTIM), 310);
    let mut batch = world.wait(11).batch(1, &[VICTIM]);
    assert_eq!(world.engine.strip_known(&mut batch, world.now()), 0);
    world.tell(vec![Input::Batch(batch)]);
    assert_eq!(world.left(VICTIM), 600);
}
