//! Reading events: the newest first, by prefix, and onwards from where a watcher stands.
//!
//! The events about a prefix are those of the prefix itself, of what covers it, and of what is inside it. The
//! first two are found by key, a few for each length. What is inside lies together as well, but by address:
//! the newest are sorted out of it. Where that is too much, there are many of them, and looking through all
//! events, the newest first, finds a page of them soon.

use std::collections::BTreeSet;

use sekisho_model::{Prefix, Revision};

use crate::{
    EventId, StoreError, StoredEvent,
    database::Database,
    events,
    kv::{Family, about, event},
};

/// Keys inside a prefix that are sorted, and events that are looked through, by one call.
const LOOKED_AT: usize = 100_000;
/// Bytes of events after which a page ends.
const PAGE_BYTES: usize = 512 << 10;

/// Which events are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those about prefixes that share an address with this one.
    pub about: Option<Prefix>,
    /// Only those before this one, which need not be there; none for the newest.
    pub before: Option<EventId>,
}

/// Some events, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events. There may be fewer than asked for, even none, though there is a next page.
    pub events: Vec<StoredEvent>,
    /// Before which the next page begins; none when this was the last.
    pub next: Option<EventId>,
}

/// See [`Reader::events`](crate::Reader::events).
pub(crate) fn page(db: &Database, query: &EventQuery, most: usize) -> Result<EventPage, StoreError> {
    page_within(db, query, most, LOOKED_AT)
}

fn page_within(
    db: &Database,
    query: &EventQuery,
    most: usize,
    bound: usize,
) -> Result<EventPage, StoreError> {
    let Some(from) = query.before.unwrap_or(EventId::MAX).before() else { return Ok(EventPage::default()) };
    let most = most.max(1);
    let Some(prefix) = query.about else { return look_through(db, from, most, bound, |_| true) };
    match newest_about(db, &prefix, from, most, bound)? {
        Some(ids) => by_id(db, ids, most),
        None => look_through(db, from, most, bound, |event| {
            event.about.iter().any(|about| about.overlaps(&prefix))
        }),
    }
}

/// See [`Reader::events_after`](crate::Reader::events_after).
pub(crate) fn after(db: &Database, id: EventId, most: usize) -> Result<Vec<StoredEvent>, StoreError> {
    let mut events = Vec::new();
    let mut room = Room(PAGE_BYTES);
    for row in db.from(Family::Events, &event::key(id))? {
        let row = row?;
        if events::id(db, &row)? == id {
            continue;
        }
        if events.len() == most || !room.takes(row.1.len()) {
            break;
        }
        events.push(events::decode(db, &row)?.1);
    }
    Ok(events)
}

/// What is left of a page. The first event always has room.
struct Room(usize);

impl Room {
    fn takes(&mut self, bytes: usize) -> bool {
        let had = self.0;
        self.0 = self.0.saturating_sub(bytes);
        had > 0
    }
}

/// All events from `from` backwards that are `wanted`.
fn look_through(
    db: &Database,
    from: EventId,
    most: usize,
    bound: usize,
    wanted: impl Fn(&StoredEvent) -> bool,
) -> Result<EventPage, StoreError> {
    let mut page = EventPage::default();
    let mut room = Room(PAGE_BYTES);
    for (looked_at, row) in db.backwards_from(Family::Events, &event::key(from))?.enumerate() {
        let row = row?;
        let (place, event) = events::decode(db, &row)?;
        if page.events.len() == most || looked_at == bound || room.0 == 0 {
            // This one was looked at and not taken: the next page begins with it.
            page.next = Some(following(place.id));
            return Ok(page);
        }
        if wanted(&event) {
            room.takes(event.bytes.len());
            page.events.push(event);
        }
    }
    Ok(page)
}

/// The place just after `id`.
fn following(id: EventId) -> EventId {
    match id.ordinal.checked_add(1) {
        Some(ordinal) => EventId { ordinal, ..id },
        None => EventId { index: Revision(id.index.0.saturating_add(1)), ordinal: 0 },
    }
}

/// The newest events about `prefix` from `from` backwards: one more than `most`, where there are. None when
/// there is too much inside the prefix.
fn newest_about(
    db: &Database,
    prefix: &Prefix,
    from: EventId,
    most: usize,
    bound: usize,
) -> Result<Option<BTreeSet<EventId>>, StoreError> {
    let mut newest = Newest { ids: BTreeSet::new(), most: most + 1 };
    for length in 0..=prefix.length() {
        let around = prefix.widened(length);
        for row in db.backwards_from(Family::About, &about::key(&around, from))?.take(newest.most) {
            let (key, value) = row?;
            match about::decode(&key, &value).map_err(|what| db.damaged(what))? {
                (found, id) if found == around => newest.insert(id),
                _ => break,
            }
        }
    }
    // Narrower ones begin behind all those of the prefix itself.
    let (first, end) = (about::key(prefix, EventId::MAX), about::end(prefix));
    for (count, row) in db.from(Family::About, &first)?.enumerate() {
        let (key, value) = row?;
        if key[..] >= end[..] {
            break;
        }
        if count == bound {
            return Ok(None);
        }
        let (_, id) = about::decode(&key, &value).map_err(|what| db.damaged(what))?;
        if id <= from {
            newest.insert(id);
        }
    }
    Ok(Some(newest.ids))
}

/// The newest of what is put in.
struct Newest {
    ids: BTreeSet<EventId>,
    most: usize,
}

impl Newest {
    fn insert(&mut self, id: EventId) {
        self.ids.insert(id);
        if self.ids.len() > self.most {
            self.ids.pop_first();
        }
    }
}

