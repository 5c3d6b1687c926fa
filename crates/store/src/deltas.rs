//! The stored deltas: for subscribers that are behind the ring in memory, but not far behind.
//!
//! They form one chain: each begins where the one before ended, or earlier, and both ends only grow.
//! So whoever finds the first delta that ends after its revision knows all: if that one begins at or
//! before the revision, the rest leads to the newest; if not, no stored delta does.

use sekisho_model::Revision;

use crate::{
    Store, StoreError,
    database::{Database, Row},
    kv::{
        Family,
        delta::{self, Link},
    },
    records,
};

/// A delta as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDelta {
    /// It holds the changes after this revision …
    pub previous: Revision,
    /// … up to and with this one.
    pub revision: Revision,
    /// Its encoded changes.
    pub bytes: Vec<u8>,
}

/// The two ends of the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The oldest delta's place among the stored ones.
    oldest: u64,
    newest: Option<Link>,
}

impl Chain {
    /// Reads the ends, and drops what is ahead of the log's `last` record: it was never logged.
    pub(crate) fn load(db: &Database, last: i64) -> Result<Self, StoreError> {
        let beyond = delta::key(last.saturating_add(1));
        if db.from(Family::Deltas, &beyond)?.next().transpose()?.is_some() {
            let mut batch = db.batch();
            batch.delete_range(Family::Deltas, &beyond, &delta::key(i64::MAX))?;
            batch.write(false)?;
        }
        let link = |row: Row| decode(db, &row).map(|(link, _)| link);
        let oldest = db.first(Family::Deltas)?.map(link).transpose()?;
        let newest = db.last(Family::Deltas)?.map(link).transpose()?;
        Ok(Self { oldest: oldest.map_or(0, |link| link.ordinal), newest })
    }
}

/// What a new delta does to the chain.
enum Step {
    /// The chain goes on, and the deltas after this revision are replaced by the new one.
    Extend { after: i64, ordinal: u64 },
    /// Nobody can come from the old chain to the new delta: a new chain begins.
    Restart { ordinal: u64 },
    /// The chain holds it already.
    Known,
}

impl Store {
    /// Stores the net changes of `(previous, revision]`. Durable with the next append or checkpoint,
    /// not before: a replay puts it again, and one that is there already is left alone.
    ///
    /// # Errors
    /// `Outside` where the log has no `revision`, `Backwards`, else as for an append.
    pub fn put_delta(
        &mut self,
        previous: Revision,
        revision: Revision,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        if revision.0 > self.ends.last {
            return Err(records::outside(revision.0, self.ends.first, self.ends.last));
        }
        if previous.0 < 0 || previous >= revision {
            return Err(StoreError::Backwards { previous, revision });
        }
        let (from, ordinal, oldest) = match self.step(previous.0, revision.0)? {
            Step::Known => return Ok(()),
            Step::Extend { after, ordinal } => {
                (after.saturating_add(1), ordinal, self.chain.oldest.min(ordinal))
            }
            Step::Restart { ordinal } => (0, ordinal, ordinal),
        };
        let link = Link { previous: previous.0, revision: revision.0, ordinal };
        let replaces = self.chain.newest.is_some_and(|newest| from <= newest.revision);
        self.commit(false, |batch| {
            if replaces {
                batch.delete_range(Family::Deltas, &delta::key(from), &delta::key(link.revision))?;
            }
            batch.put(Family::Deltas, &delta::key(link.revision), &delta::encode(&link, bytes))
        })?;
        self.chain = Chain { oldest, newest: Some(link) };
        self.prune(ordinal)
    }

    fn step(&self, previous: i64, revision: i64) -> Result<Step, StoreError> {
        let Some(newest) = self.chain.newest else { return Ok(Step::Restart { ordinal: 0 }) };
        if revision <= newest.revision {
            return Ok(Step::Known);
        }
        if previous > newest.revision {
            return Ok(Step::Restart { ordinal: newest.ordinal + 1 });
        }
        // Whom a delta that begins at or after `previous` serves, the new one serves too, and further.
        let db = self.db()?;
        for row in db.backwards(Family::Deltas)? {
            let (link, _) = decode(db, &row?)?;
            if link.previous < previous {
                return Ok(Step::Extend { after: link.revision, ordinal: link.ordinal + 1 });
            }
        }
        Ok(Step::Restart { ordinal: newest.ordinal + 1 })
    }

