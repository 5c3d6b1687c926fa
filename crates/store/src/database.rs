//! RocksDB with the families of this store: every status becomes a [`StoreError`] here.

use std::path::{Path, PathBuf};

use rocksdb::{ColumnFamily, DB, DBIterator, Direction, IteratorMode, ReadOptions, WriteBatch};

use crate::{StoreError, home, kv::Family, tuning};

/// A key and its value.
pub(crate) type Row = (Box<[u8]>, Box<[u8]>);

/// An open database.
pub(crate) struct Database {
    dir: PathBuf,
    db: DB,
}

impl Database {
    /// Opens or makes the database under `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let place = home::prepare(dir)?;
        let db = DB::open_cf_descriptors(&tuning::database(), place, tuning::families())
            .map_err(|status| StoreError::status(dir.into(), &status))?;
        Ok(Self { dir: dir.into(), db })
    }

    /// Opens what is in `dir` as it is now, and writes nothing, not even a lock: another process may have it
    /// open. What that one writes later is not seen.
    pub(crate) fn open_read_only(dir: &Path) -> Result<Self, StoreError> {
        let place = home::existing(dir)?;
        let failed = |status| StoreError::status(dir.into(), &status);
        let options = tuning::reading();
        let there = DB::list_cf(&options, &place).map_err(failed)?;
        let families =
            tuning::families().into_iter().filter(|family| there.iter().any(|name| name == family.name()));
        let db = DB::open_cf_descriptors_read_only(&options, place, families, false).map_err(failed)?;
        Ok(Self { dir: dir.into(), db })
    }

    fn failed(&self, status: &rocksdb::Error) -> StoreError {
        StoreError::status(self.dir.clone(), status)
    }

    /// Damage that no index explains.
    pub(crate) fn damaged(&self, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: self.dir.clone(), what: what.into() }
    }

    fn family(&self, family: Family) -> Result<&ColumnFamily, StoreError> {
        let missing = || self.damaged(format!("the family \"{}\" is missing", family.name()));
        self.db.cf_handle(family.name()).ok_or_else(missing)
    }

    /// A batch that writes to the families of this database.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch { of: self, writes: WriteBatch::default() }
    }

    /// The value under `key`.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get_cf(self.family(family)?, key).map_err(|status| self.failed(&status))
    }

    /// The rows from `key` on, as they are now: an iterator sees no later write.
    pub(crate) fn from(&self, family: Family, key: &[u8]) -> Result<Rows<'_>, StoreError> {
        self.rows(family, IteratorMode::From(key, Direction::Forward))
    }

    /// The rows from the last one backwards.
    pub(crate) fn backwards(&self, family: Family) -> Result<Rows<'_>, StoreError> {
        self.rows(family, IteratorMode::End)
    }

    /// The rows from `key` backwards: first the one under it, if there is one.
    pub(crate) fn backwards_from(&self, family: Family, key: &[u8]) -> Result<Rows<'_>, StoreError> {
        self.rows(family, IteratorMode::From(key, Direction::Reverse))
    }

    fn rows(&self, family: Family, mode: IteratorMode<'_>) -> Result<Rows<'_>, StoreError> {
        let mut options = ReadOptions::default();
        // A long scan is read once: it must not push out what is read again and again.
        options.fill_cache(false);
        Ok(Rows { of: self, rows: self.db.iterator_cf_opt(self.family(family)?, options, mode) })
    }

    /// The first row of a family.
    pub(crate) fn first(&self, family: Family) -> Result<Option<Row>, StoreError> {
        self.from(family, &[])?.next().transpose()
    }

    /// The last row of a family.
    pub(crate) fn last(&self, family: Family) -> Result<Option<Row>, StoreError> {
        self.backwards(family)?.next().transpose()
    }

    /// Gives whole files below `key` back to the system. Only for keys that a durable batch deleted.
    pub(crate) fn drop_files_below(&self, family: Family, key: &[u8]) -> Result<(), StoreError> {
        let family = self.family(family)?;
        self.db.delete_file_in_range_cf(family, &[][..], key).map_err(|status| self.failed(&status))
    }
}

/// Rows of one family.
pub(crate) struct Rows<'a> {
    of: &'a Database,
    rows: DBIterator<'a>,
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.rows.next()?.map_err(|status| self.of.failed(&status)))
    }
}

/// Writes that become visible, and durable, together.
pub(crate) struct Batch<'a> {
    of: &'a Database,
    writes: WriteBatch,
}

impl Batch<'_> {
    pub(crate) fn put(&mut self, family: Family, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.writes.put_cf(self.of.family(family)?, key, value);
        Ok(())
    }

    pub(crate) fn delete(&mut self, family: Family, key: &[u8]) -> Result<(), StoreError> {
        self.writes.delete_cf(self.of.family(family)?, key);
        Ok(())
    }

    /// Deletes `from`, and everything up to but without `to`.
    pub(crate) fn delete_range(&mut self, family: Family, from: &[u8], to: &[u8]) -> Result<(), StoreError> {
        self.writes.delete_range_cf(self.of.family(family)?, from, to);
        Ok(())
    }

    /// Writes; with `sync`, this and everything before it is on the disk afterwards.
    pub(crate) fn write(self, sync: bool) -> Result<(), StoreError> {
        let done = self.of.db.write_opt(self.writes, &tuning::writing(sync));
        done.map_err(|status| self.of.failed(&status))
    }
}
