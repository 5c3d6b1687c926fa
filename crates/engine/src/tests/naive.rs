//! The reference: the rules written down as plainly as possible. It keeps everything in lists,
//! searches through all of them each time, and shares no code with the engine.

use alloc::{collections::BTreeSet, format, string::String, vec::Vec};
use core::{net::IpAddr, time::Duration};

use sekisho_model::{
    Allowed, Batch, Entry, HostId, Input, List, LogEntry, Member, Moment, Order, OrderKind, Policy, Prefix,
    Reason, Tier, Unit, limits::SPARE_WITNESSES, never,
};

struct Seen {
    unit: Unit,
    host: HostId,
    at: Moment,
}

struct Host {
    id: HostId,
    session: u64,
    sequence: u64,
    addresses: Vec<IpAddr>,
}

#[derive(Default)]
pub(super) struct Naive {
    /// Keep every sighting for ever, instead of the most recent few of each unit.
    keeps_all: bool,
    now: Moment,
    horizon: Option<Moment>,
    policy: Policy,
    seen: Vec<Seen>,
    hits: Vec<Seen>,
    pub(super) entries: Vec<Entry>,
    allowed: Vec<Allowed>,
    holds: Vec<(Prefix, Moment)>,
    past: Vec<(Prefix, u32, Moment)>,
    hosts: Vec<Host>,
    names: Vec<(String, Vec<IpAddr>)>,
    is_full: bool,
    /// What happened to the lists, as text.
    pub(super) events: Vec<String>,
    /// Whether each order was carried out.
    pub(super) orders: Vec<bool>,
}

impl Naive {
    pub(super) fn new(keeps_all: bool) -> Self {
        Self { keeps_all, ..Self::default() }
    }

    pub(super) fn handle(&mut self, entry: &LogEntry) {
        self.events.clear();
        self.orders.clear();
        self.now = self.now.max(entry.time);
        self.move_horizon();
        self.expire();
        for input in &entry.inputs {
            match input {
                Input::Policy(policy) => self.policy(policy),
                Input::HostJoined { host, addresses, .. } => {
                    self.host(host).addresses.clone_from(addresses);
                    self.clear_never();
                }
                Input::Batch(batch) => self.batch(batch),
                Input::Order(order) => {
                    let done = self.order(order);
                    self.orders.push(done);
                }
                Input::Resolved { name, addresses } => {
                    if let Some(own) = self.names.iter_mut().find(|own| own.0 == *name) {
                        own.1.clone_from(addresses);
                    }
                    self.clear_never();
                }
                Input::HostLeft { .. } | Input::Tick => {}
            }
        }
        self.is_full &= self.entries.len() >= self.policy.max_entries as usize;
    }

    /// The members, sorted.
    pub(super) fn members(&self) -> Vec<Member> {
        let entries = self.entries.iter().map(|one| (one.prefix, List::Block(one.tier), one.expires));
        let allowed = self.allowed.iter().map(|one| (one.prefix, List::Allow, one.expires));
        let member = |(prefix, list, expires)| Member { prefix, list, expires };
        let mut members: Vec<Member> = entries.chain(allowed).map(member).collect();
        members.sort_by_key(Member::key);
        members
    }

    fn move_horizon(&mut self) {
        self.horizon = self.horizon.max(Some(self.now - self.policy.window));
    }

    fn counts(&self, at: Moment) -> bool {
        Some(at) >= self.horizon
    }

    fn expire(&mut self) {
        let now = self.now;
        let mut over: Vec<Entry> = self.entries.iter().filter(|one| one.expires <= now).cloned().collect();
        over.sort_by_key(|one| (one.expires, one.prefix));
        for one in over {
            self.remove(&one.prefix, "expired");
        }
        self.allowed.retain(|one| one.expires > now);
        self.holds.retain(|one| one.1 > now);
    }

    fn remove(&mut self, prefix: &Prefix, why: &str) {
        let at = self.entries.iter().position(|one| one.prefix == *prefix).unwrap();
        let entry = self.entries.remove(at);
        self.hits.retain(|one| one.unit.prefix() != *prefix);
        if why == "expired" || why == "covered" {
            self.past.push((*prefix, entry.repeats + 1, entry.expires.min(self.now)));
        }
        self.events.push(format!("{prefix} {why}"));
    }

    fn host(&mut self, id: &HostId) -> &mut Host {
        if !self.hosts.iter().any(|one| one.id == *id) {
            self.hosts.push(Host { id: id.clone(), session: 0, sequence: 0, addresses: Vec::new() });
        }
        self.hosts.iter_mut().find(|one| one.id == *id).unwrap()
    }

