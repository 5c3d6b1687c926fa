//! The order-independent digest of a set of members, by which a subscriber knows that it has them all.

use core::{fmt, hash::Hasher, net::IpAddr};

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::{List, Member, Tier};

/// Fixed, since both ends must agree: the digest finds errors, it does not authenticate.
const KEY: [u8; 16] = *b"sekisho digest 1";

/// A wrapping sum of SipHash-2-4-128 over the members (an additive multiset hash): adding and
/// removing cost O(1) and the order does not matter.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl Digest {
    /// The digest of no members.
    pub const EMPTY: Self = Self(0);

    /// With `member` added.
    #[must_use]
    pub fn with(self, member: &Member) -> Self {
        Self(self.0.wrapping_add(hash(member)))
    }

    /// With `member`, which was added before, taken out.
    #[must_use]
    pub fn without(self, member: &Member) -> Self {
        Self(self.0.wrapping_sub(hash(member)))
    }

    /// The digest of all `members`.
    pub fn of<'a>(members: impl IntoIterator<Item = &'a Member>) -> Self {
        members.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

fn hash(member: &Member) -> u128 {
    let list = match member.list {
        List::Allow => 1,
        List::Block(Tier::Suppress) => 2,
        List::Block(Tier::Drop) => 3,
    };
    let mut hasher = SipHasher24::new_with_key(&KEY);
    match member.prefix.address() {
        IpAddr::V4(v4) => hasher.write(&v4.octets()),
        IpAddr::V6(v6) => hasher.write(&v6.octets()),
    }
    hasher.write(&[member.prefix.length(), list]);
    hasher.write(&member.expires.as_millis().to_le_bytes());
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec::Vec};

    use proptest::prelude::*;

    use super::*;
    use crate::Moment;

    fn member(bits: u32, length: u8, allow: bool, expires: i64) -> Member {
        let prefix = crate::Prefix::host(IpAddr::V4(bits.into())).widened(length);
        let list = if allow { List::Allow } else { List::Block(Tier::Drop) };
        Member { prefix, list, expires: Moment::from_millis(expires) }
    }

    #[test]
    fn the_digest_is_fixed_for_ever() {
        // Both ends of a connection may be of different versions: this value must never change.
        let digest = Digest::EMPTY.with(&member(0xcb00_7107, 32, false, 1_700_000_000_000));
        assert_eq!(digest.to_string(), "b4cf666ae161bb00aafeac93275d0a1a");
    }

    proptest! {
        #[test]
        fn order_does_not_matter_and_removal_undoes(
            raw in proptest::collection::vec((any::<u32>(), 0u8..=32, any::<bool>(), any::<i64>()), 0..20)
        ) {
            let members: Vec<Member> = raw.iter().map(|m| member(m.0, m.1, m.2, m.3)).collect();
            let forward = Digest::of(&members);
            prop_assert_eq!(forward, Digest::of(members.iter().rev()));
            let none = members.iter().fold(forward, Digest::without);
            prop_assert_eq!(none, Digest::EMPTY);
        }

        #[test]
        fn every_field_counts(bits: u32, expires: i64) {
            let one = member(bits, 32, false, expires);
            for other in [member(bits ^ 1, 32, false, expires), member(bits, 31, false, expires),
                          member(bits, 32, true, expires), member(bits, 32, false, expires ^ 1)] {
                prop_assert_ne!(Digest::of([&one]), Digest::of([&other]));
            }
        }
    }
}
