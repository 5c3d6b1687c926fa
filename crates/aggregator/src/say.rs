//! What happened, in the program's own log: what someone must act on at ERROR and WARN, with what to do; the
//! rest summed up.

use sekisho_engine::{Event, Limit, Outcome};

/// Says what came of a log entry.
pub fn tell(outcome: &Outcome) {
    let (mut listed, mut renewed, mut removed, mut retiered) = (0, 0, 0, 0);
    for event in &outcome.events {
        match event {
            Event::Listed { entry, .. } => {
                listed += 1;
                tracing::debug!(prefix = %entry.prefix, tier = %entry.tier, repeats = entry.repeats, "listed");
            }
            Event::Retiered { entry, before, why } => {
                retiered += 1;
                tracing::debug!(prefix = %entry.prefix, tier = %entry.tier, %before, ?why, "moved to another tier");
            }
            Event::Renewed { .. } => renewed += 1,
            Event::Removed { entry, why } => {
                removed += 1;
                tracing::debug!(prefix = %entry.prefix, ?why, "removed");
            }
            other => tell_guard(other),
        }
    }
    if listed + renewed + removed + retiered > 0 {
        let revision = outcome.delta.as_ref().map(|delta| delta.revision.0);
        tracing::info!(listed, renewed, removed, retiered, revision, "the blocklist changed");
    }
}

/// What was held back, by how much, and what to do.
fn tell_guard(event: &Event) {
    match event {
        Event::LimitReached { limit: Limit::Entries, max, prefix } => {
            tracing::error!(max, %prefix, "the blocklist is full: nothing is added until there is room; raise limits.entries in the policy or unblock some");
        }
        Event::LimitReached { limit: Limit::NewPerMinute, max, prefix } => {
            tracing::error!(max, %prefix, "as many entries were listed within a minute as limits.new_per_minute allows: nothing is added for now; look at the newest entries before you raise it");
        }
        Event::LimitCleared { limit, held } => {
            tracing::warn!(
                ?limit,
                held,
                "there is room on the blocklist again; so many listings were held back"
            );
        }
        Event::Withheld { prefix, cause } => {
            tracing::error!(%prefix, ?cause, "a prefix under carpet bombing is not listed, since something in it forbids that; block the rest of it by order, or take what forbids it away");
        }
        Event::ChanceBound { from, to, units } => {
            tracing::warn!(
                from,
                to,
                units,
                "the number of hosts that it takes to rule out chance has changed, with the rate of units"
            );
        }
        Event::HostFlooded { host, why, units } => {
            tracing::warn!(%host, ?why, units, "a host is flooded: its single sightings do not count; look at its load and its backlog");
        }
        Event::HostCalm { host } => tracing::info!(%host, "a host is not flooded any more"),
        Event::OutageBegan { host, completed, expected } => {
            tracing::error!(%host, completed, expected, "a host completes next to no handshakes while many networks get stuck: its path is broken, its evidence does not count; look at its uplink");
        }
        Event::OutageEnded { host } => tracing::info!(%host, "the path of a host works again"),
        Event::HostLimited { host } => {
            tracing::error!(%host, "a host brought more units that nobody else sees than it may: further ones are not tracked; it is flooded, or it lies");
        }
        Event::UnitsFull { max } => {
            tracing::warn!(
                max,
                "as many units are tracked as may be: the oldest go; a shorter window makes room"
            );
        }
        Event::Objected { host, unit, connections, prefix, tier } => {
            tracing::warn!(%host, unit = %unit.prefix(), connections, %prefix, %tier, "a host has connections with something that is listed; explain it, and unblock or allow it if it is honest");
        }
        other => tell_order(other),
    }
}

fn tell_order(event: &Event) {
    match event {
        Event::HostRefused { host } => {
            tracing::error!(%host, "too many hosts are known; the reports of this one are ignored");
        }
        Event::OrderTaken { order } => {
            let prefix = order.kind.prefix().map(ToString::to_string);
            tracing::info!(operator = %order.operator, prefix, verb = order.kind.verb(), text = order.text, "order");
        }
        Event::OrderRefused { order, refusal } => {
            tracing::warn!(operator = %order.operator, verb = order.kind.verb(), %refusal, "order refused");
        }
        Event::PolicyRefused { error } => tracing::error!(%error, "the policy was refused"),
        Event::PolicyChanged { operator } => {
            let operator = operator.as_ref().map(ToString::to_string);
            tracing::info!(operator, "the policy is in force");
        }
        Event::NameChanged { name, addresses } => {
            tracing::info!(name, ?addresses, "the addresses of a protected name changed");
        }
        Event::HostJoined { host } => tracing::info!(%host, "host joined"),
        Event::HostLeft { host } => tracing::info!(%host, "host left"),
        _ => {}
    }
}
