//! The stored events: what happened, for operators.
//!
//! An event is put when the log entry that caused it was durable, and is not synced itself: a replay of the
//! log makes it again. Those of one log entry are put together, so whoever finds one of a later entry knows
//! that all before are there.

use sekisho_model::{Moment, Prefix, Revision};

use crate::{
    Store, StoreError,
    database::{Database, Row},
    kv::{
        Family, about,
        event::{self, Place},
    },
    records,
};

/// Events that are removed by one write.
const SLICE: usize = 1_000;
/// Writes that one call may remove by; the rest goes with the next call.
const SLICES: usize = 100;

/// Where an event is: the log entry that caused it, and its place among those of that entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The log index.
    pub index: Revision,
    /// 0 for the first of the entry.
    pub ordinal: u32,
}

impl EventId {
    /// After every event that there can be.
    pub const MAX: Self = Self { index: Revision(i64::MAX), ordinal: u32::MAX };

    /// The one just before, if there can be one.
    pub(crate) fn before(self) -> Option<Self> {
        match self.ordinal.checked_sub(1) {
            Some(ordinal) => Some(Self { ordinal, ..self }),
            None if self.index.0 > 0 => Some(Self { index: Revision(self.index.0 - 1), ordinal: u32::MAX }),
            None => None,
        }
    }
}

/// An event to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The prefixes by which it can be found.
    pub about: Vec<Prefix>,
    /// What the store does not look into.
    pub bytes: Vec<u8>,
}

/// An event as it was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Where it is.
    pub id: EventId,
    /// The log's time of it.
    pub time: Moment,
    /// The prefixes by which it can be found.
    pub about: Vec<Prefix>,
    /// As they were put.
    pub bytes: Vec<u8>,
}

/// The two ends of what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// The oldest event's place among the stored ones.
    oldest: u64,
    newest: Option<Place>,
}

impl Span {
    /// Reads the ends, and drops what is ahead of the log's `last` record: it was never logged.
    pub(crate) fn load(db: &Database, last: i64) -> Result<Self, StoreError> {
        let beyond = event::key(EventId { index: Revision(last.saturating_add(1)), ordinal: 0 });
        let mut batch = db.batch();
        for row in db.from(Family::Events, &beyond)? {
            let row = row?;
            for prefix in decode(db, &row)?.1.about {
                batch.delete(Family::About, &about::key(&prefix, id(db, &row)?))?;
            }
            batch.delete(Family::Events, &row.0)?;
        }
        batch.write(false)?;
        let place = |row: Row| decode(db, &row).map(|(place, _)| place);
        let oldest = db.first(Family::Events)?.map(place).transpose()?;
        let newest = db.last(Family::Events)?.map(place).transpose()?;
        Ok(Self { oldest: oldest.map_or(0, |place| place.number), newest })
    }

    /// How many events there are.
    fn len(&self) -> u64 {
        self.newest.map_or(0, |newest| newest.number + 1 - self.oldest)
    }
}

impl Store {
    /// Stores what the log entry at `index` caused, in order. Durable with the next append or checkpoint,
    /// not before: a replay puts it again, and what is there already is left alone. Beyond the most that
    /// are kept the oldest go.
    ///
    /// # Errors
    /// `Outside` where the log has no `index`, else as for an append.
    pub fn put_events(
        &mut self,
        index: Revision,
        time: Moment,
        events: &[NewEvent],
    ) -> Result<(), StoreError> {
        if index.0 < 1 || index.0 > self.ends.last {
            return Err(records::outside(index.0, self.ends.first, self.ends.last));
        }
        if events.is_empty() || self.span.newest.is_some_and(|newest| newest.id.index >= index) {
            return Ok(());
        }
        let first = self.span.newest.map_or(0, |newest| newest.number + 1);
        let places =
            (first..).zip(0..).map(|(number, ordinal)| Place { id: EventId { index, ordinal }, number });
        let mut newest = None;
        self.commit(false, |batch| {
            for (place, event) in places.zip(events) {
                let value = event::encode(&place, time, &event.about, &event.bytes);
                batch.put(Family::Events, &event::key(place.id), &value)?;
                for prefix in &event.about {
                    let key = about::key(prefix, place.id);
                    batch.put(Family::About, &key, &about::encode(&key))?;
                }
                newest = Some(place);
            }
            Ok(())
        })?;
        let oldest = if self.span.newest.is_none() { first } else { self.span.oldest };
        self.span = Span { oldest, newest };
        let over = self.span.len().saturating_sub(self.events_kept);
        if over > 0 {
            let keep_from = self.span.oldest + over;
            self.forget(|place, _| place.number < keep_from)?;
        }
        Ok(())
    }

