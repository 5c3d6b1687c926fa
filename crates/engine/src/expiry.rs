//! What ends by itself: at its time, or early, when the attack has ended.

use core::time::Duration;

use sekisho_model::{Moment, Prefix};

use crate::{
    engine::Engine,
    guards::MINUTE,
    outcome::{AllowanceEnd, End},
    step::Step,
};

impl Engine {
    /// Ends what is over, in the order of the moments at which it is.
    pub(crate) fn expire(&mut self, step: &mut Step) {
        while let Some(prefix) = self.entries.first_due(self.now) {
            self.drop_entry(&prefix, End::Expired, step);
        }
        while let Some((_, prefix)) = self.standings.first_check().filter(|(at, _)| *at <= self.now) {
            self.look_whether_quiet(&prefix, step);
        }
        while let Some(prefix) = self.allowlist.first_due(self.now) {
            self.drop_allowed(&prefix, AllowanceEnd::Expired, step);
        }
        while let Some(prefix) = self.holds.first_due(self.now) {
            self.holds.remove(&prefix);
        }
    }

    /// Sets when it is next looked at whether an entry is quiet.
    pub(crate) fn arm(&mut self, prefix: &Prefix) {
        let active = self.standings.get(prefix).map(|standing| standing.active);
        let at = active.and_then(|active| Some(active + self.quiet_time(prefix)?));
        self.standings.set_check(prefix, at);
    }

    /// How long nothing may be seen of an entry; none if it may be for ever.
    pub(crate) fn quiet_time(&self, prefix: &Prefix) -> Option<Duration> {
        let quiet = Some(self.policy.ttl_quiet).filter(|quiet| !quiet.is_zero())?;
        let repeats = self.entries.get(prefix)?.repeats;
        Some(quiet.saturating_mul(1u32.checked_shl(repeats).unwrap_or(u32::MAX)).min(self.policy.ttl_max))
    }

    /// Ends an entry in which nothing was seen or hit for its quiet time, if all who would see it are there:
    /// a host that cannot tell is not a host that sees nothing.
    fn look_whether_quiet(&mut self, prefix: &Prefix, step: &mut Step) {
        let (Some(standing), Some(quiet)) = (self.standings.get(prefix), self.quiet_time(prefix)) else {
            return self.standings.set_check(prefix, None);
        };
        let due = standing.active + quiet;
        let is_connected = |host| self.hosts.by_number(host).is_some_and(|record| record.connected);
        let can_tell = standing.witnesses.as_slice().iter().all(|one| is_connected(one.host()));
        if due > self.now {
            self.standings.set_check(prefix, Some(due));
        } else if can_tell {
            self.drop_entry(prefix, End::Quiet, step);
        } else {
            self.standings.set_check(prefix, Some(self.now + quiet));
        }
    }

    /// The earliest moment at which a tick would change something: when an entry or an allowance ends or an
    /// entry is to be looked at, when a listing is a minute old and a limit held others back, or at once where blocks
    /// are in line. `None` when there is nothing to do.
    pub fn poll_timeout(&self) -> Option<Moment> {
        let at_once = self.blocks.waiting().next().map(|_| self.now);
        let is_limited = !self.held_back.is_empty();
        let minute = self.recent.front().filter(|_| is_limited).map(|one| one.at + MINUTE);
        let ends = [self.entries.first(), self.allowlist.first(), self.standings.first_check()];
        ends.into_iter().flatten().map(|(moment, _)| moment).chain(at_once).chain(minute).min()
    }
}
