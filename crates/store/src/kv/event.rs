//! What happened at one place of the log.
//!
//! | key | value |
//! | --- | --- |
//! | index i64, ordinal u32 | version u8 = 1, number u64, time i64, prefixes u8, that many prefixes, bytes, crc u32 |
//!
//! A prefix is written as in `about`. The prefixes are what it can be found by: whoever removes the event
//! reads there what else to remove. Numbers are dense from the oldest stored event to the newest, so that
//! there is no need to count them.

use sekisho_model::{Moment, Prefix, Revision};

use super::{Decoded, about, bytes};
use crate::{EventId, StoredEvent};

const VERSION: u8 = 1;

/// What is known of an event besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where it is.
    pub(crate) id: EventId,
    /// Its place among the stored ones.
    pub(crate) number: u64,
}

/// The key of an event.
pub(crate) fn key(id: EventId) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&id.index.0.to_be_bytes());
    key[8..].copy_from_slice(&id.ordinal.to_be_bytes());
    key
}

/// The event that a key names.
pub(crate) fn id(key: &[u8]) -> Decoded<EventId> {
    let (index, ordinal) = key.split_last_chunk::<4>().ok_or("the key is too short")?;
    Ok(EventId { index: Revision(bytes::index_of(index)?), ordinal: u32::from_be_bytes(*ordinal) })
}

/// The value of an event. More prefixes than a byte can count are left out: it is not found by them.
pub(crate) fn encode(place: &Place, time: Moment, about: &[Prefix], event: &[u8]) -> Vec<u8> {
    let about = &about[..about.len().min(usize::from(u8::MAX))];
    let mut value = Vec::with_capacity(1 + 8 + 8 + 1 + about.len() * about::PREFIX + event.len() + 4);
    value.push(VERSION);
    value.extend_from_slice(&place.number.to_be_bytes());
    value.extend_from_slice(&time.as_millis().to_be_bytes());
    value.push(u8::try_from(about.len()).unwrap_or(u8::MAX));
    about.iter().for_each(|prefix| value.extend_from_slice(&about::prefix(prefix)));
    value.extend_from_slice(event);
    bytes::seal(&key(place.id), value)
}

/// The event that sits under the key of `id`, and its place among the stored ones.
pub(crate) fn decode(id: EventId, value: &[u8]) -> Decoded<(Place, StoredEvent)> {
    let mut fields = bytes::unseal(&key(id), value)?;
    if fields.u8()? != VERSION {
        return Err("the event has a version that this release does not know");
    }
    let place = Place { id, number: fields.u64()? };
    let time = Moment::from_millis(fields.i64()?);
    let about = (0..fields.u8()?).map(|_| about::prefix_from(&mut fields)).collect::<Decoded<_>>()?;
    Ok((place, StoredEvent { id, time, about, bytes: fields.rest().to_vec() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::about::tests::any_prefix, *};

    fn any_id() -> impl Strategy<Value = EventId> {
        (1..i64::MAX, any::<u32>()).prop_map(|(index, ordinal)| EventId { index: Revision(index), ordinal })
    }

    proptest! {
        #[test]
        fn round_trip(
            at in any_id(), number: u64, millis: i64,
            about in prop::collection::vec(any_prefix(), 0..4), event: Vec<u8>,
        ) {
            prop_assert_eq!(id(&key(at)), Ok(at));
            let (place, time) = (Place { id: at, number }, Moment::from_millis(millis));
            let value = encode(&place, time, &about, &event);
            let expected = (place, StoredEvent { id: at, time, about, bytes: event });
            prop_assert_eq!(decode(at, &value), Ok(expected));
            let other = EventId { ordinal: at.ordinal ^ 1, ..at };
            prop_assert!(decode(other, &value).is_err());
        }

        #[test]
        fn keys_keep_their_order(a in any_id(), b in any_id()) {
            prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
        }

        #[test]
        fn any_bytes_are_an_error_or_an_event(at in any_id(), value: Vec<u8>) {
            let _ = decode(at, &value);
            let _ = id(&value);
        }
    }

    #[test]
    fn prefixes_beyond_a_bytes_count_are_left_out() {
        let at = EventId { index: Revision(1), ordinal: 0 };
        let prefix: Prefix = "198.51.100.0/24".parse().unwrap();
        let value = encode(&Place { id: at, number: 1 }, Moment::EPOCH, &vec![prefix; 300], b"x");
        let (_, event) = decode(at, &value).unwrap();
        assert_eq!((event.about.len(), &event.bytes[..]), (255, &b"x"[..]));
    }
}
