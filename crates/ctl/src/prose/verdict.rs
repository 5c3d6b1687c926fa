//! The sentences of an explanation: whether it is listed and why, until when, and what it would take.

use sekisho_model::{Moment, Prefix};
use sekisho_wire::pb::v1::{self as pb, Cause, ExplainResponse, Tier, reason::Kind};

use crate::{
    describe::{ago, until, when},
    status::quorum_by,
    table::moment,
    view::{Quorums, Stamp},
    words::{caused, some, tier, why_listed},
};

/// Whether it is listed, by what and until when; or what keeps it off.
pub(super) fn is(address: &Prefix, of: &ExplainResponse, now: Moment) -> Vec<String> {
    let address = address.to_string();
    let about = if of.unit == address { address } else { format!("{address} (counted by {})", of.unit) };
    match &of.entry {
        Some(entry) => listed(&about, of, entry, now),
        None => {
            let mut told = vec![format!("{about} is not listed.")];
            told.extend(kept_off(of, now));
            told
        }
    }
}

fn listed(about: &str, of: &ExplainResponse, entry: &pb::Entry, now: Moment) -> Vec<String> {
    let part = if entry.prefix == of.unit { String::new() } else { format!(", by {}", entry.prefix) };
    let (created, expires) = (entry.create_time.map(Stamp), entry.expire_time.map(Stamp));
    let since = when(moment(created.as_ref()), &ago(created.as_ref(), now));
    let by_order = is_order(entry);
    let renewed = match (by_order, entry.renewals) {
        (true, _) => "; an order is not renewed".to_owned(),
        (false, 0) => " unless it is renewed".to_owned(),
        (false, times) => format!(" unless it is renewed, as {} before", some(times.into(), "time")),
    };
    let mut told = vec![
        format!("{about} is listed at {}{part}: {}.", tier(entry.tier()), done(entry.tier())),
        format!("Listed {since}: {}.", why_listed(entry.reason.as_ref())),
        format!("It ends {}{renewed}.", until(expires.as_ref(), now)),
    ];
    told.extend(of.standing.as_ref().and_then(|standing| quiet(standing, entry, now)));
    told
}

/// When it ends before its time, or what it waits for; none where it cannot.
fn quiet(standing: &pb::Standing, entry: &pb::Entry, now: Moment) -> Option<String> {
    let (active, quiet) = (standing.active_time.map(Stamp), standing.quiet_time.map(Stamp)?);
    let is_sooner = entry.expire_time.map(Stamp).is_none_or(|expires| quiet.moment() < expires.moment());
    let at = until(Some(&quiet), now);
    let last = ago(active.as_ref(), now);
    let away: Vec<&str> =
        standing.keepers.iter().filter(|one| one.away).map(|one| one.host_id.as_str()).collect();
    match away[..] {
        _ if !is_sooner => None,
        [] => {
            Some(format!("It ends {at} already if nothing more is seen or hit in it; the last was {last}."))
        }
        _ => Some(format!(
            "It does not end early while it waits for {}, away: that is looked at again {at}; the last was seen or hit in it {last}.",
            away.join(", ")
        )),
    }
}

/// Whether an operator ordered it.
pub(super) fn is_order(entry: &pb::Entry) -> bool {
    matches!(entry.reason.as_ref().and_then(|reason| reason.kind.as_ref()), Some(Kind::Order(_)))
}

fn done(tier: Tier) -> &'static str {
    match tier {
        Tier::Suppress => "the first SYN-ACK of each handshake passes, its retransmits are dropped",
        Tier::Drop => "its SYNs are dropped",
        Tier::Unspecified => "what is done to it is of a newer version",
    }
}

/// Everything that keeps it off, whether a quorum is met or not.
fn kept_off(of: &ExplainResponse, now: Moment) -> Vec<String> {
    let mut told = Vec::new();
    if !of.protection.is_empty() {
        told.push(format!("It is never listed: {}.", of.protection));
    }
    for allowed in &of.allowlist {
        let end = allowed.expire_time.map(Stamp);
        let end =
            if end.is_some() { format!("until {}", until(end.as_ref(), now)) } else { "for ever".to_owned() };
        let (prefix, by, why) = (&allowed.prefix, &allowed.operator, &allowed.reason);
        told.push(format!("{prefix} is on the allowlist by {by}, {end}: {why}."));
    }
    if let Some(hold) = &of.hold {
        let end = until(hold.expire_time.map(Stamp).as_ref(), now);
        told.push(format!("It is held off until {end}, since {} was unblocked.", hold.prefix));
    }
    if let Cause::Covered | Cause::LimitEntries | Cause::LimitNewPerMinute = of.forbidden() {
        told.push(format!("Evidence cannot list it: {}.", caused(of.forbidden(), &of.forbidden_by)));
    }
    told.extend(bombed(of));
    let is_free = of.forbidden() == Cause::Unspecified && told.is_empty();
    if is_free && of.wanted() != Tier::Unspecified {
        told.push("Nothing keeps it off any more: it is listed when it is seen again.".to_owned());
    }
    told
}