    fn policy(&mut self, policy: &Policy) {
        if policy.check().is_err() {
            return;
        }
        let before = core::mem::take(&mut self.names);
        let names: BTreeSet<&String> = policy.never.names.iter().collect();
        for name in names {
            let addresses = before.iter().find(|one| one.0 == *name).map(|one| one.1.clone());
            self.names.push((name.clone(), addresses.unwrap_or_default()));
        }
        self.policy = policy.clone();
        self.move_horizon();
        self.clear_never();
    }

    fn is_never(&self, prefix: &Prefix) -> bool {
        let own = self.hosts.iter().flat_map(|one| &one.addresses);
        let named = self.names.iter().flat_map(|one| &one.1);
        never::is_unlistable(prefix)
            || (self.policy.never.private && never::is_private(prefix))
            || self.policy.never.prefixes.iter().any(|one| one.overlaps(prefix))
            || own.chain(named).any(|one| prefix.contains(*one))
    }

    fn clear_never(&mut self) {
        let mut never: Vec<Prefix> = self.entries.iter().map(|one| one.prefix).collect();
        never.retain(|prefix| self.is_never(prefix));
        never.sort();
        for prefix in never {
            self.remove(&prefix, "never");
        }
    }

    fn batch(&mut self, batch: &Batch) {
        let host = self.host(&batch.host);
        let last = if host.session == batch.session { host.sequence } else { 0 };
        if batch.sequence <= last {
            return;
        }
        (host.session, host.sequence) = (batch.session, batch.sequence);
        let at = self.now - batch.age;
        if batch.age > Duration::from_secs(600) || !self.counts(at) {
            return;
        }
        for row in &batch.observations {
            if row.retransmits >= self.policy.min_retransmits {
                let keep = self.keep();
                let seen = Seen { unit: row.unit, host: batch.host.clone(), at };
                note(&mut self.seen, seen, keep, self.horizon);
                self.decide(row.unit);
            }
        }
        for hit in &batch.hits {
            if self.quorum_entry(hit.unit).is_some() {
                let keep = self.keep();
                let seen = Seen { unit: hit.unit, host: batch.host.clone(), at };
                note(&mut self.hits, seen, keep, self.horizon);
                self.decide(hit.unit);
            }
        }
    }

    fn keep(&self) -> usize {
        if self.keeps_all { usize::MAX } else { self.policy.drop_quorum as usize + SPARE_WITNESSES }
    }

    fn quorum_entry(&self, unit: Unit) -> Option<&Entry> {
        let ours = |one: &&Entry| one.prefix == unit.prefix() && matches!(one.reason, Reason::Quorum { .. });
        self.entries.iter().find(ours)
    }

    fn hosts_of(&self, unit: Unit, with_hits: bool) -> u32 {
        let hits = self.hits.iter().filter(|_| with_hits);
        let all = self.seen.iter().chain(hits).filter(|one| one.unit == unit && self.counts(one.at));
        let mut hosts: Vec<&HostId> = all.map(|one| &one.host).collect();
        hosts.sort();
        hosts.dedup();
        u32::try_from(hosts.len()).unwrap()
    }

    fn ttl(&self, repeats: u32) -> Duration {
        let doubled = (0..repeats).fold(self.policy.ttl_base, |ttl, _| (ttl * 2).min(self.policy.ttl_max));
        doubled.min(self.policy.ttl_max)
    }

    fn decide(&mut self, unit: Unit) {
        let (now, quorum, prefix) = (self.now, self.policy.drop_quorum, unit.prefix());
        if let Some(entry) = self.quorum_entry(unit) {
            let ttl = self.ttl(entry.repeats);
            let hosts = self.hosts_of(unit, true);
            if entry.expires.since(now) * 2 < ttl && hosts >= quorum {
                let entry = self.entries.iter_mut().find(|one| one.prefix == prefix).unwrap();
                entry.expires = now + ttl;
                entry.renewals += 1;
                entry.reason = Reason::Quorum { hosts, quorum };
                self.events.push(format!("{prefix} renewed"));
            }
            return;
        }
        let hosts = self.hosts_of(unit, false);
        if hosts < quorum || self.is_off(&prefix) {
            return;
        }
        if self.entries.len() >= self.policy.max_entries as usize {
            if !self.is_full {
                self.events.push(format!("{prefix} full"));
            }
            self.is_full = true;
            return;
        }
        let repeats = self.take_past(&prefix);
        let expires = now + self.ttl(repeats);
        self.put(prefix, Reason::Quorum { hosts, quorum }, expires, repeats);
    }

    fn is_off(&self, prefix: &Prefix) -> bool {
        self.is_never(prefix)
            || self.allowed.iter().any(|one| one.prefix.overlaps(prefix))
            || self.holds.iter().any(|one| one.0.overlaps(prefix))
            || self.entries.iter().any(|one| one.prefix.overlaps(prefix))
    }