    /// Keeps at most `deltas_kept`. A sixteenth goes at once: few big deletions are cheap to read over.
    fn prune(&mut self, newest: u64) -> Result<(), StoreError> {
        if newest - self.chain.oldest < self.deltas_kept {
            return Ok(());
        }
        let first = newest + 1 - (self.deltas_kept - self.deltas_kept / 16);
        let db = self.db()?;
        let mut bound = None;
        for row in db.from(Family::Deltas, &delta::key(0))? {
            let (link, _) = decode(db, &row?)?;
            if link.ordinal >= first {
                bound = Some(link);
                break;
            }
        }
        let Some(bound) = bound else { return Ok(()) };
        let key = delta::key(bound.revision);
        self.commit(false, |batch| batch.delete_range(Family::Deltas, &delta::key(0), &key))?;
        self.chain.oldest = bound.ordinal;
        Ok(())
    }
}

/// See [`Reader::deltas_after`](crate::Reader::deltas_after).
pub(crate) fn after(
    db: &Database,
    at: i64,
    max_bytes: usize,
) -> Result<Option<Vec<StoredDelta>>, StoreError> {
    // One iterator for all: it does not see what is written or pruned meanwhile.
    let mut rows = db.from(Family::Deltas, &delta::key(at.max(-1).saturating_add(1)))?;
    let mut found = Vec::new();
    let mut room = Some(max_bytes);
    let mut stands = at;
    while let Some(row) = rows.next().transpose().map_err(|error| error.at(stands.saturating_add(1)))? {
        let (link, bytes) = decode(db, &row)?;
        if link.previous > stands {
            return if found.is_empty() { Ok(None) } else { Err(broken(&link)) };
        }
        room = room.and_then(|left| left.checked_sub(bytes.len()));
        if room.is_none() && !found.is_empty() {
            return Ok(Some(found));
        }
        stands = link.revision;
        let (previous, revision) = (Revision(link.previous), Revision(link.revision));
        found.push(StoredDelta { previous, revision, bytes: bytes.to_vec() });
    }
    if found.is_empty() && db.last(Family::Deltas)?.is_none() {
        return Ok(None);
    }
    Ok(Some(found))
}

fn broken(link: &Link) -> StoreError {
    StoreError::corrupt(link.revision, "a stored delta before it is missing")
}

