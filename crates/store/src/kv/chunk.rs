//! A piece of a checkpoint.
//!
//! | key | value |
//! | --- | --- |
//! | generation u64, number u32 | bytes, crc u32 |

use super::{Decoded, bytes};

/// The key of a piece.
pub(crate) fn key(generation: u64, number: u32) -> Vec<u8> {
    [&generation.to_be_bytes()[..], &number.to_be_bytes()[..]].concat()
}

/// What is before every piece of `generation`, and after every piece of the one before it.
pub(crate) fn bound(generation: u64) -> Vec<u8> {
    generation.to_be_bytes().to_vec()
}

/// The generation that a key names.
pub(crate) fn generation(key: &[u8]) -> Decoded<u64> {
    let mut fields = bytes::Fields(key);
    let generation = fields.u64()?;
    fields.u32()?;
    fields.end()?;
    Ok(generation)
}

/// The value of a piece.
pub(crate) fn encode(key: &[u8], piece: &[u8]) -> Vec<u8> {
    bytes::seal(key, piece.to_vec())
}

/// The piece that sits under `key`.
pub(crate) fn decode<'a>(key: &[u8], value: &'a [u8]) -> Decoded<&'a [u8]> {
    Ok(bytes::unseal(key, value)?.rest())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(of in 0..u64::MAX, number: u32, piece: Vec<u8>) {
            let key = key(of, number);
            prop_assert_eq!(generation(&key), Ok(of));
            let value = encode(&key, &piece);
            prop_assert_eq!(decode(&key, &value), Ok(&piece[..]));
        }

        #[test]
        fn bounds_enclose_a_generation(of in 0..u64::MAX, number: u32) {
            let key = key(of, number);
            prop_assert!(bound(of) < key && key < bound(of + 1));
        }

        #[test]
        fn keys_keep_their_order(a: (u64, u32), b: (u64, u32)) {
            prop_assert_eq!(key(a.0, a.1).cmp(&key(b.0, b.1)), a.cmp(&b));
        }
    }

    #[test]
    fn keys_of_another_shape_are_refused() {
        assert!(generation(b"short").is_err());
        assert!(generation(b"much too long a key").is_err());
    }
}
