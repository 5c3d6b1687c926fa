//! The log on RocksDB.

use sekisho_model::{Epoch, Moment, Revision};

use crate::{
    Log, LoggedRecord, Record, Store, StoreError,
    database::{Database, Row, Rows},
    kv::{Family, floor, record},
    store::Ends,
};

impl Log for Store {
    fn append(&mut self, record: Record<'_>) -> Result<Revision, StoreError> {
        let Ends { first, last, time } = self.ends;
        let index = last + 1;
        let time = if last == 0 { record.time } else { record.time.max(time) };
        let value = record::encode(index, &Record { time, ..record });
        self.commit(true, |batch| batch.put(Family::Log, &record::key(index), &value))?;
        self.ends = Ends { first: first.max(1), last: index, time };
        Ok(Revision(index))
    }

    fn read(
        &self,
        from: Revision,
    ) -> Result<impl Iterator<Item = Result<LoggedRecord, StoreError>>, StoreError> {
        let Ends { first, last, .. } = self.ends;
        let from = from.0.max(1);
        if from < first || from > last + 1 {
            return Err(outside(from, first, last));
        }
        Records::new(self.db()?, from, last)
    }

    fn first(&self) -> Revision {
        Revision(self.ends.first)
    }

    fn last(&self) -> Revision {
        Revision(self.ends.last)
    }

    fn time(&self) -> Moment {
        self.ends.time
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }
}

/// The index is in no record of the log.
pub(crate) fn outside(index: i64, first: i64, last: i64) -> StoreError {
    StoreError::Outside { index: Revision(index), first: Revision(first), last: Revision(last) }
}

/// Where the log on the disk begins and ends.
pub(crate) fn ends(db: &Database) -> Result<Ends, StoreError> {
    let floor = db.get(Family::Meta, floor::KEY)?;
    let floor = floor.map_or(Ok(1), |value| floor::decode(&value)).map_err(|what| db.damaged(what))?;
    let Some(row) = db.last(Family::Log)? else {
        return if floor == 1 { Ok(Ends::default()) } else { Err(db.damaged("the log has no end")) };
    };
    if db.get(Family::Log, &record::key(floor))?.is_none() {
        return Err(StoreError::corrupt(floor, "the log's first record is missing"));
    }
    let last = record::index(&row.0).map_err(|what| db.damaged(what))?;
    Ok(Ends { first: floor, last, time: checked(last, &row)?.time })
}

/// The record at `index`, which must be there.
pub(crate) fn at(db: &Database, index: i64) -> Result<LoggedRecord, StoreError> {
    let value = db.get(Family::Log, &record::key(index)).map_err(|error| error.at(index))?;
    let value = value.ok_or_else(|| StoreError::corrupt(index, "the record is missing"))?;
    record::decode(index, &value).map_err(|what| StoreError::corrupt(index, what))
}

fn checked(index: i64, (key, value): &Row) -> Result<LoggedRecord, StoreError> {
    let found = record::index(key).map_err(|what| StoreError::corrupt(index, what))?;
    if found != index {
        return Err(StoreError::corrupt(index, format!("the record is missing, the next is {found}")));
    }
    record::decode(index, value).map_err(|what| StoreError::corrupt(index, what))
}

/// The records from `next` to `last`, each checked; ends at the first that is damaged.
pub(crate) struct Records<'a> {
    rows: Rows<'a>,
    next: i64,
    last: i64,
}

impl<'a> Records<'a> {
    pub(crate) fn new(db: &'a Database, next: i64, last: i64) -> Result<Self, StoreError> {
        Ok(Self { rows: db.from(Family::Log, &record::key(next))?, next, last })
    }

    fn step(&mut self) -> Result<LoggedRecord, StoreError> {
        match self.rows.next() {
            None => Err(StoreError::corrupt(self.next, "the record is missing, and all after it")),
            Some(row) => checked(self.next, &row.map_err(|error| error.at(self.next))?),
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<LoggedRecord, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next > self.last {
            return None;
        }
        let record = self.step();
        self.next = if record.is_ok() { self.next + 1 } else { i64::MAX };
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    fn filled(dir: &tempfile::TempDir, times: &[i64]) -> Store {
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        for (sequence, millis) in (0..).zip(times) {
            let time = Moment::from_millis(*millis);
            let payload = sequence.to_string().into_bytes();
            store.append(Record { format: 9, writer: 8, sequence, time, payload: &payload }).unwrap();
        }
        store
    }

    fn all(store: &Store, from: i64) -> Result<Vec<LoggedRecord>, StoreError> {
        store.read(Revision(from))?.collect()
    }

    #[test]
    fn an_empty_log_has_no_ends() {
        let dir = tempfile::tempdir().unwrap();
        let store = filled(&dir, &[]);
        assert_eq!((store.first(), store.last(), store.time()), Default::default());
        assert!(all(&store, 0).unwrap().is_empty() && all(&store, 1).unwrap().is_empty());
        assert!(matches!(all(&store, 2), Err(StoreError::Outside { .. })));
    }

    #[test]
    fn records_come_back_in_order_and_time_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, &[-5, 20, 10, 30]);
        for _ in 0..2 {
            let read = all(&store, 0).unwrap();
            assert_eq!(read.iter().map(|record| record.index.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
            assert_eq!(
                read.iter().map(|record| record.time.as_millis()).collect::<Vec<_>>(),
                [-5, 20, 20, 30]
            );
            assert_eq!(
                (read[2].format, read[2].writer, read[2].sequence, &read[2].payload[..]),
                (9, 8, 2, &b"2"[..])
            );
            assert_eq!(store.time().as_millis(), 30);
            store.reopen().unwrap();
        }
        assert_eq!(all(&store, 4).unwrap().len(), 1);
        assert_eq!(all(&store, 5).unwrap().len(), 0);
        assert!(matches!(all(&store, 6), Err(StoreError::Outside { .. })));
    }

    #[test]
    fn a_missing_record_is_damage_and_ends_the_reading() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, &[1, 2, 3]);
        store.commit(true, |batch| batch.delete(Family::Log, &record::key(2))).unwrap();
        let read: Vec<_> = store.read(Revision(1)).unwrap().collect();
        assert_eq!(read.len(), 2);
        assert!(matches!(read[1], Err(StoreError::Corrupt { index: Revision(2), .. })));
        store.commit(true, |batch| batch.delete(Family::Log, &record::key(3))).unwrap();
        assert!(matches!(all(&store, 3), Err(StoreError::Corrupt { index: Revision(3), .. })));
    }

    #[test]
    fn a_changed_or_moved_record_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, &[1, 2, 3]);
        let first = store.db().unwrap().get(Family::Log, &record::key(1)).unwrap().unwrap();
        store.commit(true, |batch| batch.put(Family::Log, &record::key(2), &first)).unwrap();
        assert!(matches!(all(&store, 1), Err(StoreError::Corrupt { index: Revision(2), .. })));
        store.commit(true, |batch| batch.put(Family::Log, &record::key(3), b"nonsense")).unwrap();
        assert!(matches!(store.reopen(), Err(StoreError::Corrupt { index: Revision(3), .. })));
    }
}
