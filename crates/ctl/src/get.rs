//! `sekishoctl get`: lists, page by page to the end.

use std::num::NonZeroUsize;

use sekisho_model::Moment;
use sekisho_wire::pb::v1::{
    GetStatusRequest, ListAllowlistRequest, ListEntriesRequest, ListHostsRequest,
    blocklist_service_client::BlocklistServiceClient, fleet_service_client::FleetServiceClient,
};
use tonic::transport::Channel;

use crate::{
    args::Noun,
    client::{Page, ask, pages},
    convert,
    errors::Failure,
    events, policy,
    table::{Printer, Show, age, columns, moment, remaining, yes},
    view::{self, Allowlist, Entries, Entry, Host, Hosts, Position, Reason, Stamp},
};

type Limit = Option<NonZeroUsize>;

/// Prints what `noun` names.
pub(crate) async fn run(channel: Channel, noun: &Noun, printer: &mut Printer<'_>) -> Result<(), Failure> {
    match noun {
        Noun::Entries(all) => printer.print(&entries(channel, all.limit).await?)?,
        Noun::Allowlist(all) => printer.print(&allowlist(channel, all.limit).await?)?,
        Noun::Hosts(all) => {
            let hosts = hosts(channel.clone(), all.limit).await?;
            let head = if printer.for_people() { head(channel).await? } else { None };
            printer.print(&Hosts { hosts, head })?;
        }
        Noun::Events { wanted, since, limit } => {
            events::list(channel, wanted, *since, *limit, printer).await?;
        }
        Noun::Policy => policy::get(channel, printer).await?,
    }
    Ok(())
}

async fn entries(channel: Channel, limit: Limit) -> Result<Entries, Failure> {
    let client = BlocklistServiceClient::new(channel);
    let fetch = async |page: Page| {
        let request = ListEntriesRequest { page_size: page.size, page_token: page.token };
        let answer = client.clone().list_entries(ask(request)).await?.into_inner();
        Ok((answer.entries.into_iter().map(Entry::from).collect(), answer.next_page_token))
    };
    Ok(Entries { entries: pages(limit, fetch).await? })
}

async fn allowlist(channel: Channel, limit: Limit) -> Result<Allowlist, Failure> {
    let client = BlocklistServiceClient::new(channel);
    let fetch = async |page: Page| {
        let request = ListAllowlistRequest { page_size: page.size, page_token: page.token };
        let answer = client.clone().list_allowlist(ask(request)).await?.into_inner();
        Ok((answer.entries.into_iter().map(view::AllowlistEntry::from).collect(), answer.next_page_token))
    };
    Ok(Allowlist { entries: pages(limit, fetch).await? })
}

async fn hosts(channel: Channel, limit: Limit) -> Result<Vec<Host>, Failure> {
    let client = FleetServiceClient::new(channel);
    let fetch = async |page: Page| {
        let request = ListHostsRequest { page_size: page.size, page_token: page.token };
        let answer = client.clone().list_hosts(ask(request)).await?.into_inner();
        Ok((answer.hosts.into_iter().map(Host::from).collect(), answer.next_page_token))
    };
    pages(limit, fetch).await
}

/// Where the aggregator stands, to tell how far hosts are behind.
pub(crate) async fn head(channel: Channel) -> Result<Option<Position>, Failure> {
    let status = BlocklistServiceClient::new(channel).get_status(ask(GetStatusRequest {})).await?;
    Ok(convert::position(status.into_inner().position.as_ref()))
}

/// Revisions between what is in force on a host and where the aggregator stands; empty when unknown.
pub(crate) fn lag(applied: Option<Position>, head: Option<Position>) -> String {
    match (applied, head) {
        (Some(applied), Some(head)) if applied.epoch == head.epoch => {
            head.revision.saturating_sub(applied.revision).max(0).to_string()
        }
        (Some(_), Some(_)) => "other-epoch".to_owned(),
        _ => String::new(),
    }
}

/// Names of an enum as words, without what they all begin with.
pub(crate) fn named(names: &[String], prefix: &str) -> String {
    let word = |name: &String| name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase();
    names.iter().map(word).collect::<Vec<_>>().join(",")
}

/// A tier as the word that it has everywhere else.
pub(crate) fn tier(name: &str) -> String {
    name.trim_start_matches("TIER_").to_ascii_lowercase()
}

/// Why an entry is listed, in one cell.
pub(crate) fn reason(reason: Option<&Reason>) -> String {
    match reason {
        None => String::new(),
        Some(Reason::Quorum { .. }) => "quorum".to_owned(),
        Some(Reason::Prefix { units, least_units, .. }) => format!("prefix: {units}/{least_units} units"),
        Some(Reason::Order { operator, text }) => format!("{operator}: {text}"),
    }
}

/// How many hosts saw it, and how many it took.
pub(crate) fn witnessed(reason: Option<&Reason>) -> String {
    match reason {
        Some(Reason::Quorum { hosts, quorum } | Reason::Prefix { hosts, quorum, .. }) => {
            format!("{hosts}/{quorum}")
        }
        _ => String::new(),
    }
}

impl Show for Entries {
    fn show(&self, wide: bool, now: Moment) -> String {
        let mut head = vec!["PREFIX", "TIER", "REASON", "HOSTS", "EXPIRES-IN", "AGE"];
        if wide {
            head.extend(["REVISION", "RENEWALS", "REPEATS", "CREATED", "EXPIRES"]);
        }
        columns(&head, self.entries.iter().map(|entry| entry_row(entry, wide, now)))
    }
}

