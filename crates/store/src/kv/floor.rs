//! The first index of the log that counts, once older records were removed.
//!
//! | key | value |
//! | --- | --- |
//! | `floor` | index i64, crc u32 |
//!
//! Giving whole files back may bring deleted rows of other files to light again: below the floor
//! they are not looked at.

use super::{Decoded, bytes};

/// The only key.
pub(crate) const KEY: &[u8] = b"floor";

/// The value.
pub(crate) fn encode(index: i64) -> Vec<u8> {
    bytes::seal(KEY, index.to_be_bytes().to_vec())
}

/// The index, which is positive.
pub(crate) fn decode(value: &[u8]) -> Decoded<i64> {
    let mut fields = bytes::unseal(KEY, value)?;
    let index = fields.i64()?;
    fields.end()?;
    if index > 0 { Ok(index) } else { Err("the log's first index is not positive") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(index in 1..=i64::MAX) {
            prop_assert_eq!(decode(&encode(index)), Ok(index));
        }

        #[test]
        fn what_is_not_positive_is_refused(index in i64::MIN..=0) {
            prop_assert!(decode(&encode(index)).is_err());
        }
    }
}
