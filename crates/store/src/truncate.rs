//! Forgetting the log's old records, never one that a kept checkpoint needs.

use sekisho_model::{Moment, Revision};

use crate::{
    Store, StoreError, checkpoints,
    kv::{Family, floor, record},
    records,
};

impl Store {
    /// Removes the records before `index`, as far as the oldest kept checkpoint allows, and gives the
    /// first index that is left. The record at that checkpoint stays, and with it the log's end.
    ///
    /// # Errors
    /// As for an append; damage where a checkpoint's header is unreadable.
    pub fn truncate_log_before(&mut self, index: Revision) -> Result<Revision, StoreError> {
        let Some(oldest) = checkpoints::oldest(self.db()?)? else { return Ok(Revision(self.ends.first)) };
        let bound = index.0.min(oldest).min(self.ends.last);
        if bound > self.ends.first {
            let key = record::key(bound);
            self.commit(true, |batch| {
                batch.put(Family::Meta, floor::KEY, &floor::encode(bound))?;
                batch.delete_range(Family::Log, &record::key(0), &key)
            })?;
            self.ends.first = bound;
            self.db()?.drop_files_below(Family::Log, &key)?;
        }
        Ok(Revision(self.ends.first))
    }

    /// The same for the records from before `time`.
    ///
    /// # Errors
    /// As for [`Store::truncate_log_before`].
    pub fn truncate_log_before_time(&mut self, time: Moment) -> Result<Revision, StoreError> {
        let index = self.first_since(time)?;
        self.truncate_log_before(Revision(index))
    }

    /// The first index whose record is not from before `time`; one past the last if there is none.
    fn first_since(&self, time: Moment) -> Result<i64, StoreError> {
        let db = self.db()?;
        let (mut low, mut high) = (self.ends.first, self.ends.last + 1);
        while low < high && low > 0 {
            let middle = low + (high - low) / 2;
            if records::at(db, middle)?.time < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Log, Options, Record};

    fn filled(dir: &tempfile::TempDir) -> Store {
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        for sequence in 1..=10 {
            let time = Moment::from_millis(i64::try_from(sequence).unwrap() * 100);
            store.append(Record { format: 1, writer: 1, sequence, time, payload: b"x" }).unwrap();
        }
        store
    }

    #[test]
    fn nothing_is_removed_without_a_checkpoint_or_after_the_oldest() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        assert_eq!(store.truncate_log_before(Revision(9)).unwrap(), Revision(1));
        store.put_checkpoint(Revision(4), Moment::EPOCH, [b"c".to_vec()]).unwrap();
        store.put_checkpoint(Revision(8), Moment::EPOCH, [b"c".to_vec()]).unwrap();
        assert_eq!(store.truncate_log_before(Revision(3)).unwrap(), Revision(3));
        assert_eq!(store.truncate_log_before(Revision(9)).unwrap(), Revision(4));
        assert_eq!(store.truncate_log_before(Revision(2)).unwrap(), Revision(4));
        store.reopen().unwrap();
        assert_eq!((store.first(), store.last()), (Revision(4), Revision(10)));
        assert_eq!(store.read(Revision(4)).unwrap().map(Result::unwrap).count(), 7);
        assert!(matches!(store.read(Revision(3)).map(|_| ()), Err(StoreError::Outside { .. })));
    }

    #[test]
    fn times_find_the_first_record_that_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        for (millis, index) in [(0, 1), (100, 1), (101, 2), (500, 5), (999, 10), (1_000, 10), (2_000, 11)] {
            assert_eq!(store.first_since(Moment::from_millis(millis)).unwrap(), index, "{millis}");
        }
        store.put_checkpoint(Revision(10), Moment::EPOCH, [b"c".to_vec()]).unwrap();
        assert_eq!(store.truncate_log_before_time(Moment::from_millis(450)).unwrap(), Revision(5));
        assert_eq!(store.truncate_log_before_time(Moment::MAX).unwrap(), Revision(10));
        assert_eq!(
            store
                .append(Record { format: 1, writer: 1, sequence: 11, time: Moment::EPOCH, payload: b"" })
                .unwrap(),
            Revision(11)
        );
    }

    #[test]
    fn what_comes_to_light_below_the_first_index_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        let old = store.db().unwrap().get(Family::Log, &record::key(2)).unwrap().unwrap();
        store.put_checkpoint(Revision(5), Moment::EPOCH, [b"c".to_vec()]).unwrap();
        store.truncate_log_before(Revision(5)).unwrap();
        store.commit(true, |batch| batch.put(Family::Log, &record::key(2), &old)).unwrap();
        store.reopen().unwrap();
        assert_eq!(store.first(), Revision(5));
        assert_eq!(store.reader().records(Revision(5), usize::MAX).unwrap().len(), 6);
        assert!(matches!(store.reader().records(Revision(2), 1), Err(StoreError::Outside { .. })));
    }

    #[test]
    fn an_empty_log_has_nothing_to_remove() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        assert_eq!(store.truncate_log_before_time(Moment::MAX).unwrap(), Revision(0));
    }
}