    fn take_past(&mut self, prefix: &Prefix) -> u32 {
        let last = self.past.iter().rev().find(|one| one.0 == *prefix);
        let repeats = last.map_or(0, |(_, count, ended)| {
            let mut left = *count;
            let mut forgiven = *ended + self.policy.ttl_max;
            while left > 0 && forgiven <= self.now {
                left -= 1;
                forgiven = forgiven + self.policy.ttl_max;
            }
            left
        });
        self.past.retain(|one| one.0 != *prefix);
        repeats
    }

    fn put(&mut self, prefix: Prefix, reason: Reason, expires: Moment, repeats: u32) {
        let (tier, created, revision) = (Tier::Drop, self.now, Default::default());
        let entry = Entry { prefix, tier, reason, created, expires, renewals: 0, repeats, revision };
        self.entries.push(entry);
        self.events.push(format!("{prefix} listed"));
    }

    fn order(&mut self, order: &Order) -> bool {
        let day = Duration::from_secs(86_400);
        let (prefix, second) = (order.prefix, Duration::from_secs(1));
        if order.text.is_empty() {
            return false;
        }
        match order.kind {
            OrderKind::Block { ttl } => (second..=day * 30).contains(&ttl) && self.block(order, ttl),
            OrderKind::Allow { ttl } => (second..=day * 3_650).contains(&ttl) && self.allow(order, ttl),
            OrderKind::Unblock { hold } => hold <= day * 30 && self.unblock(&prefix, hold),
            OrderKind::Disallow => {
                let before = self.allowed.len();
                self.allowed.retain(|one| one.prefix != prefix);
                self.allowed.len() < before
            }
        }
    }

    fn block(&mut self, order: &Order, ttl: Duration) -> bool {
        let prefix = order.prefix;
        let widest = if prefix.is_ipv4() { 16 } else { 32 };
        let is_covered = self.entries.iter().any(|one| one.prefix != prefix && one.prefix.covers(&prefix));
        let is_allowed = self.allowed.iter().any(|one| one.prefix.overlaps(&prefix));
        if prefix.length() < widest || self.is_never(&prefix) || is_allowed || is_covered {
            return false;
        }
        let mut inside: Vec<Prefix> = self.entries.iter().map(|one| one.prefix).collect();
        inside.retain(|one| prefix.covers(one));
        inside.sort();
        if inside.is_empty() && self.entries.len() >= self.policy.max_entries as usize {
            return false;
        }
        let reason = Reason::Order { operator: order.operator.clone(), text: order.text.clone() };
        let expires = self.now + ttl;
        if let Some(own) = self.entries.iter_mut().find(|one| one.prefix == prefix) {
            (own.reason, own.expires) = (reason, expires);
            self.hits.retain(|one| one.unit.prefix() != prefix);
            self.events.push(format!("{prefix} listed"));
        } else {
            let repeats = self.take_past(&prefix);
            self.put(prefix, reason, expires, repeats);
        }
        for one in inside.iter().filter(|one| **one != prefix) {
            self.remove(one, "covered");
        }
        true
    }

    fn allow(&mut self, order: &Order, ttl: Duration) -> bool {
        let prefix = order.prefix;
        let mut hurt: Vec<Prefix> = self.entries.iter().map(|one| one.prefix).collect();
        hurt.retain(|one| one.overlaps(&prefix));
        hurt.sort();
        for one in hurt {
            self.remove(&one, "allowed");
        }
        self.allowed.retain(|one| one.prefix != prefix);
        self.allowed.push(Allowed {
            prefix,
            operator: order.operator.clone(),
            text: order.text.clone(),
            created: self.now,
            expires: self.now + ttl,
            revision: Default::default(),
        });
        true
    }

    fn unblock(&mut self, prefix: &Prefix, hold: Duration) -> bool {
        if !self.entries.iter().any(|one| one.prefix == *prefix) {
            return false;
        }
        self.remove(prefix, "unblocked");
        if hold.is_zero() {
            self.seen.retain(|one| !one.unit.prefix().overlaps(prefix));
        } else {
            self.holds.retain(|one| one.0 != *prefix);
            self.holds.push((*prefix, self.now + hold));
        }
        true
    }
}

/// Takes a sighting in: one for each host, the most recent `keep` of each unit, none that is over.
fn note(list: &mut Vec<Seen>, new: Seen, keep: usize, horizon: Option<Moment>) {
    list.retain(|one| one.unit != new.unit || Some(one.at) >= horizon);
    let unit = new.unit;
    match list.iter().position(|one| one.unit == unit && one.host == new.host) {
        Some(at) if list[at].at >= new.at => return,
        Some(at) => {
            list.remove(at);
        }
        None => {}
    }
    list.push(new);
    list.sort_by_key(|one| core::cmp::Reverse(one.at));
    let mut kept = 0;
    list.retain(|one| {
        kept += usize::from(one.unit == unit);
        one.unit != unit || kept <= keep
    });
}
