//! The two lists: every change of a member goes through here, and so do the digest and the events.

use sekisho_model::{Allowed, Entry, Key, List, Member, Prefix, Unit};

use crate::{
    engine::Engine,
    outcome::{AllowanceEnd, End, Event, Owner},
    standing::is_unit,
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

impl Engine {
    /// What `key` is now.
    pub(crate) fn member(&self, key: &Key) -> Option<Member> {
        if key.allow {
            self.allowlist.get(&key.prefix).map(allowed)
        } else {
            self.entries.get(&key.prefix).map(blocked)
        }
    }

    /// Puts `entry` on the blocklist, whatever stood at its prefix. The caller says so by an event. What
    /// evidence lists keeps its standing.
    pub(crate) fn put_entry(&mut self, entry: Entry, step: &mut Step) {
        if !entry.reason.is_evidence() {
            self.forget_standing(&entry.prefix);
        }
        let after = blocked(&entry);
        let before = self.entries.insert(entry).as_ref().map(blocked);
        self.account(after.key(), before, Some(after), step);
    }

    /// Takes the entry at `prefix` off the blocklist.
    ///
    /// What ended by itself is remembered as one listing more; what gave way to another entry with those that
    /// it had. An entry that was undone was no attack.
    pub(crate) fn drop_entry(&mut self, prefix: &Prefix, why: End, step: &mut Step) {
        self.take_off(prefix, why, None, step);
    }

    /// The same of one that has an address of `owner`, which is never listed.
    pub(crate) fn drop_owned(&mut self, prefix: &Prefix, owner: &Owner, step: &mut Step) {
        self.take_off(prefix, End::Never, Some(owner.clone()), step);
    }

    fn take_off(&mut self, prefix: &Prefix, why: End, owner: Option<Owner>, step: &mut Step) {
        let Some(entry) = self.entries.remove(prefix) else { return };
        self.forget_standing(prefix);
        match why {
            End::Expired | End::Quiet => self.counters.expired += 1,
            _ => self.counters.removed += 1,
        }
        let ended = entry.expires.min(self.now);
        match why {
            End::Expired | End::Quiet => {
                self.past.remember(*prefix, entry.repeats.saturating_add(1), ended);
            }
            End::Covered | End::Narrowed if entry.repeats > 0 => {
                self.past.remember(*prefix, entry.repeats, ended);
            }
            _ => {}
        }
        let before = blocked(&entry);
        self.account(before.key(), Some(before), None, step);
        step.events.push(Event::Removed { entry, why, owner });
    }

    fn forget_standing(&mut self, prefix: &Prefix) {
        self.standings.close(prefix);
        if is_unit(prefix) {
            self.evidence.set_listed(Unit::of(prefix.address()), false);
        }
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
