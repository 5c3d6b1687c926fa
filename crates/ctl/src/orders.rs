//! `sekishoctl block`, `unblock`, `allow`, `disallow`: the orders, each also as a dry run.

use std::time::Duration;

use sekisho_model::{Moment, Prefix};
use sekisho_wire::{
    pb::v1::{
        AllowRequest, BlockRequest, DisallowRequest, UnblockRequest,
        operator_service_client::OperatorServiceClient,
    },
    readable,
};
use serde::Serialize;
use tonic::transport::Channel;

use crate::{
    args::{AllowArgs, BlockArgs, DisallowArgs, Order, UnblockArgs},
    client::ask,
    errors::{Failure, say},
    retry,
    table::{Printer, Show, clean, moment},
    view::{AllowlistEntry, Entry},
};

/// Lists a prefix.
pub(crate) async fn block(
    channel: Channel,
    args: &BlockArgs,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let request = BlockRequest {
        prefix: args.prefix.to_string(),
        reason: args.order.reason.clone(),
        ttl: duration(args.ttl),
        dry_run: args.order.dry_run,
        request_id: request_id(&args.order, printer),
        tier: readable::tier(args.tier.into()) as i32,
    };
    let client = OperatorServiceClient::new(channel);
    let give = async || client.clone().block(ask(request.clone())).await;
    let answer = retry::order(&request.request_id, give).await?;
    let (entry, removed) = (answer.entry.map(Entry::from), answer.removed);
    let answered = Answered::new(&args.order, &request.request_id, answer.done_revision);
    Ok(printer.print(&Blocked { entry, removed, answered })?)
}

/// Takes a prefix off the blocklist.
pub(crate) async fn unblock(
    channel: Channel,
    args: &UnblockArgs,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let request = UnblockRequest {
        prefix: args.prefix.to_string(),
        reason: args.order.reason.clone(),
        hold: duration(args.hold),
        dry_run: args.order.dry_run,
        request_id: request_id(&args.order, printer),
    };
    let client = OperatorServiceClient::new(channel);
    let give = async || client.clone().unblock(ask(request.clone())).await;
    let answer = retry::order(&request.request_id, give).await?;
    let answered = Answered::new(&args.order, &request.request_id, answer.done_revision);
    Ok(printer.print(&removed(answer.revision, args.prefix, "unblocked", answered))?)
}

/// Puts a prefix on the allowlist.
pub(crate) async fn allow(
    channel: Channel,
    args: &AllowArgs,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let request = AllowRequest {
        prefix: args.prefix.to_string(),
        reason: args.order.reason.clone(),
        ttl: duration(args.ttl),
        dry_run: args.order.dry_run,
        request_id: request_id(&args.order, printer),
    };
    let client = OperatorServiceClient::new(channel);
    let give = async || client.clone().allow(ask(request.clone())).await;
    let answer = retry::order(&request.request_id, give).await?;
    let answered = Answered::new(&args.order, &request.request_id, answer.done_revision);
    let entry = answer.entry.map(AllowlistEntry::from);
    Ok(printer.print(&Allowed { entry, removed: answer.removed, answered })?)
}

/// Takes a prefix off the allowlist.
pub(crate) async fn disallow(
    channel: Channel,
    args: &DisallowArgs,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let request = DisallowRequest {
        prefix: args.prefix.to_string(),
        reason: args.order.reason.clone(),
        dry_run: args.order.dry_run,
        request_id: request_id(&args.order, printer),
    };
    let client = OperatorServiceClient::new(channel);
    let give = async || client.clone().disallow(ask(request.clone())).await;
    let answer = retry::order(&request.request_id, give).await?;
    let answered = Answered::new(&args.order, &request.request_id, answer.done_revision);
    Ok(printer.print(&removed(answer.revision, args.prefix, "disallowed", answered))?)
}

fn duration(span: Option<Duration>) -> Option<prost_types::Duration> {
    span.and_then(|span| span.try_into().ok())
}

/// The name that the operator gave to an order, or a random one. A dry run needs none.
pub(crate) fn request_id(order: &Order, printer: &Printer<'_>) -> String {
    let id = match &order.request_id {
        Some(id) => id.to_string(),
        None if order.dry_run => return String::new(),
        None => retry::request_id(),
    };
    if printer.verbose {
        say(&format!("the request id is {id}"));
    }
    id
}

/// What every answer to an order has.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answered {
    request_id: String,
    done_revision: i64,
    #[serde(skip)]
    dry_run: bool,
}

impl Answered {
    /// The answer to `order`, given by `request_id`, and carried out before at `done_revision` unless 0.
    pub(crate) fn new(order: &Order, request_id: &str, done_revision: i64) -> Self {
        Self { request_id: request_id.to_owned(), done_revision, dry_run: order.dry_run }
    }

    /// One line: what was `done` with `what`, or would be.
    pub(crate) fn sentence(&self, what: &str, done: &str, revision: i64) -> String {
        if self.dry_run && self.done_revision != 0 {
            let (what, before) = (clean(what), self.done_revision);
            return format!(
                "{what} {done} by the same request before (revision {before}): nothing would be done\n"
            );
        }
        let would = if self.dry_run { "would be " } else { "" };
        let before = if self.done_revision == 0 { "" } else { ", done before by the same request" };
        let at = match revision {
            0 => String::new(),
            _ if self.dry_run => String::new(),
            _ => format!(" (revision {revision}{before})"),
        };
        format!("{} {would}{done}{at}\n", clean(what))
    }
}

#[derive(Serialize)]
struct Blocked {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Entry>,
    /// Narrower entries that it took the place of.
    removed: Vec<String>,
    #[serde(flatten)]
    answered: Answered,
}

impl Show for Blocked {
    fn show(&self, _wide: bool, _now: Moment) -> String {
        let Some(entry) = &self.entry else { return String::new() };
        let done = match entry.tier {
            "TIER_SUPPRESS" => "suppressed",
            _ => "blocked",
        };
        let done = format!("{done}{}", until(&moment(entry.expire_time.as_ref())));
        let first = self.answered.sentence(&entry.prefix, &done, entry.revision);
        let removed = self.removed.iter().map(|prefix| self.answered.sentence(prefix, "replaced by it", 0));
        std::iter::once(first).chain(removed).collect()
    }
}

#[derive(Serialize)]
struct Allowed {
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<AllowlistEntry>,
    removed: Vec<String>,
    #[serde(flatten)]
    answered: Answered,
}

impl Show for Allowed {
    fn show(&self, _wide: bool, _now: Moment) -> String {
        let Some(entry) = &self.entry else { return String::new() };
        let done = format!("allowed{}", until(&moment(entry.expire_time.as_ref())));
        let first = self.answered.sentence(&entry.prefix, &done, entry.revision);
        let removed = self.removed.iter().map(|prefix| self.answered.sentence(prefix, "unblocked", 0));
        std::iter::once(first).chain(removed).collect()
    }
}

#[derive(Serialize)]
struct Removed {
    revision: i64,
    #[serde(flatten)]
    answered: Answered,
    #[serde(skip)]
    prefix: String,
    #[serde(skip)]
    verb: &'static str,
}

fn removed(revision: i64, prefix: Prefix, verb: &'static str, answered: Answered) -> Removed {
    Removed { revision, answered, prefix: prefix.to_string(), verb }
}

impl Show for Removed {
    fn show(&self, _wide: bool, _now: Moment) -> String {
        self.answered.sentence(&self.prefix, self.verb, self.revision)
    }
}

fn until(moment: &str) -> String {
    if moment.is_empty() { " for ever".to_owned() } else { format!(" until {moment}") }
}
