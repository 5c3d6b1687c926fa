//! What forbids a listing, in its order.

use alloc::vec::Vec;
use core::time::Duration;

use sekisho_model::{Prefix, never};

use super::Naive;
use crate::{Cause, Event, Limit};

impl Naive {
    pub(super) fn is_never(&self, prefix: &Prefix) -> bool {
        let own = self.hosts.iter().flat_map(|one| &one.addresses);
        let named = self.names.iter().flat_map(|one| &one.1);
        never::is_unlistable(prefix)
            || (self.policy.never.private && never::is_private(prefix))
            || self.policy.never.prefixes.iter().any(|one| one.overlaps(prefix))
            || own.chain(named).any(|one| prefix.contains(*one))
    }

    /// Why `prefix` must not be listed by evidence, in the place of `replaced` other entries.
    pub(super) fn forbids(&self, prefix: &Prefix, is_prefix: bool, replaced: usize) -> Option<Cause> {
        if let Some(cause) = self.forbids_for_good(prefix, is_prefix) {
            Some(cause)
        } else if replaced == 0 && !self.has_room(Limit::Entries) {
            Some(Cause::Limit(Limit::Entries))
        } else if !self.has_room(Limit::NewPerMinute) {
            Some(Cause::Limit(Limit::NewPerMinute))
        } else {
            None
        }
    }

    /// The same, limits apart.
    pub(super) fn forbids_for_good(&self, prefix: &Prefix, is_prefix: bool) -> Option<Cause> {
        let in_the_way = |one: &sekisho_model::Entry| {
            one.prefix.overlaps(prefix) && !(is_prefix && one.reason.is_evidence())
        };
        if self.is_never(prefix) {
            Some(Cause::Never)
        } else if self.allowed.iter().any(|one| one.prefix.overlaps(prefix)) {
            Some(Cause::Allowed)
        } else if self.holds.iter().any(|one| one.0.overlaps(prefix)) {
            Some(Cause::Held)
        } else if self.entries.iter().any(in_the_way) {
            Some(Cause::Covered)
        } else {
            None
        }
    }

    /// What forbids it: of what covers it the widest, or else the first inside.
    pub(super) fn forbidding(&self, prefix: &Prefix, cause: Cause) -> Option<Prefix> {
        let own = self.hosts.iter().flat_map(|one| &one.addresses).map(|one| Prefix::host(*one)).collect();
        let named = self.names.iter().flat_map(|one| &one.1).map(|one| Prefix::host(*one)).collect();
        let orders = self.entries.iter().filter(|one| !one.reason.is_evidence()).map(|one| one.prefix);
        let lists: Vec<Vec<Prefix>> = match cause {
            Cause::Never if never::is_unlistable(prefix) => Vec::new(),
            Cause::Never if self.policy.never.private && never::is_private(prefix) => Vec::new(),
            Cause::Never => Vec::from([self.policy.never.prefixes.clone(), named, own]),
            Cause::Allowed => Vec::from([self.allowed.iter().map(|one| one.prefix).collect()]),
            Cause::Held => Vec::from([self.holds.iter().map(|one| one.0).collect()]),
            Cause::Covered => Vec::from([orders.collect()]),
            Cause::Limit(_) => Vec::new(),
        };
        let first = |list: Vec<Prefix>| {
            list.into_iter().filter(|one| one.overlaps(prefix)).min_by_key(|one| {
                (!one.covers(prefix), if one.covers(prefix) { one.length() } else { 0 }, *one)
            })
        };
        lists.into_iter().find_map(first)
    }

    pub(super) fn has_room(&self, limit: Limit) -> bool {
        match limit {
            Limit::Entries => self.entries.len() < self.policy.max_entries as usize,
            Limit::NewPerMinute => {
                let minute = Duration::from_secs(60);
                let new = self.recent.iter().filter(|one| one.2 && one.0 + minute > self.now).count();
                new < self.policy.new_per_minute as usize
            }
        }
    }

    /// A listing that is forbidden: a limit says so when it begins.
    pub(super) fn hold_back(&mut self, prefix: &Prefix, cause: Cause) {
        let Cause::Limit(limit) = cause else { return };
        if let Some(held) = self.held.iter_mut().find(|one| one.0 == limit) {
            held.1 += 1;
            return;
        }
        let max = match limit {
            Limit::Entries => self.policy.max_entries,
            Limit::NewPerMinute => self.policy.new_per_minute,
        };
        self.events.push(Event::LimitReached { limit, max, prefix: *prefix });
        self.held.push((limit, 1));
    }

    pub(super) fn clear_limits(&mut self) {
        self.held.sort_by_key(|one| one.0);
        for (limit, held) in self.held.clone() {
            let (taken, max) = match limit {
                Limit::Entries => (self.entries.len(), self.policy.max_entries as usize),
                Limit::NewPerMinute => {
                    (self.recent.iter().filter(|one| one.2).count(), self.policy.new_per_minute as usize)
                }
            };
            if taken * 4 <= max * 3 {
                self.held.retain(|one| one.0 != limit);
                self.events.push(Event::LimitCleared { limit, held });
            }
        }
    }
}
