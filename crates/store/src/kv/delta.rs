//! A stored delta.
//!
//! | key | value |
//! | --- | --- |
//! | revision i64 | version u8 = 1, previous i64, ordinal u64, bytes, crc u32 |
//!
//! Ordinals are dense from the oldest stored delta to the newest, so that their number is known
//! without counting.

use super::{Decoded, bytes};

const VERSION: u8 = 1;

/// What is known of a delta besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// It holds the changes after this revision.
    pub(crate) previous: i64,
    /// It holds the changes up to and with this revision.
    pub(crate) revision: i64,
    /// Its place among the stored ones.
    pub(crate) ordinal: u64,
}

/// The key of the delta that ends at `revision`.
pub(crate) fn key(revision: i64) -> [u8; 8] {
    revision.to_be_bytes()
}

/// The revision that a key names.
pub(crate) fn revision(key: &[u8]) -> Decoded<i64> {
    bytes::index_of(key)
}

/// The value of a delta.
pub(crate) fn encode(link: &Link, delta: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(1 + 8 + 8 + delta.len() + 4);
    value.push(VERSION);
    value.extend_from_slice(&link.previous.to_be_bytes());
    value.extend_from_slice(&link.ordinal.to_be_bytes());
    value.extend_from_slice(delta);
    bytes::seal(&key(link.revision), value)
}

/// The delta that sits under the key of `revision`.
pub(crate) fn decode(revision: i64, value: &[u8]) -> Decoded<(Link, &[u8])> {
    let mut fields = bytes::unseal(&key(revision), value)?;
    if fields.u8()? != VERSION {
        return Err("the delta has a version that this release does not know");
    }
    let link = Link { previous: fields.i64()?, revision, ordinal: fields.u64()? };
    Ok((link, fields.rest()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(previous: i64, at in 0..i64::MAX, ordinal: u64, delta: Vec<u8>) {
            let link = Link { previous, revision: at, ordinal };
            prop_assert_eq!(revision(&key(at)), Ok(at));
            let value = encode(&link, &delta);
            prop_assert_eq!(decode(at, &value), Ok((link, &delta[..])));
            prop_assert!(decode(at ^ 1, &value).is_err());
        }

        #[test]
        fn any_bytes_are_an_error_or_a_delta(at in 0..i64::MAX, value: Vec<u8>) {
            let _ = decode(at, &value);
        }
    }
}
