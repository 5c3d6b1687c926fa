//! The policy as the log keeps it, and as text: the YAML that a policy file may have, every key.

use std::{
    fmt::{Display, Write},
    time::Duration,
};

use sekisho_model::{Never, Policy, Tier};

use crate::{
    Malformed,
    log::{millis, span},
    pb::{
        log::v1::{PolicySet, PrefixTier},
        v1::SetPolicyOrder,
    },
    readable,
};

/// A policy as a message: for the log and for checkpoints.
pub fn encode(policy: &Policy) -> PolicySet {
    PolicySet {
        window_ms: millis(policy.window),
        min_retransmits: u32::from(policy.min_retransmits),
        drop_quorum: policy.drop_quorum,
        ttl_base_ms: millis(policy.ttl_base),
        ttl_max_ms: millis(policy.ttl_max),
        max_entries: policy.max_entries,
        never_private: policy.never.private,
        never_prefixes: policy.never.prefixes.iter().map(ToString::to_string).collect(),
        never_names: policy.never.names.clone(),
        suppress_quorum: Some(policy.suppress_quorum),
        quorum_per_mille: Some(policy.quorum_per_mille),
        min_zones: Some(policy.min_zones),
        prefix_tier: match policy.prefix_tier {
            None => PrefixTier::None,
            Some(Tier::Suppress) => PrefixTier::Suppress,
            Some(Tier::Drop) => PrefixTier::Drop,
        } as i32,
        prefix_min_units: Some(policy.prefix_min_units),
        ttl_quiet_ms: Some(millis(policy.ttl_quiet)),
        new_per_minute: Some(policy.new_per_minute),
        widest_ipv4: Some(u32::from(policy.widest_ipv4)),
        widest_ipv6: Some(u32::from(policy.widest_ipv6)),
        host_units_per_minute: Some(policy.host_units_per_minute),
    }
}

/// A policy from a message. What an older version did not write has its default; the default quorum of
/// suppress and the default quiet time give way to the drop quorum and the window that were written.
///
/// # Errors
/// The value that is out of its range.
pub fn decode(set: &PolicySet) -> Result<Policy, Malformed> {
    let default = Policy::default();
    let window = span("policy.window_ms", set.window_ms)?;
    let quiet = match set.ttl_quiet_ms {
        Some(quiet) => span("policy.ttl_quiet_ms", quiet)?,
        None => default.ttl_quiet.max(window / 2),
    };
    let length = |value: Option<u32>, default: u8| match value {
        Some(length) => u8::try_from(length).unwrap_or(u8::MAX),
        None => default,
    };
    let policy = Policy {
        window,
        min_retransmits: u8::try_from(set.min_retransmits).unwrap_or(u8::MAX),
        suppress_quorum: set.suppress_quorum.unwrap_or(default.suppress_quorum.min(set.drop_quorum)),
        drop_quorum: set.drop_quorum,
        quorum_per_mille: set.quorum_per_mille.unwrap_or(default.quorum_per_mille),
        min_zones: set.min_zones.unwrap_or(default.min_zones),
        prefix_tier: prefix_tier(set.prefix_tier, default.prefix_tier)?,
        prefix_min_units: set.prefix_min_units.unwrap_or(default.prefix_min_units),
        ttl_base: span("policy.ttl_base_ms", set.ttl_base_ms)?,
        ttl_max: span("policy.ttl_max_ms", set.ttl_max_ms)?,
        ttl_quiet: quiet,
        max_entries: set.max_entries,
        new_per_minute: set.new_per_minute.unwrap_or(default.new_per_minute),
        widest_ipv4: length(set.widest_ipv4, default.widest_ipv4),
        widest_ipv6: length(set.widest_ipv6, default.widest_ipv6),
        host_units_per_minute: set.host_units_per_minute.unwrap_or(default.host_units_per_minute),
        never: never(set)?,
    };
    policy.check().map_err(|error| Malformed::field("policy", error.to_string()))?;
    Ok(policy)
}

