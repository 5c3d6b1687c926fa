//! The sets of our table: which there are, what each holds, and what the kernel is told about it.

use core::{fmt, str::FromStr, time::Duration};

use sekisho_model::{
    Prefix, Tier,
    limits::{ANSWERED_SET_SIZE, ANSWERED_SET_TIMEOUT, HIT_SET_SIZE, HIT_SET_TIMEOUT, KERNEL_SET_SIZE},
};

use crate::RulesetError;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// What kind of elements a set holds, and who puts them there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Single addresses, found by hash; adding one costs the same at any size.
    Hash,
    /// Disjoint ranges of addresses; the kernel rebuilds it as a whole at each change.
    Interval,
    /// Single addresses that rules put there for each packet, with a counter.
    Dynamic,
    /// Handshakes (our peer's address and port, then ours) that rules put there.
    Handshakes,
}

/// A set of the table `inet sekisho`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SetName {
    /// IPv4 addresses (/32) at tier drop.
    Drop4,
    /// IPv6 addresses (/128) at tier drop.
    Drop6,
    /// IPv4 prefixes at tier drop.
    DropNet4,
    /// IPv6 prefixes at tier drop.
    DropNet6,
    /// IPv4 addresses (/32) at tier suppress.
    Suppress4,
    /// IPv6 addresses (/128) at tier suppress.
    Suppress6,
    /// IPv4 prefixes at tier suppress.
    SuppressNet4,
    /// IPv6 prefixes at tier suppress.
    SuppressNet6,
    /// Everything allowlisted in IPv4, single addresses as well.
    Allow4,
    /// Everything allowlisted in IPv6.
    Allow6,
    /// IPv4 addresses at tier drop of which SYNs were dropped lately.
    Hit4,
    /// IPv6 /64 networks (as their first address) likewise.
    Hit6,
    /// IPv4 addresses at tier suppress to which retransmitted SYN-ACKs were dropped lately.
    SupHit4,
    /// IPv6 /64 networks (as their first address) likewise.
    SupHit6,
    /// IPv4 handshakes at tier suppress of which the last SYN was answered.
    Answered4,
    /// IPv6 handshakes likewise.
    Answered6,
}

impl SetName {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Drop4,
        Self::Drop6,
        Self::DropNet4,
        Self::DropNet6,
        Self::Suppress4,
        Self::Suppress6,
        Self::SuppressNet4,
        Self::SuppressNet6,
        Self::Allow4,
        Self::Allow6,
        Self::Hit4,
        Self::Hit6,
        Self::SupHit4,
        Self::SupHit6,
        Self::Answered4,
        Self::Answered6,
    ];

    /// Those that transactions fill.
    pub const FILLED: [Self; 10] = [
        Self::Drop4,
        Self::Drop6,
        Self::DropNet4,
        Self::DropNet6,
        Self::Suppress4,
        Self::Suppress6,
        Self::SuppressNet4,
        Self::SuppressNet6,
        Self::Allow4,
        Self::Allow6,
    ];

    /// Those of them that hold single addresses, and can be filled aside.
    pub const HASHED: [Self; 4] = [Self::Drop4, Self::Drop6, Self::Suppress4, Self::Suppress6];

    /// Those of them that hold ranges.
    pub const INTERVALS: [Self; 6] =
        [Self::DropNet4, Self::DropNet6, Self::SuppressNet4, Self::SuppressNet6, Self::Allow4, Self::Allow6];

    /// The set that holds `prefix` of the blocklist at `tier`.
    pub fn for_block(prefix: &Prefix, tier: Tier) -> Self {
        match (tier, prefix.is_ipv4(), prefix.is_host()) {
            (Tier::Drop, true, true) => Self::Drop4,
            (Tier::Drop, false, true) => Self::Drop6,
            (Tier::Drop, true, false) => Self::DropNet4,
            (Tier::Drop, false, false) => Self::DropNet6,
            (Tier::Suppress, true, true) => Self::Suppress4,
            (Tier::Suppress, false, true) => Self::Suppress6,
            (Tier::Suppress, true, false) => Self::SuppressNet4,
            (Tier::Suppress, false, false) => Self::SuppressNet6,
        }
    }

    /// The sets of the units of `tier` that were hit lately.
    pub fn hits(tier: Tier) -> [Self; 2] {
        match tier {
            Tier::Drop => [Self::Hit4, Self::Hit6],
            Tier::Suppress => [Self::SupHit4, Self::SupHit6],
        }
    }

    /// The set of the allowlist's part in `family`.
    pub fn for_allow(family: Family) -> Self {
        match family {
            Family::V4 => Self::Allow4,
            Family::V6 => Self::Allow6,
        }
    }

    /// The name in the kernel.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Drop4 => "drop4",
            Self::Drop6 => "drop6",
            Self::DropNet4 => "dropnet4",
            Self::DropNet6 => "dropnet6",
            Self::Suppress4 => "suppress4",
            Self::Suppress6 => "suppress6",
            Self::SuppressNet4 => "suppressnet4",
            Self::SuppressNet6 => "suppressnet6",
            Self::Allow4 => "allow4",
            Self::Allow6 => "allow6",
            Self::Hit4 => "hit4",
            Self::Hit6 => "hit6",
            Self::SupHit4 => "sup-hit4",
            Self::SupHit6 => "sup-hit6",
            Self::Answered4 => "answered4",
            Self::Answered6 => "answered6",
        }
    }

    /// The family of its addresses.
    pub const fn family(self) -> Family {
        match self {
            Self::Drop4
            | Self::DropNet4
            | Self::Suppress4
            | Self::SuppressNet4
            | Self::Allow4
            | Self::Hit4
            | Self::SupHit4
            | Self::Answered4 => Family::V4,
            Self::Drop6
            | Self::DropNet6
            | Self::Suppress6
            | Self::SuppressNet6
            | Self::Allow6
            | Self::Hit6
            | Self::SupHit6
            | Self::Answered6 => Family::V6,
        }
    }

    /// What it holds.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Drop4 | Self::Drop6 | Self::Suppress4 | Self::Suppress6 => Kind::Hash,
            Self::DropNet4
            | Self::DropNet6
            | Self::SuppressNet4
            | Self::SuppressNet6
            | Self::Allow4
            | Self::Allow6 => Kind::Interval,
            Self::Hit4 | Self::Hit6 | Self::SupHit4 | Self::SupHit6 => Kind::Dynamic,
            Self::Answered4 | Self::Answered6 => Kind::Handshakes,
        }
    }

    /// The most elements it takes; interval sets have no limit of their own.
    pub const fn size(self) -> Option<u32> {
        match self.kind() {
            Kind::Hash => Some(KERNEL_SET_SIZE),
            Kind::Interval => None,
            Kind::Dynamic => Some(HIT_SET_SIZE),
            Kind::Handshakes => Some(ANSWERED_SET_SIZE),
        }
    }

    /// How long an element stays that came without a timeout of its own. Only the kernel's rules put
    /// such ones; a transaction's elements all have theirs.
    pub const fn timeout(self) -> Option<Duration> {
        match self.kind() {
            Kind::Hash | Kind::Interval => None,
            Kind::Dynamic => Some(HIT_SET_TIMEOUT),
            Kind::Handshakes => Some(ANSWERED_SET_TIMEOUT),
        }
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.as_str())
    }
}

impl FromStr for SetName {
    type Err = RulesetError;

    fn from_str(text: &str) -> Result<Self, RulesetError> {
        let found = Self::ALL.into_iter().find(|set| set.as_str() == text);
        found.ok_or_else(|| RulesetError::Unreadable(text.into()))
    }
}
