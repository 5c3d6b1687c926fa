//! What the tests write, made from the index alone, so that any reader can judge it.

use std::path::Path;

use sekisho_model::{Moment, Revision};
use sekisho_store::{EventId, Log, NewEvent, Options, Reader, Record, Store, StoreError};

pub(crate) fn open(dir: &Path) -> Result<Store, StoreError> {
    Store::open(dir, Options::default())
}

/// The payload of the record at `index`.
pub(crate) fn payload(index: i64) -> Vec<u8> {
    let length = usize::try_from(index * 37 % 900).unwrap();
    vec![u8::try_from(index * 31 % 251).unwrap(); length]
}

/// A clock that goes back now and then.
fn clock(index: i64) -> Moment {
    Moment::from_millis(1_000 * index - 5_000 * (index % 3))
}

/// Appends one record, and gives its index.
pub(crate) fn append(store: &mut Store) -> Result<i64, StoreError> {
    let index = store.last().0 + 1;
    let sequence = u64::try_from(index).unwrap();
    let payload = payload(index);
    let record = Record { format: 3, writer: 7, sequence, time: clock(index), payload: &payload };
    assert_eq!(store.append(record)?.0, index);
    Ok(index)
}

/// Puts the delta of one index.
pub(crate) fn put_delta(store: &mut Store, index: i64) -> Result<(), StoreError> {
    store.put_delta(Revision(index - 1), Revision(index), &payload(index))
}

fn events(index: i64) -> Vec<NewEvent> {
    let about = vec!["203.0.113.0/24".parse().unwrap()];
    (0..index % 3).map(|event| NewEvent { about: about.clone(), bytes: payload(index + event) }).collect()
}

/// Puts the events of one index: none, one or two.
pub(crate) fn put_events(store: &mut Store, index: i64) -> Result<(), StoreError> {
    store.put_events(Revision(index), clock(index), &events(index))
}

/// Reads all events, judges each, and gives the index of the last.
pub(crate) fn verify_events(reader: &Reader) -> i64 {
    let mut got: Vec<(i64, Vec<u8>)> = Vec::new();
    let mut at = EventId::default();
    loop {
        let next = reader.events_after(at, 500).unwrap();
        let Some(last) = next.last() else { break };
        at = last.id;
        got.extend(next.into_iter().map(|event| (event.id.index.0, event.bytes)));
    }
    let expected =
        (1..=at.index.0).flat_map(|index| events(index).into_iter().map(move |event| (index, event.bytes)));
    assert!(expected.eq(got), "all events up to {}, each once and in order", at.index.0);
    at.index.0
}

/// Reads the whole log, judges each record, and gives the last index.
pub(crate) fn verify(store: &Store) -> Result<i64, StoreError> {
    let (mut last, mut time) = (0, Moment::from_millis(i64::MIN));
    for record in store.read(Revision(1))? {
        let record = record?;
        assert_eq!(record.index.0, last + 1, "gapless");
        assert_eq!(record.payload, payload(record.index.0), "the right bytes");
        assert_eq!((record.format, record.writer), (3, 7));
        assert_eq!(record.sequence, u64::try_from(record.index.0).unwrap());
        assert!(record.time >= time, "time does not go back");
        (last, time) = (record.index.0, record.time);
    }
    assert_eq!(store.last().0, last);
    Ok(last)
}
