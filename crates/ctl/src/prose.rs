//! An explanation as people read it: what is, why, who sees it, what it would take, and what was before.

mod verdict;

use sekisho_model::{Moment, Prefix};
use sekisho_wire::{
    pb::v1::{self as pb, ExplainResponse, WitnessCounts},
    readable,
};

use crate::{
    describe::{ago, keepers, when},
    event::Event,
    events,
    table::{clean, columns, moment, yes},
    view::Stamp,
    words::some,
};

/// All about `address`. Distances are by the log's time, which the answer tells; `now` serves without it.
pub(crate) fn explanation(address: &Prefix, of: &ExplainResponse, wide: bool, now: Moment) -> String {
    let now = of.time.as_ref().map_or(now, readable::moment);
    let parts = [
        lines(&verdict::is(address, of, now)),
        kept_up(of, now),
        seen(of, now),
        objections(of, now),
        prefixes(of),
        lines(&verdict::takes(of)),
        past(of, now),
        history(of, wide),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn lines(sentences: &[String]) -> String {
    sentences.iter().map(|sentence| format!("{}\n", clean(sentence))).collect()
}

/// Who keeps the entry up, which may be wider than the address.
fn kept_up(of: &ExplainResponse, now: Moment) -> String {
    let (Some(entry), Some(standing)) = (&of.entry, &of.standing) else { return String::new() };
    if standing.keepers.is_empty() {
        return format!("No host keeps {} up.\n", clean(&entry.prefix));
    }
    let keepers = keepers(&standing.clone().into(), now);
    format!("Who sees or hits something in {}:\n{keepers}", clean(&entry.prefix))
}

fn seen(of: &ExplainResponse, now: Moment) -> String {
    if of.witnesses.is_empty() {
        return "No host sees it stuck.\n".to_owned();
    }
    let row = |witness: &pb::Witness| {
        let seen = witness.seen_time.map(Stamp);
        let (retransmits, sockets) = match witness.hit {
            true => ("hit".to_owned(), String::new()),
            false => (witness.retransmits.to_string(), witness.sockets.to_string()),
        };
        let counts = counts(witness.counts()).to_owned();
        vec![
            witness.host_id.clone(),
            witness.zone.clone(),
            ago(seen.as_ref(), now),
            retransmits,
            sockets,
            counts,
        ]
    };
    let head = ["HOST", "ZONE", "SEEN", "RETRANSMITS", "SOCKETS", "COUNTS"];
    let (hosts, zones) = (some(of.hosts.into(), "host"), some(of.zones.into(), "zone"));
    let sum = match of.hosts {
        0 => "Nothing that is seen of it counts towards a quorum:\n".to_owned(),
        _ => format!("Counted towards a quorum, {hosts} in {zones}:\n"),
    };
    format!("{sum}{}", columns(&head, of.witnesses.iter().map(row)))
}

fn counts(counts: WitnessCounts) -> &'static str {
    match counts {
        WitnessCounts::Yes => "yes",
        WitnessCounts::Flooded => "no: its host was flooded",
        WitnessCounts::Outage => "no: its host is in outage",
        WitnessCounts::Hit => "no: it only keeps up what is listed",
        WitnessCounts::Unspecified => "",
    }
}

fn objections(of: &ExplainResponse, now: Moment) -> String {
    if of.counter_witnesses.is_empty() {
        return "No host has connections with it.\n".to_owned();
    }
    let row = |witness: &pb::CounterWitness| {
        let seen = witness.seen_time.map(Stamp);
        vec![witness.host_id.clone(), ago(seen.as_ref(), now), witness.connections.to_string()]
    };
    let rows = of.counter_witnesses.iter().map(row);
    let so = match of.entry.as_ref() {
        Some(entry) if verdict::is_order(entry) => "; an order blocks it all the same",
        _ => ", so that evidence only suppresses it",
    };
    format!("Honest clients live there{so}:\n{}", columns(&["HOST", "SEEN", "CONNECTIONS"], rows))
}

fn prefixes(of: &ExplainResponse) -> String {
    let busy: Vec<_> = of.prefixes.iter().filter(|picture| picture.units > 0).collect();
    if busy.is_empty() {
        return String::new();
    }
    let share = |has: i32, least: i32| format!("{has}/{least}");
    let row = |of: &&pb::PrefixPicture| {
        vec![
            of.prefix.clone(),
            share(of.units, of.least_units),
            share(of.without_one, of.least_without_one),
            share(of.hosts, of.least_hosts),
            of.zones.to_string(),
            yes(of.has_counter),
            yes(of.bombed),
        ]
    };
    let head = ["PREFIX", "UNITS", "WITHOUT-ONE-HOST", "HOSTS", "ZONES", "CONNECTIONS", "BOMBED"];
    format!(
        "Its prefixes, each number with the least that is asked for:\n{}",
        columns(&head, busy.iter().map(row))
    )
}

fn past(of: &ExplainResponse, now: Moment) -> String {
    let one = |past: &pb::PastListings| {
        let end = past.end_time.map(Stamp);
        let last = when(moment(end.as_ref()), &ago(end.as_ref(), now));
        format!(
            "{} was listed {} before, the last until {last}; each doubles the time of the next.",
            past.prefix,
            some(past.listings.into(), "time")
        )
    };
    lines(&of.past.iter().chain(&of.prefixes_past).map(one).collect::<Vec<_>>())
}

fn history(of: &ExplainResponse, wide: bool) -> String {
    if of.history.is_empty() {
        return String::new();
    }
    let events: Vec<Event> = of.history.iter().cloned().map(Event::from).collect();
    format!("Lately:\n{}", events::table(&events, wide))
}
