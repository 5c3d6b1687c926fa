//! Which prefixes can never be listed whatever anybody says, and which are private.

use core::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::Prefix;

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, c: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

/// IPv4 blocks whose addresses cannot be a victim on the internet (RFC 6890 and its registry).
const UNLISTABLE_V4: [Ipv4Net; 5] = [
    v4(0, 0, 0, 0, 8),      // "this network"
    v4(127, 0, 0, 0, 8),    // loopback
    v4(169, 254, 0, 0, 16), // link-local
    v4(224, 0, 0, 0, 4),    // multicast
    v4(240, 0, 0, 0, 4),    // reserved and broadcast
];

/// IPv6 blocks likewise, and those of which one /64 stands for many unrelated hosts.
const UNLISTABLE_V6: [Ipv6Net; 6] = [
    v6(0, 0, 0, 8),          // unspecified, loopback, mapped
    v6(0x64, 0xff9b, 0, 96), // NAT64 (RFC 6052): the whole IPv4 internet in one /64
    v6(0x64, 0xff9b, 1, 48), // local-use NAT64 (RFC 8215)
    v6(0x2001, 0, 0, 32),    // Teredo (RFC 4380): a /64 is all clients of one server
    v6(0xfe80, 0, 0, 10),    // link-local
    v6(0xff00, 0, 0, 8),     // multicast
];

const PRIVATE_V4: [Ipv4Net; 4] = [
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    v4(100, 64, 0, 0, 10), // shared by carrier-grade NAT (RFC 6598)
];

const PRIVATE_V6: [Ipv6Net; 1] = [v6(0xfc00, 0, 0, 7)]; // unique local (RFC 4193)

/// Whether some address of `prefix` can never be listed: loopback, link-local, multicast,
/// unspecified, reserved, or shared by many hosts through a translator.
pub fn is_unlistable(prefix: &Prefix) -> bool {
    overlaps(prefix, &UNLISTABLE_V4, &UNLISTABLE_V6)
}

/// Whether some address of `prefix` is private: RFC 1918, RFC 4193 or RFC 6598.
pub fn is_private(prefix: &Prefix) -> bool {
    overlaps(prefix, &PRIVATE_V4, &PRIVATE_V6)
}

/// The private ranges: RFC 1918, RFC 6598, RFC 4193.
pub fn private_ranges() -> impl Iterator<Item = Prefix> {
    PRIVATE_V4.into_iter().map(Prefix::from).chain(PRIVATE_V6.into_iter().map(Prefix::from))
}

fn overlaps(prefix: &Prefix, v4: &[Ipv4Net], v6: &[Ipv6Net]) -> bool {
    v4.iter().any(|net| Prefix::from(*net).overlaps(prefix))
        || v6.iter().any(|net| Prefix::from(*net).overlaps(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_apart() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        for text in [
            "127.0.0.1",
            "169.254.1.1",
            "224.0.0.1",
            "255.255.255.255",
            "0.0.0.0/0",
            "::1",
            "fe80::/64",
            "ff02::1",
            "64:ff9b::/64",
            "2001:0:1:2::/64",
            "::/0",
        ] {
            assert!(is_unlistable(&prefix(text)), "{text}");
        }
        for text in ["10.1.2.3", "172.31.0.1", "192.168.0.0/24", "100.64.0.1", "fd00::/64"] {
            assert!(is_private(&prefix(text)) && !is_unlistable(&prefix(text)), "{text}");
        }
        // Documentation ranges are listable: laboratories use them.
        for text in ["192.0.2.1", "198.51.100.0/24", "203.0.113.7", "2001:db8::/64", "172.32.0.1", "8.8.8.8"]
        {
            assert!(!is_private(&prefix(text)) && !is_unlistable(&prefix(text)), "{text}");
        }
    }
}