    /// Removes the events from before `time`; of very many some, and the rest with the next calls.
    ///
    /// # Errors
    /// As for an append.
    pub fn forget_events_before(&mut self, time: Moment) -> Result<(), StoreError> {
        self.forget(|_, at| at < time)
    }

    /// How many events are stored.
    pub fn stored_events(&self) -> u64 {
        self.span.len()
    }

    /// Removes from the oldest on what `is_old`.
    fn forget(&mut self, is_old: impl Fn(&Place, Moment) -> bool) -> Result<(), StoreError> {
        for _ in 0..SLICES {
            let (old, next) = self.oldest(&is_old)?;
            let Some(last) = old.last().map(|last| event::key(last.id)) else { break };
            self.commit(false, |batch| {
                for Old { id, about } in &old {
                    for prefix in about {
                        batch.delete(Family::About, &about::key(prefix, *id))?;
                    }
                }
                batch.delete_range(Family::Events, &event::key(EventId::default()), &last)?;
                batch.delete(Family::Events, &last)
            })?;
            match next {
                Some(next) => self.span.oldest = next.number,
                None => self.span = Span::default(),
            }
            if old.len() < SLICE {
                break;
            }
        }
        Ok(())
    }

    /// The oldest events that are old, one slice at most, and the first that stays.
    fn oldest(
        &self,
        is_old: impl Fn(&Place, Moment) -> bool,
    ) -> Result<(Vec<Old>, Option<Place>), StoreError> {
        let db = self.db()?;
        let mut old = Vec::new();
        for row in db.from(Family::Events, &[])? {
            let row = row?;
            match decode(db, &row) {
                Ok((place, event)) if old.len() == SLICE || !is_old(&place, event.time) => {
                    return Ok((old, Some(place)));
                }
                Ok((place, event)) => old.push(Old { id: place.id, about: event.about }),
                // History that is damaged must not keep the log from going on: it goes with what is old.
                Err(_) => old.push(Old { id: id(db, &row)?, about: Vec::new() }),
            }
        }
        Ok((old, None))
    }
}

/// An event that goes.
struct Old {
    id: EventId,
    about: Vec<Prefix>,
}

/// What the key of an event names.
pub(crate) fn id(db: &Database, (key, _): &Row) -> Result<EventId, StoreError> {
    event::id(key).map_err(|what| db.damaged(what))
}

