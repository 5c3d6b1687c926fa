//! Operators' commands: judged first, the same way before they are logged and after, then done.

use alloc::{string::ToString, vec::Vec};
use core::time::Duration;

use sekisho_model::{
    Allowed, Change, Entry, Key, List, Member, Moment, Order, OrderKind, Policy, Prefix, Reason, Tier,
    limits::{MAX_ALLOW_TTL, MAX_BLOCK_TTL, MAX_REASON_BYTES, WIDEST_BLOCK_V4, WIDEST_BLOCK_V6},
};

use crate::{
    checkpoint::{DoneRequest, Hold},
    engine::Engine,
    outcome::{AllowanceEnd, End, Event, OrderPreview, OrderResult},
    protected::Protection,
    refusal::Refusal,
    step::Step,
    units::units_within,
};

/// The shortest that a block or an allowance may last.
const MIN_TTL: Duration = Duration::from_secs(1);

impl Engine {
    /// What [`Engine::handle`] would do with `order` at `now`, if it came next.
    ///
    /// # Errors
    /// Why it would do nothing, and what the operator can do about it.
    pub fn check_order(&self, order: &Order, now: Moment) -> OrderResult {
        let now = self.now.max(now);
        if let Some(done) = self.requests.of(order, now) {
            return done_before(done, order);
        }
        check_text(&order.text)?;
        let mut changes = match &order.kind {
            OrderKind::Block { prefix, tier, ttl } => self.check_block(*prefix, *tier, *ttl, now)?,
            OrderKind::Unblock { prefix, hold } => self.check_unblock(*prefix, *hold, now)?,
            OrderKind::Allow { prefix, ttl } => self.check_allow(*prefix, *ttl, now)?,
            OrderKind::Disallow { prefix } => self.check_disallow(*prefix, now)?,
            OrderKind::SetPolicy(policy) => self.check_policy(policy, now)?,
        };
        changes.sort_unstable_by_key(Change::key);
        Ok(OrderPreview { changes, done: None })
    }

    /// Carries an order out, or refuses it.
    pub(crate) fn take_order(&mut self, order: &Order, step: &mut Step) {
        let result = self.check_order(order, self.now);
        let order_of_event = order.clone();
        match &result {
            Ok(OrderPreview { done: Some(_), .. }) => self.counters.repeated_orders += 1,
            Ok(preview) => {
                self.counters.orders += 1;
                step.events.push(Event::OrderTaken { order: order_of_event });
                self.carry_out(order, &preview.changes, step);
                let (at, revision, changes) = (self.now, self.index, preview.changes.clone());
                self.requests.remember(DoneRequest { at, revision, order: order.clone(), changes });
            }
            Err(refusal) => {
                self.counters.refused_orders += 1;
                step.events.push(Event::OrderRefused { order: order_of_event, refusal: refusal.clone() });
            }
        }
        step.orders.push(result);
    }

    fn check_block(
        &self,
        prefix: Prefix,
        tier: Tier,
        ttl: Duration,
        now: Moment,
    ) -> Result<Vec<Change>, Refusal> {
        check_time("a block", ttl, MIN_TTL, MAX_BLOCK_TTL)?;
        let widest = if prefix.is_ipv4() { WIDEST_BLOCK_V4 } else { WIDEST_BLOCK_V6 };
        if prefix.length() < widest {
            return Err(Refusal::TooWide { prefix, widest });
        }
        if let Some(protection) = self.protected.why(&prefix) {
            return Err(self.protected_refusal(prefix, protection));
        }
        if let Some(allowed) = self.allowlist.overlapping(&prefix, now).next() {
            return Err(Refusal::Allowlisted { prefix, allowed: allowed.prefix });
        }
        if let Some(wider) = self.entries.covering(&prefix, now).find(|entry| entry.prefix != prefix) {
            let (entry, gentler) = (wider.prefix, wider.tier);
            return Err(if gentler < tier {
                Refusal::CoveredGentler { prefix, entry, tier: gentler, wanted: tier }
            } else {
                Refusal::Covered { prefix, entry, tier: gentler }
            });
        }
        let covered: Vec<Prefix> = self.entries.overlapping(&prefix, now).map(|entry| entry.prefix).collect();
        if covered.is_empty() && !self.has_room(now) {
            return Err(Refusal::BlocklistFull { max: self.policy.max_entries });
        }
        let narrower = covered.into_iter().filter(|entry| *entry != prefix).map(removed);
        let put = Change::Put(Member { prefix, list: List::Block(tier), expires: now + ttl });
        Ok(narrower.chain([put]).collect())
    }

