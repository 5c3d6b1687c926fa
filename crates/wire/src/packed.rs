//! Changes and members as packed groups: sorted, as differences, about three bytes an address.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use bytes::Bytes;
use prost::Message;
use sekisho_model::{Change, Key, List, Member, Moment, Prefix, Tier};

use crate::{
    Malformed,
    pb::v1::{PackedChanges, PackedGroup, PackedList},
};

/// Lengths up to this go as differences of integers, longer ones as whole addresses.
const MAX_STEP_LENGTH: u8 = 64;

/// What the changes of one group share: list, whether removed, whether IPv6, prefix length.
type GroupKey = (i32, bool, bool, u8);

/// Packs changes. They may be in any order; each key at most once.
pub fn encode(changes: &[Change]) -> Bytes {
    let mut groups: BTreeMap<GroupKey, Vec<(Prefix, Moment)>> = BTreeMap::new();
    for change in changes {
        let (list, removed, prefix, expires) = match change {
            Change::Put(member) => (put_list(member.list), false, member.prefix, member.expires),
            Change::Remove(key) => (removed_list(key.allow), true, key.prefix, Moment::EPOCH),
        };
        let group = (list as i32, removed, !prefix.is_ipv4(), prefix.length());
        groups.entry(group).or_default().push((prefix, expires));
    }
    let groups = groups.into_iter().map(|((list, removed, ipv6, length), mut rows)| {
        rows.sort_unstable();
        pack(
            PackedGroup { list, removed, ipv6, prefix_length: u32::from(length), ..PackedGroup::default() },
            &rows,
        )
    });
    PackedChanges { groups: groups.collect() }.encode_to_vec().into()
}

/// Packs the members of a snapshot.
pub fn encode_members(members: &[Member]) -> Bytes {
    encode(&members.iter().copied().map(Change::Put).collect::<Vec<_>>())
}

/// Unpacks changes, sorted by key.
///
/// # Errors
/// The field that is malformed; a key that stands twice.
pub fn decode(bytes: &[u8]) -> Result<Vec<Change>, Malformed> {
    let packed =
        PackedChanges::decode(bytes).map_err(|error| Malformed::field("packed", error.to_string()))?;
    let mut changes = Vec::new();
    for group in &packed.groups {
        unpack(group, &mut changes)?;
    }
    changes.sort_unstable_by_key(Change::key);
    if let Some(pair) = changes.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
        return Err(Malformed::field("packed.groups", format!("{} stands twice", pair[0].key().prefix)));
    }
    Ok(changes)
}

/// Unpacks the members of a snapshot's chunk.
///
/// # Errors
/// As [`decode`], and for a removal.
pub fn decode_members(bytes: &[u8]) -> Result<Vec<Member>, Malformed> {
    let member = |change| match change {
        Change::Put(member) => Ok(member),
        Change::Remove(_) => Err(Malformed::field("packed.groups.removed", "a snapshot removes nothing")),
    };
    decode(bytes)?.into_iter().map(member).collect()
}

fn put_list(list: List) -> PackedList {
    match list {
        List::Allow => PackedList::Allow,
        List::Block(Tier::Suppress) => PackedList::Suppress,
        List::Block(Tier::Drop) => PackedList::Drop,
    }
}

fn removed_list(allow: bool) -> PackedList {
    if allow { PackedList::Allow } else { PackedList::Block }
}

fn pack(mut group: PackedGroup, rows: &[(Prefix, Moment)]) -> PackedGroup {
    let (mut number_before, mut expiry_before) = (0, 0);
    let mut addresses = Vec::new();
    for (prefix, expires) in rows {
        match number(prefix) {
            Some(number) => {
                group.steps.push(number - number_before);
                number_before = number;
            }
            None => addresses.extend(octets(prefix)),
        }
        if !group.removed {
            group.expire_steps_ms.push(expires.as_millis().wrapping_sub(expiry_before));
            expiry_before = expires.as_millis();
        }
    }
    group.addresses = addresses.into();
    group
}

