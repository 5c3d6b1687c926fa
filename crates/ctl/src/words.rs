//! Tiers, reasons, causes and limits as people read them.

use sekisho_wire::pb::v1::{Cause, Limit, Reason, Tier, reason::Kind};

/// A tier as the word that it has everywhere else.
pub(crate) fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Suppress => "suppress",
        Tier::Drop => "drop",
        Tier::Unspecified => "unknown",
    }
}

/// Why an entry is listed, in half a sentence.
pub(crate) fn why_listed(reason: Option<&Reason>) -> String {
    match reason.and_then(|reason| reason.kind.as_ref()) {
        Some(Kind::Quorum(by)) => {
            format!("{} saw it stuck, {} asked for", some(by.hosts.into(), "host"), by.quorum)
        }
        Some(Kind::Prefix(by)) => format!(
            "carpet bombing, {} stuck at {} ({} and {} asked for)",
            some(by.units.into(), "unit"),
            some(by.hosts.into(), "host"),
            by.least_units,
            by.quorum,
        ),
        Some(Kind::Order(by)) => format!("by {}: {}", by.operator, by.text),
        None => "for a reason of a newer version".to_owned(),
    }
}

/// What keeps something off the list, as the end of a sentence about it.
pub(crate) fn cause(cause: Cause) -> &'static str {
    match cause {
        Cause::Never => "it is never listed",
        Cause::Allowed => "it overlaps the allowlist",
        Cause::Held => "it is held off since it was unblocked",
        Cause::Covered => "an entry that must stay overlaps it",
        Cause::LimitEntries => "limits.entries of the policy is reached",
        Cause::LimitNewPerMinute => "limits.new_per_minute of the policy is reached",
        Cause::Unspecified => "something of a newer version keeps it off",
    }
}

/// The same with what it is by, where that is told.
pub(crate) fn caused(of: Cause, by: &str) -> String {
    if by.is_empty() { cause(of).to_owned() } else { format!("{} ({by})", cause(of)) }
}

/// A limit as the key that it has in the policy.
pub(crate) fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Entries => "limits.entries",
        Limit::NewPerMinute => "limits.new_per_minute",
        Limit::Unspecified => "a limit of a newer version",
    }
}

/// A number of things: `1 host`, `4 hosts`, `no hosts`.
pub(crate) fn some(count: i64, thing: &str) -> String {
    match count {
        0 => format!("no {thing}s"),
        1 => format!("1 {thing}"),
        _ => format!("{} {thing}s", counted(count)),
    }
}

/// A number with a comma between thousands.
pub(crate) fn counted(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = if count < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        for (count, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-60_000_000, "-60,000,000")] {
            assert_eq!(counted(count), text);
        }
        assert_eq!(counted(i64::MIN), "-9,223,372,036,854,775,808");
        assert_eq!((some(1, "host"), some(1_500, "host")), ("1 host".into(), "1,500 hosts".into()));
        assert_eq!(some(0, "host"), "no hosts");
    }
}
