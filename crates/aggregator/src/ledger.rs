//! The replayed log: append and wait for the disk, then give to the engine, then publish. Recovery is
//! the same way without the append.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::Context;
use prost::Message;
use sekisho_engine::{Engine, Event, Outcome};
use sekisho_feed::Frame;
use sekisho_history::{
    checkpoint,
    records::{self, FORMAT, Unreadable},
};
use sekisho_model::{
    Delta, Input, LogEntry, Moment, Revision,
    limits::{CHECKPOINT_EVERY, EVENT_RETENTION, LOG_RETENTION},
};
use sekisho_store::{EventId, Log, NewEvent, Options, Record, Store, StoreError};
use sekisho_wire::{feed, log, packed};

use crate::{clock::Clock, events, shared::Shared};

/// The only writer of a log inside the process.
const WRITER: u64 = 1;
/// Bytes of the log that are read at a time in a replay.
const REPLAY_BYTES: usize = 16 << 20;

/// The store and the engine behind it, for their one writer.
pub struct Ledger {
    store: Store,
    shared: Arc<Shared>,
    sequence: u64,
    since_checkpoint: u64,
    /// What was put last. It is durable with the next record: until then, a failure may take it back.
    last_events: Events,
}

/// The events of one log entry.
#[derive(Default)]
struct Events {
    index: Revision,
    time: Moment,
    events: Vec<NewEvent>,
}

