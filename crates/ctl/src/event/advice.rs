//! What an operator can do about an event, in one cell. The runbook says more.

use sekisho_wire::pb::v1::{self as pb, event::Kind};

/// What to do; empty where nothing is to be done.
pub(super) fn advice(kind: &Kind) -> &'static str {
    match kind {
        Kind::Withheld(by) => withheld(by.cause()),
        Kind::LimitReached(by) => match by.limit() {
            pb::Limit::Entries => {
                "look at the newest entries; if they are right, raise limits.entries by apply policy, else unblock them"
            }
            _ => {
                "look at the newest entries; if the attack is of that size, raise limits.new_per_minute by apply policy"
            }
        },
        Kind::ChanceBoundMoved(by) if by.to > by.from => "nothing: a flood goes on; more hosts help",
        Kind::HostFlooded(by) => match by.reason() {
            pb::FloodReason::Cookies => "look at its load and its backlog",
            _ => {
                "raise limits.host_units_per_minute if it is usually that busy; else nothing, it is under attack"
            }
        },
        Kind::OutageBegan(_) => "look at its uplink, its routes, its firewall and its provider",
        Kind::HostLimited(_) => {
            "look at the host: it is under an attack of its own, its sensor is wrong, or it lies; then revoke its certificate"
        }
        Kind::UnitsFull(_) => "shorten the window by apply policy",
        Kind::HostObjected(_) => "explain it; unblock or allow it if it is honest",
        Kind::OrderRefused(_) => "look at what is listed and allowed now, and order again",
        Kind::PolicyRefused(_) => "put the policy right, and apply it again",
        Kind::HostRefused(_) => {
            "give it the name of a host that is gone; a new log forgets those, see the runbook"
        }
        _ => "",
    }
}

fn withheld(cause: pb::Cause) -> &'static str {
    match cause {
        pb::Cause::Never => {
            "block the parts of it that may be listed, or take what is in it off the never-list"
        }
        pb::Cause::Allowed => "block the parts of it that may be listed, or disallow what is in it",
        pb::Cause::Held => "block the parts of it by order, or wait until the hold ends",
        pb::Cause::Covered => "block the rest of it, or unblock what was ordered in it",
        _ => "block the parts of it that may be listed, or take what forbids it out of the way",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_guard_that_begins_says_what_to_do_and_its_end_does_not() {
        let begin = [
            Kind::Withheld(pb::PrefixWithheld::default()),
            Kind::LimitReached(pb::LimitReached::default()),
            Kind::ChanceBoundMoved(pb::ChanceBoundMoved { from: 2, to: 3, units: 0 }),
            Kind::HostFlooded(pb::HostFlooded::default()),
            Kind::OutageBegan(pb::OutageBegan::default()),
            Kind::HostLimited(pb::HostLimited::default()),
            Kind::UnitsFull(pb::UnitsFull::default()),
            Kind::HostObjected(pb::HostObjected::default()),
            Kind::HostRefused(pb::HostRefused::default()),
            Kind::PolicyRefused(pb::PolicyRefused::default()),
        ];
        assert_eq!(begin.iter().filter(|kind| advice(kind).is_empty()).count(), 0);
        let end = [
            Kind::LimitCleared(pb::LimitCleared::default()),
            Kind::ChanceBoundMoved(pb::ChanceBoundMoved { from: 3, to: 2, units: 0 }),
            Kind::HostCalm(pb::HostCalm::default()),
            Kind::OutageEnded(pb::OutageEnded::default()),
            Kind::HostUnlimited(pb::HostUnlimited::default()),
            Kind::UnitsCleared(pb::UnitsCleared::default()),
        ];
        assert_eq!(end.iter().filter(|kind| !advice(kind).is_empty()).count(), 0);
    }
}