/// The events of `ids`, of which one more than `most` says that there are more.
fn by_id(db: &Database, ids: BTreeSet<EventId>, most: usize) -> Result<EventPage, StoreError> {
    let mut page = EventPage::default();
    let mut room = Room(PAGE_BYTES);
    for (count, id) in ids.into_iter().rev().enumerate() {
        if count == most || room.0 == 0 {
            page.next = Some(following(id));
            break;
        }
        // What is removed meanwhile is not there any more, and neither is anything before it.
        if let Some(value) = db.get(Family::Events, &event::key(id))? {
            let row = (event::key(id).as_slice().into(), value.into());
            let (_, event) = events::decode(db, &row)?;
            room.takes(event.bytes.len());
            page.events.push(event);
        }
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sekisho_model::Moment;

    use super::*;
    use crate::{NewEvent, Options, Store, store::Ends};

    fn id(index: i64, ordinal: u32) -> EventId {
        EventId { index: Revision(index), ordinal }
    }

    /// A store with these events: the prefixes of each, grouped by log entry.
    fn filled(dir: &tempfile::TempDir, entries: &[Vec<Vec<Prefix>>]) -> (Store, Vec<StoredEvent>) {
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        // Nothing here reads the log: it only has to be long enough.
        store.ends = Ends { first: 1, last: i64::MAX - 1, time: Moment::EPOCH };
        let mut all = Vec::new();
        for (entry, index) in entries.iter().zip(1..) {
            let time = Moment::from_millis(index * 10);
            let event = |(about, ordinal): (&Vec<Prefix>, u32)| {
                let bytes = format!("{index}.{ordinal}").into_bytes();
                StoredEvent { id: id(index, ordinal), time, about: about.clone(), bytes }
            };
            let stored: Vec<_> = entry.iter().zip(0..).map(event).collect();
            let new =
                stored.iter().map(|one| NewEvent { about: one.about.clone(), bytes: one.bytes.clone() });
            store.put_events(Revision(index), time, &new.collect::<Vec<_>>()).unwrap();
            all.extend(stored);
        }
        (store, all)
    }

    /// Pages through everything, and checks that no page is too long.
    fn all_pages(store: &Store, about: Option<Prefix>, most: usize, bound: usize) -> Vec<StoredEvent> {
        let mut query = EventQuery { about, before: None };
        let mut got = Vec::new();
        loop {
            let page = page_within(store.db().unwrap(), &query, most, bound).unwrap();
            assert!(page.events.len() <= most);
            got.extend(page.events);
            match page.next {
                Some(next) => assert!(query.before.replace(next).is_none_or(|before| next < before)),
                None => return got,
            }
        }
    }

    fn near() -> impl Strategy<Value = Prefix> {
        let four = (0..8_u32, 26..=32_u8).prop_map(|(low, length)| {
            Prefix::host(std::net::Ipv4Addr::from_bits(0xcb00_7100 | (low << 2)).into()).widened(length)
        });
        let six = (0..4_u128, 60..=64_u8).prop_map(|(low, length)| {
            Prefix::host(std::net::Ipv6Addr::from_bits((0x2001_0db8 << 96) | (low << 64)).into())
                .widened(length)
        });
        prop_oneof![3 => four, 1 => six]
    }

    fn any_entries() -> impl Strategy<Value = Vec<Vec<Vec<Prefix>>>> {
        use prop::collection::vec;
        vec(vec(vec(near(), 0..3), 0..4), 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        #[test]
        fn pages_hold_what_a_plain_list_would(
            entries in any_entries(), about in prop::option::of(near()), most in 1..5_usize, bound in 1..9_usize,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let (store, mut expected) = filled(&dir, &entries);
            expected.retain(|event| about.is_none_or(|prefix| event.about.iter().any(|one| one.overlaps(&prefix))));
            expected.reverse();
            for bound in [bound, LOOKED_AT] {
                prop_assert_eq!(&all_pages(&store, about, most, bound), &expected);
            }
        }

        #[test]
        fn a_watcher_misses_nothing(entries in any_entries(), index in 0..14_i64, ordinal in 0..3_u32, most in 1..4_usize) {
            let dir = tempfile::tempdir().unwrap();
            let (store, mut expected) = filled(&dir, &entries);
            let (mut at, mut got) = (id(index, ordinal), Vec::new());
            expected.retain(|event| event.id > at);
            loop {
                let next = store.reader().events_after(at, most).unwrap();
                let Some(last) = next.last() else { break };
                at = last.id;
                got.extend(next);
            }
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn pages_end_by_size_and_never_stand_still() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = filled(&dir, &[]);
        let about: Prefix = "203.0.113.7".parse().unwrap();
        let big = NewEvent { about: vec![about], bytes: vec![7; PAGE_BYTES] };
        store.put_events(Revision(1), Moment::EPOCH, &vec![big; 4]).unwrap();
        for about in [None, Some(about)] {
            let page = store.reader().events(&EventQuery { about, before: None }, 100).unwrap();
            assert_eq!((page.events.len(), page.next), (1, Some(id(1, 3))));
            assert_eq!(all_pages(&store, about, 100, LOOKED_AT).len(), 4);
        }
        let forward = store.reader().events_after(EventId::default(), 100).unwrap();
        assert_eq!(forward.len(), 1);
    }

    #[test]
    fn a_damaged_event_is_an_error_and_never_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, _) = filled(&dir, &[vec![vec![]], vec![vec![]], vec![vec![]]]);
        store.commit(true, |batch| batch.put(Family::Events, &event::key(id(2, 0)), b"nonsense")).unwrap();
        let page = store.reader().events(&EventQuery::default(), 10);
        assert!(matches!(page, Err(StoreError::Corrupt { index: Revision(2), .. })));
        let forward = store.reader().events_after(EventId::default(), 10);
        assert!(matches!(forward, Err(StoreError::Corrupt { index: Revision(2), .. })));
    }
}
