//! Orders: judged, remembered by their request ids, carried out.

use alloc::vec::Vec;
use core::time::Duration;

use sekisho_model::{
    Allowed, Change, Entry, Key, List, Member, Order, OrderKind, Prefix, Reason, Tier,
    limits::MAX_REASON_BYTES,
};

use super::{Answer, Done, Naive};
use crate::{AllowanceEnd, End, Event, Refusal};

const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

fn removed(prefix: Prefix) -> Change {
    Change::Remove(Key { allow: false, prefix })
}

impl Naive {
    pub(super) fn take_order(&mut self, order: &Order) {
        let answer = self.judge_order(order);
        match &answer {
            // How it is refused is not compared.
            None => {
                self.events.push(Event::OrderRefused { order: order.clone(), refusal: Refusal::NoReason });
            }
            Some((_, Some(_))) => {}
            Some((changes, None)) => {
                self.events.push(Event::OrderTaken { order: order.clone() });
                self.carry_out(order, changes);
                self.remember(order, changes);
            }
        }
        self.answers.push(answer);
    }

    fn remember(&mut self, order: &Order, changes: &[Change]) {
        if order.request.is_some() {
            let (at, revision) = (self.now, self.index);
            self.requests.push(Done { at, revision, order: order.clone(), changes: changes.to_vec() });
            if self.requests.len() > self.bounds.requests {
                self.requests.remove(0);
            }
        }
    }

    fn judge_order(&self, order: &Order) -> Answer {
        let is_same = |one: &&Done| order.request.is_some() && one.order.request == order.request;
        if let Some(done) = self.requests.iter().find(is_same) {
            return (done.order == *order).then(|| (done.changes.clone(), Some(done.revision)));
        }
        if order.text.trim().is_empty() || order.text.len() > MAX_REASON_BYTES {
            return None;
        }
        let mut changes = match &order.kind {
            OrderKind::Block { prefix, tier, ttl } => self.judge_block(prefix, *tier, *ttl)?,
            OrderKind::Unblock { prefix, hold } => self.judge_unblock(prefix, *hold)?,
            OrderKind::Allow { prefix, ttl } => self.judge_allow(prefix, *ttl)?,
            OrderKind::Disallow { prefix } => self.judge_disallow(prefix)?,
            OrderKind::SetPolicy(policy) => self.judge_policy(policy)?,
        };
        changes.sort_by_key(Change::key);
        Some((changes, None))
    }

    fn judge_block(&self, prefix: &Prefix, tier: Tier, ttl: Duration) -> Option<Vec<Change>> {
        let widest = if prefix.is_ipv4() { 16 } else { 32 };
        let is_allowed = self.allowed.iter().any(|one| one.prefix.overlaps(prefix));
        let is_covered = self.covering(prefix).is_some_and(|one| one.prefix != *prefix);
        let is_in_time = (SECOND..=DAY * 30).contains(&ttl);
        if !is_in_time || prefix.length() < widest || self.is_never(prefix) || is_allowed || is_covered {
            return None;
        }
        let inside: Vec<&Entry> = self.entries.iter().filter(|one| prefix.covers(&one.prefix)).collect();
        if inside.is_empty() && self.entries.len() >= self.policy.max_entries as usize {
            return None;
        }
        let put = Member { prefix: *prefix, list: List::Block(tier), expires: self.now + ttl };
        let narrower = inside.iter().filter(|one| one.prefix != *prefix).map(|one| removed(one.prefix));
        Some(narrower.chain([Change::Put(put)]).collect())
    }

    fn judge_unblock(&self, prefix: &Prefix, hold: Duration) -> Option<Vec<Change>> {
        let is_held = self.holds.iter().any(|one| one.0 == *prefix);
        let is_full = !hold.is_zero() && !is_held && self.holds.len() >= self.bounds.holds;
        let is_wide = prefix.length() < if prefix.is_ipv4() { 16 } else { 48 };
        let is_short = is_wide && hold < SECOND;
        let is_good = hold <= DAY * 30 && !is_short && self.entry(prefix).is_some() && !is_full;
        is_good.then(|| Vec::from([removed(*prefix)]))
    }