fn never(set: &PolicySet) -> Result<Never, Malformed> {
    Ok(Never {
        private: set.never_private,
        prefixes: set.never_prefixes.iter().map(|text| readable::prefix(text)).collect::<Result<_, _>>()?,
        names: set.never_names.clone(),
    })
}

fn prefix_tier(number: i32, default: Option<Tier>) -> Result<Option<Tier>, Malformed> {
    match PrefixTier::try_from(number) {
        Ok(PrefixTier::Unspecified) => Ok(default),
        Ok(PrefixTier::None) => Ok(None),
        Ok(PrefixTier::Suppress) => Ok(Some(Tier::Suppress)),
        Ok(PrefixTier::Drop) => Ok(Some(Tier::Drop)),
        Err(_) => Err(Malformed::field("policy.prefix_tier", "unknown: a newer version wrote it")),
    }
}

/// A policy as YAML, every key: what it is given for comes out again.
pub fn yaml(policy: &Policy) -> String {
    let Policy { never, .. } = policy;
    let mut text = keys(policy);
    // Writing into a String cannot fail.
    let _ = writeln!(text, "never:\n  private: {}", never.private);
    list(&mut text, "prefixes", &never.prefixes);
    list(&mut text, "names", &never.names);
    text
}

/// A policy for the audit trail: its keys, and the sizes of its never-list.
pub(crate) fn shortened(policy: &Policy) -> SetPolicyOrder {
    let size = |list: usize| i32::try_from(list).unwrap_or(i32::MAX);
    SetPolicyOrder {
        policy_yaml: format!("{}never:\n  private: {}\n", keys(policy), policy.never.private),
        never_prefixes: size(policy.never.prefixes.len()),
        never_names: size(policy.never.names.len()),
    }
}

fn keys(policy: &Policy) -> String {
    let tier = policy.prefix_tier.map_or_else(|| "none".to_owned(), |tier| tier.to_string());
    format!(
        "window: {}\nmin_retransmits: {}\n\
         quorum:\n  suppress: {}\n  drop: {}\n  fraction: {}\n  min_zones: {}\n\
         prefix:\n  tier: {tier}\n  min_addresses: {}\n\
         ttl:\n  base: {}\n  max: {}\n  quiet: {}\n\
         limits:\n  entries: {}\n  new_per_minute: {}\n  widest_ipv4: {}\n  widest_ipv6: {}\n  \
         host_units_per_minute: {}\n",
        Span(policy.window),
        policy.min_retransmits,
        policy.suppress_quorum,
        policy.drop_quorum,
        f64::from(policy.quorum_per_mille) / 1_000.0,
        policy.min_zones,
        policy.prefix_min_units,
        Span(policy.ttl_base),
        Span(policy.ttl_max),
        Span(policy.ttl_quiet),
        policy.max_entries,
        policy.new_per_minute,
        policy.widest_ipv4,
        policy.widest_ipv6,
        policy.host_units_per_minute,
    )
}

fn list<T: Display>(text: &mut String, key: &str, items: &[T]) {
    let rows: String = items.iter().map(|item| format!("\n    - \"{item}\"")).collect();
    let _ = writeln!(text, "  {key}:{}", if rows.is_empty() { " []" } else { &rows });
}

/// A duration in the largest unit of a policy file that it is a whole number of.
struct Span(Duration);

