//! What completes a checkpoint: while its header is not there, it does not exist.
//!
//! | key | value |
//! | --- | --- |
//! | index i64 | version u8 = 1, generation u64, time i64, chunks u32, bytes u64, sum u32, crc u32 |
//!
//! `sum` is the CRC-32C of all the checkpoint's bytes. The generation names its chunks, so that a
//! checkpoint written again at the same index touches no chunk of the one before.

use sekisho_model::Moment;

use super::{Decoded, bytes};

const VERSION: u8 = 1;

/// A checkpoint's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Under which generation the chunks are.
    pub(crate) generation: u64,
    /// The log's time at the checkpoint.
    pub(crate) time: Moment,
    /// How many chunks there are.
    pub(crate) chunks: u32,
    /// Bytes of all chunks.
    pub(crate) bytes: u64,
    /// CRC-32C of all the bytes.
    pub(crate) sum: u32,
}

/// The key of the checkpoint at `index`.
pub(crate) fn key(index: i64) -> [u8; 8] {
    index.to_be_bytes()
}

/// The index that a key names.
pub(crate) fn index(key: &[u8]) -> Decoded<i64> {
    bytes::index_of(key)
}

/// The value of the header at `index`.
pub(crate) fn encode(index: i64, header: &Header) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(&header.generation.to_be_bytes());
    value.extend_from_slice(&header.time.as_millis().to_be_bytes());
    value.extend_from_slice(&header.chunks.to_be_bytes());
    value.extend_from_slice(&header.bytes.to_be_bytes());
    value.extend_from_slice(&header.sum.to_be_bytes());
    bytes::seal(&key(index), value)
}

/// The header that sits under the key of `index`.
pub(crate) fn decode(index: i64, value: &[u8]) -> Decoded<Header> {
    let mut fields = bytes::unseal(&key(index), value)?;
    if fields.u8()? != VERSION {
        return Err("the checkpoint has a version that this release does not know");
    }
    let header = Header {
        generation: fields.u64()?,
        time: Moment::from_millis(fields.i64()?),
        chunks: fields.u32()?,
        bytes: fields.u64()?,
        sum: fields.u32()?,
    };
    fields.end()?;
    Ok(header)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn round_trip(
            at in 0..i64::MAX, generation: u64, millis: i64, chunks: u32, bytes: u64, sum: u32,
        ) {
            let header = Header { generation, time: Moment::from_millis(millis), chunks, bytes, sum };
            prop_assert_eq!(index(&key(at)), Ok(at));
            prop_assert_eq!(decode(at, &encode(at, &header)), Ok(header));
            prop_assert!(decode(at ^ 1, &encode(at, &header)).is_err());
        }

        #[test]
        fn any_bytes_are_an_error_or_a_header(at in 0..i64::MAX, value: Vec<u8>) {
            let _ = decode(at, &value);
        }
    }
}
