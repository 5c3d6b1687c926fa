//! `sekishoctl block`, `unblock`, `allow`, `disallow`: the orders, each also as a dry run.

use std::time::Duration;

use sekisho_model::Moment;
use sekisho_wire::{
    Reason,
    pb::v1::{
        AllowRequest, BlockRequest, DisallowRequest, UnblockRequest,
        operator_service_client::OperatorServiceClient,
    },
};
use serde::Serialize;
use tonic::{Code, Status, transport::Channel};

use crate::{
    args::{AllowArgs, BlockArgs, DisallowArgs, UnblockArgs},
    client::ask,
    errors::Failure,
    table::{Printer, Show, clean, moment},
    view::{AllowlistEntry, Entry},
};

/// Lists a prefix.
pub(crate) async fn block(
    channel: Channel,
    args: &BlockArgs,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let order = &args.order;
    let request = BlockRequest {
        prefix: order.prefix.to_string(),
        reason: order.reason.clone(),
        ttl: duration(args.ttl),
        dry_run: order.dry_run,
    };
    let answer = OperatorServiceClient::new(channel).block(ask(request)).await.map_err(refused)?;
    let entry = answer.into_inner().entry.map(Entry::from);
    Ok(printer.print(&Blocked { entry, dry_run: order.dry_run })?)
}

/// Takes a prefix off the blocklist.
pub(crate) async fn unblock(
    channel: Channel,
    args: &UnblockArgs,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let order = &args.order;
    let prefix = order.prefix.to_string();
    let request = UnblockRequest {
        prefix: prefix.clone(),
        reason: order.reason.clone(),
        hold: duration(args.hold),
        dry_run: order.dry_run,
    };
    let answer = OperatorServiceClient::new(channel).unblock(ask(request)).await.map_err(refused)?;
    let revision = answer.into_inner().revision;
    Ok(printer.print(&Removed { revision, prefix, verb: "unblocked", dry_run: order.dry_run })?)
}

/// Puts a prefix on the allowlist.
pub(crate) async fn allow(
    channel: Channel,
    args: &AllowArgs,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let order = &args.order;
    let request = AllowRequest {
        prefix: order.prefix.to_string(),
        reason: order.reason.clone(),
        ttl: duration(args.ttl),
        dry_run: order.dry_run,
    };
    let answer = OperatorServiceClient::new(channel).allow(ask(request)).await.map_err(refused)?;
    let answer = answer.into_inner();
    let (entry, removed) = (answer.entry.map(AllowlistEntry::from), answer.removed);
    Ok(printer.print(&Allowed { entry, removed, dry_run: order.dry_run })?)
}

/// Takes a prefix off the allowlist.
pub(crate) async fn disallow(
    channel: Channel,
    args: &DisallowArgs,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let order = &args.order;
    let prefix = order.prefix.to_string();
    let request =
        DisallowRequest { prefix: prefix.clone(), reason: order.reason.clone(), dry_run: order.dry_run };
    let answer = OperatorServiceClient::new(channel).disallow(ask(request)).await.map_err(refused)?;
    let revision = answer.into_inner().revision;
    Ok(printer.print(&Removed { revision, prefix, verb: "disallowed", dry_run: order.dry_run })?)
}

fn duration(span: Option<Duration>) -> Option<prost_types::Duration> {
    span.and_then(|span| span.try_into().ok())
}

/// What was to be removed is not there, or what was to be blocked is so by a wider entry: nothing
/// changed, and nothing needs to.
fn refused(status: Status) -> Failure {
    if status.code() == Code::NotFound || Reason::AlreadyCovered.is_in(&status) {
        Failure::Unchanged(Box::new(status))
    } else {
        status.into()
    }
}

#[derive(Serialize)]
struct Blocked {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Entry>,
    #[serde(skip)]
    dry_run: bool,
}

impl Show for Blocked {
    fn show(&self, _wide: bool, _now: Moment) -> String {
        let Some(entry) = &self.entry else { return String::new() };
        let until = until(&moment(entry.expire_time.as_ref()));
        sentence(&entry.prefix, "blocked", &until, entry.revision, self.dry_run)
    }
}

#[derive(Serialize)]
struct Allowed {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<AllowlistEntry>,
    removed: Vec<String>,
    #[serde(skip)]
    dry_run: bool,
}

impl Show for Allowed {
    fn show(&self, _wide: bool, _now: Moment) -> String {
        let Some(entry) = &self.entry else { return String::new() };
        let until = until(&moment(entry.expire_time.as_ref()));
        let first = sentence(&entry.prefix, "allowed", &until, entry.revision, self.dry_run);
        let removed = self.removed.iter().map(|prefix| sentence(prefix, "unblocked", "", 0, self.dry_run));
        std::iter::once(first).chain(removed).collect()
    }
}

#[derive(Serialize)]
struct Removed {
    revision: i64,
    #[serde(skip)]
    prefix: String,
    #[serde(skip)]
    verb: &'static str,
    #[serde(skip)]
    dry_run: bool,
}

impl Show for Removed {
    fn show(&self, _wide: bool, _now: Moment) -> String {
        sentence(&self.prefix, self.verb, "", self.revision, self.dry_run)
    }
}

fn until(moment: &str) -> String {
    if moment.is_empty() { " for ever".to_owned() } else { format!(" until {moment}") }
}

fn sentence(prefix: &str, done: &str, until: &str, revision: i64, dry_run: bool) -> String {
    let would = if dry_run { "would be " } else { "" };
    let at = if dry_run || revision == 0 { String::new() } else { format!(" (revision {revision})") };
    format!("{} {would}{done}{until}{at}\n", clean(prefix))
}