    fn check_unblock(&self, prefix: Prefix, hold: Duration, now: Moment) -> Result<Vec<Change>, Refusal> {
        // To forget what was seen of so many units would take too long.
        match units_within(&prefix) {
            Some(_) => check_time("a hold", hold, Duration::ZERO, MAX_BLOCK_TTL)?,
            None => check_time("a hold of so wide a prefix", hold, MIN_TTL, MAX_BLOCK_TTL)?,
        }
        if self.entries.get(&prefix).is_none_or(|entry| entry.expires <= now) {
            let covering = self.entries.covering(&prefix, now).next().map(|entry| entry.prefix);
            return Err(Refusal::NotListed { prefix, covering });
        }
        let is_held = self.holds.get(&prefix).is_some_and(|held| held.until > now);
        let max = self.bounds.holds;
        if !hold.is_zero() && !is_held && self.holds.len() >= max && self.holds.live(now) >= max {
            return Err(Refusal::HoldsFull { max });
        }
        Ok(Vec::from([removed(prefix)]))
    }

    fn check_allow(&self, prefix: Prefix, ttl: Duration, now: Moment) -> Result<Vec<Change>, Refusal> {
        check_time("an allowance", ttl, MIN_TTL, MAX_ALLOW_TTL)?;
        let is_there = self.allowlist.get(&prefix).is_some_and(|allowed| allowed.expires > now);
        let max = self.bounds.allowlist;
        if !is_there && self.allowlist.live(now) >= max {
            return Err(Refusal::AllowlistFull { max });
        }
        let put = Change::Put(Member { prefix, list: List::Allow, expires: now + ttl });
        let entries = self.entries.overlapping(&prefix, now).map(|entry| removed(entry.prefix));
        Ok(entries.chain([put]).collect())
    }

    fn check_disallow(&self, prefix: Prefix, now: Moment) -> Result<Vec<Change>, Refusal> {
        if self.allowlist.get(&prefix).is_none_or(|allowed| allowed.expires <= now) {
            let covering = self.allowlist.covering(&prefix, now).next().map(|allowed| allowed.prefix);
            return Err(Refusal::NotAllowed { prefix, covering });
        }
        Ok(Vec::from([Change::Remove(Key { allow: true, prefix })]))
    }

    fn check_policy(&self, policy: &Policy, now: Moment) -> Result<Vec<Change>, Refusal> {
        policy.check().map_err(|error| Refusal::Policy { error })?;
        if *policy == self.policy {
            return Err(Refusal::SamePolicy);
        }
        let never = self.forbidden_by(policy, now);
        let under =
            self.prefixes_under(policy, now).into_iter().filter(|(prefix, _)| !never.contains(prefix));
        let moved = |prefix: Prefix, tier| {
            let expires = self.entries.get(&prefix).map_or(now, |entry| entry.expires);
            Change::Put(Member { prefix, list: List::Block(tier), expires })
        };
        let under =
            under.map(|(prefix, tier)| tier.map_or_else(|| removed(prefix), |tier| moved(prefix, tier)));
        Ok(never.iter().copied().map(removed).chain(under).collect())
    }

