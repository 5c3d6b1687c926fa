//! The store as its one writer holds it: opened, written, closed, opened again.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use sekisho_model::{Epoch, Moment, limits};

use crate::{
    Reader, StoreError,
    database::{Batch, Database},
    deltas::Chain,
    events::Span,
    kv::{Family, epoch},
    records,
};

/// The database while it is open, for all readers.
pub(crate) type Shared = Arc<RwLock<Option<Arc<Database>>>>;

/// How a store is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Take a new epoch for the log that is there. Needed after a backup was restored: what came
    /// after the backup is forgotten, so no subscriber may go on from where it stood.
    pub new_epoch: bool,
}

/// The log, the checkpoints and the deltas of one directory, for writing. There is one at a time.
pub struct Store {
    pub(crate) dir: PathBuf,
    /// `None` after a reopening failed.
    db: Option<Arc<Database>>,
    shared: Shared,
    pub(crate) epoch: Epoch,
    pub(crate) ends: Ends,
    pub(crate) chain: Chain,
    pub(crate) span: Span,
    /// The generation of the newest checkpoint's chunks.
    pub(crate) generation: u64,
    /// Checkpoints that were found damaged, and are to be replaced.
    pub(crate) damaged: Vec<i64>,
    pub(crate) deltas_kept: u64,
    pub(crate) events_kept: u64,
    /// A write failed: what is on the disk is unknown until it was opened again.
    failed: bool,
}

/// Where the log begins and ends; zeros when it is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) time: Moment,
}

impl Store {
    /// Opens the store in `dir`, or makes one there.
    ///
    /// # Errors
    /// `InUse` when it is open already, `Foreign` or `Newer` when the directory is not for us,
    /// `Damaged` or `Corrupt` when the disk does not hold what was written, `Full` or `Io`.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let mut store = Self {
            dir: dir.as_ref().into(),
            db: None,
            shared: Shared::default(),
            epoch: Epoch::default(),
            ends: Ends::default(),
            chain: Chain::default(),
            span: Span::default(),
            generation: 0,
            damaged: Vec::new(),
            deltas_kept: limits::STORED_DELTAS,
            events_kept: limits::STORED_EVENTS,
            failed: true,
        };
        store.attach(options)?;
        Ok(store)
    }

    /// Closes and opens again, after a failed write. Readers stay valid, and wait meanwhile. Where it
    /// fails, it may be tried again; until then everything answers `Closed`.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn reopen(&mut self) -> Result<(), StoreError> {
        self.close();
        self.attach(Options::default())
    }

    /// A handle for reading, for any thread.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    fn attach(&mut self, options: Options) -> Result<(), StoreError> {
        let db = Arc::new(Database::open(&self.dir)?);
        self.ends = records::ends(&db)?;
        self.epoch = load_epoch(&db, self.ends, options)?;
        self.chain = Chain::load(&db, self.ends.last)?;
        self.span = Span::load(&db, self.ends.last)?;
        self.generation = crate::checkpoints::clean(&db)?;
        *self.shared.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&db));
        self.db = Some(db);
        self.failed = false;
        Ok(())
    }

    /// Waits for the readers that are under way, and frees the directory.
    fn close(&mut self) {
        *self.shared.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.db = None;
    }

    /// The database, for reading.
    pub(crate) fn db(&self) -> Result<&Database, StoreError> {
        self.db.as_deref().ok_or(StoreError::Closed)
    }

    /// Writes what `fill` puts into a batch. The only way to write: after a failure, nothing more
    /// goes through here.
    pub(crate) fn commit(
        &mut self,
        sync: bool,
        fill: impl FnOnce(&mut Batch<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let db = self.db.as_deref().ok_or(StoreError::Closed)?;
        if self.failed {
            return Err(StoreError::Failed);
        }
        let mut batch = db.batch();
        fill(&mut batch)?;
        let written = batch.write(sync);
        self.failed = written.is_err();
        written
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// The log's epoch; a new one for a new log, or where it is asked for.
fn load_epoch(db: &Database, ends: Ends, options: Options) -> Result<Epoch, StoreError> {
    match db.get(Family::Meta, epoch::KEY)? {
        Some(value) if !options.new_epoch => epoch::decode(&value).map_err(|what| db.damaged(what)),
        None if !options.new_epoch && ends.last > 0 => Err(db.damaged("the log has no epoch")),
        _ => {
            let epoch = random_epoch().map_err(|error| StoreError::file("/dev/urandom".into(), &error))?;
            let mut batch = db.batch();
            batch.put(Family::Meta, epoch::KEY, &epoch::encode(epoch))?;
            batch.write(true)?;
            Ok(epoch)
        }
    }
}

fn random_epoch() -> std::io::Result<Epoch> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Epoch((i64::from_be_bytes(bytes) & i64::MAX).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Log, Record};

    fn record(payload: &[u8]) -> Record<'_> {
        Record { format: 1, writer: 2, sequence: 3, time: Moment::from_millis(4), payload }
    }

    #[test]
    fn an_epoch_lasts_until_a_new_one_is_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let first = Store::open(dir.path(), Options::default()).unwrap().epoch();
        assert!(first.0 > 0);
        assert_eq!(Store::open(dir.path(), Options::default()).unwrap().epoch(), first);
        let second = Store::open(dir.path(), Options { new_epoch: true }).unwrap().epoch();
        assert!(second.0 > 0 && second != first);
        assert_eq!(Store::open(dir.path(), Options::default()).unwrap().epoch(), second);
    }

    #[test]
    fn a_log_without_an_epoch_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        store.append(record(b"x")).unwrap();
        store.commit(true, |batch| batch.delete(Family::Meta, epoch::KEY)).unwrap();
        assert!(matches!(store.reopen(), Err(StoreError::Damaged { .. })));
        assert!(matches!(store.append(record(b"y")), Err(StoreError::Closed)));
        Store::open(dir.path(), Options { new_epoch: true }).unwrap();
    }

    #[test]
    fn after_a_failed_write_nothing_is_written_until_it_is_reopened() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        store.append(record(b"x")).unwrap();
        store.failed = true;
        assert!(matches!(store.append(record(b"y")), Err(StoreError::Failed)));
        assert_eq!(store.read(store.last()).unwrap().count(), 1, "what is there can still be read");
        store.reopen().unwrap();
        assert_eq!(store.append(record(b"y")).unwrap().0, 2);
    }

    #[test]
    fn one_opens_at_a_time_and_a_reader_does_not_hold_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let reader = store.reader();
        match Store::open(dir.path(), Options::default()).map(|_| ()) {
            Err(StoreError::InUse { path }) => assert_eq!(path, dir.path()),
            other => panic!("{other:?}"),
        }
        drop(store);
        assert!(matches!(reader.deltas_after(Default::default(), 1), Err(StoreError::Closed)));
        Store::open(dir.path(), Options::default()).unwrap();
    }
}