fn entry_row(entry: &Entry, wide: bool, now: Moment) -> Vec<String> {
    let mut row = vec![
        entry.prefix.clone(),
        tier(entry.tier),
        reason(entry.reason.as_ref()),
        witnessed(entry.reason.as_ref()),
        remaining(entry.expire_time.as_ref(), now),
        age(entry.create_time.as_ref(), now),
    ];
    if wide {
        row.extend([entry.revision.to_string(), entry.renewals.to_string(), entry.repeats.to_string()]);
        row.extend([moment(entry.create_time.as_ref()), moment(entry.expire_time.as_ref())]);
    }
    row
}

impl Show for Allowlist {
    fn show(&self, wide: bool, now: Moment) -> String {
        let mut head = vec!["PREFIX", "OPERATOR", "REASON", "EXPIRES-IN", "AGE"];
        if wide {
            head.extend(["REVISION", "CREATED", "EXPIRES"]);
        }
        let row = |entry: &view::AllowlistEntry| {
            let (created, expires) = (entry.create_time.as_ref(), entry.expire_time.as_ref());
            let left = if expires.is_none() { "never".to_owned() } else { remaining(expires, now) };
            let mut row = vec![entry.prefix.clone(), entry.operator.clone(), entry.reason.clone()];
            row.extend([left, age(created, now)]);
            if wide {
                row.extend([entry.revision.to_string(), moment(created), moment(expires)]);
            }
            row
        };
        columns(&head, self.entries.iter().map(row))
    }
}

impl Show for Hosts {
    fn show(&self, wide: bool, now: Moment) -> String {
        let mut head = vec!["HOST", "ZONE", "MODE", "CONNECTED", "APPLIED", "LAG", "LAST-REPORT", "GUARDS"];
        if wide {
            head.extend(["VERSION", "ADDRESSES", "HALF-OPEN", "COOKIES", "COMPLETED", "DROPPED"]);
            head.extend(["SENSORS", "TRUNCATED-BY", "REFUSAL"]);
        }
        columns(&head, self.hosts.iter().map(|host| host_row(host, self.head, wide, now)))
    }
}

fn host_row(host: &Host, head: Option<Position>, wide: bool, now: Moment) -> Vec<String> {
    let mut row = vec![host.host_id.clone(), host.zone.clone(), host.mode.clone(), yes(host.connected)];
    row.extend([
        host.applied.map(|at| at.revision.to_string()).unwrap_or_default(),
        lag(host.applied, head),
        age(host.last_report_time.as_ref(), now),
        guards(host, now),
    ]);
    if wide {
        let totals = host.totals.as_ref();
        let number = |of: fn(&view::HostTotals) -> i64| totals.map(|totals| of(totals).to_string());
        row.extend([host.agent_version.clone(), host.addresses.join(",")]);
        row.extend([
            number(|totals| totals.half_open).unwrap_or_default(),
            number(|totals| totals.cookies_sent).unwrap_or_default(),
            number(|totals| totals.completed).unwrap_or_default(),
            number(|totals| totals.dropped_packets).unwrap_or_default(),
            totals.map(|totals| named(&totals.sensors, "SENSOR_")).unwrap_or_default(),
            totals.map(|totals| named(&totals.truncated_by, "TRUNCATION_")).unwrap_or_default(),
            host.refusal.clone(),
        ]);
    }
    row
}

/// What keeps the host's rules from working, and its evidence from counting in full, and for how long; empty for
/// nothing.
fn guards(host: &Host, now: Moment) -> String {
    let lasting =
        |word: &str, until: Option<&Stamp>| until.map(|_| format!("{word} {}", remaining(until, now)));
    let flooded = lasting("flooded", host.flooded_until_time.as_ref());
    let outage = lasting("outage", host.outage_until_time.as_ref());
    let limited = host.limited.then(|| "limited".to_owned());
    let answers = host.totals.as_ref().and_then(|totals| totals.answers.as_ref());
    let bypassed = answers.is_some_and(|answers| answers.bypassed).then(|| "BYPASSED".to_owned());
    [bypassed, outage, flooded, limited].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: i64, revision: i64) -> Option<Position> {
        Some(Position { epoch, revision })
    }

    #[test]
    fn lag_is_told_within_one_epoch_only() {
        assert_eq!(lag(at(1, 7), at(1, 9)), "2");
        assert_eq!(lag(at(1, 9), at(1, 7)), "0");
        assert_eq!(lag(at(1, 7), at(2, 9)), "other-epoch");
        assert_eq!(lag(None, at(2, 9)), "");
    }

    #[test]
    fn guards_are_told_with_their_rest() {
        let until = |seconds| Some(Stamp(prost_types::Timestamp { seconds, nanos: 0 }));
        let host = Host {
            flooded_until_time: until(60),
            outage_until_time: until(300),
            limited: true,
            ..Host::from(sekisho_wire::pb::v1::Host::default())
        };
        assert_eq!(guards(&host, Moment::EPOCH), "outage 5m, flooded 1m, limited");
        assert_eq!(guards(&Host::from(sekisho_wire::pb::v1::Host::default()), Moment::EPOCH), "");
    }

    #[test]
    fn reasons_fit_one_cell() {
        assert_eq!(reason(Some(&Reason::Quorum { hosts: 4, quorum: 3 })), "quorum");
        assert_eq!(witnessed(Some(&Reason::Quorum { hosts: 4, quorum: 3 })), "4/3");
        let bombed = Reason::Prefix { hosts: 4, quorum: 2, units: 9, least_units: 5 };
        assert_eq!(
            (reason(Some(&bombed)).as_str(), witnessed(Some(&bombed)).as_str()),
            ("prefix: 9/5 units", "4/2")
        );
        let order = Reason::Order { operator: "ana".into(), text: "ticket 7".into() };
        assert_eq!(reason(Some(&order)), "ana: ticket 7");
        assert_eq!(tier("TIER_DROP"), "drop");
    }
}