/// What keeps the narrowest of its prefixes off that is bombed.
fn bombed(of: &ExplainResponse) -> Option<String> {
    let first = of.prefixes.iter().find(|picture| picture.bombed)?;
    let prefix = &first.prefix;
    match first.forbidden() {
        Cause::Unspecified if of.forbidden() == Cause::Unspecified => Some(format!(
            "{prefix} is bombed, and nothing keeps it off: it is listed when something new is seen in it."
        )),
        Cause::Unspecified => None,
        forbidden => {
            Some(format!("{prefix} is bombed, but not listed: {}.", caused(forbidden, &first.forbidden_by)))
        }
    }
}

/// What it would take to list it, or to take it off.
pub(super) fn takes(of: &ExplainResponse) -> Vec<String> {
    // What is never listed takes no number of hosts.
    let mut told = if of.protection.is_empty() { quorums(of) } else { Vec::new() };
    if of.wanted() != Tier::Unspecified {
        told.push(format!("What is seen of it asks for {}.", tier(of.wanted())));
    }
    match &of.entry {
        Some(entry) => {
            let prefix = &entry.prefix;
            told.push(format!("To take it off: sekishoctl unblock {prefix} --reason WHY"));
            told.push(format!("To keep it off for good: sekishoctl allow {prefix} --reason WHY"));
        }
        None if of.protection.is_empty() && of.allowlist.is_empty() => {
            told.push(format!("To list it without a quorum: sekishoctl block {} --reason WHY", of.unit));
        }
        None => told.extend(of.allowlist.iter().map(|allowed| {
            format!("To let it be listed: sekishoctl disallow {} --reason WHY", allowed.prefix)
        })),
    }
    told
}

/// For each tier how many hosts it takes, why so many, and how many are missing.
fn quorums(of: &ExplainResponse) -> Vec<String> {
    let Some(quorums) = of.quorums.map(Quorums::from) else { return Vec::new() };
    let is_ipv4 = !of.unit.contains(':');
    let one = |tier: &str, effective: i32, policy: i32| {
        // IPv6 has so many networks that chance asks for nothing.
        let asked = if is_ipv4 { effective } else { policy.max(quorums.fraction) };
        let by = quorum_by(&quorums, asked, policy);
        // Any host is in some zone: a single one is nothing to ask for.
        let (zones, missing_zones) = match quorums.min_zones {
            least @ 2.. => (format!(" in {least} zones"), least - of.zones),
            _ => (String::new(), 0),
        };
        let asked_hosts = some(asked.into(), "host");
        let missing = missing(asked - of.hosts, missing_zones);
        format!("It takes {asked_hosts}{zones} to {tier} it ({by}): {missing}.")
    };
    vec![
        one("suppress", quorums.suppress, quorums.policy_suppress),
        one("drop", quorums.drop, quorums.policy_drop),
    ]
}

