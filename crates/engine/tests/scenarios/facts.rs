//! Events and lists as short texts: what a story expects is compared with these.

use sekisho_engine::{Cause, Engine, Event, Limit};
use sekisho_model::Moment;

use crate::words::written;

/// An event, in a few words.
pub fn event(event: &Event) -> String {
    match event {
        Event::Listed { entry, .. } => {
            if std::env::var("DBG").is_ok() {
                eprintln!("{entry:?}");
            }
            format!("listed {} {}", entry.prefix, entry.tier)
        }
        Event::Retiered { entry, why, .. } => format!("moved {} {} {}", entry.prefix, entry.tier, low(why)),
        Event::Renewed { entry } => format!("renewed {} {}", entry.prefix, entry.tier),
        Event::Removed { entry, why, .. } => format!("removed {} {}", entry.prefix, low(why)),
        Event::Allowed { allowed } => format!("allowed {}", allowed.prefix),
        Event::Disallowed { allowed, why } => format!("disallowed {} {}", allowed.prefix, low(why)),
        Event::Withheld { prefix, cause, .. } => format!("withheld {prefix} {}", cause_of(cause)),
        Event::LimitReached { limit, max, .. } => format!("limit reached {} {max}", limit_of(*limit)),
        Event::LimitCleared { limit, held } => format!("limit cleared {} {held}", limit_of(*limit)),
        Event::Objected { host, unit, .. } => format!("objected {host} {}", unit.prefix()),
        Event::OrderTaken { order } => format!("order taken {}", order.kind.verb()),
        Event::OrderRefused { refusal, .. } => format!("order refused {refusal}"),
        other => of_hosts(other),
    }
}

fn of_hosts(event: &Event) -> String {
    match event {
        Event::ChanceBound { from, to, .. } => format!("chance bound {from} to {to}"),
        Event::HostFlooded { host, why, .. } => format!("flooded {host} {}", low(why)),
        Event::HostCalm { host, .. } => format!("calm {host}"),
        Event::OutageBegan { host, .. } => format!("outage began {host}"),
        Event::OutageEnded { host, .. } => format!("outage ended {host}"),
        Event::HostLimited { host, .. } => format!("limited {host}"),
        Event::HostUnlimited { host, .. } => format!("unlimited {host}"),
        Event::HostJoined { host } => format!("joined {host}"),
        Event::AddressesChanged { host, .. } => format!("addresses changed {host}"),
        Event::HostLeft { host } => format!("left {host}"),
        Event::PolicyChanged { .. } => "policy changed".to_owned(),
        Event::PolicyRefused { error } => format!("policy refused {error}"),
        Event::NameChanged { name, .. } => format!("name changed {name}"),
        other => format!("{other:?}"),
    }
}

fn low(why: &impl std::fmt::Debug) -> String {
    format!("{why:?}").to_lowercase()
}

fn limit_of(limit: Limit) -> &'static str {
    match limit {
        Limit::Entries => "limits.entries",
        Limit::NewPerMinute => "limits.new_per_minute",
    }
}

fn cause_of(cause: &Cause) -> String {
    match cause {
        Cause::Limit(limit) => limit_of(*limit).to_owned(),
        other => low(other),
    }
}

/// What is listed, each entry as `PREFIX TIER until TIME`.
pub fn listed(engine: &Engine, begin: Moment) -> Vec<String> {
    let ends = |moment: Moment| written(moment.since(begin));
    engine
        .entries_from(None)
        .map(|entry| format!("{} {} until {}", entry.prefix, entry.tier, ends(entry.expires)))
        .collect()
}
