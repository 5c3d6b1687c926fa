//! What the writer and the readers share: the engine, the publisher, and whether the log takes anything.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use sekisho_engine::Engine;
use sekisho_feed::Publisher;
use sekisho_model::{Epoch, Moment, Position, Revision};
use sekisho_store::{EventId, Reader};
use sekisho_wire::pb::v1::WatchResponse;
use tokio::sync::watch;

use crate::clock::Clock;

/// One aggregator's state. Only the sequencer writes to it.
pub struct Shared {
    engine: RwLock<Engine>,
    publisher: Mutex<Publisher<WatchResponse>>,
    head: watch::Sender<Revision>,
    newest_event: watch::Sender<EventId>,
    stored_events: AtomicU64,
    names: watch::Sender<Vec<String>>,
    /// Addresses of each name that are not protected, since it has too many; no name that has none.
    left_out: Mutex<BTreeMap<String, usize>>,
    problem: watch::Sender<Option<String>>,
    clock: Mutex<Clock>,
    /// For what is behind the publisher's ring.
    pub reader: Reader,
    /// The life of the log.
    pub epoch: Epoch,
}

// A panic elsewhere cannot leave these half-changed in a way that a restart would not show as well, and
// the panic itself ends the process: poisoning adds nothing.
impl Shared {
    /// Shares `engine`; the publisher begins where it stands.
    pub fn new(engine: Engine, epoch: Epoch, reader: Reader, clock: Clock) -> Self {
        let position = Position { epoch, revision: engine.revision() };
        let publisher = Publisher::new(position, engine.digest());
        Self {
            head: watch::Sender::new(position.revision),
            newest_event: watch::Sender::new(EventId::default()),
            stored_events: AtomicU64::default(),
            names: watch::Sender::new(engine.policy().never.names.clone()),
            left_out: Mutex::default(),
            problem: watch::Sender::new(None),
            clock: Mutex::new(clock),
            engine: RwLock::new(engine),
            publisher: Mutex::new(publisher),
            reader,
            epoch,
        }
    }

    /// Now, by the clock that the log and all expiries go by.
    pub fn now(&self) -> Moment {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).now()
    }

    /// Lets the clock follow the wall clock a little. Returns by how many milliseconds that is ahead.
    pub fn follow_wall_clock(&self) -> i64 {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).follow()
    }

    /// The engine, for reading. Do not hold it across an await or for longer than a page.
    pub fn engine(&self) -> RwLockReadGuard<'_, Engine> {
        self.engine.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine, for the sequencer.
    pub fn engine_mut(&self) -> RwLockWriteGuard<'_, Engine> {
        self.engine.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The publisher.
    pub fn publisher(&self) -> MutexGuard<'_, Publisher<WatchResponse>> {
        self.publisher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the subscribers: the head is at `revision`.
    pub fn announce(&self, revision: Revision) {
        self.head.send_replace(revision);
    }

    /// The head's revision, to wait on.
    pub fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    /// Wakes those who wait for events: the newest is `newest`, and there are `stored`.
    pub fn announce_events(&self, newest: EventId, stored: u64) {
        self.stored_events.store(stored, Ordering::Relaxed);
        self.newest_event.send_if_modified(|known| {
            let is_news = *known < newest;
            *known = newest.max(*known);
            is_news
        });
    }

    /// Where the newest event is, to wait on.
    pub fn newest_event(&self) -> watch::Receiver<EventId> {
        self.newest_event.subscribe()
    }

    /// How many events are stored.
    pub fn stored_events(&self) -> u64 {
        self.stored_events.load(Ordering::Relaxed)
    }

    /// Tells who follows the names of the never-list that another policy is in force.
    pub fn announce_names(&self) {
        let names = self.engine().policy().never.names.clone();
        self.names.send_if_modified(|known| {
            let is_news = *known != names;
            *known = names;
            is_news
        });
    }

    /// The names of the never-list, to wait on.
    pub fn names(&self) -> watch::Receiver<Vec<String>> {
        self.names.subscribe()
    }

    /// So many addresses of `name` are not protected, since it has too many.
    pub fn set_left_out(&self, name: &str, count: usize) {
        let mut all = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if count == 0 {
            all.remove(name);
        } else {
            all.insert(name.to_owned(), count);
        }
    }

    /// How many addresses of all names are not protected, since their names have too many.
    pub fn left_out(&self) -> usize {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// The log takes nothing, for this reason; or it does again.
    pub fn set_problem(&self, problem: Option<String>) {
        self.problem.send_replace(problem);
    }

    /// Why the log takes nothing, to wait on; none when it does.
    pub fn problem(&self) -> watch::Receiver<Option<String>> {
        self.problem.subscribe()
    }
}
