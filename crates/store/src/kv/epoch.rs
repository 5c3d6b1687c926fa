//! The life of the log.
//!
//! | key | value |
//! | --- | --- |
//! | `epoch` | epoch i64, crc u32 |

use sekisho_model::Epoch;

use super::{Decoded, bytes};

/// The only key.
pub(crate) const KEY: &[u8] = b"epoch";

/// The value.
pub(crate) fn encode(epoch: Epoch) -> Vec<u8> {
    bytes::seal(KEY, epoch.0.to_be_bytes().to_vec())
}

/// The epoch, which is positive.
pub(crate) fn decode(value: &[u8]) -> Decoded<Epoch> {
    let mut fields = bytes::unseal(KEY, value)?;
    let epoch = fields.i64()?;
    fields.end()?;
    if epoch > 0 { Ok(Epoch(epoch)) } else { Err("the epoch is not positive") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(epoch in 1..=i64::MAX) {
            prop_assert_eq!(decode(&encode(Epoch(epoch))), Ok(Epoch(epoch)));
        }

        #[test]
        fn what_is_not_positive_is_refused(epoch in i64::MIN..=0) {
            prop_assert!(decode(&encode(Epoch(epoch))).is_err());
        }
    }
}
