//! The two lists: every change of a member goes through here, and so do the digest and the events.

use sekisho_model::{Allowed, Entry, Key, List, Member, Prefix, Reason, Unit};

use crate::{
    engine::Engine,
    outcome::{AllowanceEnd, End, Event},
    step::Step,
};

/// An entry as subscribers know it.
pub(crate) fn blocked(entry: &Entry) -> Member {
    Member { prefix: entry.prefix, list: List::Block(entry.tier), expires: entry.expires }
}

/// An allowance as subscribers know it.
pub(crate) fn allowed(allowed: &Allowed) -> Member {
    Member { prefix: allowed.prefix, list: List::Allow, expires: allowed.expires }
}

/// The unit of a prefix that a quorum listed.
pub(crate) fn unit_of(prefix: &Prefix) -> Unit {
    Unit::of(prefix.address())
}

impl Engine {
    /// What `key` is now.
    pub(crate) fn member(&self, key: &Key) -> Option<Member> {
        if key.allow {
            self.allowlist.get(&key.prefix).map(allowed)
        } else {
            self.entries.get(&key.prefix).map(blocked)
        }
    }

    /// Ends what is over, in the order of the moments at which it is.
    pub(crate) fn expire(&mut self, step: &mut Step) {
        while let Some(prefix) = self.entries.first_due(self.now) {
            self.drop_entry(&prefix, End::Expired, step);
        }
        while let Some(prefix) = self.allowlist.first_due(self.now) {
            self.drop_allowed(&prefix, AllowanceEnd::Expired, step);
        }
        while let Some(prefix) = self.holds.first_due(self.now) {
            self.holds.remove(&prefix);
        }
    }

    /// Puts `entry` on the blocklist, whatever stood at its prefix. The caller says so by an event.
    pub(crate) fn put_entry(&mut self, entry: Entry, step: &mut Step) {
        let unit = unit_of(&entry.prefix);
        if matches!(entry.reason, Reason::Quorum { .. }) {
            self.hits.open(unit);
        } else if unit.prefix() == entry.prefix {
            self.hits.close(unit);
        }
        let after = blocked(&entry);
        let before = self.entries.insert(entry).as_ref().map(blocked);
        self.account(after.key(), before, Some(after), step);
    }

    /// Takes the entry at `prefix` off the blocklist.
    ///
    /// Only what ended by its time, or under a wider block, is remembered: an entry that was undone
    /// was no attack.
    pub(crate) fn drop_entry(&mut self, prefix: &Prefix, why: End, step: &mut Step) {
        let Some(entry) = self.entries.remove(prefix) else { return };
        if matches!(entry.reason, Reason::Quorum { .. }) {
            self.hits.close(unit_of(prefix));
        }
        match why {
            End::Expired => self.counters.expired += 1,
            _ => self.counters.removed += 1,
        }
        if matches!(why, End::Expired | End::Covered) {
            let ended = entry.expires.min(self.now);
            self.past.remember(*prefix, entry.repeats.saturating_add(1), ended);
        }
        let before = blocked(&entry);
        self.account(before.key(), Some(before), None, step);
        step.events.push(Event::Removed { entry, why });
    }

    /// Puts a prefix on the allowlist, or sets its time there anew.
    pub(crate) fn put_allowed(&mut self, allowance: Allowed, step: &mut Step) {
        let after = allowed(&allowance);
        step.events.push(Event::Allowed { allowed: allowance.clone() });
        let before = self.allowlist.insert(allowance).as_ref().map(allowed);
        self.account(after.key(), before, Some(after), step);
    }

    /// Takes a prefix off the allowlist.
    pub(crate) fn drop_allowed(&mut self, prefix: &Prefix, why: AllowanceEnd, step: &mut Step) {
        let Some(allowance) = self.allowlist.remove(prefix) else { return };
        let before = allowed(&allowance);
        self.account(before.key(), Some(before), None, step);
        step.events.push(Event::Disallowed { allowed: allowance, why });
    }

    fn account(&mut self, key: Key, before: Option<Member>, after: Option<Member>, step: &mut Step) {
        step.touch(key, before);
        if let Some(before) = &before {
            self.digest = self.digest.without(before);
        }
        if let Some(after) = &after {
            self.digest = self.digest.with(after);
        }
    }
}