    fn judge_allow(&self, prefix: &Prefix, ttl: Duration) -> Option<Vec<Change>> {
        let is_there = self.allowed.iter().any(|one| one.prefix == *prefix);
        let is_full = !is_there && self.allowed.len() >= self.bounds.allowlist;
        if !(SECOND..=DAY * 3_650).contains(&ttl) || is_full {
            return None;
        }
        let put = Member { prefix: *prefix, list: List::Allow, expires: self.now + ttl };
        let entries = self.entries.iter().filter(|one| one.prefix.overlaps(prefix));
        Some(entries.map(|one| removed(one.prefix)).chain([Change::Put(put)]).collect())
    }

    fn judge_disallow(&self, prefix: &Prefix) -> Option<Vec<Change>> {
        let is_there = self.allowed.iter().any(|one| one.prefix == *prefix);
        is_there.then(|| Vec::from([Change::Remove(Key { allow: true, prefix: *prefix })]))
    }

    /// What is not listed by the new policy comes off, or moves down.
    fn judge_policy(&self, policy: &sekisho_model::Policy) -> Option<Vec<Change>> {
        policy.check().ok().filter(|()| *policy != self.policy)?;
        let mut with = self.clone();
        with.put_policy(policy, None);
        let changed = |one: &Entry| match with.entry(&one.prefix) {
            None => Some(removed(one.prefix)),
            Some(other) if other.tier == one.tier => None,
            Some(other) => Some(Change::Put(Member {
                prefix: one.prefix,
                list: List::Block(other.tier),
                expires: other.expires,
            })),
        };
        Some(self.entries.iter().filter_map(changed).collect())
    }

    fn carry_out(&mut self, order: &Order, changes: &[Change]) {
        if let OrderKind::SetPolicy(policy) = &order.kind {
            self.put_policy(policy, Some(order.operator.clone()));
            return;
        }
        for change in changes {
            match (change, &order.kind) {
                (Change::Remove(key), OrderKind::Disallow { .. }) => self.disallow(&key.prefix),
                (Change::Remove(key), OrderKind::Unblock { hold, .. }) => self.unblock(&key.prefix, *hold),
                (Change::Remove(key), OrderKind::Allow { .. }) => self.remove(&key.prefix, End::Allowed),
                (Change::Remove(key), _) => self.remove(&key.prefix, End::Covered),
                (Change::Put(put), OrderKind::Allow { .. }) => self.allow(order, put),
                (Change::Put(put), _) => self.block(order, put),
            }
        }
    }

    fn block(&mut self, order: &Order, put: &Member) {
        let List::Block(tier) = put.list else { return };
        let old = self.entries.iter().position(|one| one.prefix == put.prefix);
        let old = old.map(|at| self.entries.remove(at));
        let repeats = old.as_ref().map_or_else(|| self.take_past(&put.prefix), |old| old.repeats);
        let entry = Entry {
            prefix: put.prefix,
            tier,
            reason: Reason::Order { operator: order.operator.clone(), text: order.text.clone() },
            created: old.as_ref().map_or(self.now, |old| old.created),
            expires: put.expires,
            renewals: old.as_ref().map_or(0, |old| old.renewals),
            repeats,
            revision: self.index,
        };
        self.standings.retain(|one| one.prefix != put.prefix);
        self.events.push(Event::Listed { entry: entry.clone(), hosts: Vec::new() });
        self.entries.push(entry);
    }

    fn unblock(&mut self, prefix: &Prefix, hold: Duration) {
        self.remove(prefix, End::Unblocked);
        if hold.is_zero() {
            self.sights.retain(|one| !one.unit.prefix().overlaps(prefix));
        } else {
            self.holds.retain(|one| one.0 != *prefix);
            self.holds.push((*prefix, self.now + hold));
        }
    }

    fn allow(&mut self, order: &Order, put: &Member) {
        let allowed = Allowed {
            prefix: put.prefix,
            operator: order.operator.clone(),
            text: order.text.clone(),
            created: self.now,
            expires: put.expires,
            revision: self.index,
        };
        self.allowed.retain(|one| one.prefix != put.prefix);
        self.allowed.push(allowed.clone());
        self.events.push(Event::Allowed { allowed });
    }

    fn disallow(&mut self, prefix: &Prefix) {
        let at = self.allowed.iter().position(|one| one.prefix == *prefix).unwrap();
        let allowed = self.allowed.remove(at);
        self.events.push(Event::Disallowed { allowed, why: AllowanceEnd::Disallowed });
    }
}
