//! The engine against the reference, entry by entry.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use sekisho_model::{Entry, Member};

use super::{
    histories::{History, for_all, told},
    naive::{Answer, Naive},
};
use crate::{Engine, Event, OrderResult, Outcome, Refusal};

/// Why an order is refused is not the reference's business.
fn plain(event: &Event) -> Event {
    match event {
        Event::OrderRefused { order, .. } => {
            Event::OrderRefused { order: order.clone(), refusal: Refusal::NoReason }
        }
        other => other.clone(),
    }
}

fn answer(result: &OrderResult) -> Answer {
    result.as_ref().ok().map(|preview| (preview.changes.clone(), preview.done))
}

/// What differs between two lists of lines.
fn difference(what: &str, engine: &[String], reference: &[String]) -> Result<(), String> {
    if engine == reference {
        return Ok(());
    }
    let lines = |lines: &[String]| lines.iter().map(|line| format!("\n    {line}")).collect::<String>();
    Err(format!("{what}\n  engine:{}\n  reference:{}", lines(engine), lines(reference)))
}

fn compare(engine: &Engine, outcome: &Outcome, naive: &Naive) -> Result<(), String> {
    let events: Vec<Event> = outcome.events.iter().map(plain).collect();
    if events != naive.events {
        let texts = |events: &[Event]| events.iter().map(told).collect::<Vec<_>>();
        difference("events", &texts(&events), &texts(&naive.events))?;
        return Err(format!("events\n{events:#?}\n{:#?}", naive.events));
    }
    let answers: Vec<Answer> = outcome.orders.iter().map(answer).collect();
    if answers != naive.answers {
        return Err(format!("answers: {answers:?} and {:?}", naive.answers));
    }
    let members = engine.members().collect::<Vec<Member>>();
    if members != naive.members() {
        return Err(format!("members: {members:?} and {:?}", naive.members()));
    }
    let entries: Vec<Entry> = engine.entries_from(None).cloned().collect();
    if entries != naive.entries() {
        return Err(format!("entries: {entries:?} and {:?}", naive.entries()));
    }
    Ok(())
}

/// The engine does what the reference does.
fn agrees(history: &History) -> Result<(), String> {
    let (mut engine, mut naive) = (Engine::with_bounds(history.bounds), Naive::new(history.bounds));
    for entry in &history.entries {
        let outcome = engine.handle(entry);
        naive.handle(entry);
        compare(&engine, &outcome, &naive).map_err(|why| format!("at #{}: {why}", entry.index))?;
    }
    Ok(())
}

/// Another engine, with another seed for its hashes, and restored in the middle, does the same.
fn is_determined(history: &History) -> Result<(), String> {
    let mut one = Engine::with_bounds(history.bounds);
    let mut other = Engine::with_bounds(history.bounds);
    other.reseed(history.seed ^ 0x5eed);
    let middle = history.entries.len() / 2;
    for (at, entry) in history.entries.iter().enumerate() {
        if at == middle {
            let checkpoint = other.checkpoint();
            if checkpoint != one.checkpoint() {
                return Err(format!("checkpoints differ at #{}", entry.index));
            }
            other = Engine::restore_within(checkpoint.clone(), history.bounds);
            if other.checkpoint() != checkpoint {
                return Err(format!("the restored engine differs at #{}", entry.index));
            }
        }
        if one.handle(entry) != other.handle(entry) {
            return Err(format!("outcomes differ at #{}", entry.index));
        }
    }
    let same = one.checkpoint() == other.checkpoint() && one.counters() == other.counters();
    if same { Ok(()) } else { Err("the last checkpoints differ".to_string()) }
}

#[test]
fn whatever_happens_the_engine_does_what_the_rules_say() {
    for_all(100_000, agrees);
}

#[test]
fn same_log_same_list_whatever_the_seed_and_over_a_restart() {
    for_all(100_000, is_determined);
}
