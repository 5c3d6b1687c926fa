//! What happened, for the program's own log: what someone must act on at ERROR, what someone should look at
//! tomorrow at WARN, the rest summed up.

use sekisho_engine::{Cause, Event, Flood, Limit, Outcome, Owner};
use sekisho_model::{Order, OrderKind, limits::MAX_HOSTS};

/// Says what came of a log entry.
pub fn tell(outcome: &Outcome) {
    let mut counts = Counts::default();
    for event in &outcome.events {
        if !counts.take(event) && !tell_guard(event) && !tell_host(event) {
            tell_order(event);
        }
    }
    counts.tell(outcome);
}

/// Events that there may be thousands of.
#[derive(Default)]
struct Counts {
    listed: u64,
    retiered: u64,
    renewed: u64,
    removed: u64,
    claimed: u64,
    objections: u64,
}

impl Counts {
    /// Counts an event that is told with others of its kind.
    fn take(&mut self, event: &Event) -> bool {
        match event {
            Event::Listed { entry, .. } => {
                self.listed += 1;
                tracing::debug!(prefix = %entry.prefix, tier = %entry.tier, repeats = entry.repeats, "listed");
            }
            Event::Retiered { entry, before, why } => {
                self.retiered += 1;
                tracing::debug!(prefix = %entry.prefix, %before, tier = %entry.tier, ?why, "moved to another tier");
            }
            Event::Renewed { .. } => self.renewed += 1,
            Event::Removed { entry, why, owner } => {
                self.removed += 1;
                self.claimed += u64::from(matches!(owner, Some(Owner::Host(_))));
                tracing::debug!(prefix = %entry.prefix, ?why, ?owner, "removed");
            }
            Event::Objected { host, unit, connections, prefix, tier } => {
                self.objections += 1;
                let unit = unit.prefix();
                tracing::debug!(%host, %unit, connections, %prefix, %tier, "a host has connections with what is listed");
            }
            _ => return false,
        }
        true
    }

    fn tell(&self, outcome: &Outcome) {
        let Self { listed, retiered, renewed, removed, claimed, objections } = *self;
        if listed + retiered + renewed + removed > 0 {
            let revision = outcome.delta.as_ref().map(|delta| delta.revision.0);
            tracing::info!(listed, retiered, renewed, removed, revision, "the blocklist changed");
        }
        if claimed > 0 {
            tracing::warn!(
                claimed,
                "entries came off the list since a host has their addresses as its own; see sekishoctl get events --kind removed, and revoke the certificate of a host that claims what it does not have"
            );
        }
        if objections > 0 {
            tracing::warn!(
                objections,
                "hosts have connections with units that are listed: honest clients live there; evidence only suppresses them from now on, what an order blocks stays blocked; see sekishoctl get events --kind host-objected"
            );
        }
    }
}

/// Says what a guard of the list as a whole holds back.
fn tell_guard(event: &Event) -> bool {
    match event {
        Event::LimitReached { limit: Limit::Entries, max, prefix } => {
            tracing::error!(max, first = %prefix, "the blocklist is full: nothing is added until there is room; raise limits.entries in the policy or unblock some");
        }
        Event::LimitReached { limit: Limit::NewPerMinute, max, prefix } => {
            tracing::error!(max, first = %prefix, "more would be listed within a minute than limits.new_per_minute: the rest waits; look at the newest entries, and raise the limit if the attack is of that size");
        }
        Event::LimitCleared { limit: Limit::Entries, held } => {
            tracing::warn!(held, "the blocklist has room again; so many decisions to list were held back");
        }
        Event::LimitCleared { limit: Limit::NewPerMinute, held } => {
            tracing::warn!(
                held,
                "entries are listed again as they come; so many decisions to list were held back"
            );
        }
        Event::ChanceBound { from, to, units } if to > from => {
            tracing::warn!(
                from,
                to,
                units,
                "so many sources are stuck that hosts see the same one by chance: no fewer hosts list an IPv4 unit than this; nothing is to be done, more hosts help"
            );
        }
        Event::ChanceBound { from, to, units } => {
            tracing::info!(from, to, units, "fewer sources are stuck: fewer hosts list an IPv4 unit");
        }
        Event::Withheld { prefix, cause, by, units, hosts } => {
            let by = by.map(|by| by.to_string());
            tracing::warn!(%prefix, cause = because(*cause), by, units, hosts, "a prefix under carpet bombing is not listed, and the attack goes on; block the parts of it that may be listed, or take what forbids it out of the way");
        }
        Event::UnitsFull { max } => {
            tracing::error!(
                max,
                "too many units are tracked: those that one host alone saw go, the longest in line first; a shorter window in the policy makes room"
            );
        }
        Event::UnitsCleared { lost } => {
            tracing::warn!(
                lost,
                "there is room for units again; so many that were seen lately went meanwhile"
            );
        }
        _ => return false,
    }
    true
}

fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::Never => "it has something that is never listed",
        Cause::Allowed => "it overlaps the allowlist",
        Cause::Held => "it overlaps what is held off since it was unblocked",
        Cause::Covered => "it overlaps what an operator ordered",
        Cause::Limit(Limit::Entries) => "limits.entries is reached",
        Cause::Limit(Limit::NewPerMinute) => "limits.new_per_minute is reached",
    }
}

/// Says what is known of a host.
fn tell_host(event: &Event) -> bool {
    match event {
        Event::HostFlooded { host, why: Flood::Units, units } => {
            tracing::warn!(%host, units, "a host sees more new units a minute than limits.host_units_per_minute: what it sees by a single socket does not count; raise the limit if it is usually that busy");
        }
        Event::HostFlooded { host, why: Flood::Cookies, units } => {
            tracing::warn!(%host, units, "a host's kernel answers by SYN cookies: what it sees by a single socket does not count; look at its load and its backlog");
        }
        Event::HostCalm { host, uncounted } => {
            tracing::info!(%host, uncounted, "the host is not flooded any more; so many observations of single sockets did not count");
        }
        Event::OutageBegan { host, completed, expected } => {
            tracing::error!(%host, completed, expected, "a host completes far fewer handshakes than usual while many networks get stuck: its path is taken for broken, and nothing that it sees counts; look at its uplink and its provider");
        }
        Event::OutageEnded { host, ignored } => {
            tracing::info!(%host, ignored, "the host's path works again; so many observations and hits of it were ignored");
        }
        Event::HostLimited { host, max } => {
            tracing::warn!(%host, max, "a host brought more units that nobody else sees than it may, further ones are not tracked; it is under an attack of its own, its sensor is wrong, or it lies: look at it, and revoke its certificate in the last case");
        }
        Event::HostUnlimited { host, untracked } => {
            tracing::info!(%host, untracked, "there is room again for what the host alone sees; so many observations of it were not tracked");
        }
        Event::HostRefused { host } => {
            tracing::error!(%host, max = MAX_HOSTS, "too many hosts are known, the reports of this one are refused; hosts that are gone are forgotten only by a new log: see the runbook, or give hosts that come and go the names of those before them");
        }
        Event::HostJoined { host } => tracing::info!(%host, "host joined"),
        Event::AddressesChanged { host, added, gone } => {
            tracing::info!(%host, ?added, ?gone, "the addresses that a host names as its own changed; they are never listed");
        }
        Event::HostLeft { host } => tracing::info!(%host, "host left"),
        _ => return false,
    }
    true
}

/// Says what operators, the policy and the names of its never-list did.
fn tell_order(event: &Event) {
    match event {
        Event::OrderTaken { order } => {
            let Order { operator, text, kind, .. } = order;
            tracing::info!(%operator, order = kind.verb(), about = about(kind), text, "order");
        }
        Event::OrderRefused { order, refusal } => {
            let Order { operator, kind, .. } = order;
            tracing::warn!(%operator, order = kind.verb(), about = about(kind), %refusal, "order refused");
        }
        Event::PolicyRefused { error } => {
            tracing::error!(%error, "the policy was refused, the one before stays in force");
        }
        Event::PolicyChanged { operator: Some(operator) } => {
            tracing::info!(%operator, "another policy is in force");
        }
        Event::PolicyChanged { operator: None } => tracing::info!("the policy of the file is in force"),
        Event::NameChanged { name, addresses } => {
            tracing::info!(name, ?addresses, "the addresses of a protected name changed");
        }
        // What comes on and off the allowlist was told by its order.
        _ => {}
    }
}

/// What an order is about, in a few words.
fn about(kind: &OrderKind) -> String {
    match kind {
        OrderKind::Block { prefix, tier, ttl } => format!("{prefix}, {tier} for {} s", ttl.as_secs()),
        OrderKind::Unblock { prefix, hold } => format!("{prefix}, held off for {} s", hold.as_secs()),
        OrderKind::Allow { prefix, ttl } => format!("{prefix}, for {} s", ttl.as_secs()),
        OrderKind::Disallow { prefix } => prefix.to_string(),
        OrderKind::SetPolicy(_) => "the policy".into(),
    }
}