fn decode<'a>(db: &Database, (key, value): &'a Row) -> Result<(Link, &'a [u8]), StoreError> {
    let revision = delta::revision(key).map_err(|what| db.damaged(what))?;
    delta::decode(revision, value).map_err(|what| StoreError::corrupt(revision, what))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sekisho_model::Moment;

    use super::*;
    use crate::{Options, store::Ends};

    const KEPT: u64 = 20;

    fn store(dir: &tempfile::TempDir) -> Store {
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        // Nothing here reads the log: it only has to be long enough.
        store.ends = Ends { first: 1, last: i64::MAX - 1, time: Moment::EPOCH };
        store.deltas_kept = KEPT;
        store
    }

    fn put(store: &mut Store, previous: i64, revision: i64) {
        let bytes = format!("{previous}..{revision}").into_bytes();
        store.put_delta(Revision(previous), Revision(revision), &bytes).unwrap();
    }

    fn read(store: &Store, at: i64, room: usize) -> Option<Vec<(i64, i64)>> {
        let found = store.reader().deltas_after(Revision(at), room).unwrap()?;
        let ends = found.into_iter().map(|delta| {
            assert_eq!(delta.bytes, format!("{}..{}", delta.previous, delta.revision).into_bytes());
            (delta.previous.0, delta.revision.0)
        });
        Some(ends.collect())
    }

    /// The rule as it is told: a plain list, all of it looked at each time.
    #[derive(Debug, Default)]
    struct Naive(Vec<(i64, i64)>);

    impl Naive {
        fn newest(&self) -> i64 {
            self.0.iter().map(|delta| delta.1).max().unwrap_or(0)
        }

        fn put(&mut self, previous: i64, revision: i64) {
            if self.0.is_empty() || revision > self.newest() {
                if previous > self.newest() {
                    self.0.clear();
                }
                self.0.push((previous, revision));
            }
        }

        /// Whether some way of accepted deltas leads from `at` to the newest.
        fn covers(&self, at: i64) -> bool {
            !self.0.is_empty()
                && (at >= self.newest()
                    || self.0.iter().any(|&(previous, revision)| {
                        previous <= at && at < revision && self.covers(revision)
                    }))
        }
    }

    fn puts() -> impl Strategy<Value = Vec<(i64, i64)>> {
        // Steps beside the chain: back for a merged delta or a repeat, forth for a gap.
        let step = prop_oneof![8 => Just(0_i64), 2 => -8..0_i64, 1 => 1..3_i64];
        prop::collection::vec((step, 1..4_i64), 1..30).prop_map(|steps| {
            let mut newest = 0_i64;
            let mut puts = Vec::new();
            for (step, length) in steps {
                let previous = (newest + step).max(0);
                newest = newest.max(previous + length);
                puts.push((previous, previous + length));
            }
            puts
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn a_reader_gets_a_way_to_the_newest_if_and_only_if_there_is_one(puts in puts(), room in 0..40_usize) {
            let dir = tempfile::tempdir().unwrap();
            let mut store = store(&dir);
            store.deltas_kept = u64::MAX;
            let mut naive = Naive::default();
            prop_assert_eq!(read(&store, 0, 100), None);
            for (previous, revision) in puts {
                put(&mut store, previous, revision);
                naive.put(previous, revision);
                for at in 0..=naive.newest() + 1 {
                    let got = read(&store, at, usize::MAX);
                    prop_assert_eq!(got.is_some(), naive.covers(at), "at {} in {:?}", at, naive);
                    prop_assert_eq!(walk(at, got.as_deref()), got.as_ref().map(|_| at.max(naive.newest())));
                    let some = read(&store, at, room);
                    let part = some.clone().unwrap_or_default();
                    prop_assert_eq!(walk(at, some.as_deref()).is_some(), got.is_some());
                    prop_assert!(got.clone().unwrap_or_default().starts_with(&part));
                    prop_assert_eq!(part.is_empty(), got.unwrap_or_default().is_empty(), "one at least");
                }
            }
        }

        #[test]
        fn repeats_after_a_reopening_change_nothing(puts in puts(), back in 0..30_usize) {
            let dir = tempfile::tempdir().unwrap();
            let mut first = store(&dir);
            puts.iter().for_each(|&(previous, revision)| put(&mut first, previous, revision));
            let before: Vec<_> = (0..100).map(|at| read(&first, at, usize::MAX)).collect();
            let (log, chain) = (first.ends, first.chain);
            prop_assert_eq!(Chain::load(first.db().unwrap(), log.last).unwrap(), chain);
            let newest = chain.newest.unwrap().revision;
            for &(previous, revision) in &puts[puts.len().saturating_sub(back)..] {
                prop_assert!(revision <= newest);
                put(&mut first, previous, revision);
            }
            let after: Vec<_> = (0..100).map(|at| read(&first, at, usize::MAX)).collect();
            prop_assert_eq!(before, after);
        }
    }

    /// Follows the deltas as a subscriber does: each must be acceptable where it stands.
    fn walk(at: i64, deltas: Option<&[(i64, i64)]>) -> Option<i64> {
        deltas?
            .iter()
            .try_fold(at, |at, &(previous, revision)| (previous <= at && at < revision).then_some(revision))
    }

    #[test]
    fn the_oldest_are_pruned_and_their_readers_told() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        for revision in 1..=100 {
            put(&mut store, revision - 1, revision);
            let stored = store.db().unwrap().from(Family::Deltas, &[]).unwrap().count();
            let stored = u64::try_from(stored).unwrap();
            assert!(stored <= KEPT && (revision <= 20 || stored >= KEPT - KEPT / 16), "{stored}");
        }
        assert_eq!(read(&store, 70, 100), None);
        assert_eq!(read(&store, 98, 100), Some(vec![(98, 99), (99, 100)]));
        assert_eq!(read(&store, 100, 100), Some(vec![]));
        assert_eq!(read(&store, 500, 100), Some(vec![]));
        assert_eq!(read(&store, i64::MAX, 100), Some(vec![]));
    }

    #[test]
    fn what_the_log_lost_is_dropped_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        (1..=5).for_each(|revision| put(&mut store, revision - 1, revision));
        let chain = Chain::load(store.db().unwrap(), 3).unwrap();
        assert_eq!(chain.newest.unwrap().revision, 3);
        assert_eq!(read(&store, 2, 100), Some(vec![(2, 3)]));
    }

    #[test]
    fn nonsense_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        store.ends.last = 10;
        for (previous, revision) in [(5, 5), (6, 5), (-1, 5)] {
            let put = store.put_delta(Revision(previous), Revision(revision), b"");
            assert!(matches!(put, Err(StoreError::Backwards { .. })));
        }
        let put = store.put_delta(Revision(10), Revision(11), b"");
        assert!(matches!(put, Err(StoreError::Outside { .. })));
    }

    #[test]
    fn a_damaged_delta_is_an_error_and_never_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(&dir);
        (1..=3).for_each(|revision| put(&mut store, revision - 1, revision));
        store.commit(true, |batch| batch.put(Family::Deltas, &delta::key(2), b"nonsense")).unwrap();
        let read = store.reader().deltas_after(Revision(0), 100);
        assert!(matches!(read, Err(StoreError::Corrupt { index: Revision(2), .. })));
        store.commit(true, |batch| batch.delete(Family::Deltas, &delta::key(2))).unwrap();
        let read = store.reader().deltas_after(Revision(0), 100);
        assert!(matches!(read, Err(StoreError::Corrupt { index: Revision(3), .. })));
    }
}
