//! `sekishoctl describe`: all about one entry or one host.

use sekisho_model::Moment;
use sekisho_wire::pb::v1::{
    GetEntryRequest, GetHostRequest, blocklist_service_client::BlocklistServiceClient,
    fleet_service_client::FleetServiceClient,
};
use tonic::transport::Channel;

use crate::{
    args::Described,
    client::ask,
    errors::Failure,
    explain::{Keeper, Standing},
    get::{self, lag, named, tier, witnessed},
    table::{Printer, Show, age, columns, moment, pairs, remaining, yes},
    view::{Entry, EntryDetail, Host, HostDetail, Reason, Stamp, Witness},
};

/// Prints all about `noun`.
pub(crate) async fn run(
    channel: Channel,
    noun: &Described,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    match noun {
        Described::Entry { prefix } => {
            let request = GetEntryRequest { prefix: prefix.to_string() };
            let answer = BlocklistServiceClient::new(channel).get_entry(ask(request)).await?.into_inner();
            let witnesses = answer.witnesses.into_iter().map(Witness::from).collect();
            let standing = answer.standing.map(Standing::from);
            printer.print(&EntryDetail { entry: answer.entry.map(Entry::from), witnesses, standing })?;
        }
        Described::Host { name } => {
            let request = GetHostRequest { host_id: name.to_string() };
            let answer = FleetServiceClient::new(channel.clone()).get_host(ask(request)).await?.into_inner();
            let head = if printer.for_people() { get::head(channel).await? } else { None };
            printer.print(&HostDetail { host: answer.host.map(Host::from), head })?;
        }
    }
    Ok(())
}

impl Show for EntryDetail {
    fn show(&self, _wide: bool, now: Moment) -> String {
        let entry = self.entry.as_ref().map(|entry| pairs(entry_pairs(entry, now))).unwrap_or_default();
        // A prefix of many units has no witnesses of its own.
        if self.witnesses.is_empty()
            && let Some(standing) = &self.standing
        {
            return format!("{entry}\n{}", keepers(standing, now));
        }
        let rows = self.witnesses.iter().map(|witness| {
            let seen = witness.seen_time.as_ref();
            let saw = if witness.hit { "hit".to_owned() } else { witness.retransmits.to_string() };
            vec![witness.host_id.clone(), witness.zone.clone(), ago(seen, now), saw]
        });
        format!("{entry}\n{}", columns(&["HOST", "ZONE", "SEEN", "RETRANSMITS"], rows))
    }
}

/// Who keeps an entry up.
pub(crate) fn keepers(standing: &Standing, now: Moment) -> String {
    let row = |keeper: &Keeper| {
        let is_away = if keeper.away { "away" } else { "yes" };
        vec![
            keeper.host_id.clone(),
            keeper.zone.clone(),
            ago(keeper.seen_time.as_ref(), now),
            yes(keeper.renews),
            is_away.to_owned(),
        ]
    };
    columns(&["HOST", "ZONE", "SEEN", "RENEWS", "CONNECTED"], standing.keepers.iter().map(row))
}

fn entry_pairs(entry: &Entry, now: Moment) -> Vec<(&'static str, String)> {
    let (created, expires) = (entry.create_time.as_ref(), entry.expire_time.as_ref());
    let mut rows = vec![("Prefix", entry.prefix.clone()), ("Tier", tier(entry.tier))];
    match &entry.reason {
        Some(Reason::Order { operator, text }) => {
            rows.extend([("Ordered by", operator.clone()), ("Reason", text.clone())]);
        }
        by => {
            rows.push(("Quorum", witnessed(by.as_ref())));
            if let Some(Reason::Prefix { units, least_units, .. }) = by {
                rows.push(("Units", format!("{units}/{least_units}")));
            }
        }
    }
    rows.extend([
        ("Created", when(moment(created), &ago(created, now))),
        ("Expires", until(expires, now)),
        ("Renewals", entry.renewals.to_string()),
        ("Repeats", entry.repeats.to_string()),
        ("Revision", entry.revision.to_string()),
    ]);
    rows
}

impl Show for HostDetail {
    fn show(&self, _wide: bool, now: Moment) -> String {
        let Some(host) = &self.host else { return String::new() };
        let (reported, applied) = (host.last_report_time.as_ref(), host.applied_time.as_ref());
        let at = host.applied.map(|at| at.revision.to_string()).unwrap_or_default();
        let mut rows = vec![
            ("Host", host.host_id.clone()),
            ("Zone", host.zone.clone()),
            ("Mode", host.mode.clone()),
            ("Version", host.agent_version.clone()),
            ("Addresses", host.addresses.join(", ")),
            ("Connected", yes(host.connected)),
            ("Last report", when(moment(reported), &ago(reported, now))),
            ("Observations", host.observations.to_string()),
            ("Watching", yes(host.watching)),
            ("Applied", at),
            ("Lag", lag(host.applied, self.head)),
            ("Applied at", when(moment(applied), &ago(applied, now))),
            ("Refusal", host.refusal.clone()),
            ("Flooded until", until(host.flooded_until_time.as_ref(), now)),
            ("Outage until", until(host.outage_until_time.as_ref(), now)),
            ("Limited", yes(host.limited)),
        ];
        if let Some(totals) = &host.totals {
            rows.extend([
                ("Half-open", totals.half_open.to_string()),
                ("Cookies, full", totals.cookies_sent_full.to_string()),
                ("Cookies", totals.cookies_sent.to_string()),
                ("Truncated", totals.truncated.to_string()),
                ("Dropped", totals.dropped_packets.to_string()),
                ("Completed", totals.completed.to_string()),
                ("Stuck units", totals.stuck_units.to_string()),
                ("Established", totals.established.to_string()),
                ("Cookies, back", totals.cookies_received.to_string()),
                ("Failed", totals.attempts_failed.to_string()),
                ("Tracked", format!("{} of {}", totals.tracked, totals.tracked_limit)),
                ("Sensors", named(&totals.sensors, "SENSOR_")),
                ("Truncated by", named(&totals.truncated_by, "TRUNCATION_")),
            ]);
        }
        if let Some(answers) = host.totals.as_ref().and_then(|totals| totals.answers.as_ref()) {
            let by = if answers.retries_lowered { "the agent" } else { "the operator" };
            rows.extend([
                ("Bypassed", yes(answers.bypassed)),
                ("Reflected", answers.reflected.to_string()),
                ("Withheld", answers.withheld.to_string()),
                ("Saved", answers.saved.to_string()),
                ("Retries", format!("{}, by {by}", answers.retries)),
            ]);
        }
        pairs(rows)
    }
}

/// A moment to come, with its distance; empty when there is none.
pub(crate) fn until(stamp: Option<&Stamp>, now: Moment) -> String {
    when(moment(stamp), &format!("in {}", remaining(stamp, now)))
}

pub(crate) fn ago(stamp: Option<&Stamp>, now: Moment) -> String {
    stamp.map(|_| format!("{} ago", age(stamp, now))).unwrap_or_default()
}

/// A moment with its distance; empty when there is no moment.
pub(crate) fn when(moment: String, distance: &str) -> String {
    if moment.is_empty() { moment } else { format!("{moment} ({distance})") }
}
