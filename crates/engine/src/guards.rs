//! What keeps a wrong block from happening: flooded hosts, hosts with a broken path, the blast radius. Each
//! says what it holds back.

use alloc::vec::Vec;
use core::time::Duration;

use sekisho_model::{Entry, Moment, Observation, Prefix, Tier, Unit, limits::MAX_WITHHELD};

use crate::{
    engine::Engine,
    hosts::Grown,
    outcome::{Cause, End, Event, Flood, Limit, Retier},
    standing::is_unit,
    step::Step,
    witness::since,
};

/// How long a host stays flooded after what told it.
const FLOODED_FOR: Duration = Duration::from_secs(60);
/// The time that `limits.new_per_minute` is about.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

impl Engine {
    /// What a batch of the host with this number tells of the host itself, by its rows and by what its totals
    /// grew: flooded, in outage, or well again. Rates are of the time `at` which it was seen: what waited for
    /// the aggregator did not happen at once when it came.
    pub(crate) fn judge_host(
        &mut self,
        number: u32,
        rows: &[Observation],
        grown: Grown,
        at: Moment,
        step: &mut Step,
    ) {
        self.judge_flood(number, rows, grown, at, step);
        self.judge_path(number, rows, grown, at, step);
    }

    fn judge_flood(&mut self, number: u32, rows: &[Observation], grown: Grown, at: Moment, step: &mut Step) {
        let (now, most) = (self.now, u64::from(self.policy.host_units_per_minute));
        let Some(host) = self.hosts.by_number_mut(number) else { return };
        let rows = rows.iter().filter(|row| row.sockets > 0).count() as u64;
        let units = host.count_units(grown.stuck_units.max(rows), at);
        let why = match (units > most, grown.cookies > 0) {
            (true, _) => Some(Flood::Units),
            (_, true) => Some(Flood::Cookies),
            _ => None,
        };
        let was_flooded = host.is_flooded(now);
        match why {
            Some(why) => {
                host.flooded_until = now + FLOODED_FOR;
                if !was_flooded {
                    step.events.push(Event::HostFlooded { host: host.id.clone(), why, units });
                }
            }
            None if !was_flooded && host.flooded_until > Moment::EPOCH => {
                host.flooded_until = Moment::EPOCH;
                let uncounted = core::mem::take(&mut host.held.uncounted);
                step.events.push(Event::HostCalm { host: host.id.clone(), uncounted });
            }
            None => {}
        }
    }

    fn judge_path(&mut self, number: u32, rows: &[Observation], grown: Grown, at: Moment, step: &mut Step) {
        let (now, window) = (self.now, self.policy.window);
        let Some(host) = self.hosts.by_number_mut(number) else { return };
        let collapse = host.meter.take(rows, grown.completed, at);
        let (was_out, id) = (host.is_in_outage(now), host.id.clone());
        let Some(collapse) = collapse else {
            if !was_out && host.outage_until > Moment::EPOCH {
                host.outage_until = Moment::EPOCH;
                let ignored = core::mem::take(&mut host.held.ignored);
                step.events.push(Event::OutageEnded { host: id, ignored });
            }
            return;
        };
        self.hosts.set_outage(number, now + window);
        if !was_out {
            let (completed, expected) = (collapse.completed, collapse.expected);
            step.events.push(Event::OutageBegan { host: id, completed, expected });
            self.look_at_recent(step);
        }
    }

    /// Some host's evidence does not count any more: what was listed or moved up a moment ago has to do without it.
    fn look_at_recent(&mut self, step: &mut Step) {
        let mut recent: Vec<Prefix> = self.recent.iter().map(|one| one.prefix).collect();
        recent.sort_unstable();
        recent.dedup();
        for prefix in recent {
            // Two halves may have become one.
            let Some(entry) = self.entries.covering(&prefix, self.now).next() else { continue };
            let (prefix, tier, expires) = (entry.prefix, entry.tier, entry.expires);
            if !entry.reason.is_evidence() {
                continue;
            }
            match self.without_outage(entry) {
                None => self.drop_entry(&prefix, End::Outage, step),
                Some(less) if less < tier => self.retier(&prefix, less, expires, Retier::Faded, step),
                Some(_) => {}
            }
        }
    }

    /// The tier at which an entry would be listed now; one that was there before this minute stays at `suppress`
    /// while its standing keeps it up there.
    fn without_outage(&self, entry: &Entry) -> Option<Tier> {
        let prefix = &entry.prefix;
        let shown = if is_unit(prefix) {
            let unit = Unit::of(prefix.address());
            self.wanted(unit, since(self.evidence.of(unit), self.horizon), self.now)
        } else {
            self.prefix_tier(prefix, &self.picture(prefix, self.now), self.least_units(prefix))
        };
        let standing = self.standings.get(prefix).map_or(&[][..], |one| one.witnesses.as_slice());
        let is_old = entry.created + MINUTE <= self.now;
        let stays = is_old.then(|| self.upheld(Tier::Suppress, standing, self.now)).flatten();
        shown.max(stays)
    }