/// An event and its place among the stored ones.
pub(crate) fn decode(db: &Database, row: &Row) -> Result<(Place, StoredEvent), StoreError> {
    let id = id(db, row)?;
    event::decode(id, &row.1).map_err(|what| StoreError::corrupt(id.index.0, what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventQuery, Log, Options, Record};

    fn filled(dir: &tempfile::TempDir, records: u64) -> Store {
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        for sequence in 1..=records {
            store
                .append(Record { format: 1, writer: 1, sequence, time: Moment::EPOCH, payload: b"x" })
                .unwrap();
        }
        store
    }

    fn event(text: &str, about: &str) -> NewEvent {
        NewEvent { about: vec![about.parse().unwrap()], bytes: text.as_bytes().to_vec() }
    }

    /// Puts two events at `index`.
    fn put(store: &mut Store, index: i64) {
        let events =
            [event(&format!("{index}a"), "203.0.113.7"), event(&format!("{index}b"), "203.0.113.0/24")];
        store.put_events(Revision(index), Moment::from_millis(index * 100), &events).unwrap();
    }

    fn texts(store: &Store) -> Vec<String> {
        let text = |event: StoredEvent| String::from_utf8(event.bytes).unwrap();
        store.reader().events_after(EventId::default(), 10_000).unwrap().into_iter().map(text).collect()
    }

    /// Rows by which events are found.
    fn keys(store: &Store) -> usize {
        store.db().unwrap().from(Family::About, &[]).unwrap().count()
    }

    #[test]
    fn a_replay_puts_nothing_twice_and_what_was_lost_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, 5);
        for index in [1, 2, 4] {
            put(&mut store, index);
        }
        let before = texts(&store);
        assert_eq!(before, ["1a", "1b", "2a", "2b", "4a", "4b"]);
        store.reopen().unwrap();
        for index in 1..=4 {
            put(&mut store, index);
        }
        assert_eq!(texts(&store), before, "an entry before the newest is known, even one that put nothing");
        put(&mut store, 5);
        assert_eq!((texts(&store).len(), store.stored_events(), keys(&store)), (8, 8, 8));
    }

    #[test]
    fn what_the_log_does_not_have_is_refused_and_what_it_lost_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, 3);
        for index in [0, 4] {
            let put = store.put_events(Revision(index), Moment::EPOCH, &[event("x", "203.0.113.7")]);
            assert!(matches!(put, Err(StoreError::Outside { .. })), "{index}");
        }
        (1..=3).for_each(|index| put(&mut store, index));
        let span = Span::load(store.db().unwrap(), 2).unwrap();
        assert_eq!((span.len(), texts(&store).len(), keys(&store)), (4, 4, 4));
    }

    #[test]
    fn the_old_ones_are_forgotten_with_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, 6);
        (1..=5).for_each(|index| put(&mut store, index));
        store.forget_events_before(Moment::from_millis(301)).unwrap();
        assert_eq!(
            (texts(&store), keys(&store)),
            (vec!["4a".into(), "4b".into(), "5a".into(), "5b".into()], 4)
        );
        store.reopen().unwrap();
        assert_eq!(store.stored_events(), 4);
        store.forget_events_before(Moment::MAX).unwrap();
        assert_eq!((texts(&store).len(), keys(&store), store.stored_events()), (0, 0, 0));
        put(&mut store, 6);
        assert_eq!(texts(&store), ["6a", "6b"]);
    }

    #[test]
    fn many_are_forgotten_by_several_writes() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, 2);
        let many = vec![event("x", "203.0.113.7"); 2 * SLICE + 10];
        store.put_events(Revision(1), Moment::EPOCH, &many).unwrap();
        put(&mut store, 2);
        store.forget_events_before(Moment::from_millis(1)).unwrap();
        assert_eq!((texts(&store), keys(&store)), (vec!["2a".into(), "2b".into()], 2));
    }

    #[test]
    fn there_are_never_more_than_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, 50);
        store.events_kept = 10;
        for index in 1..=50 {
            put(&mut store, index);
            assert!(store.stored_events() <= 10);
        }
        assert_eq!((texts(&store).len(), keys(&store)), (10, 10));
        assert_eq!(texts(&store)[..2], ["46a", "46b"]);
        store.reopen().unwrap();
        assert_eq!(store.stored_events(), 10);
    }

    #[test]
    fn damaged_history_does_not_keep_the_log_from_going_on() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, 3);
        (1..=3).for_each(|index| put(&mut store, index));
        let key = event::key(EventId { index: Revision(1), ordinal: 1 });
        store.commit(true, |batch| batch.put(Family::Events, &key, b"nonsense")).unwrap();
        store.forget_events_before(Moment::from_millis(201)).unwrap();
        assert_eq!(texts(&store), ["3a", "3b"]);
        let query = EventQuery { about: "203.0.113.0/24".parse().ok(), before: None };
        assert_eq!(
            store.reader().events(&query, 10).unwrap().events.len(),
            2,
            "a key without an event is passed over"
        );
    }

    #[test]
    fn a_new_epoch_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = filled(&dir, 1);
        put(&mut store, 1);
        drop(store);
        let store = Store::open(dir.path(), Options { new_epoch: true }).unwrap();
        assert_eq!(texts(&store), ["1a", "1b"]);
    }
}