fn missing(hosts: i32, zones: i32) -> String {
    let parts = [(hosts, "host"), (zones, "zone")].into_iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(count, thing)| some(count.into(), thing)).collect();
    if parts.is_empty() { "that is met".to_owned() } else { format!("{} missing", parts.join(" and ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quorums() -> pb::Quorums {
        pb::Quorums {
            suppress: 5,
            drop: 6,
            policy_suppress: 2,
            policy_drop: 6,
            fraction: 4,
            chance: 5,
            units: 60_000_000,
            live_hosts: 12,
            min_zones: 2,
        }
    }

    fn unit(unit: &str, hosts: i32, zones: i32) -> ExplainResponse {
        ExplainResponse { unit: unit.into(), hosts, zones, quorums: Some(quorums()), ..Default::default() }
    }

    #[test]
    fn what_is_missing_is_told_for_each_tier() {
        let told = takes(&unit("203.0.113.7", 5, 1));
        assert_eq!(
            told[..2],
            [
                "It takes 5 hosts in 2 zones to suppress it (chance, 60,000,000 units in the window): \
                 1 zone missing.",
                "It takes 6 hosts in 2 zones to drop it (by the policy): 1 host and 1 zone missing.",
            ]
        );
        let ipv6 = takes(&unit("2001:db8::/64", 4, 2));
        assert_eq!(
            ipv6[0],
            "It takes 4 hosts in 2 zones to suppress it (a fraction of 12 connected hosts): that is met."
        );
        let mut unseen = unit("2001:db8::/64", 0, 0);
        unseen.quorums = Some(pb::Quorums { min_zones: 1, ..quorums() });
        assert!(takes(&unseen)[1].ends_with("(by the policy): 6 hosts missing."), "{:?}", takes(&unseen));
    }

    fn stands(away: &[&str], quiet: i64) -> Vec<String> {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let keeper = |host: &str, away| pb::Keeper { host_id: host.into(), away, ..Default::default() };
        let keepers = away.iter().map(|host| keeper(host, true)).chain([keeper("edge-1", false)]);
        let standing =
            pb::Standing { active_time: at(940), quiet_time: at(quiet), keepers: keepers.collect() };
        let entry = pb::Entry { expire_time: at(2_000), ..Default::default() };
        let of =
            ExplainResponse { entry: Some(entry), standing: Some(standing), ..unit("203.0.113.7", 2, 1) };
        is(&"203.0.113.7".parse().unwrap(), &of, Moment::from_millis(1_000_000)).split_off(3)
    }

    #[test]
    fn an_early_end_is_told_and_what_it_waits_for() {
        assert_eq!(
            stands(&[], 1_240),
            [
                "It ends 1970-01-01T00:20:40Z (in 4m) already if nothing more is seen or hit in it; the last was 1m ago."
            ]
        );
        assert_eq!(
            stands(&["edge-3", "edge-4"], 1_240),
            ["It does not end early while it waits for edge-3, edge-4, away: that is looked at again \
              1970-01-01T00:20:40Z (in 4m); the last was seen or hit in it 1m ago."]
        );
        assert_eq!(stands(&[], 2_001), [""; 0], "its time is over before");
    }

    #[test]
    fn everything_that_keeps_it_off_is_told() {
        let mut of = unit("203.0.113.7", 6, 2);
        of.protection = "it is our own host edge-1".into();
        of.hold = Some(pb::Hold { prefix: "203.0.113.0/24".into(), expire_time: None });
        of.set_forbidden(Cause::LimitEntries);
        let told = is(&"203.0.113.7".parse().unwrap(), &of, Moment::EPOCH).join("\n");
        for part in ["is not listed", "our own host edge-1", "since 203.0.113.0/24 was", "limits.entries"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn what_has_a_quorum_and_is_free_is_said_to_come_back() {
        let address = "203.0.113.7".parse().unwrap();
        let mut of = unit("203.0.113.7", 5, 2);
        assert_eq!(is(&address, &of, Moment::EPOCH).len(), 1, "no quorum");
        of.set_wanted(Tier::Suppress);
        let said = is(&address, &of, Moment::EPOCH);
        assert_eq!(said[1..], ["Nothing keeps it off any more: it is listed when it is seen again."]);
        of.hold = Some(pb::Hold { prefix: "203.0.113.0/24".into(), expire_time: None });
        assert!(!is(&address, &of, Moment::EPOCH).join(" ").contains("seen again"));
    }

    #[test]
    fn what_withholds_a_bombed_prefix_is_named() {
        let mut of = unit("203.0.113.7", 1, 1);
        let mut picture =
            pb::PrefixPicture { prefix: "203.0.113.0/24".into(), bombed: true, ..Default::default() };
        picture.set_forbidden(Cause::Held);
        picture.forbidden_by = "203.0.113.64/28".into();
        of.prefixes = vec![picture];
        let said = is(&"203.0.113.7".parse().unwrap(), &of, Moment::EPOCH);
        assert_eq!(
            said[1..],
            [
                "203.0.113.0/24 is bombed, but not listed: it is held off since it was unblocked (203.0.113.64/28)."
            ]
        );
    }

    #[test]
    fn what_is_never_listed_misses_no_hosts_and_an_allowance_says_until_when() {
        let mut of = unit("10.0.0.1", 0, 0);
        of.protection = "10.0.0.1 is private".into();
        assert_eq!(takes(&of), [""; 0]);
        let end = prost_types::Timestamp { seconds: 60, nanos: 0 };
        let allowed = pb::AllowlistEntry {
            prefix: "10.0.0.0/8".into(),
            operator: "ana".into(),
            reason: "ours".into(),
            expire_time: Some(end),
            ..Default::default()
        };
        of.allowlist = vec![allowed];
        let said = is(&"10.0.0.1".parse().unwrap(), &of, Moment::EPOCH).join("\n");
        assert!(
            said.contains("on the allowlist by ana, until 1970-01-01T00:01:00Z (in 1m): ours."),
            "{said}"
        );
    }

    #[test]
    fn an_address_of_a_wider_unit_names_both() {
        let told = is(&"2001:db8::7".parse().unwrap(), &unit("2001:db8::/64", 0, 0), Moment::EPOCH);
        assert_eq!(told, ["2001:db8::7 (counted by 2001:db8::/64) is not listed."]);
    }
}