fn octets(prefix: &Prefix) -> [u8; 16] {
    match prefix.address() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The leading bits as an integer; none for lengths over [`MAX_STEP_LENGTH`].
fn number(prefix: &Prefix) -> Option<u64> {
    let length = u32::from(prefix.length());
    match prefix.address() {
        IpAddr::V4(v4) => Some(u64::from(v4.to_bits()).checked_shr(32 - length).unwrap_or(0)),
        IpAddr::V6(v6) if prefix.length() <= MAX_STEP_LENGTH => {
            u64::try_from(v6.to_bits().checked_shr(128 - length).unwrap_or(0)).ok()
        }
        IpAddr::V6(_) => None,
    }
}

fn from_number(number: u64, ipv6: bool, length: u8) -> Option<Prefix> {
    let address = if ipv6 {
        let bits = u128::from(number);
        let fits = length == 128 || bits >> length == 0;
        let bits = fits.then(|| bits.checked_shl(128 - u32::from(length)).unwrap_or(0))?;
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    } else {
        let fits = number >> length == 0;
        let bits = fits.then(|| number.checked_shl(32 - u32::from(length)).unwrap_or(0))?;
        IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).ok()?))
    };
    Prefix::new(address, length).ok()
}

fn unpack(group: &PackedGroup, changes: &mut Vec<Change>) -> Result<(), Malformed> {
    let max = if group.ipv6 { 128 } else { 32 };
    let length = u8::try_from(group.prefix_length).ok().filter(|length| *length <= max);
    let length = length
        .ok_or_else(|| Malformed::field("packed.groups.prefix_length", format!("must be at most {max}")))?;
    let prefixes = prefixes(group, length)?;
    let expected = if group.removed { 0 } else { prefixes.len() };
    if group.expire_steps_ms.len() != expected {
        let problem = format!("{} values, {expected} are right", group.expire_steps_ms.len());
        return Err(Malformed::field("packed.groups.expire_steps_ms", problem));
    }
    if group.removed {
        let allow = match group.list() {
            PackedList::Allow => true,
            PackedList::Block | PackedList::Suppress | PackedList::Drop => false,
            PackedList::Unspecified => return Err(Malformed::field("packed.groups.list", "unknown")),
        };
        changes.extend(prefixes.into_iter().map(|prefix| Change::Remove(Key { allow, prefix })));
        return Ok(());
    }
    let list = match group.list() {
        PackedList::Allow => List::Allow,
        PackedList::Suppress => List::Block(Tier::Suppress),
        PackedList::Drop => List::Block(Tier::Drop),
        PackedList::Block | PackedList::Unspecified => {
            return Err(Malformed::field(
                "packed.groups.list",
                "unknown tier: this agent is older than the aggregator",
            ));
        }
    };
    let mut millis = 0i64;
    for (prefix, step) in prefixes.into_iter().zip(&group.expire_steps_ms) {
        millis = millis.wrapping_add(*step);
        changes.push(Change::Put(Member { prefix, list, expires: Moment::from_millis(millis) }));
    }
    Ok(())
}

