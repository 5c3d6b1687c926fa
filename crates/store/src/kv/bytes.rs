//! Fields in and out of a value, and the checksum at its end.

use super::Decoded;

const SUM: usize = 4;

/// Puts the checksum of `key` and `value` at the end of `value`.
pub(super) fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c_append(crc32c::crc32c(key), &value);
    value.extend_from_slice(&sum.to_be_bytes());
    value
}

/// The value without its checksum, which must agree.
pub(super) fn unseal<'a>(key: &[u8], sealed: &'a [u8]) -> Decoded<Fields<'a>> {
    let (value, sum) = sealed.split_last_chunk::<SUM>().ok_or("the value is too short")?;
    if crc32c::crc32c_append(crc32c::crc32c(key), value) == u32::from_be_bytes(*sum) {
        Ok(Fields(value))
    } else {
        Err("the checksum disagrees")
    }
}

/// What is left of a key or a value to take fields from.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>().ok_or("a field is missing")?;
        self.0 = rest;
        Ok(*field)
    }

    pub(super) fn u8(&mut self) -> Decoded<u8> {
        self.take().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Decoded<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Decoded<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Decoded<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(super) fn u128(&mut self) -> Decoded<u128> {
        self.take().map(u128::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Decoded<i64> {
        self.take().map(i64::from_be_bytes)
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn end(self) -> Decoded<()> {
        if self.0.is_empty() { Ok(()) } else { Err("there are bytes left over") }
    }
}

/// A key that is a log index. Negative ones do not occur: their order would be wrong.
pub(super) fn index_of(key: &[u8]) -> Decoded<i64> {
    let bytes = key.try_into().map_err(|_| "the key is no index")?;
    let index = i64::from_be_bytes(bytes);
    if index >= 0 { Ok(index) } else { Err("the key is a negative index") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_flipped_bit_is_seen(key: [u8; 8], value: Vec<u8>, at: usize, bit in 0..8_u32) {
            let mut sealed = seal(&key, value.clone());
            prop_assert_eq!(unseal(&key, &sealed).unwrap().rest(), &value[..]);
            let at = at % sealed.len();
            sealed[at] ^= 1_u8 << bit;
            prop_assert!(unseal(&key, &sealed).is_err());
        }

        #[test]
        fn a_value_under_another_key_is_seen(key: u64, other: u64, value: Vec<u8>) {
            prop_assume!(key != other);
            prop_assert!(unseal(&other.to_be_bytes(), &seal(&key.to_be_bytes(), value)).is_err());
        }

        #[test]
        fn indexes_keep_their_order(a in 0..i64::MAX, b in 0..i64::MAX) {
            prop_assert_eq!(a.to_be_bytes().cmp(&b.to_be_bytes()), a.cmp(&b));
            prop_assert_eq!(index_of(&a.to_be_bytes()), Ok(a));
        }
    }

    #[test]
    fn keys_of_another_shape_are_refused() {
        assert!(index_of(b"short").is_err());
        assert!(index_of(&(-1_i64).to_be_bytes()).is_err());
    }
}
