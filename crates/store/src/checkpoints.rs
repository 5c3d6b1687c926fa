//! Checkpoints: what the log says up to an index, so that a replay begins there.
//!
//! A checkpoint is written in pieces, and its header comes last, alone and synced: a crash before it
//! leaves pieces that the next opening sweeps away, and the older checkpoint as it was.
//!
//! The newest are kept for a restart. Of the older ones some are kept as well, as far apart as
//! [`CHECKPOINT_SPACING`] and as far back as the log is kept: a replay of the last days begins at one.

use sekisho_model::{
    Moment, Revision,
    limits::{CHECKPOINT_SPACING, CHECKPOINTS_KEPT, LOG_RETENTION},
};

use crate::{
    Store, StoreError,
    database::Database,
    kv::{Family, chunk, header},
    records,
};

/// Largest piece that is written at once, in bytes.
const PIECE: usize = 1 << 20;

/// A checkpoint as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last index that is in it; the replay begins after it.
    pub at: Revision,
    /// The log's time there.
    pub time: Moment,
    /// All its bytes.
    pub bytes: Vec<u8>,
    /// Newer checkpoints that are damaged and were passed over: for the operator, since the disk
    /// may be failing.
    pub passed_over: Vec<Revision>,
}

impl Store {
    /// Writes a checkpoint of everything up to `at`, and forgets those that nobody needs any more. When it returns, the checkpoint and all deltas put before are durable.
    ///
    /// # Errors
    /// `Outside` where the log has no `at`; else as for an append.
    pub fn put_checkpoint(
        &mut self,
        at: Revision,
        time: Moment,
        chunks: impl IntoIterator<Item = impl AsRef<[u8]>>,
    ) -> Result<(), StoreError> {
        if at.0 < self.ends.first.max(1) || at.0 > self.ends.last {
            return Err(records::outside(at.0, self.ends.first, self.ends.last));
        }
        self.generation += 1;
        let mut new = header::Header { generation: self.generation, time, chunks: 0, bytes: 0, sum: 0 };
        for bytes in chunks {
            for piece in bytes.as_ref().chunks(PIECE) {
                let key = chunk::key(new.generation, new.chunks);
                let value = chunk::encode(&key, piece);
                self.commit(false, |batch| batch.put(Family::Chunks, &key, &value))?;
                new.chunks += 1;
                new.bytes += piece.len() as u64;
                new.sum = crc32c::crc32c_append(new.sum, piece);
            }
        }
        self.finish(at.0, &new)
    }

    /// Puts the header, and takes away what the new checkpoint makes needless, in one batch.
    fn finish(&mut self, at: i64, new: &header::Header) -> Result<(), StoreError> {
        let mut others = headers(self.db()?)?;
        let replaced = others.iter().position(|other| other.at == at).map(|place| others.remove(place));
        let damaged = |other: &mut Found| self.damaged.contains(&other.at) || other.header.is_err();
        let mut surplus: Vec<_> = others.extract_if(.., damaged).collect();
        let newer = others.partition_point(|other| other.at > at);
        let older = others.split_off(newer.max(CHECKPOINTS_KEPT - 1).min(others.len()));
        surplus.extend(thinned(older, new.time));
        self.commit(true, |batch| {
            for old in replaced.iter().chain(&surplus) {
                batch.delete(Family::Headers, &header::key(old.at))?;
                if let Ok(old) = old.header {
                    let (from, to) = (chunk::bound(old.generation), chunk::bound(old.generation + 1));
                    batch.delete_range(Family::Chunks, &from, &to)?;
                }
            }
            batch.put(Family::Headers, &header::key(at), &header::encode(at, new))
        })?;
        self.damaged.clear();
        Ok(())
    }

    /// The newest checkpoint that is whole, where the log still reaches back to it. `None` when the
    /// whole log has to be replayed. The next checkpoint that is put replaces those passed over.
    ///
    /// # Errors
    /// `Corrupt` when there is no whole checkpoint and the log does not begin at 1; `Closed` or `Io`.
    pub fn newest_checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        let db = self.db()?;
        let mut passed_over = Vec::new();
        let mut damage = "the log before it is gone, and there is no checkpoint".to_owned();
        let mut whole = None;
        for Found { at, header } in headers(db)? {
            match header.and_then(|header| load(db, at, &header)) {
                Ok(loaded) if at <= self.ends.last && at + 1 >= self.ends.first => {
                    whole = Some((at, loaded));
                    break;
                }
                Ok(_) => damage = "the log does not reach its checkpoint".into(),
                Err(StoreError::Corrupt { what, .. }) => damage = what,
                Err(error) => return Err(error),
            }
            passed_over.push(Revision(at));
        }
        self.damaged = passed_over.iter().map(|at| at.0).collect();
        if let Some((at, (time, bytes))) = whole {
            return Ok(Some(Checkpoint { at: Revision(at), time, bytes, passed_over }));
        }
        if self.ends.first == 1 || (self.ends.last == 0 && passed_over.is_empty()) {
            return Ok(None);
        }
        Err(StoreError::corrupt(passed_over.first().map_or(self.ends.first, |at| at.0), damage))
    }
}

