//! How long what is listed lasts, and what is remembered of it.

use alloc::vec::Vec;
use core::time::Duration;

use sekisho_model::{Moment, Prefix};

use super::{Ended, Naive};
use crate::{AllowanceEnd, End, Event, Owner};

impl Naive {
    /// `span`, doubled for each repeat, up to the policy's most.
    pub(super) fn doubled(&self, span: Duration, repeats: u32) -> Duration {
        let most = self.policy.ttl_max;
        (0..repeats.min(64)).fold(span.min(most), |span, _| (span * 2).min(most))
    }

    pub(super) fn end_what_is_over(&mut self) {
        let mut over: Vec<(Moment, Prefix)> =
            self.entries.iter().map(|one| (one.expires, one.prefix)).collect();
        over.retain(|one| one.0 <= self.now);
        over.sort();
        for (_, prefix) in over {
            self.remove(&prefix, End::Expired);
        }
        while let Some(prefix) = self.first_to_check() {
            self.look_whether_quiet(&prefix);
        }
        let now = self.now;
        let mut over: Vec<_> = self.allowed.iter().filter(|one| one.expires <= now).cloned().collect();
        over.sort_by_key(|one| (one.expires, one.prefix));
        for allowed in over {
            self.allowed.retain(|one| one.prefix != allowed.prefix);
            self.events.push(Event::Disallowed { allowed, why: AllowanceEnd::Expired });
        }
        self.holds.retain(|one| one.1 > now);
        self.requests.retain(|one| one.at + Duration::from_secs(86_400) > now);
        self.recent.retain(|one| one.0 + Duration::from_secs(60) > now);
    }

    fn first_to_check(&self) -> Option<Prefix> {
        let due = self.standings.iter().filter_map(|one| Some((one.check?, one.prefix)));
        due.filter(|one| one.0 <= self.now).min().map(|one| one.1)
    }

    /// How long nothing may be seen of an entry; none if it may be for ever.
    fn quiet_time(&self, prefix: &Prefix) -> Option<Duration> {
        let repeats = self.entry(prefix)?.repeats;
        let quiet = Some(self.policy.ttl_quiet).filter(|quiet| !quiet.is_zero())?;
        Some(self.doubled(quiet, repeats))
    }

    /// Sets when it is looked at whether an entry is quiet: when it would be if nothing more came.
    pub(super) fn arm(&mut self, prefix: &Prefix) {
        let quiet = self.quiet_time(prefix);
        if let Some(standing) = self.standings.iter_mut().find(|one| one.prefix == *prefix) {
            standing.check = quiet.map(|quiet| standing.active + quiet);
        }
    }

    /// An entry ends if nothing came and all hosts of its standing are connected. If one is not, it is looked
    /// at again after as long.
    fn look_whether_quiet(&mut self, prefix: &Prefix) {
        let now = self.now;
        let Some(quiet) = self.quiet_time(prefix) else { return self.arm(prefix) };
        let standing = self.standings.iter_mut().find(|one| one.prefix == *prefix).unwrap();
        if standing.active + quiet > now {
            standing.check = Some(standing.active + quiet);
        } else if standing.hosts.iter().all(|one| self.hosts[one.host].is_connected) {
            self.remove(prefix, End::Quiet);
        } else {
            standing.check = Some(now + quiet);
        }
    }

    /// Takes an entry off the list. What was undone is not remembered.
    pub(super) fn remove(&mut self, prefix: &Prefix, why: End) {
        self.remove_of(prefix, why, None);
    }

    /// The same, of one that has an address of `owner`.
    pub(super) fn remove_of(&mut self, prefix: &Prefix, why: End, owner: Option<Owner>) {
        let at = self.entries.iter().position(|one| one.prefix == *prefix).unwrap();
        let entry = self.entries.remove(at);
        self.standings.retain(|one| one.prefix != *prefix);
        let count = match why {
            End::Expired | End::Quiet => Some(entry.repeats + 1),
            End::Covered | End::Narrowed => Some(entry.repeats).filter(|count| *count > 0),
            End::Unblocked | End::Allowed | End::Never | End::Outage | End::Policy => None,
        };
        if let Some(count) = count {
            self.past.retain(|one| one.prefix != *prefix);
            self.past.push(Ended { prefix: *prefix, count, at: entry.expires.min(self.now) });
            self.past.sort_by_key(|one| (one.at, one.prefix));
            if self.past.len() > self.bounds.past {
                self.past.remove(0);
            }
        }
        self.events.push(Event::Removed { entry, why, owner });
    }

    /// Earlier listings of `prefix` that are not forgiven; they are taken into the new one.
    pub(super) fn take_past(&mut self, prefix: &Prefix) -> u32 {
        let Some(at) = self.past.iter().position(|one| one.prefix == *prefix) else { return 0 };
        let past = self.past.remove(at);
        let good = self.now.since(past.at).as_millis() / self.policy.ttl_max.as_millis();
        past.count.saturating_sub(u32::try_from(good).unwrap_or(u32::MAX))
    }
}