    pub(crate) fn protected_refusal(&self, prefix: Prefix, protection: Protection) -> Refusal {
        match protection {
            Protection::Unlistable => Refusal::Unlistable { prefix },
            Protection::Private => Refusal::Private { prefix },
            Protection::Prefix(never) => Refusal::Never { prefix, never },
            Protection::Name(address) => {
                let name = self.protected.name_of(&address).unwrap_or_default().to_string();
                Refusal::NeverName { prefix, name, address }
            }
            Protection::Host(address) => {
                let owns = |own: &[core::net::IpAddr]| own.iter().any(|one| address.contains(*one));
                match self.hosts.iter().find(|host| owns(&host.addresses)) {
                    Some(host) => Refusal::OwnHost { prefix, host: host.id.clone(), address },
                    None => Refusal::Never { prefix, never: address },
                }
            }
        }
    }

    fn carry_out(&mut self, order: &Order, changes: &[Change], step: &mut Step) {
        if let OrderKind::SetPolicy(policy) = &order.kind {
            return self.take_policy(policy, Some(&order.operator), step);
        }
        for change in changes {
            match (change, &order.kind) {
                (Change::Remove(key), OrderKind::Unblock { hold, .. }) => {
                    self.unblock(&key.prefix, *hold, step);
                }
                (Change::Remove(key), OrderKind::Allow { .. }) => {
                    self.drop_entry(&key.prefix, End::Allowed, step);
                }
                (Change::Remove(key), OrderKind::Disallow { .. }) => {
                    self.drop_allowed(&key.prefix, AllowanceEnd::Disallowed, step);
                }
                (Change::Remove(key), _) => self.drop_entry(&key.prefix, End::Covered, step),
                (Change::Put(member), OrderKind::Allow { .. }) => self.allow(order, member, step),
                (Change::Put(member), _) => self.block(order, member, step),
            }
        }
    }

    /// Lists a prefix by order. An entry that stands there is taken over: its age and its repeats
    /// stay, its tier, its reason and its end are the order's.
    fn block(&mut self, order: &Order, member: &Member, step: &mut Step) {
        let Member { prefix, list: List::Block(tier), expires } = *member else { return };
        let old = self.entries.get(&prefix).map(|old| (old.created, old.renewals, old.repeats));
        let (created, renewals, repeats) =
            old.unwrap_or_else(|| (self.now, 0, self.past.take(&prefix, &self.policy, self.now)));
        let reason = Reason::Order { operator: order.operator.clone(), text: order.text.clone() };
        let revision = self.index;
        let entry = Entry { prefix, tier, reason, created, expires, renewals, repeats, revision };
        step.events.push(Event::Listed { entry: entry.clone(), hosts: Vec::new() });
        self.put_entry(entry, step);
    }

    /// Takes an entry off by order: held off for a while, or, without a hold, as if it had never
    /// been seen.
    fn unblock(&mut self, prefix: &Prefix, hold: Duration, step: &mut Step) {
        self.drop_entry(prefix, End::Unblocked, step);
        if hold.is_zero() {
            self.evidence.forget(prefix);
        } else {
            self.holds.insert(Hold { prefix: *prefix, until: self.now + hold });
        }
    }

    fn allow(&mut self, order: &Order, member: &Member, step: &mut Step) {
        let allowed = Allowed {
            prefix: member.prefix,
            operator: order.operator.clone(),
            text: order.text.clone(),
            created: self.now,
            expires: member.expires,
            revision: self.index,
        };
        self.put_allowed(allowed, step);
    }
}

/// The first answer again, if the order is the same.
fn done_before(done: &DoneRequest, order: &Order) -> OrderResult {
    if done.order == *order {
        Ok(OrderPreview { changes: done.changes.clone(), done: Some(done.revision) })
    } else {
        Err(Refusal::RequestReused { done: done.revision })
    }
}

fn removed(prefix: Prefix) -> Change {
    Change::Remove(Key { allow: false, prefix })
}

fn check_text(text: &str) -> Result<(), Refusal> {
    match text.len() {
        _ if text.trim().is_empty() => Err(Refusal::NoReason),
        bytes if bytes > MAX_REASON_BYTES => Err(Refusal::LongReason { bytes }),
        _ => Ok(()),
    }
}

fn check_time(what: &'static str, given: Duration, min: Duration, max: Duration) -> Result<(), Refusal> {
    if (min..=max).contains(&given) { Ok(()) } else { Err(Refusal::Time { what, min, max, given }) }
}
