//! One record of the log.
//!
//! | key | value |
//! | --- | --- |
//! | index i64 | version u8 = 1, format u16, writer u64, sequence u64, time i64, payload, crc u32 |
//!
//! `version` is of this envelope, `format` of the payload.

use sekisho_model::{Moment, Revision};

use super::{Decoded, bytes};
use crate::{LoggedRecord, Record};

const VERSION: u8 = 1;
/// Bytes of an envelope around the payload.
const ENVELOPE: usize = 1 + 2 + 8 + 8 + 8 + 4;

/// The key of the record at `index`.
pub(crate) fn key(index: i64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The index that a key names.
pub(crate) fn index(key: &[u8]) -> Decoded<i64> {
    bytes::index_of(key)
}

/// The value of `record` at `index`.
pub(crate) fn encode(index: i64, record: &Record<'_>) -> Vec<u8> {
    let mut value = Vec::with_capacity(ENVELOPE + record.payload.len());
    value.push(VERSION);
    value.extend_from_slice(&record.format.to_be_bytes());
    value.extend_from_slice(&record.writer.to_be_bytes());
    value.extend_from_slice(&record.sequence.to_be_bytes());
    value.extend_from_slice(&record.time.as_millis().to_be_bytes());
    value.extend_from_slice(record.payload);
    bytes::seal(&key(index), value)
}

/// The record that sits under the key of `index`.
pub(crate) fn decode(index: i64, value: &[u8]) -> Decoded<LoggedRecord> {
    let mut fields = bytes::unseal(&key(index), value)?;
    if fields.u8()? != VERSION {
        return Err("the record has a version that this release does not know");
    }
    Ok(LoggedRecord {
        index: Revision(index),
        format: fields.u16()?,
        writer: fields.u64()?,
        sequence: fields.u64()?,
        time: Moment::from_millis(fields.i64()?),
        payload: fields.rest().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(
            at in 1..i64::MAX, format: u16, writer: u64, sequence: u64, millis: i64, payload: Vec<u8>,
        ) {
            let time = Moment::from_millis(millis);
            let value = encode(at, &Record { format, writer, sequence, time, payload: &payload });
            prop_assert_eq!(index(&key(at)), Ok(at));
            prop_assert_eq!(value.len(), ENVELOPE + payload.len());
            let expected = LoggedRecord { index: Revision(at), format, writer, sequence, time, payload };
            prop_assert_eq!(decode(at, &value), Ok(expected));
            prop_assert!(decode(at - 1, &value).is_err());
        }

        #[test]
        fn any_bytes_are_an_error_or_a_record(at in 1..i64::MAX, value: Vec<u8>) {
            let _ = decode(at, &value);
        }
    }

    #[test]
    fn another_version_is_refused() {
        let mut value = vec![2; ENVELOPE - 4];
        value = bytes::seal(&key(1), value);
        assert!(decode(1, &value).unwrap_err().contains("version"));
    }
}
