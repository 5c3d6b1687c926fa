//! The operator's policy: what the engine asks for before it lists, and for how long.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use crate::{
    Prefix, Tier,
    limits::{
        MAX_ENTRIES, MAX_HOST_UNITS, MAX_NEVER, MAX_NEW_PER_MINUTE, MAX_PREFIX_UNITS, MAX_QUORUM, MAX_ZONES,
    },
};

/// The policy in force. [`Policy::default`] is the documented default; `docs/policy.md` explains each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long an observation counts. 1 s to 1 h.
    pub window: Duration,
    /// SYN-ACK retransmits below which a stuck handshake is no evidence. 1 to 5.
    pub min_retransmits: u8,
    /// Distinct hosts that must have seen a unit before it is suppressed. 1 to `drop_quorum`.
    pub suppress_quorum: u32,
    /// Distinct hosts that must have seen a unit before it is dropped. 1 to [`MAX_QUORUM`].
    pub drop_quorum: u32,
    /// The share of the connected hosts that a quorum must be at least, in thousandths. 0 to 1000.
    pub quorum_per_mille: u32,
    /// Distinct zones that the hosts of a quorum must be in; hosts without a zone are in one together.
    /// 1 to [`MAX_ZONES`].
    pub min_zones: u32,
    /// What is done to a prefix under carpet bombing; none to list no prefixes.
    pub prefix_tier: Option<Tier>,
    /// Distinct units of a prefix that must be stuck before it is listed. 2 to [`MAX_PREFIX_UNITS`].
    pub prefix_min_units: u32,
    /// How long a first listing lasts. 10 s to 24 h.
    pub ttl_base: Duration,
    /// How long a repeated listing lasts at most. At least `ttl_base`, at most 30 days.
    pub ttl_max: Duration,
    /// How long nothing must have been seen of a first listing before it ends early; doubled with each
    /// repeat. At least half of `window`, or zero: never.
    pub ttl_quiet: Duration,
    /// Entries that may be listed at the same time. 1 to [`MAX_ENTRIES`].
    pub max_entries: u32,
    /// Entries that evidence may list anew within a minute. 1 to [`MAX_NEW_PER_MINUTE`].
    pub new_per_minute: u32,
    /// The widest IPv4 prefix that evidence may list, as a length. 16 to 24.
    pub widest_ipv4: u8,
    /// The widest IPv6 prefix that evidence may list, as a length. 48 to 56.
    pub widest_ipv6: u8,
    /// Units that one host may see for the first time within a minute before it counts as flooded.
    /// 1 to [`MAX_HOST_UNITS`].
    pub host_units_per_minute: u32,
    /// What is never listed.
    pub never: Never,
}

/// What the policy keeps off the blocklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Never {
    /// Private ranges: RFC 1918, RFC 4193, RFC 6598.
    pub private: bool,
    /// These prefixes.
    pub prefixes: Vec<Prefix>,
    /// The addresses of these DNS names.
    pub names: Vec<String>,
}

/// A value that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct PolicyError {
    /// The key in the policy file, as `quorum.drop`.
    pub key: &'static str,
    /// What is allowed.
    pub problem: &'static str,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(300),
            min_retransmits: 1,
            suppress_quorum: 2,
            drop_quorum: 3,
            quorum_per_mille: 0,
            min_zones: 1,
            prefix_tier: Some(Tier::Suppress),
            prefix_min_units: 5,
            ttl_base: Duration::from_secs(600),
            ttl_max: Duration::from_secs(86_400),
            ttl_quiet: Duration::from_secs(180),
            max_entries: 1_000_000,
            new_per_minute: 10_000,
            widest_ipv4: 20,
            widest_ipv6: 48,
            host_units_per_minute: 6_000,
            never: Never { private: true, prefixes: Vec::new(), names: Vec::new() },
        }
    }
}

