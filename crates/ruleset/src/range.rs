//! A run of addresses: what one element of a set stands for.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use sekisho_model::Prefix;

use crate::{Family, RulesetError};

/// All addresses from `first` to `last`, both included and both of one family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    first: IpAddr,
    last: IpAddr,
}

impl Range {
    /// The range from `first` to `last`; none if they are of two families or in the wrong order.
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// Just this address.
    pub fn single(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether it is one address.
    pub fn is_single(&self) -> bool {
        self.first == self.last
    }

    /// The family of its addresses.
    pub fn family(&self) -> Family {
        if self.first.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// Whether some address is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.family() == other.family() && self.first <= other.last && other.first <= self.last
    }

    /// The length of the prefix that it is; none if it is no prefix.
    fn prefix_length(&self) -> Option<u32> {
        let (first, last, width) = match (self.first, self.last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            _ => return None,
        };
        let host_bits = first ^ last;
        let aligned = host_bits & first == 0 && host_bits & host_bits.wrapping_add(1) == 0;
        aligned.then(|| width - host_bits.count_ones())
    }
}

/// The address after `address`; none after the last of its family.
pub fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// The address before `address`; none before the first of its family.
pub fn previous(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

impl From<Prefix> for Range {
    fn from(prefix: Prefix) -> Self {
        Self { first: prefix.address(), last: prefix.last() }
    }
}

impl fmt::Display for Range {
    /// `203.0.113.7`, `203.0.113.0/24`, or `203.0.113.1-203.0.113.9` where no prefix fits.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix_length() {
            _ if self.is_single() => self.first.fmt(out),
            Some(length) => write!(out, "{}/{length}", self.first),
            None => write!(out, "{}-{}", self.first, self.last),
        }
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for Range {
    type Err = RulesetError;

    fn from_str(text: &str) -> Result<Self, RulesetError> {
        let unreadable = || RulesetError::Unreadable(text.into());
        if let Some((first, last)) = text.split_once('-') {
            let first = first.parse().map_err(|_| unreadable())?;
            let last = last.parse().map_err(|_| unreadable())?;
            return Self::new(first, last).ok_or_else(unreadable);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::single(address));
        }
        text.parse::<Prefix>().map(Self::from).map_err(|_| unreadable())
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_written_as_shortly_as_they_can_be() {
        let range =
            |a: &str, b: &str| Range::new(a.parse().unwrap(), b.parse().unwrap()).unwrap().to_string();
        assert_eq!(range("203.0.113.7", "203.0.113.7"), "203.0.113.7");
        assert_eq!(range("203.0.113.0", "203.0.113.255"), "203.0.113.0/24");
        assert_eq!(range("203.0.113.1", "203.0.113.2"), "203.0.113.1-203.0.113.2");
        assert_eq!(range("0.0.0.0", "255.255.255.255"), "0.0.0.0/0");
        assert_eq!(range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), "::/0");
    }

    #[test]
    fn two_families_or_the_wrong_order_are_no_range() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(Range::new(address("203.0.113.2"), address("203.0.113.1")), None);
        assert_eq!(Range::new(address("203.0.113.2"), address("2001:db8::")), None);
        assert_eq!(next(address("255.255.255.255")), None);
        assert_eq!(previous(address("::")), None);
    }

    proptest! {
        #[test]
        fn text_round_trips(a: u32, b: u32, c: u128, d: u128, six: bool) {
            let (a, b) = if six { (IpAddr::V6(c.into()), IpAddr::V6(d.into())) }
                         else { (IpAddr::V4(a.into()), IpAddr::V4(b.into())) };
            let range = Range::new(a.min(b), a.max(b)).unwrap();
            prop_assert_eq!(range.to_string().parse::<Range>().unwrap(), range);
        }
    }
}