    /// The limit that keeps one more entry of evidence off the list at `now`; one that takes the place of
    /// others needs no room.
    pub(crate) fn limit(&self, replaces: bool, now: Moment) -> Option<Limit> {
        if !replaces && !self.has_room(now) {
            Some(Limit::Entries)
        } else {
            (self.listed_lately(now) >= self.policy.new_per_minute as usize).then_some(Limit::NewPerMinute)
        }
    }

    /// Whether there is room for one more entry at `now`.
    pub(crate) fn has_room(&self, now: Moment) -> bool {
        let max = self.policy.max_entries as usize;
        self.entries.len() < max || self.entries.live(now) < max
    }

    /// Entries that evidence listed within the minute before `now`.
    fn listed_lately(&self, now: Moment) -> usize {
        let begin = self.recent.partition_point(|one| one.at + MINUTE <= now);
        self.recent.range(begin..).filter(|one| one.is_new).count()
    }

    /// Something with a quorum is not listed, for this cause.
    pub(crate) fn withhold(&mut self, prefix: Prefix, cause: Cause, step: &mut Step) {
        let counters = &mut self.counters;
        match cause {
            Cause::Never => counters.withheld_never += 1,
            Cause::Allowed => counters.withheld_allowed += 1,
            Cause::Held => counters.withheld_held += 1,
            Cause::Covered => counters.withheld_covered += 1,
            Cause::Limit(limit) => {
                counters.withheld_limit += 1;
                return self.hold_back(prefix, limit, step);
            }
        }
        // Single units are held back for good cause all the time; a whole prefix is worth a word.
        if !is_unit(&prefix) && self.is_worth_saying(&prefix) {
            let (units, hosts) = self.seen_in(&prefix);
            let by = self.forbidding(&prefix, cause, self.now);
            step.events.push(Event::Withheld { prefix, cause, by, units, hosts });
        }
    }

    /// Whether nothing was said for a window of what is withheld around here: the many blocks of one network would
    /// fill the audit trail.
    fn is_worth_saying(&mut self, prefix: &Prefix) -> bool {
        let around = prefix.widened(self.widest(prefix.is_ipv4()).min(prefix.length()));
        let (now, window) = (self.now, self.policy.window);
        let is_silent = |said: Moment| said + window <= now;
        if self.withheld.get(&around).is_some_and(|said| !is_silent(*said)) {
            return false;
        }
        if self.withheld.len() >= MAX_WITHHELD {
            self.withheld.retain(|_, said| !is_silent(*said));
        }
        self.withheld.len() < MAX_WITHHELD && {
            self.withheld.insert(around, now);
            true
        }
    }

    fn hold_back(&mut self, prefix: Prefix, limit: Limit, step: &mut Step) {
        let held = self.held_back.entry(limit).or_insert(0);
        *held += 1;
        if *held == 1 {
            let max = match limit {
                Limit::Entries => self.policy.max_entries,
                Limit::NewPerMinute => self.policy.new_per_minute,
            };
            step.events.push(Event::LimitReached { limit, max, prefix });
        }
    }

    /// Says so when there is room again, a quarter of all: a limit at which one goes and one comes is reached still.
    pub(crate) fn clear_limits(&mut self, step: &mut Step) {
        let now = self.now;
        if self.units_full && has_a_quarter(self.evidence.len(), self.bounds.units) {
            self.units_full = false;
            step.events.push(Event::UnitsCleared { lost: core::mem::take(&mut self.units_lost) });
        }
        for limit in [Limit::Entries, Limit::NewPerMinute] {
            let is_clear = match limit {
                _ if !self.held_back.contains_key(&limit) => continue,
                Limit::Entries => has_a_quarter(self.entries.live(now), self.policy.max_entries as usize),
                Limit::NewPerMinute => {
                    has_a_quarter(self.listed_lately(now), self.policy.new_per_minute as usize)
                }
            };
            if is_clear && let Some(held) = self.held_back.remove(&limit) {
                step.events.push(Event::LimitCleared { limit, held });
            }
        }
    }

    /// How many units are stuck in `prefix`, and how many hosts saw them.
    fn seen_in(&self, prefix: &Prefix) -> (u32, u32) {
        let picture = self.picture(prefix, self.now);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        (number(picture.units.len()), number(picture.hosts.len()))
    }

    /// Forgets what evidence did over a minute ago.
    pub(crate) fn forget_recent(&mut self) {
        while self.recent.front().is_some_and(|one| one.at + MINUTE <= self.now) {
            self.recent.pop_front();
        }
    }
}

/// Whether a quarter of what there may be is free.
fn has_a_quarter(taken: usize, max: usize) -> bool {
    taken <= max - max.div_ceil(4)
}