/// Of old checkpoints, the newest first, those that no replay needs: too near to the one before, or so old
/// that the one after is old enough. Who stays once is not in the way of those that come later.
fn thinned(older: Vec<Found>, now: Moment) -> Vec<Found> {
    let time = |found: &Found| found.header.as_ref().map_or(Moment::EPOCH, |header| header.time);
    let (mut kept, mut surplus) = (Vec::<Found>::new(), Vec::new());
    for found in older.into_iter().rev() {
        let near = kept.last().is_some_and(|before| time(&found) < time(before) + CHECKPOINT_SPACING);
        if near { surplus.push(found) } else { kept.push(found) }
    }
    let old = kept.iter().skip(1).take_while(|next| time(next) <= now - LOG_RETENTION).count();
    surplus.extend(kept.drain(..old));
    surplus
}

/// A header as it is on the disk, maybe damaged.
struct Found {
    at: i64,
    header: Result<header::Header, StoreError>,
}

/// All headers, the newest first.
fn headers(db: &Database) -> Result<Vec<Found>, StoreError> {
    let read = |row: Result<_, StoreError>| -> Result<Found, StoreError> {
        let (key, value): crate::database::Row = row?;
        let at = header::index(&key).map_err(|what| db.damaged(what))?;
        let header = header::decode(at, &value).map_err(|what| StoreError::corrupt(at, what));
        Ok(Found { at, header })
    };
    db.backwards(Family::Headers)?.map(read).collect()
}

/// Where the checkpoints are whose headers are whole, the newest first.
pub(crate) fn places(db: &Database) -> Result<Vec<(Revision, Moment)>, StoreError> {
    let place = |found: Found| Some((Revision(found.at), found.header.ok()?.time));
    Ok(headers(db)?.into_iter().filter_map(place).collect())
}

/// The checkpoint at `at`.
pub(crate) fn at(db: &Database, at: Revision) -> Result<Option<Checkpoint>, StoreError> {
    let Some(value) = db.get(Family::Headers, &header::key(at.0))? else { return Ok(None) };
    let header = header::decode(at.0, &value).map_err(|what| StoreError::corrupt(at.0, what))?;
    let (time, bytes) = load(db, at.0, &header)?;
    Ok(Some(Checkpoint { at, time, bytes, passed_over: Vec::new() }))
}

/// The index of the oldest checkpoint that is kept.
pub(crate) fn oldest(db: &Database) -> Result<Option<i64>, StoreError> {
    Ok(headers(db)?.last().map(|oldest| oldest.at))
}

fn load(db: &Database, at: i64, header: &header::Header) -> Result<(Moment, Vec<u8>), StoreError> {
    let corrupt = |what| StoreError::corrupt(at, what);
    let mut bytes = Vec::new();
    for number in 0..header.chunks {
        let key = chunk::key(header.generation, number);
        let value = db.get(Family::Chunks, &key).map_err(|error| error.at(at))?;
        let value = value.ok_or_else(|| corrupt("a piece of the checkpoint is missing"))?;
        bytes.extend_from_slice(chunk::decode(&key, &value).map_err(corrupt)?);
    }
    if bytes.len() as u64 != header.bytes || crc32c::crc32c(&bytes) != header.sum {
        return Err(corrupt("the checkpoint's checksum disagrees"));
    }
    Ok((header.time, bytes))
}

