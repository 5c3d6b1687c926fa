//! The operator's policy: what the engine asks for before it lists, and for how long.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use crate::{
    Prefix,
    limits::{MAX_ENTRIES, MAX_NEVER, MAX_QUORUM},
};

/// The policy in force. [`Policy::default`] is the documented default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long an observation counts. 1 s to 1 h.
    pub window: Duration,
    /// SYN-ACK retransmits below which a stuck handshake is no evidence. 1 to 5.
    pub min_retransmits: u8,
    /// Distinct hosts that must have seen a unit before it is dropped. 1 to [`MAX_QUORUM`].
    pub drop_quorum: u32,
    /// How long a first listing lasts. 10 s to 24 h.
    pub ttl_base: Duration,
    /// How long a repeated listing lasts at most. At least `ttl_base`, at most 30 days.
    pub ttl_max: Duration,
    /// Entries that may be listed at the same time. 1 to [`MAX_ENTRIES`].
    pub max_entries: u32,
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
            drop_quorum: 3,
            ttl_base: Duration::from_secs(600),
            ttl_max: Duration::from_secs(86_400),
            max_entries: 1_000_000,
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
        let checks = [
            (seconds(1, 3_600).contains(&self.window), "window", "must be from 1s to 1h"),
            ((1..=5).contains(&self.min_retransmits), "min_retransmits", "must be from 1 to 5"),
            ((1..=MAX_QUORUM).contains(&self.drop_quorum), "quorum.drop", "must be from 1 to 64"),
            (seconds(10, 86_400).contains(&self.ttl_base), "ttl.base", "must be from 10s to 24h"),
            (self.ttl_max >= self.ttl_base, "ttl.max", "must be at least ttl.base"),
            (self.ttl_max <= Duration::from_secs(30 * 86_400), "ttl.max", "must be at most 30 days"),
            ((1..=MAX_ENTRIES).contains(&self.max_entries), "limits.entries", "must be from 1 to 10000000"),
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
    }
}
