//! What holds over every history: the promises of the feed, and that of the replay.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::time::Duration;

use proptest::prelude::*;
use sekisho_model::{
    Change, Digest, Entry, Input, Key, LogEntry, Member, Moment, OrderKind, Prefix, Revision,
};

use super::histories::{history, order};
use crate::{Engine, Outcome};

/// What the engine would do if `input` came at `time`; the engine is left alone.
fn if_told(engine: &Engine, input: Input, time: Moment) -> Outcome {
    let mut copy = Engine::restore(engine.checkpoint());
    copy.handle(&LogEntry { index: Revision(engine.index().0 + 1), time, inputs: vec![input] })
}

fn follow(members: &mut BTreeMap<Key, Member>, change: &Change) -> bool {
    let before = members.get(&change.key()).copied();
    match change {
        Change::Put(member) => members.insert(member.key(), *member),
        Change::Remove(key) => members.remove(key),
    };
    before != members.get(&change.key()).copied()
}

proptest! {
    #[test]
    fn same_log_same_list(history in history()) {
        let (mut one, mut other) = (Engine::new(), Engine::new());
        other.reseed(0x5eed);
        for entry in &history {
            prop_assert_eq!(one.handle(entry), other.handle(entry));
        }
        prop_assert_eq!(one.checkpoint(), other.checkpoint());
    }

    #[test]
    fn a_restored_engine_goes_on_as_if_it_had_never_stopped(history in history(), at: prop::sample::Index) {
        let at = at.index(history.len());
        let mut lasting = Engine::new();
        for entry in &history[..at] {
            lasting.handle(entry);
        }
        let checkpoint = lasting.checkpoint();
        let mut restored = Engine::restore(checkpoint.clone());
        prop_assert_eq!(restored.checkpoint(), checkpoint);
        prop_assert_eq!(restored.digest(), lasting.digest());
        for entry in &history[at..] {
            prop_assert_eq!(lasting.handle(entry), restored.handle(entry));
            prop_assert_eq!(lasting.counters(), restored.counters());
        }
        prop_assert_eq!(restored.checkpoint(), lasting.checkpoint());
    }

    #[test]
    fn the_deltas_are_the_whole_truth(history in history()) {
        let mut engine = Engine::new();
        let mut members = BTreeMap::new();
        let mut revision = Revision::default();
        for entry in &history {
            if let Some(delta) = engine.handle(entry).delta {
                prop_assert_eq!((delta.previous, delta.revision), (revision, entry.index));
                prop_assert!(delta.changes.is_sorted_by(|a, b| a.key() < b.key()));
                for change in &delta.changes {
                    prop_assert!(follow(&mut members, change), "{change:?} changes nothing");
                }
                prop_assert_eq!(delta.digest, Digest::of(members.values()));
                revision = delta.revision;
            }
            prop_assert_eq!(engine.revision(), revision);
            prop_assert_eq!(engine.index(), entry.index);
            prop_assert_eq!(engine.digest(), Digest::of(members.values()));
            prop_assert!(engine.members().eq(members.values().copied()));
            prop_assert_eq!(engine.member_count(), members.len());
        }
    }

    #[test]
    fn entries_are_disjoint_and_never_protected(history in history()) {
        let mut engine = Engine::new();
        for entry in &history {
            engine.handle(entry);
            let entries: Vec<Entry> = engine.entries_from(None).cloned().collect();
            for (at, one) in entries.iter().enumerate() {
                prop_assert!(entries[at + 1..].iter().all(|other| !one.prefix.overlaps(&other.prefix)));
                prop_assert!(engine.allowlist_overlapping(&one.prefix).next().is_none());
                prop_assert!(engine.protected.why(&one.prefix).is_none());
                prop_assert!(one.expires > engine.now());
                prop_assert!(one.revision <= engine.index());
                prop_assert_eq!(engine.entry_covering(one.prefix.address()), Some(one));
                prop_assert_eq!(engine.entry_covering(one.prefix.last()), Some(one));
            }
        }
    }

    #[test]
    fn nothing_ends_before_the_timeout_and_something_does_at_it(history in history()) {
        let mut engine = Engine::new();
        for entry in &history {
            engine.handle(entry);
            let tick = |time| if_told(&engine, Input::Tick, time).delta;
            let Some(timeout) = engine.poll_timeout() else {
                prop_assert_eq!(tick(Moment::MAX), None);
                continue;
            };
            prop_assert!(timeout > engine.now());
            prop_assert_eq!(tick(timeout - Duration::from_millis(1)), None);
            let changes = tick(timeout).map(|delta| delta.changes).unwrap_or_default();
            prop_assert!(!changes.is_empty());
            prop_assert!(changes.iter().all(|change| matches!(change, Change::Remove(_))));
        }
    }

    #[test]
    fn a_checked_order_does_what_was_said(history in history(), order in order(), later in 0i64..200_000) {
        let mut engine = Engine::new();
        for entry in &history {
            engine.handle(entry);
        }
        let time = engine.now() + Duration::from_millis(later.unsigned_abs());
        let said = engine.check_order(&order, time);
        let outcome = if_told(&engine, Input::Order(order.clone()), time);
        prop_assert_eq!(&outcome.orders, &vec![said.clone()]);
        let due = |prefix: &Prefix| engine.entry(prefix).is_some_and(|entry| entry.expires <= time);
        if let Ok(preview) = said {
            prop_assert!(!preview.changes.is_empty());
            let changes = outcome.delta.map(|delta| delta.changes).unwrap_or_default();
            for change in &preview.changes {
                prop_assert!(changes.contains(change) || engine.members().any(|one| *change == Change::Put(one)));
            }
            // Whatever else changed had come to its end.
            for change in changes.iter().filter(|change| !preview.changes.contains(change)) {
                prop_assert!(matches!(change, Change::Remove(key) if key.allow || due(&key.prefix)));
            }
            prop_assert_eq!(
                order.kind == OrderKind::Disallow,
                preview.changes.iter().all(|change| matches!(change, Change::Remove(key) if key.allow))
            );
        }
    }
}
