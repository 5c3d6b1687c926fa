//! What holds over every history: the promises of the feed, and that of the replay.

use alloc::{collections::BTreeMap, format, string::ToString, vec, vec::Vec};
use core::time::Duration;

use sekisho_model::{Change, Digest, Entry, Input, Key, LogEntry, Member, Moment, OrderKind, Revision};

use super::histories::{Dice, History, Verdict, for_all, order};
use crate::{End, Engine, Event, Outcome};

/// Fails with what is wrong unless it is so.
fn ensure(holds: bool, what: impl FnOnce() -> alloc::string::String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

fn copy(engine: &Engine) -> Engine {
    Engine::restore_within(engine.checkpoint(), engine.bounds)
}

/// What the engine would do if `inputs` came at `time`; the engine is left alone.
fn if_told(engine: &Engine, inputs: Vec<Input>, time: Moment) -> Outcome {
    copy(engine).handle(&LogEntry { index: Revision(engine.index().0 + 1), time, inputs })
}

fn follow(members: &mut BTreeMap<Key, Member>, change: &Change) -> bool {
    let before = members.get(&change.key()).copied();
    match change {
        Change::Put(member) => members.insert(member.key(), *member),
        Change::Remove(key) => members.remove(key),
    };
    before != members.get(&change.key()).copied()
}

/// Another engine, with other seeds for its hashes, and restored in the middle, does the same.
fn is_determined(history: &History) -> Verdict {
    let mut one = Engine::with_bounds(history.bounds);
    let mut other = Engine::with_bounds(history.bounds);
    other.reseed(history.seed ^ 0x5eed);
    let middle = history.entries.len() / 2;
    for (at, entry) in history.entries.iter().enumerate() {
        if at == middle {
            let checkpoint = other.checkpoint();
            ensure(checkpoint == one.checkpoint(), || "checkpoints differ".to_string())?;
            other = Engine::restore_within(checkpoint.clone(), history.bounds);
            ensure(checkpoint == other.checkpoint(), || "the restored engine differs".to_string())?;
            ensure(other.digest() == one.digest(), || "the restored digest differs".to_string())?;
            other.reseed(history.seed);
        }
        let same = one.handle(entry) == other.handle(entry) && one.counters() == other.counters();
        ensure(same, || format!("outcomes differ at #{}", entry.index))?;
    }
    ensure(one.checkpoint() == other.checkpoint(), || "the last checkpoints differ".to_string())
}

#[test]
fn same_log_same_list() {
    for_all(100_000, is_determined);
}

/// The deltas lead to the members, step by step, and each change of one changes something.
fn deltas_are_true(history: &History) -> Verdict {
    let mut engine = Engine::with_bounds(history.bounds);
    let (mut members, mut revision) = (BTreeMap::new(), Revision::default());
    for entry in &history.entries {
        if let Some(delta) = engine.handle(entry).delta {
            let place = (delta.previous, delta.revision) == (revision, entry.index);
            ensure(place && !delta.changes.is_empty(), || format!("{delta:?} after {revision}"))?;
            ensure(delta.changes.is_sorted_by(|a, b| a.key() < b.key()), || format!("{delta:?}"))?;
            for change in &delta.changes {
                ensure(follow(&mut members, change), || format!("{change:?} changes nothing"))?;
            }
            ensure(delta.digest == Digest::of(members.values()), || format!("digest of {delta:?}"))?;
            revision = delta.revision;
        }
        let stands = (engine.revision(), engine.index()) == (revision, entry.index);
        let same = engine.members().eq(members.values().copied());
        let count = engine.member_count() == members.len() && engine.digest() == Digest::of(members.values());
        ensure(stands && same && count, || format!("{members:?} at #{}", entry.index))?;
    }
    Ok(())
}

#[test]
fn the_deltas_are_the_whole_truth() {
    for_all(20_000, deltas_are_true);
}

fn entries_are_apart(history: &History) -> Verdict {
    let mut engine = Engine::with_bounds(history.bounds);
    for entry in &history.entries {
        engine.handle(entry);
        let entries: Vec<Entry> = engine.entries_from(None).cloned().collect();
        for (at, one) in entries.iter().enumerate() {
            let is_apart = entries[at + 1..].iter().all(|other| !one.prefix.overlaps(&other.prefix));
            let is_allowed = engine.allowlist_overlapping(&one.prefix).next().is_some();
            let is_good = is_apart && !is_allowed && engine.protected.why(&one.prefix).is_none();
            ensure(is_good, || format!("{one:?} at #{}", entry.index))?;
            let is_in_time = one.expires > engine.now() && one.revision <= engine.index();
            let ends = [one.prefix.address(), one.prefix.last()];
            let is_found = ends.iter().all(|address| engine.entry_covering(*address) == Some(one));
            ensure(is_in_time && is_found, || format!("{one:?} at #{}", entry.index))?;
        }
    }
    Ok(())
}

#[test]
fn entries_are_disjoint_and_never_protected() {
    for_all(20_000, entries_are_apart);
}

/// Up to the timeout nothing changes by itself; a tick at it leads to something, or to a later one.
fn timeouts_are_true(history: &History) -> Verdict {
    let mut engine = Engine::with_bounds(history.bounds);
    for entry in &history.entries {
        engine.handle(entry);
        let tick = |time| if_told(&engine, vec![Input::Tick], time).delta;
        let Some(timeout) = engine.poll_timeout() else {
            ensure(tick(Moment::MAX).is_none(), || format!("something ends after #{}", entry.index))?;
            continue;
        };
        let before = timeout - Duration::from_millis(1);
        ensure(before < engine.now() || tick(before).is_none(), || format!("early after #{}", entry.index))?;
        let mut later = copy(&engine);
        let index = Revision(engine.index().0 + 1);
        later.handle(&LogEntry { index, time: timeout, inputs: vec![Input::Tick] });
        let goes_on = later.poll_timeout().is_none_or(|next| next > timeout);
        ensure(goes_on, || format!("{timeout:?} again after #{}", entry.index))?;
    }
    Ok(())
}

#[test]
fn nothing_ends_before_the_timeout_and_it_is_no_loop() {
    for_all(10_000, timeouts_are_true);
}

/// What an order is said to do is what it does, whatever comes to its time until then. What ends quietly first is
/// not foretold.
fn orders_are_foretold(history: &History) -> Verdict {
    let mut dice = Dice::new(history.seed);
    let mut engine = Engine::with_bounds(history.bounds);
    for entry in &history.entries {
        engine.handle(entry);
        let order = order(&mut dice);
        let time = engine.now() + Duration::from_millis(u64::from(dice.below(200_000)));
        let ended = if_told(&engine, vec![Input::Tick], time);
        if ended.events.iter().any(|event| matches!(event, Event::Removed { why: End::Quiet, .. })) {
            continue;
        }
        let said = engine.check_order(&order, time);
        let outcome = if_told(&engine, vec![Input::Order(order.clone())], time);
        ensure(outcome.orders[..] == [said.clone()], || {
            format!(
                "after #{}, at {time:?}: {order:?} was said to {said:?}, and {:?}",
                entry.index, outcome.orders
            )
        })?;
        let Ok(preview) = said else { continue };
        if preview.done.is_some() {
            continue;
        }
        let is_policy = matches!(order.kind, OrderKind::SetPolicy(_));
        ensure(is_policy || !preview.changes.is_empty(), || format!("{order:?} does nothing"))?;
        let changes = outcome.delta.map(|delta| delta.changes).unwrap_or_default();
        for change in &preview.changes {
            let is_there = engine.members().any(|one| *change == Change::Put(one));
            ensure(changes.contains(change) || is_there, || format!("{change:?} of {order:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_checked_order_does_what_was_said() {
    for_all(10_000, orders_are_foretold);
}
