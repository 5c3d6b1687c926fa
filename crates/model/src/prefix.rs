//! Prefixes (what an entry names) and units (what evidence is counted by).

use alloc::string::{String, ToString};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The number of leading bits of an IPv6 address that evidence is counted by.
pub const IPV6_UNIT_LENGTH: u8 = 64;

/// A network: an address and a length, without host bits. Ordered IPv4 first, then by address.
///
/// IPv4-mapped IPv6 input (`::ffff:a.b.c.d`, RFC 4291 section 2.5.5.2) becomes IPv4, so that one
/// address has one name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix(IpNet);

/// Why a text or a pair is not a prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not an address or a prefix at all.
    #[error("\"{0}\" is not an IP address or prefix; write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/64")]
    Unreadable(String),
    /// The length is over 32 or 128.
    #[error("prefix length {length} is over {max}")]
    Length {
        /// The length that was given.
        length: u8,
        /// The longest length of the family.
        max: u8,
    },
    /// Bits are set right of the length.
    #[error("{0} has bits set beyond its length; did you mean {1}?")]
    HostBits(String, Prefix),
}

impl Prefix {
    /// The prefix `address/length`.
    ///
    /// # Errors
    /// [`PrefixError::Length`] for a length over the family's, [`PrefixError::HostBits`] when
    /// `address` has bits set right of `length`.
    pub fn new(address: IpAddr, length: u8) -> Result<Self, PrefixError> {
        let (address, length) = match address {
            IpAddr::V6(v6) if length >= 96 => match v6.to_ipv4_mapped() {
                Some(v4) if length <= 128 => (IpAddr::V4(v4), length - 96),
                _ => (address, length),
            },
            _ => (address, length),
        };
        let max = if address.is_ipv4() { 32 } else { 128 };
        let net = IpNet::new(address, length).map_err(|_| PrefixError::Length { length, max })?;
        let canonical = Self(net.trunc());
        if canonical.0 == net {
            Ok(canonical)
        } else {
            Err(PrefixError::HostBits(net.to_string(), canonical))
        }
    }

    /// The prefix that holds just this address.
    pub fn host(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.0.network()
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.0.broadcast()
    }

    /// The number of leading bits that are fixed: 0 to 32 (IPv4) or 128 (IPv6).
    pub fn length(&self) -> u8 {
        self.0.prefix_len()
    }

    /// Whether it is one address: /32 or /128.
    pub fn is_host(&self) -> bool {
        self.0.prefix_len() == self.0.max_prefix_len()
    }

    /// Whether it is IPv4.
    pub fn is_ipv4(&self) -> bool {
        matches!(self.0, IpNet::V4(_))
    }

    /// Whether every address of `other` is in this one. A prefix covers itself.
    pub fn covers(&self, other: &Self) -> bool {
        self.0.contains(&other.0)
    }

    /// Whether `address` is in this prefix; an IPv4-mapped one counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }

    /// This prefix widened to `length`; itself when it is as wide already.
    pub fn widened(&self, length: u8) -> Self {
        let length = length.min(self.length());
        Self(IpNet::new(self.0.addr(), length).map_or(self.0, |net| net.trunc()))
    }
}

impl From<Ipv4Net> for Prefix {
    fn from(net: Ipv4Net) -> Self {
        Self(IpNet::V4(net.trunc()))
    }
}

impl From<Ipv6Net> for Prefix {
    fn from(net: Ipv6Net) -> Self {
        Self(IpNet::V6(net.trunc()))
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    /// Reads `203.0.113.7`, `203.0.113.0/24` or the same in IPv6; host bits are refused.
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::host(address));
        }
        let net: IpNet = text.parse().map_err(|_| PrefixError::Unreadable(text.to_string()))?;
        Self::new(net.addr(), net.prefix_len())
    }
}

impl fmt::Display for Prefix {
    /// A single address without its length, everything else as `address/length`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() { self.0.addr().fmt(out) } else { self.0.fmt(out) }
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// What evidence is counted by: an IPv4 address or an IPv6 /64.
///
/// The /64 is what one subscriber line gets, so that a victim cannot be split over its 2^64 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// An IPv4 address, as a number in host order.
    V4(u32),
    /// The upper 64 bits of an IPv6 address, as a number in host order.
    V6(u64),
}

impl Unit {
    /// The unit that `address` belongs to; an IPv4-mapped one is IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        }
    }

    /// The unit as a prefix: a /32 or a /64.
    pub fn prefix(self) -> Prefix {
        let (address, length) = match self {
            Self::V4(bits) => (IpAddr::V4(Ipv4Addr::from_bits(bits)), 32),
            Self::V6(bits) => (IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits) << 64)), IPV6_UNIT_LENGTH),
        };
        Prefix(IpNet::new_assert(address, length))
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mapped_addresses_become_ipv4() {
        let mapped: Prefix = "::ffff:203.0.113.7".parse().unwrap();
        assert_eq!(mapped.to_string(), "203.0.113.7");
        let net: Prefix = "::ffff:203.0.113.0/120".parse().unwrap();
        assert_eq!(net.to_string(), "203.0.113.0/24");
        assert_eq!(Unit::of("::ffff:203.0.113.7".parse().unwrap()), Unit::V4(0xcb00_7107));
    }

    #[test]
    fn bad_prefixes_say_what_to_write() {
        let host_bits = "203.0.113.7/24".parse::<Prefix>().unwrap_err();
        assert!(host_bits.to_string().contains("did you mean 203.0.113.0/24?"));
        assert!(matches!("203.0.113".parse::<Prefix>(), Err(PrefixError::Unreadable(_))));
        assert!(matches!("203.0.113.0/33".parse::<Prefix>(), Err(PrefixError::Unreadable(_))));
        let long = Prefix::new("203.0.113.0".parse().unwrap(), 33);
        assert_eq!(long, Err(PrefixError::Length { length: 33, max: 32 }));
        assert!(Prefix::new("::ffff:1.2.3.4".parse().unwrap(), 200).is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips(bits: u128, length in 0u8..=128) {
            let prefix = Prefix::host(IpAddr::V6(Ipv6Addr::from_bits(bits))).widened(length);
            prop_assert_eq!(prefix.to_string().parse::<Prefix>().unwrap(), prefix);
        }

        #[test]
        fn a_unit_holds_its_address(bits: u128, four: bool, v4: u32) {
            let address = if four { IpAddr::V4(v4.into()) } else { IpAddr::V6(bits.into()) };
            prop_assert!(Unit::of(address).prefix().contains(address));
        }

        #[test]
        fn covering_agrees_with_containing(a: u32, b: u32, la in 0u8..=32, lb in 0u8..=32) {
            let (a, b) = (Prefix::host(IpAddr::V4(a.into())).widened(la), Prefix::host(IpAddr::V4(b.into())).widened(lb));
            prop_assert_eq!(a.covers(&b), a.contains(b.address()) && a.contains(b.last()));
            prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
        }
    }
}
