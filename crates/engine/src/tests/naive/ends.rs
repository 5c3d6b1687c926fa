//! How long what is listed lasts, and what is remembered of it.

use core::time::Duration;

use sekisho_model::{Moment, Prefix};

use super::{Ended, Naive};
use crate::{AllowanceEnd, End, Event};

impl Naive {
    /// `span`, doubled for each repeat, up to the policy's most.
    pub(super) fn doubled(&self, span: Duration, repeats: u32) -> Duration {
        let most = self.policy.ttl_max;
        (0..repeats.min(64)).fold(span.min(most), |span, _| (span * 2).min(most))
    }

    pub(super) fn end_what_is_over(&mut self) {
        while let Some((_, prefix, why)) = self.first_over() {
            self.remove(&prefix, why);
        }
        let now = self.now;
        let mut over: alloc::vec::Vec<_> =
            self.allowed.iter().filter(|one| one.expires <= now).cloned().collect();
        over.sort_by_key(|one| (one.expires, one.prefix));
        for allowed in over {
            self.allowed.retain(|one| one.prefix != allowed.prefix);
            self.events.push(Event::Disallowed { allowed, why: AllowanceEnd::Expired });
        }
        self.holds.retain(|one| one.1 > now);
        self.requests.retain(|one| one.at + Duration::from_secs(86_400) > now);
        self.recent.retain(|one| one.0 + Duration::from_secs(60) > now);
        self.end_of_troubles();
    }

    /// What ended first, and why.
    fn first_over(&self) -> Option<(Moment, Prefix, End)> {
        let over = |one: &sekisho_model::Entry| {
            let expired = (one.expires <= self.now).then_some((one.expires, one.prefix, End::Expired));
            let quiet = self.quiet_since(&one.prefix).map(|at| (at, one.prefix, End::Quiet));
            [expired, quiet].into_iter().flatten().min()
        };
        self.entries.iter().filter_map(over).min()
    }

    /// Takes an entry off the list. What was undone is not remembered.
    pub(super) fn remove(&mut self, prefix: &Prefix, why: End) {
        let at = self.entries.iter().position(|one| one.prefix == *prefix).unwrap();
        let entry = self.entries.remove(at);
        self.standings.retain(|one| one.prefix != *prefix);
        if matches!(why, End::Expired | End::Quiet | End::Covered | End::Narrowed) {
            self.past.retain(|one| one.prefix != *prefix);
            self.past.push(Ended { prefix: *prefix, count: entry.repeats + 1, at: entry.expires.min(self.now) });
            self.past.sort_by_key(|one| (one.at, one.prefix));
            if self.past.len() > self.bounds.past {
                self.past.remove(0);
            }
        }
        self.events.push(Event::Removed { entry, why });
    }

    /// Earlier listings of `prefix` that are not forgiven; they are taken into the new one.
    pub(super) fn take_past(&mut self, prefix: &Prefix) -> u32 {
        let Some(at) = self.past.iter().position(|one| one.prefix == *prefix) else { return 0 };
        let past = self.past.remove(at);
        let good = self.now.since(past.at).as_millis() / self.policy.ttl_max.as_millis();
        past.count.saturating_sub(u32::try_from(good).unwrap_or(u32::MAX))
    }
}
