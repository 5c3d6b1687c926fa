//! The engine against the reference, entry by entry.

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

use sekisho_model::{Entry, Member, Reason};

use super::{
    histories::{History, Verdict, for_all, told, units, world},
    naive::{Answer, Explained, Naive},
};
use crate::{Engine, Event, Explanation, OrderResult, Outcome, Refusal};

/// Why an order is refused is not the reference's business.
fn plain(event: &Event) -> Event {
    match event {
        Event::OrderRefused { order, .. } => {
            Event::OrderRefused { order: order.clone(), refusal: Refusal::NoReason }
        }
        other => other.clone(),
    }
}

fn answer(result: &OrderResult) -> Answer {
    result.as_ref().ok().map(|preview| (preview.changes.clone(), preview.done))
}

fn lines(events: &[Event]) -> String {
    events.iter().map(|event| format!("\n    {}", told(event))).collect()
}

/// Says what the engine and the reference have, if that is not the same.
fn same<T: PartialEq + core::fmt::Debug>(what: &str, engine: &T, reference: &T) -> Verdict {
    if engine == reference {
        return Ok(());
    }
    Err(format!("{what}\n  engine: {engine:?}\n  reference: {reference:?}"))
}

fn compare(engine: &Engine, outcome: &Outcome, naive: &Naive) -> Verdict {
    let events: Vec<Event> = outcome.events.iter().map(plain).collect();
    if events != naive.events {
        let (engine, reference) = (lines(&events), lines(&naive.events));
        return Err(format!("events\n  engine:{engine}\n  reference:{reference}"));
    }
    same("answers", &outcome.orders.iter().map(answer).collect(), &naive.answers)?;
    same("members", &engine.members().collect::<Vec<Member>>(), &naive.members())?;
    same("entries", &engine.entries_from(None).cloned().collect::<Vec<Entry>>(), &naive.entries())?;
    same("quorums", &engine.quorums(), &naive.quorums())
}

fn part(explanation: Explanation) -> Explained {
    let Explanation { hosts, zones, wanted, forbidden, prefixes, .. } = explanation;
    Explained { hosts, zones, wanted, forbidden, prefixes }
}

/// The engine does what the reference does, and explains it likewise.
fn agrees(history: &History) -> Verdict {
    let (mut engine, mut naive) = (Engine::with_bounds(history.bounds), Naive::new(history.bounds));
    for entry in &history.entries {
        let outcome = engine.handle(entry);
        naive.handle(entry);
        compare(&engine, &outcome, &naive).map_err(|why| format!("at #{}: {why}", entry.index))?;
    }
    for unit in units() {
        let prefix = unit.prefix();
        let explained = part(engine.explain(prefix.address(), engine.now()));
        same(&format!("explanation of {prefix}"), &explained, &naive.explained(unit))?;
    }
    Ok(())
}

/// What kind of event it is, in a word or a few.
fn kind(event: &Event) -> String {
    let of = |entry: &Entry| match entry.reason {
        Reason::Quorum { .. } => "unit",
        Reason::Prefix { .. } => "prefix",
        Reason::Order { .. } => "order",
    };
    match event {
        Event::Listed { entry, .. } => format!("listed {} {}", of(entry), entry.tier),
        Event::Retiered { entry, why, .. } => format!("moved {} {why:?}", of(entry)),
        Event::Renewed { entry } => format!("renewed {} {}", of(entry), entry.tier),
        Event::Removed { entry, why, .. } => format!("removed {} {why:?}", of(entry)),
        Event::Withheld { cause, .. } => format!("withheld {cause:?}"),
        Event::LimitReached { limit, .. } => format!("reached {limit:?}"),
        Event::HostFlooded { why, .. } => format!("flooded {why:?}"),
        other => {
            let text = format!("{other:?}");
            let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
            text[..end].to_string()
        }
    }
}

/// Everything that a history should meet now and then. Rare: an attack that narrows.
const MET: &str = "listed unit suppress, listed unit drop, listed prefix suppress, listed prefix drop, \
    listed order suppress, listed order drop, moved unit Quorum, moved unit CounterEvidence, moved unit Faded, \
    moved unit Probation, moved prefix Probation, moved prefix Policy, removed prefix Policy, \
    moved prefix Quorum, moved prefix CounterEvidence, moved prefix Faded, renewed unit suppress, \
    renewed unit drop, renewed prefix suppress, renewed prefix drop, removed unit Expired, removed unit Quiet, \
    removed unit Unblocked, removed unit Allowed, removed unit Never, removed unit Covered, removed unit Outage, \
    removed prefix Expired, removed prefix Quiet, removed prefix Unblocked, removed prefix Allowed, \
    removed prefix Never, removed prefix Covered, removed prefix Narrowed, removed prefix Outage, \
    removed order Expired, removed order Unblocked, removed order Allowed, removed order Never, \
    removed order Covered, withheld Never, withheld Allowed, withheld Held, withheld Covered, reached Entries, \
    reached NewPerMinute, LimitCleared, flooded Units, flooded Cookies, HostCalm, OutageBegan, OutageEnded, \
    HostLimited, HostUnlimited, UnitsFull, UnitsCleared, Objected, ChanceBound, OrderTaken, OrderRefused, PolicyChanged, PolicyRefused, \
    NameChanged, AddressesChanged, HostJoined, HostLeft, HostRefused, Allowed, Disallowed";

#[test]
fn histories_meet_everything() {
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..5_000 {
        let history = world(seed);
        let mut engine = Engine::with_bounds(history.bounds);
        for event in history.entries.iter().flat_map(|entry| engine.handle(entry).events) {
            *met.entry(kind(&event)).or_default() += 1;
        }
    }
    let expected: Vec<&str> = MET.split(", ").collect();
    for kind in met.keys() {
        assert!(expected.contains(&kind.as_str()), "{kind} is not expected");
    }
    for kind in expected {
        assert!(met.get(kind).is_some_and(|count| *count >= 3), "{kind}: {:?}", met.get(kind));
    }
}

#[test]
fn whatever_happens_the_engine_does_what_the_rules_say() {
    for_all(100_000, agrees);
}
