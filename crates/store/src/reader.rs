//! A handle for reading, for any thread: what a subscriber behind the ring, or a replay, needs.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use sekisho_model::{Moment, Revision};

use crate::{
    Checkpoint, EventId, EventPage, EventQuery, LoggedRecord, StoreError, StoredDelta, StoredEvent,
    checkpoints,
    database::Database,
    deltas, event_pages, events,
    kv::Family,
    records::{self, Records},
    store::Shared,
};

/// How often a directory is opened that changes while it is opened.
const TRIES: usize = 5;

/// Where a log begins and ends; zeros when it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnds {
    /// The index of the first record that is still there.
    pub first: Revision,
    /// The index of the last record.
    pub last: Revision,
    /// The time of the last record.
    pub time: Moment,
}

/// Reads while the [`Store`](crate::Store) writes, and waits for neither a write nor the disk's sync.
/// It does not keep the directory: once the store is gone, it answers `Closed`.
#[derive(Clone)]
pub struct Reader {
    shared: Shared,
}

impl Reader {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared }
    }

    /// Reads the directory `dir` as it is now, and changes nothing in it: a copy, a directory on a read-only
    /// file system, or one that an aggregator has open. What is written to it later is not seen.
    ///
    /// # Errors
    /// `NoStore`, `Foreign` or `Newer` when it is no directory for us, `Damaged` when the disk does not hold
    /// what was written, or `Io`.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        let mut opened = Database::open_read_only(dir.as_ref());
        for _ in 1..TRIES {
            // Whoever writes there may have replaced files since their names were read.
            if !matches!(opened, Err(StoreError::Io { .. } | StoreError::Damaged { .. })) {
                break;
            }
            opened = Database::open_read_only(dir.as_ref());
        }
        Ok(Self::new(Arc::new(RwLock::new(Some(Arc::new(opened?))))))
    }

    /// Where the log begins and ends.
    ///
    /// # Errors
    /// `Corrupt` or `Damaged` when an end is damaged, `Closed`, or `Io`.
    pub fn ends(&self) -> Result<LogEnds, StoreError> {
        let ends = self.with(records::ends)?;
        Ok(LogEnds { first: Revision(ends.first), last: Revision(ends.last), time: ends.time })
    }

    /// Where the checkpoints are, and the log's time there: the newest first. Those with a damaged header are
    /// left out.
    ///
    /// # Errors
    /// As for [`Reader::ends`].
    pub fn checkpoints(&self) -> Result<Vec<(Revision, Moment)>, StoreError> {
        self.with(checkpoints::places)
    }

    /// The checkpoint at `at`, if there is one.
    ///
    /// # Errors
    /// As for [`Reader::ends`].
    pub fn checkpoint(&self, at: Revision) -> Result<Option<Checkpoint>, StoreError> {
        self.with(|db| checkpoints::at(db, at))
    }

    /// Each call is bounded, so that closing the store waits for a bounded time.
    fn with<T>(&self, read: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        read(shared.as_deref().ok_or(StoreError::Closed)?)
    }

    /// The deltas that take a subscriber on from `revision`, in order: as many as fit into
    /// `max_bytes`, but at least one. Empty when it has the newest; `None` when the stored ones do
    /// not reach back to it, and it needs a snapshot.
    ///
    /// # Errors
    /// `Corrupt` when a delta is damaged, `Closed`, or `Io`.
    pub fn deltas_after(
        &self,
        revision: Revision,
        max_bytes: usize,
    ) -> Result<Option<Vec<StoredDelta>>, StoreError> {
        self.with(|db| deltas::after(db, revision.0, max_bytes))
    }

    /// The events that are asked for, the newest first: at most `most`, and at least one is looked for. A
    /// page that finds nothing may have a next one all the same, since the work of a call is bounded.
    ///
    /// # Errors
    /// `Corrupt` when an event is damaged, `Closed`, or `Io`.
    pub fn events(&self, query: &EventQuery, most: usize) -> Result<EventPage, StoreError> {
        self.with(|db| event_pages::page(db, query, most))
    }

    /// The events after `id`, which need not be there, the oldest first: at most `most`, and as many as fit
    /// into a message.
    ///
    /// # Errors
    /// As for [`Reader::events`].
    pub fn events_after(&self, id: EventId, most: usize) -> Result<Vec<StoredEvent>, StoreError> {
        self.with(|db| event_pages::after(db, id, most))
    }

    /// Where the newest event is, if there is one.
    ///
    /// # Errors
    /// As for [`Reader::events`].
    pub fn newest_event(&self) -> Result<Option<EventId>, StoreError> {
        self.with(|db| db.last(Family::Events)?.map(|row| events::id(db, &row)).transpose())
    }

    /// The log's records from `from` on: as many as fit into `max_bytes` of payload, but at least one
    /// where there is one.
    ///
    /// # Errors
    /// `Outside` or `Corrupt` as for [`Log::read`](crate::Log::read), `Closed`, or `Io`.
    pub fn records(&self, from: Revision, max_bytes: usize) -> Result<Vec<LoggedRecord>, StoreError> {
        self.with(|db| {
            let page = page(db, from.0.max(1), max_bytes);
            // Records that went away meanwhile are no damage.
            match (page, records::ends(db)?) {
                (Err(_), ends) if from.0.max(1) < ends.first => {
                    Err(records::outside(from.0, ends.first, ends.last))
                }
                (page, _) => page,
            }
        })
    }
}

fn page(db: &Database, from: i64, max_bytes: usize) -> Result<Vec<LoggedRecord>, StoreError> {
    let ends = records::ends(db)?;
    if from < ends.first || from > ends.last + 1 {
        return Err(records::outside(from, ends.first, ends.last));
    }
    let mut room = Some(max_bytes);
    let mut read = Vec::new();
    for record in Records::new(db, from, ends.last)? {
        let record = record?;
        room = room.and_then(|left| left.checked_sub(record.payload.len()));
        if room.is_none() && !read.is_empty() {
            break;
        }
        read.push(record);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Log, Options, Record, Store};

    fn shareable<T: Clone + Send + Sync + 'static>(value: T) -> T {
        value
    }

    #[test]
    fn pages_of_records_end_by_size_and_outlive_a_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        let reader = shareable(store.reader());
        let time = Moment::EPOCH;
        for sequence in 0..5 {
            store.append(Record { format: 1, writer: 1, sequence, time, payload: b"12345" }).unwrap();
        }
        store.reopen().unwrap();
        let indexes = |from, room| -> Vec<i64> {
            reader.records(Revision(from), room).unwrap().iter().map(|record| record.index.0).collect()
        };
        assert_eq!(indexes(0, usize::MAX), [1, 2, 3, 4, 5]);
        assert_eq!(indexes(2, 10), [2, 3]);
        assert_eq!(indexes(2, 14), [2, 3]);
        assert_eq!(indexes(4, 0), [4]);
        assert!(indexes(6, 100).is_empty());
        assert!(matches!(reader.records(Revision(7), 1), Err(StoreError::Outside { .. })));
    }
}