impl Display for Span {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0.as_secs(), self.0.subsec_millis()) {
            (_, 1..) => write!(out, "{}ms", self.0.as_millis()),
            (seconds @ 1.., 0) if seconds % 3_600 == 0 => write!(out, "{}h", seconds / 3_600),
            (seconds @ 1.., 0) if seconds % 60 == 0 => write!(out, "{}m", seconds / 60),
            (seconds, 0) => write!(out, "{seconds}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{option, prelude::*, sample::select};

    use super::*;

    fn any_policy() -> impl Strategy<Value = Policy> {
        let quorums = (1u32..=64, 0u32..=1_000, 1u32..=16);
        let prefix = (option::of(select(vec![Tier::Suppress, Tier::Drop])), 2u32..=4_096);
        let limits = (1u32..=10_000_000, 1u32..=1_000_000, 16u8..=24, 48u8..=56, 1u32..=10_000_000);
        (quorums, prefix, limits, 1u64..=3_600_000, any::<bool>()).prop_map(
            |((drop, fraction, zones), (tier, units), limits, window, private)| Policy {
                window: Duration::from_millis(window).max(Duration::from_secs(1)),
                suppress_quorum: 1 + drop / 2 - drop / 64,
                drop_quorum: drop,
                quorum_per_mille: fraction,
                min_zones: zones,
                prefix_tier: tier,
                prefix_min_units: units,
                ttl_quiet: Duration::from_millis(if private { 0 } else { window.max(1_000) }),
                max_entries: limits.0,
                new_per_minute: limits.1,
                widest_ipv4: limits.2,
                widest_ipv6: limits.3,
                host_units_per_minute: limits.4,
                never: Never { private, prefixes: vec![], names: vec!["a.example".into()] },
                ..Policy::default()
            },
        )
    }

    /// `policy` as it was written before the fields from 10 on came.
    fn old(policy: &Policy) -> PolicySet {
        let set = encode(policy);
        PolicySet {
            window_ms: set.window_ms,
            min_retransmits: set.min_retransmits,
            drop_quorum: set.drop_quorum,
            ttl_base_ms: set.ttl_base_ms,
            ttl_max_ms: set.ttl_max_ms,
            max_entries: set.max_entries,
            never_private: set.never_private,
            ..PolicySet::default()
        }
    }

    #[test]
    fn what_was_not_written_has_its_default() {
        assert_eq!(decode(&old(&Policy::default())), Ok(Policy::default()));
    }

    #[test]
    fn defaults_give_way_to_what_was_written() {
        let tight = Policy { drop_quorum: 1, window: Duration::from_secs(3_600), ..Policy::default() };
        let read = decode(&old(&tight)).unwrap();
        assert_eq!((read.suppress_quorum, read.ttl_quiet), (1, Duration::from_secs(1_800)));
    }

    #[test]
    fn values_out_of_their_range_are_refused() {
        let refused = |change: fn(&mut PolicySet)| {
            let mut set = encode(&Policy::default());
            change(&mut set);
            decode(&set).unwrap_err().to_string()
        };
        assert!(refused(|set| set.widest_ipv4 = Some(300)).contains("limits.widest_ipv4"));
        assert!(refused(|set| set.suppress_quorum = Some(0)).contains("quorum.suppress"));
        assert!(refused(|set| set.prefix_tier = 9).contains("policy.prefix_tier"));
        assert!(refused(|set| set.ttl_quiet_ms = Some(-1)).contains("policy.ttl_quiet_ms"));
    }

    #[test]
    fn the_text_has_every_key() {
        let mut policy = Policy { quorum_per_mille: 25, prefix_tier: None, ..Policy::default() };
        policy.window = Duration::from_millis(1_500);
        policy.never.prefixes = vec!["2001:db8::".parse().unwrap()];
        let meant = "window: 1500ms\nmin_retransmits: 1\nquorum:\n  suppress: 2\n  drop: 3\n  \
                     fraction: 0.025\n  min_zones: 1\nprefix:\n  tier: none\n  min_addresses: 5\nttl:\n  \
                     base: 10m\n  max: 24h\n  quiet: 3m\nlimits:\n  entries: 1000000\n  \
                     new_per_minute: 10000\n  widest_ipv4: 20\n  widest_ipv6: 48\n  \
                     host_units_per_minute: 6000\nnever:\n  private: true\n  prefixes:\n    \
                     - \"2001:db8::\"\n  names: []\n";
        assert_eq!(yaml(&policy), meant);
        policy.ttl_quiet = Duration::ZERO;
        assert!(yaml(&policy).contains("quiet: 0s"));
    }

    proptest! {
        #[test]
        fn policies_round_trip(policy in any_policy()) {
            prop_assert_eq!(policy.check(), Ok(()));
            prop_assert_eq!(decode(&encode(&policy)).unwrap(), policy);
        }
    }
}
