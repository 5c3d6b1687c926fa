//! What is not logged must not be missed.

use alloc::{collections::BTreeMap, vec, vec::Vec};

use proptest::prelude::*;
use sekisho_model::{Input, LogEntry, Moment, Revision, Unit};

use super::{
    histories::{batch, history, reports},
    world::{VICTIM, World, sees, unit},
};
use crate::Engine;

/// When the last host of the quorum saw each unit that has one, by the evidence of a checkpoint.
fn quorum_times(engine: &Engine) -> BTreeMap<Unit, Moment> {
    let mut times: BTreeMap<Unit, Vec<Moment>> = BTreeMap::new();
    for one in engine.checkpoint().evidence {
        times.entry(one.unit).or_default().push(one.seen);
    }
    let quorum = engine.policy().drop_quorum as usize;
    let nth = |(unit, times): (Unit, Vec<Moment>)| Some((unit, *times.get(quorum - 1)?));
    times.into_iter().filter_map(nth).filter(|(_, seen)| *seen >= engine.horizon).collect()
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

proptest! {
    #[test]
    fn what_is_stripped_would_have_changed_nothing(
        history in history(), mut batch in batch(), later in 0u64..30_000
    ) {
        let mut engine = Engine::new();
        for entry in &history {
            engine.handle(entry);
        }
        batch.sequence = u64::MAX;
        let time = engine.now() + core::time::Duration::from_millis(later);
        let mut rest = batch.clone();
        let gone = engine.strip_known(&mut rest, time);
        prop_assert_eq!(rest.observations.len() + rest.hits.len() + gone, batch.observations.len() + batch.hits.len());
        let result = |batch| {
            let mut copy = Engine::restore(engine.checkpoint());
            let index = Revision(engine.index().0 + 1);
            copy.handle(&LogEntry { index, time, inputs: vec![Input::Batch(batch)] }).delta
        };
        let (whole, left) = (result(batch), result(rest));
        prop_assert_eq!(whole, left);
    }

    #[test]
    fn a_quorum_lacks_at_most_an_eighth_of_the_window(history in reports()) {
        let (mut whole, mut lean) = (Engine::new(), Engine::new());
        for entry in &history {
            whole.handle(entry);
            let entry = stripped(&lean, entry);
            lean.handle(&entry);
            let slack = lean.policy().window / 8;
            let found = quorum_times(&lean);
            for (unit, seen) in quorum_times(&whole) {
                let least = seen - slack;
                let has = found.get(&unit).is_some_and(|seen| *seen >= least);
                prop_assert!(has || least < lean.horizon, "{unit:?}");
            }
        }
    }
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
    // 300 s are a window: at the quorum of 3, each eighth of it needs three rows, of 6,000 in all.
    assert!((20..=40).contains(&kept), "{kept}");
    assert_eq!(world.engine.witnesses(unit(VICTIM)).len(), 3);
    assert!(world.engine.entry_covering(VICTIM.parse().unwrap()).is_some());
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