/// Why the log could not be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record that this version cannot read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl Ledger {
    /// Opens the log in `dir` and brings the engine to where it ends.
    ///
    /// # Errors
    /// The store's, or a log or checkpoint that this version cannot read.
    pub fn open(dir: &Path, new_epoch: bool, seed: u64) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut store = Store::open(dir, Options { new_epoch })?;
        let found = store.newest_checkpoint()?;
        let mut engine = match &found {
            Some(found) => {
                for damaged in &found.passed_over {
                    tracing::error!(checkpoint = damaged.0, "a checkpoint is damaged; check the disk");
                }
                Engine::restore(checkpoint::decode(&found.bytes).context("the checkpoint cannot be read")?)
            }
            None => Engine::new(),
        };
        engine.reseed(seed);
        let shared = Arc::new(Shared::new(engine, store.epoch(), store.reader(), Clock::start(store.time())));
        let last_events = Events::default();
        let mut ledger = Self { store, shared, sequence: 0, since_checkpoint: 0, last_events };
        ledger.catch_up()?;
        ledger.shared.announce_names();
        ledger.announce_events()?;
        tracing::info!(
            epoch = %ledger.store.epoch(), index = ledger.store.last().0, replayed = ledger.since_checkpoint,
            entries = ledger.shared.engine().counters().entries, seconds = begun.elapsed().as_secs_f64(), "the log is open"
        );
        Ok(ledger)
    }

    /// What the readers share.
    pub fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Makes `inputs` durable as one log entry, then takes them in and publishes what comes of it.
    ///
    /// # Errors
    /// The store's: whether the inputs are durable is then unknown until [`Ledger::reopen`].
    pub fn commit(&mut self, inputs: Vec<Input>, now: Moment) -> Result<(Revision, Outcome), LedgerError> {
        self.sequence += 1;
        let payload = log::encode(&inputs);
        let record =
            Record { format: FORMAT, writer: WRITER, sequence: self.sequence, time: now, payload: &payload };
        let index = self.store.append(record)?;
        let entry = LogEntry { index, time: self.store.time(), inputs };
        let outcome = self.apply(&entry)?;
        Ok((index, outcome))
    }

    /// Opens the store again after a failure, and takes in what turned out to be durable.
    ///
    /// # Errors
    /// The store's; it may be tried again.
    pub fn reopen(&mut self) -> Result<(), LedgerError> {
        self.store.reopen()?;
        // The log has the entry, or it would not have been taken in: only its events may be lost.
        let Events { index, time, events } = &self.last_events;
        if !events.is_empty() {
            self.store.put_events(*index, *time, events)?;
        }
        self.catch_up()?;
        self.announce_events()
    }

    /// Writes a checkpoint when one is due, and drops the log that is older than is kept.
    ///
    /// # Errors
    /// The store's.
    pub fn checkpoint_if_due(&mut self) -> Result<(), LedgerError> {
        if self.since_checkpoint < CHECKPOINT_EVERY {
            return Ok(());
        }
        // A checkpoint needs room that a record does not: when it fails, the log must go on for a while
        // before the next try.
        self.checkpoint().inspect_err(|_| self.since_checkpoint = CHECKPOINT_EVERY / 2)
    }

    /// Writes a checkpoint of where the engine stands.
    ///
    /// # Errors
    /// The store's.
    pub fn checkpoint(&mut self) -> Result<(), LedgerError> {
        if self.since_checkpoint == 0 {
            return Ok(());
        }
        let state = self.shared.engine().checkpoint();
        self.store.put_checkpoint(state.index, state.now, checkpoint::encode(&state))?;
        self.store.truncate_log_before_time(state.now - LOG_RETENTION)?;
        self.store.forget_events_before(state.now - EVENT_RETENTION)?;
        self.since_checkpoint = 0;
        tracing::info!(index = state.index.0, "checkpoint written");
        Ok(())
    }

    /// Takes in every record that the engine has not seen.
    fn catch_up(&mut self) -> Result<(), LedgerError> {
        loop {
            let from = Revision(self.shared.engine().index().0 + 1);
            let records = self.shared.reader.records(from, REPLAY_BYTES)?;
            if records.is_empty() {
                return Ok(());
            }
            for record in records {
                self.sequence = self.sequence.max(record.sequence);
                self.apply(&records::entry(&record)?)?;
            }
        }
    }

    fn apply(&mut self, entry: &LogEntry) -> Result<Outcome, LedgerError> {
        let outcome = self.shared.engine_mut().handle(entry);
        self.since_checkpoint += 1;
        // Not synced: a replay makes it again. If it fails, the store says so at the next append, too.
        let stored = self.put_delta(outcome.delta.as_ref());
        let kept = self.put_events(entry, &outcome);
        if outcome.events.iter().any(|event| matches!(event, Event::PolicyChanged { .. })) {
            self.shared.announce_names();
        }
        stored?;
        kept?;
        Ok(outcome)
    }

    fn put_delta(&mut self, delta: Option<&Delta>) -> Result<(), LedgerError> {
        let Some(delta) = delta else { return Ok(()) };
        let message = self.frame(delta);
        let bytes = message.body.encode_to_vec();
        let stored = self.store.put_delta(delta.previous, delta.revision, &bytes);
        self.shared.publisher().publish(message, bytes.len(), delta.digest);
        self.shared.announce(delta.revision);
        Ok(stored?)
    }

    fn put_events(&mut self, entry: &LogEntry, outcome: &Outcome) -> Result<(), LedgerError> {
        let events = events::kept(&outcome.events);
        if events.is_empty() {
            return Ok(());
        }
        self.last_events = Events { index: entry.index, time: entry.time, events };
        self.store.put_events(entry.index, entry.time, &self.last_events.events)?;
        let ordinal = u32::try_from(self.last_events.events.len() - 1).unwrap_or(u32::MAX);
        let newest = EventId { index: entry.index, ordinal };
        self.shared.announce_events(newest, self.store.stored_events());
        Ok(())
    }

    fn announce_events(&self) -> Result<(), LedgerError> {
        let newest = self.shared.reader.newest_event()?.unwrap_or_default();
        self.shared.announce_events(newest, self.store.stored_events());
        Ok(())
    }

    fn frame(&self, delta: &Delta) -> Frame<sekisho_wire::pb::v1::WatchResponse> {
        let packed = packed::encode(&delta.changes);
        let body = feed::delta(delta.previous, delta.revision, delta.digest, packed);
        Frame { previous: delta.previous, revision: delta.revision, body }
    }
}

#[cfg(test)]
mod tests {
    use sekisho_model::{Batch, Observation, Order, OrderKind, Policy, Tier, Totals, Unit};
    use sekisho_store::StoredEvent;

    use super::*;

    fn batch(host: &str, sequence: u64, address: u32) -> Input {
        let observations = vec![Observation { unit: Unit::V4(address), sockets: 1, retransmits: 1 }];
        let (host, age) = (host.parse().unwrap(), std::time::Duration::ZERO);
        Input::Batch(Batch {
            host,
            session: 1,
            sequence,
            age,
            observations,
            hits: vec![],
            completed: vec![],
            totals: Totals::default(),
        })
    }

    fn group(n: u32) -> Vec<Input> {
        let address = 0xcb00_7100 + n % 50;
        ["a", "b", "c"].map(|host| batch(host, u64::from(n) + 1, address)).to_vec()
    }

