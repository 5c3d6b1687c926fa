//! Keys of the policy, as the policy file has them.

use std::time::Duration;

use sekisho_model::{Policy, Prefix, Tier};

use crate::words::{self, Wrong};

/// Sets `key` to what `value` says.
pub fn set(policy: &mut Policy, key: &str, value: &str) -> Result<(), Wrong> {
    if let Some(span) = span_of(policy, key) {
        *span = words::span(value)?;
    } else if let Some(number) = number_of(policy, key) {
        *number = words::number(value)?;
    } else {
        set_other(policy, key, value)?;
    }
    Ok(())
}

fn span_of<'a>(policy: &'a mut Policy, key: &str) -> Option<&'a mut Duration> {
    match key {
        "window" => Some(&mut policy.window),
        "ttl.base" => Some(&mut policy.ttl_base),
        "ttl.max" => Some(&mut policy.ttl_max),
        "ttl.quiet" => Some(&mut policy.ttl_quiet),
        _ => None,
    }
}

fn number_of<'a>(policy: &'a mut Policy, key: &str) -> Option<&'a mut u32> {
    match key {
        "quorum.suppress" => Some(&mut policy.suppress_quorum),
        "quorum.drop" => Some(&mut policy.drop_quorum),
        "quorum.min_zones" => Some(&mut policy.min_zones),
        "prefix.min_addresses" => Some(&mut policy.prefix_min_units),
        "limits.entries" => Some(&mut policy.max_entries),
        "limits.new_per_minute" => Some(&mut policy.new_per_minute),
        "limits.host_units_per_minute" => Some(&mut policy.host_units_per_minute),
        _ => None,
    }
}

fn set_other(policy: &mut Policy, key: &str, value: &str) -> Result<(), Wrong> {
    match key {
        "min_retransmits" => policy.min_retransmits = words::number(value)?,
        "quorum.fraction" => policy.quorum_per_mille = words::per_mille(value)?,
        "prefix.tier" if value == "none" => policy.prefix_tier = None,
        "prefix.tier" => policy.prefix_tier = Some(words::tier(value)?) as Option<Tier>,
        "limits.widest_ipv4" => policy.widest_ipv4 = words::number(value)?,
        "limits.widest_ipv6" => policy.widest_ipv6 = words::number(value)?,
        "never.private" => policy.never.private = value == "true",
        "never.prefixes" => {
            policy.never.prefixes =
                value.split(',').map(words::prefix).collect::<Result<Vec<Prefix>, _>>()?;
        }
        "never.names" => policy.never.names = value.split(',').map(str::to_owned).collect(),
        _ => return Err(format!("\"{key}\" is not a key of the policy")),
    }
    Ok(())
}