impl Policy {
    /// Checks every value against its range.
    ///
    /// # Errors
    /// The first key that is out of range, and what is allowed.
    pub fn check(&self) -> Result<(), PolicyError> {
        let seconds = |low: u64, high: u64| Duration::from_secs(low)..=Duration::from_secs(high);
        let quiet = self.ttl_quiet.is_zero() || self.ttl_quiet >= self.window / 2;
        let checks = [
            (seconds(1, 3_600).contains(&self.window), "window", "must be from 1s to 1h"),
            ((1..=5).contains(&self.min_retransmits), "min_retransmits", "must be from 1 to 5"),
            ((1..=MAX_QUORUM).contains(&self.drop_quorum), "quorum.drop", "must be from 1 to 64"),
            (
                (1..=self.drop_quorum).contains(&self.suppress_quorum),
                "quorum.suppress",
                "must be from 1 to quorum.drop",
            ),
            (self.quorum_per_mille <= 1_000, "quorum.fraction", "must be from 0 to 1"),
            ((1..=MAX_ZONES).contains(&self.min_zones), "quorum.min_zones", "must be from 1 to 16"),
            (
                (2..=MAX_PREFIX_UNITS).contains(&self.prefix_min_units),
                "prefix.min_addresses",
                "must be from 2 to 4096",
            ),
            (seconds(10, 86_400).contains(&self.ttl_base), "ttl.base", "must be from 10s to 24h"),
            (self.ttl_max >= self.ttl_base, "ttl.max", "must be at least ttl.base"),
            (self.ttl_max <= Duration::from_secs(30 * 86_400), "ttl.max", "must be at most 30 days"),
            (quiet, "ttl.quiet", "must be at least half of the window, or 0s for never"),
            ((1..=MAX_ENTRIES).contains(&self.max_entries), "limits.entries", "must be from 1 to 10000000"),
            (
                (1..=MAX_NEW_PER_MINUTE).contains(&self.new_per_minute),
                "limits.new_per_minute",
                "must be from 1 to 1000000",
            ),
            ((16..=24).contains(&self.widest_ipv4), "limits.widest_ipv4", "must be from 16 to 24"),
            ((48..=56).contains(&self.widest_ipv6), "limits.widest_ipv6", "must be from 48 to 56"),
            (
                (1..=MAX_HOST_UNITS).contains(&self.host_units_per_minute),
                "limits.host_units_per_minute",
                "must be from 1 to 10000000",
            ),
            (self.never.prefixes.len() <= MAX_NEVER, "never.prefixes", "must be at most 10000"),
            (self.never.names.len() <= MAX_NEVER, "never.names", "must be at most 10000"),
        ];
        match checks.iter().find(|(good, ..)| !good) {
            Some((_, key, problem)) => Err(PolicyError { key, problem }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_by_key() {
        assert_eq!(Policy::default().check(), Ok(()));
        let key = |change: fn(&mut Policy)| {
            let mut policy = Policy::default();
            change(&mut policy);
            policy.check().unwrap_err().key
        };
        assert_eq!(key(|p| p.window = Duration::ZERO), "window");
        assert_eq!(key(|p| p.drop_quorum = MAX_QUORUM + 1), "quorum.drop");
        assert_eq!(key(|p| p.ttl_max = p.ttl_base - Duration::from_secs(1)), "ttl.max");
        assert_eq!(key(|p| p.max_entries = 0), "limits.entries");
        assert_eq!(key(|p| p.suppress_quorum = 4), "quorum.suppress");
        assert_eq!(key(|p| p.quorum_per_mille = 1_001), "quorum.fraction");
        assert_eq!(key(|p| p.min_zones = 0), "quorum.min_zones");
        assert_eq!(key(|p| p.prefix_min_units = 1), "prefix.min_addresses");
        assert_eq!(key(|p| p.ttl_quiet = Duration::from_secs(149)), "ttl.quiet");
        assert_eq!(key(|p| p.new_per_minute = 0), "limits.new_per_minute");
        assert_eq!(key(|p| p.widest_ipv4 = 15), "limits.widest_ipv4");
        assert_eq!(key(|p| p.widest_ipv6 = 57), "limits.widest_ipv6");
        assert_eq!(key(|p| p.host_units_per_minute = 0), "limits.host_units_per_minute");
    }
}