    /// Same log, same list: after a restart, with or without a checkpoint, the engine is equal.
    #[test]
    fn same_log_same_list_replaying_gives_the_same_engine() {
        for with_checkpoint in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut ledger = Ledger::open(dir.path(), false, 1).unwrap();
            let policy = Policy { prefix_tier: None, ..Policy::default() };
            ledger.commit(vec![Input::Policy(policy)], Moment::from_millis(1_700_000_000_000)).unwrap();
            for n in 0..40 {
                ledger.commit(group(n), Moment::from_millis(1_700_000_000_000 + i64::from(n) * 100)).unwrap();
                if with_checkpoint && n == 20 {
                    ledger.checkpoint().unwrap();
                }
            }
            let (state, head) = (ledger.shared.engine().checkpoint(), ledger.shared.publisher().position());
            assert!(state.entries.len() > 30, "the quorum was met");
            drop(ledger);
            let ledger = Ledger::open(dir.path(), false, 2).unwrap();
            assert_eq!(ledger.shared.engine().checkpoint(), state);
            assert_eq!(ledger.shared.publisher().position(), head);
            let deltas = ledger.shared.reader.deltas_after(Revision(0), usize::MAX).unwrap().unwrap();
            assert_eq!(deltas.last().unwrap().revision, head.revision);
        }
    }

    #[test]
    fn a_reopened_log_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path(), false, 1).unwrap();
        ledger.commit(group(0), Moment::from_millis(1_700_000_000_000)).unwrap();
        ledger.reopen().unwrap();
        let order = Order {
            operator: "ana".parse().unwrap(),
            text: "drill".into(),
            request: None,
            kind: OrderKind::Block {
                prefix: "198.18.0.0/24".parse().unwrap(),
                tier: Tier::Drop,
                ttl: std::time::Duration::from_secs(60),
            },
        };
        let (revision, outcome) =
            ledger.commit(vec![Input::Order(order)], Moment::from_millis(1_700_000_001_000)).unwrap();
        assert_eq!((revision, outcome.orders.len()), (Revision(2), 1));
        assert_eq!(ledger.shared.publisher().position().revision, Revision(2));
    }

    #[test]
    fn what_a_newer_version_wrote_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        let time = Moment::from_millis(1);
        store.append(Record { format: FORMAT + 1, writer: 1, sequence: 1, time, payload: b"?" }).unwrap();
        drop(store);
        let Err(error) = Ledger::open(dir.path(), false, 1) else { panic!("it was read") };
        assert!(error.to_string().contains("log entry 1 cannot be read by this version"), "{error}");
    }

    fn all_events(ledger: &Ledger) -> Vec<StoredEvent> {
        ledger.shared.reader.events_after(EventId::default(), 10_000).unwrap()
    }

    /// A ledger that is dropped without a checkpoint is what a kill leaves: the next start replays it all.
    #[test]
    fn events_are_there_after_a_crash_as_the_log_says_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path(), false, 1).unwrap();
        for n in 0..20 {
            ledger.commit(group(n), Moment::from_millis(1_700_000_000_000 + i64::from(n) * 100)).unwrap();
        }
        let before = all_events(&ledger);
        assert!(before.len() > 5, "{before:?}");
        drop(ledger);
        let ledger = Ledger::open(dir.path(), false, 2).unwrap();
        assert_eq!(all_events(&ledger), before);
        assert_eq!(ledger.shared.stored_events(), before.len() as u64);
        assert_eq!(*ledger.shared.newest_event().borrow(), before.last().unwrap().id);
    }

    #[test]
    fn events_that_a_failure_took_back_are_put_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path(), false, 1).unwrap();
        ledger.commit(group(0), Moment::from_millis(1_700_000_000_000)).unwrap();
        let before = all_events(&ledger);
        assert!(!before.is_empty());
        ledger.store.forget_events_before(Moment::MAX).unwrap();
        assert!(all_events(&ledger).is_empty());
        ledger.reopen().unwrap();
        assert_eq!(all_events(&ledger), before);
    }

    #[test]
    fn an_ordered_policy_is_told_to_who_follows_the_names() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path(), false, 1).unwrap();
        let mut names = ledger.shared.names();
        let mut set = |names: &[&str], second: i64| {
            let mut policy = Policy::default();
            policy.never.names = names.iter().map(|name| (*name).to_owned()).collect();
            policy.drop_quorum = u32::try_from(second).unwrap() + 3;
            let kind = OrderKind::SetPolicy(Box::new(policy));
            let order = Order { operator: "ana".parse().unwrap(), text: "drill".into(), request: None, kind };
            ledger
                .commit(vec![Input::Order(order)], Moment::from_millis(1_700_000_000_000 + second))
                .unwrap();
        };
        set(&["a.example"], 1);
        assert!(names.has_changed().unwrap());
        assert_eq!(*names.borrow_and_update(), ["a.example"]);
        set(&["a.example"], 2);
        assert!(!names.has_changed().unwrap(), "the same names stay as they are");
    }
}