/// Sweeps away pieces that no header names, as a crash leaves them, and gives the newest generation
/// that was ever seen.
pub(crate) fn clean(db: &Database) -> Result<u64, StoreError> {
    let headers = headers(db)?;
    let last = match db.last(Family::Chunks)? {
        Some((key, _)) => chunk::generation(&key).map_err(|what| db.damaged(what))?,
        None => 0,
    };
    let named = headers.iter().filter_map(|found| found.header.as_ref().ok());
    let mut named: Vec<_> = named.map(|header| header.generation).collect();
    named.sort_unstable();
    let newest = named.last().map_or(last, |newest| last.max(*newest));
    named.push(newest + 1);
    let mut low = 0;
    let mut batch = db.batch();
    for generation in named {
        let (from, to) = (chunk::bound(low), chunk::bound(generation));
        let first = db.from(Family::Chunks, &from)?.next().transpose()?;
        if first.is_some_and(|(key, _)| key[..] < to[..]) {
            batch.delete_range(Family::Chunks, &from, &to)?;
        }
        low = generation + 1;
    }
    batch.write(false)?;
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Log, Options, Record};

    const TIME: Moment = Moment::from_millis(77);

    fn filled(dir: &tempfile::TempDir) -> Store {
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        for sequence in 1..=10 {
            store.append(Record { format: 1, writer: 1, sequence, time: TIME, payload: b"x" }).unwrap();
        }
        store
    }

    fn put(store: &mut Store, at: i64) {
        let text = format!("state at {at}");
        store.put_checkpoint(Revision(at), TIME, text.as_bytes().chunks(3)).unwrap();
    }

    fn kept(store: &Store) -> Vec<i64> {
        headers(store.db().unwrap()).unwrap().iter().map(|found| found.at).collect()
    }

    fn pieces(store: &Store) -> usize {
        store.db().unwrap().from(Family::Chunks, b"").unwrap().count()
    }

    fn spoil_piece(store: &mut Store, at: i64) {
        let generation =
            headers(store.db().unwrap()).unwrap().into_iter().find(|found| found.at == at).unwrap();
        let key = chunk::key(generation.header.unwrap().generation, 1);
        store.commit(true, |batch| batch.put(Family::Chunks, &key, b"nonsense")).unwrap();
    }

    fn newest(store: &mut Store) -> (i64, Vec<i64>) {
        let found = store.newest_checkpoint().unwrap().unwrap();
        assert_eq!((found.time, found.bytes), (TIME, format!("state at {}", found.at).into_bytes()));
        (found.at.0, found.passed_over.iter().map(|at| at.0).collect())
    }

    #[test]
    fn the_newest_comes_back_and_only_some_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        assert_eq!(store.newest_checkpoint().unwrap(), None);
        for at in [2, 4, 6, 6, 8] {
            put(&mut store, at);
            store.reopen().unwrap();
            assert_eq!(newest(&mut store), (at, vec![]));
        }
        assert_eq!(kept(&store), [8, 6, 2]);
        assert_eq!(pieces(&store), 12, "of these, and none of the others");
    }

    #[test]
    fn some_of_the_older_are_kept_for_replays() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        let hour = 3_600_000;
        // Four a day for 20 days.
        for at in 1..=80_i64 {
            let sequence = 10 + u64::try_from(at).unwrap();
            let time = Moment::from_millis(at * 6 * hour);
            let record = Record { format: 1, writer: 1, sequence, time, payload: b"x" };
            let index = store.append(record).unwrap();
            store.put_checkpoint(index, time, [b"c"]).unwrap();
            store.reopen().unwrap();
            let kept = store.reader().checkpoints().unwrap();
            let times: Vec<i64> = kept.iter().map(|(_, time)| time.as_millis() / hour).collect();
            assert!(times.len() <= 11, "{times:?}");
            assert_eq!(times[0], at * 6);
            assert!(times[1..].windows(2).skip(1).all(|pair| pair[0] - pair[1] == 24), "{times:?}");
            let oldest = *times.last().unwrap();
            assert!(oldest == 6 || at * 6 - oldest >= 7 * 24, "a week back: {times:?}");
            assert!(at * 6 - oldest < 9 * 24, "and not much more: {times:?}");
        }
        let (at, time) = store.reader().checkpoints().unwrap()[4];
        let found = store.reader().checkpoint(at).unwrap().unwrap();
        assert_eq!((found.at, found.time, found.bytes), (at, time, b"c".to_vec()));
        assert_eq!(store.reader().checkpoint(Revision(3)).unwrap(), None);
    }

    #[test]
    fn big_and_empty_ones_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        let big: Vec<u8> = (0..3 * PIECE + 5).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for bytes in [big, Vec::new()] {
            store.put_checkpoint(Revision(3), TIME, [&bytes]).unwrap();
            assert_eq!(store.newest_checkpoint().unwrap().unwrap().bytes, bytes);
        }
    }

    #[test]
    fn what_the_log_does_not_have_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        for at in [0, -1, 11] {
            let put = store.put_checkpoint(Revision(at), TIME, [b"x"]);
            assert!(matches!(put, Err(StoreError::Outside { .. })), "{at}");
        }
    }

    #[test]
    fn a_damaged_newest_falls_back_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        put(&mut store, 4);
        put(&mut store, 6);
        spoil_piece(&mut store, 6);
        assert_eq!(newest(&mut store), (4, vec![6]));
        put(&mut store, 8);
        assert_eq!(kept(&store), [8, 4], "the whole one stays, the damaged one goes");
        store.commit(true, |batch| batch.put(Family::Headers, &header::key(8), b"nonsense")).unwrap();
        store.reopen().unwrap();
        assert_eq!(newest(&mut store), (4, vec![8]));
        put(&mut store, 10);
        store.reopen().unwrap();
        assert_eq!((kept(&store), pieces(&store)), (vec![10, 4], 8));
    }

    #[test]
    fn without_a_whole_one_the_log_must_begin_at_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        put(&mut store, 4);
        put(&mut store, 6);
        spoil_piece(&mut store, 4);
        spoil_piece(&mut store, 6);
        assert_eq!(store.newest_checkpoint().unwrap(), None, "all of the log is there");
        store.truncate_log_before(Revision(4)).unwrap();
        let error = store.newest_checkpoint().unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { index: Revision(6), .. }), "{error}");
    }

    #[test]
    fn a_crash_before_the_header_leaves_the_older_and_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir);
        put(&mut store, 4);
        let key = chunk::key(store.generation + 1, 0);
        store.commit(true, |batch| batch.put(Family::Chunks, &key, &chunk::encode(&key, b"half"))).unwrap();
        store.reopen().unwrap();
        assert_eq!((newest(&mut store), pieces(&store)), ((4, vec![]), 4));
        put(&mut store, 5);
        assert_eq!(newest(&mut store), (5, vec![]));
    }
}
