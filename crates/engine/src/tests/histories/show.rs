//! Histories and events as text: what a failing test prints.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;

use sekisho_model::{Batch, Entry, Input, LogEntry, OrderKind, Totals};

use super::make::History;
use crate::Event;

/// A history, one line for each input.
pub(super) fn shown(history: &History) -> String {
    let mut out = String::new();
    let bounds = &history.bounds;
    writeln!(out, "seed {}, room for {} units, {} hosts", history.seed, bounds.units, bounds.hosts).unwrap();
    for entry in &history.entries {
        out.push_str(&entry_text(entry));
    }
    out
}

fn entry_text(entry: &LogEntry) -> String {
    let mut out = format!("#{} at {} ms\n", entry.index, entry.time.as_millis());
    for input in &entry.inputs {
        let text = match input {
            Input::Batch(batch) => batch_text(batch),
            Input::Order(order) => {
                let kind = match &order.kind {
                    OrderKind::SetPolicy(policy) => format!("{policy:?}"),
                    kind => format!("{kind:?}"),
                };
                format!("{} orders {kind} request {:?} text {:?}", order.operator, order.request, order.text)
            }
            other => format!("{other:?}"),
        };
        writeln!(out, "    {text}").unwrap();
    }
    out
}

fn batch_text(batch: &Batch) -> String {
    let mut out = format!("{} ({}.{})", batch.host, batch.session, batch.sequence);
    if !batch.age.is_zero() {
        write!(out, " {:?} ago", batch.age).unwrap();
    }
    for row in &batch.observations {
        let prefix = row.unit.prefix();
        write!(out, " sees {prefix} x{} r{}", row.sockets, row.retransmits).unwrap();
    }
    for hit in &batch.hits {
        write!(out, " hits {} at {} x{}", hit.unit.prefix(), hit.tier, hit.packets).unwrap();
    }
    for one in &batch.completed {
        write!(out, " connected with {} x{}", one.unit.prefix(), one.connections).unwrap();
    }
    let totals = &batch.totals;
    let Totals { completed, stuck_units, cookies_sent, sensors, .. } = totals;
    write!(out, " [done {completed} stuck {stuck_units} cookies {cookies_sent} by {sensors:?}]").unwrap();
    out
}

fn entry_of(entry: &Entry) -> String {
    let Entry { prefix, tier, reason, created, expires, renewals, repeats, revision } = entry;
    let (created, expires) = (created.as_millis(), expires.as_millis());
    format!(
        "{prefix} {tier} {created}..{expires} renewals {renewals} repeats {repeats} at #{revision} {reason:?}"
    )
}

/// An event in one line.
pub(in crate::tests) fn told(event: &Event) -> String {
    let names = |hosts: &[sekisho_model::HostId]| -> Vec<String> {
        hosts.iter().map(|one| format!("{one}")).collect()
    };
    match event {
        Event::Listed { entry, hosts } => format!("listed {} by {}", entry_of(entry), names(hosts).join(",")),
        Event::Retiered { entry, before, why } => {
            format!("retiered {} was {before}: {why:?}", entry_of(entry))
        }
        Event::Renewed { entry } => format!("renewed {}", entry_of(entry)),
        Event::Removed { entry, why, owner } => format!("removed {}: {why:?} {owner:?}", entry_of(entry)),
        Event::OrderTaken { order } => format!("taken {}", order.kind.verb()),
        Event::OrderRefused { order, .. } => format!("refused {}", order.kind.verb()),
        other => format!("{other:?}"),
    }
}
