//! The keys of a policy file. What is left out has its default; a default gives way where another key leaves
//! no room for it.

use sekisho_model::{Never, Policy, Prefix};
use serde::{Deserialize, Deserializer};

use crate::values::{Fraction, Name, PrefixTier, Span, Text};

/// A policy file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct File {
    window: Text<Span>,
    min_retransmits: u8,
    quorum: Quorum,
    prefix: PrefixKeys,
    ttl: Ttl,
    limits: Limits,
    never: NeverKeys,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Quorum {
    #[serde(deserialize_with = "given")]
    suppress: Option<u32>,
    drop: u32,
    fraction: Fraction,
    min_zones: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PrefixKeys {
    tier: Text<PrefixTier>,
    min_addresses: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Ttl {
    base: Text<Span>,
    max: Text<Span>,
    #[serde(deserialize_with = "given")]
    quiet: Option<Text<Span>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    entries: u32,
    new_per_minute: u32,
    widest_ipv4: u8,
    widest_ipv6: u8,
    host_units_per_minute: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NeverKeys {
    private: bool,
    prefixes: Vec<Text<Prefix>>,
    names: Vec<Text<Name>>,
}

/// A value whose default depends on others. It may be left out, not empty.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl File {
    /// The policy that the file means.
    pub(crate) fn policy(self) -> Policy {
        let default = Policy::default();
        let (window, drop_quorum) = (self.window.0.0, self.quorum.drop);
        Policy {
            window,
            min_retransmits: self.min_retransmits,
            suppress_quorum: self.quorum.suppress.unwrap_or(default.suppress_quorum.min(drop_quorum)),
            drop_quorum,
            quorum_per_mille: self.quorum.fraction.0,
            min_zones: self.quorum.min_zones,
            prefix_tier: self.prefix.tier.0.0,
            prefix_min_units: self.prefix.min_addresses,
            ttl_base: self.ttl.base.0.0,
            ttl_max: self.ttl.max.0.0,
            ttl_quiet: self.ttl.quiet.map_or(default.ttl_quiet.max(window / 2), |quiet| quiet.0.0),
            max_entries: self.limits.entries,
            new_per_minute: self.limits.new_per_minute,
            widest_ipv4: self.limits.widest_ipv4,
            widest_ipv6: self.limits.widest_ipv6,
            host_units_per_minute: self.limits.host_units_per_minute,
            never: Never {
                private: self.never.private,
                prefixes: self.never.prefixes.into_iter().map(|prefix| prefix.0).collect(),
                names: self.never.names.into_iter().map(|name| name.0.0).collect(),
            },
        }
    }
}

impl Default for File {
    fn default() -> Self {
        let Policy { window, min_retransmits, .. } = Policy::default();
        let (quorum, prefix, ttl, limits, never) = Default::default();
        Self { window: Text(Span(window)), min_retransmits, quorum, prefix, ttl, limits, never }
    }
}

impl Default for Quorum {
    fn default() -> Self {
        let Policy { drop_quorum: drop, quorum_per_mille, min_zones, .. } = Policy::default();
        Self { suppress: None, drop, fraction: Fraction(quorum_per_mille), min_zones }
    }
}

impl Default for PrefixKeys {
    fn default() -> Self {
        let Policy { prefix_tier, prefix_min_units: min_addresses, .. } = Policy::default();
        Self { tier: Text(PrefixTier(prefix_tier)), min_addresses }
    }
}

impl Default for Ttl {
    fn default() -> Self {
        let Policy { ttl_base, ttl_max, .. } = Policy::default();
        Self { base: Text(Span(ttl_base)), max: Text(Span(ttl_max)), quiet: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let Policy {
            max_entries: entries,
            new_per_minute,
            widest_ipv4,
            widest_ipv6,
            host_units_per_minute,
            ..
        } = Policy::default();
        Self { entries, new_per_minute, widest_ipv4, widest_ipv6, host_units_per_minute }
    }
}

impl Default for NeverKeys {
    fn default() -> Self {
        Self { private: Policy::default().never.private, prefixes: Vec::new(), names: Vec::new() }
    }
}
