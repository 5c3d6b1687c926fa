//! Which events are about a prefix.
//!
//! | key | value |
//! | --- | --- |
//! | prefix, index i64, ordinal u32 | crc u32 |
//!
//! A prefix is: family u8 = 4 or 6, address 16 bytes (IPv4 in the first four), length u8. So the events
//! about one prefix lie together, the newest last, and those about narrower ones inside it lie between its
//! first address and its last.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sekisho_model::Prefix;

use super::{Decoded, bytes, event};
use crate::EventId;

/// Bytes of a prefix.
pub(crate) const PREFIX: usize = 1 + 16 + 1;

/// A prefix as bytes.
pub(crate) fn prefix(prefix: &Prefix) -> [u8; PREFIX] {
    bytes_of(prefix.address(), prefix.length())
}

fn bytes_of(address: IpAddr, length: u8) -> [u8; PREFIX] {
    let mut bytes = [0; PREFIX];
    match address {
        IpAddr::V4(v4) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            bytes[0] = 6;
            bytes[1..17].copy_from_slice(&v6.octets());
        }
    }
    bytes[PREFIX - 1] = length;
    bytes
}

/// The prefix that comes next.
pub(super) fn prefix_from(fields: &mut bytes::Fields<'_>) -> Decoded<Prefix> {
    let (family, bits, length) = (fields.u8()?, fields.u128()?, fields.u8()?);
    let address = match family {
        4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits >> 96).unwrap_or_default())),
        6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        _ => return Err("the prefix has an unknown family"),
    };
    Prefix::new(address, length).map_err(|_| "the prefix is unreadable")
}

/// The key of one event about `about`.
pub(crate) fn key(about: &Prefix, id: EventId) -> Vec<u8> {
    [&prefix(about)[..], &event::key(id)[..]].concat()
}

/// What comes after every key about a prefix inside `around`.
pub(crate) fn end(around: &Prefix) -> [u8; PREFIX] {
    bytes_of(around.last(), u8::MAX)
}

/// What a key names.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Decoded<(Prefix, EventId)> {
    bytes::unseal(key, value)?.end()?;
    let mut fields = bytes::Fields(key);
    Ok((prefix_from(&mut fields)?, event::id(fields.rest())?))
}

/// The value under `key`.
pub(crate) fn encode(key: &[u8]) -> Vec<u8> {
    bytes::seal(key, Vec::new())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use sekisho_model::Revision;

    use super::*;

    /// A prefix of either family, often near others.
    pub(crate) fn any_prefix() -> impl Strategy<Value = Prefix> {
        let four = (0..1_u32 << 10, 8..=32_u8).prop_map(|(low, length)| {
            Prefix::host(Ipv4Addr::from_bits(0xcb00_7000 | low).into()).widened(length)
        });
        let six = (any::<u128>(), 0..=128_u8)
            .prop_map(|(bits, length)| Prefix::host(Ipv6Addr::from_bits(bits).into()).widened(length));
        prop_oneof![four, six]
    }

    proptest! {
        #[test]
        fn round_trip(about in any_prefix(), index in 1..i64::MAX, ordinal: u32) {
            let id = EventId { index: Revision(index), ordinal };
            let key = key(&about, id);
            prop_assert_eq!(decode(&key, &encode(&key)), Ok((about, id)));
        }

        #[test]
        fn what_is_inside_lies_between(around in any_prefix(), inside in any_prefix(), index in 1..i64::MAX) {
            let id = EventId { index: Revision(index), ordinal: 0 };
            let (key, first) = (key(&inside, id), prefix(&around));
            let lies_between = first[..] <= key[..] && key[..] < end(&around)[..];
            prop_assert_eq!(lies_between, around.covers(&inside));
        }

        #[test]
        fn any_bytes_are_an_error_or_a_key(key: Vec<u8>) {
            let _ = decode(&key, &encode(&key));
        }
    }
}