fn prefixes(group: &PackedGroup, length: u8) -> Result<Vec<Prefix>, Malformed> {
    if length > MAX_STEP_LENGTH {
        let (addresses, rest) = group.addresses.as_chunks::<16>();
        let read = |bytes: &[u8; 16]| Prefix::new(IpAddr::V6(Ipv6Addr::from(*bytes)), length);
        let prefixes = addresses.iter().map(read).collect::<Result<Vec<_>, _>>();
        return match prefixes {
            Ok(prefixes)
                if rest.is_empty() && group.steps.is_empty() && prefixes.iter().all(|p| !p.is_ipv4()) =>
            {
                Ok(prefixes)
            }
            _ => Err(Malformed::field(
                "packed.groups.addresses",
                "must be whole IPv6 addresses without host bits",
            )),
        };
    }
    let mut number = 0u64;
    let mut step = |step: &u64| {
        number = number.checked_add(*step)?;
        from_number(number, group.ipv6, length)
    };
    let prefixes: Option<Vec<_>> = group.steps.iter().map(&mut step).collect();
    prefixes.ok_or_else(|| {
        Malformed::field("packed.groups.steps", format!("beyond the last prefix of length {length}"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn any_change() -> impl Strategy<Value = Change> {
        let prefix = (any::<bool>(), any::<u128>(), 0u8..=128).prop_map(|(four, bits, length)| {
            #[expect(clippy::cast_possible_truncation, reason = "any 32 bits serve")]
            let address = if four { IpAddr::V4((bits as u32).into()) } else { IpAddr::V6(bits.into()) };
            Prefix::host(address).widened(length)
        });
        let list = [List::Allow, List::Block(Tier::Suppress), List::Block(Tier::Drop)];
        let list = proptest::sample::select(list.to_vec());
        (prefix, list, any::<bool>(), any::<i64>()).prop_map(|(prefix, list, removed, expires)| {
            let member = Member { prefix, list, expires: Moment::from_millis(expires) };
            if removed { Change::Remove(member.key()) } else { Change::Put(member) }
        })
    }

    #[test]
    fn a_million_addresses_take_about_three_bytes_each() {
        let expires = Moment::from_millis(1_700_000_000_000);
        let member = |n: u32| {
            let address = IpAddr::V4(0x0b00_0000u32.wrapping_add(n.wrapping_mul(4_001)).into());
            Member { prefix: Prefix::host(address), list: List::Block(Tier::Drop), expires }
        };
        let bytes = encode_members(&(0..1_000_000).map(member).collect::<Vec<_>>());
        assert!(bytes.len() < 3_200_000, "{} bytes", bytes.len());
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        let one = |step| PackedGroup {
            list: PackedList::Drop as i32,
            prefix_length: 32,
            steps: vec![step],
            expire_steps_ms: vec![1],
            ..PackedGroup::default()
        };
        let bytes = |groups| PackedChanges { groups }.encode_to_vec();
        assert!(decode(&bytes(vec![one(7), one(8)])).is_ok());
        assert!(decode(&bytes(vec![one(7), one(7)])).is_err());
        assert!(decode(&bytes(vec![one(1 << 33)])).is_err());
    }

    #[test]
    fn an_unknown_tier_is_refused_and_any_tier_leaves() {
        let group = |list, removed| PackedGroup {
            list,
            removed,
            prefix_length: 32,
            steps: vec![7],
            expire_steps_ms: if removed { vec![] } else { vec![1] },
            ..PackedGroup::default()
        };
        let decoded =
            |list, removed| decode(&PackedChanges { groups: vec![group(list, removed)] }.encode_to_vec());
        let newer = PackedList::Suppress as i32 + 1;
        assert!(decoded(newer, false).unwrap_err().problem.contains("older than the aggregator"));
        assert!(decoded(PackedList::Block as i32, false).is_err());
        let gone = Change::Remove(Key { allow: false, prefix: "0.0.0.7".parse().unwrap() });
        for list in [PackedList::Block, PackedList::Suppress, PackedList::Drop] {
            assert_eq!(decoded(list as i32, true).unwrap(), [gone]);
        }
    }

    proptest! {
        #[test]
        fn changes_round_trip(mut changes in vec(any_change(), 0..60)) {
            changes.sort_by_key(Change::key);
            changes.dedup_by_key(|change| change.key());
            prop_assert_eq!(decode(&encode(&changes)).unwrap(), changes);
        }

        #[test]
        fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn no_group_panics(list in 0i32..7, removed: bool, ipv6: bool, prefix_length in 0u32..140,
                           steps in vec(any::<u64>(), 0..5), addresses in vec(any::<u8>(), 0..40),
                           expire_steps_ms in vec(any::<i64>(), 0..5)) {
            let group = PackedGroup { list, removed, ipv6, prefix_length, steps, addresses: addresses.into(), expire_steps_ms };
            let _ = decode(&PackedChanges { groups: vec![group] }.encode_to_vec());
        }
    }
}
