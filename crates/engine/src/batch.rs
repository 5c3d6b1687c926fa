//! Reports of hosts: evidence, hits and counter-evidence, one row after the other.

use core::hint::black_box;

use sekisho_model::{
    Batch, Completed, Hit, Moment, Observation, Prefix, Tier, Unit,
    limits::{COUNTER_WITNESSES, HOST_UNITS_SHARE, MAX_OBSERVATION_AGE},
};

use crate::{
    blocks::block_of,
    checkpoint::CounterSighting,
    engine::Engine,
    evidence::{Noted, Spot, WARMED},
    news::FRESH_SHARE,
    outcome::{Event, Retier},
    step::Step,
    witness::{Keep, Sighting},
};

/// Who reports, and when it was seen.
#[derive(Clone, Copy)]
struct Report {
    host: u32,
    seen: Moment,
    /// Whether a single socket counts.
    counts: bool,
    /// How much of a unit's witnesses is kept.
    keep: Keep<'static>,
}

impl Engine {
    /// Takes a batch in, unless the log holds its sequence already.
    pub(crate) fn take_batch(&mut self, batch: &Batch, step: &mut Step) {
        let Some(host) = self.hosts.number_or_add(&batch.host, self.bounds.hosts) else {
            self.counters.refused_hosts += 1;
            return;
        };
        let now = self.now;
        let Some(grown) = self.hosts.by_number_mut(host).and_then(|record| record.advance(batch, now)) else {
            self.counters.duplicate_batches += 1;
            return;
        };
        self.counters.batches += 1;
        step.rows += batch.observations.len() + batch.hits.len() + batch.completed.len();
        // Of an old batch only the totals are taken.
        let is_recent = self.is_recent(batch, now);
        let rows = if is_recent { &batch.observations[..] } else { &[] };
        self.judge_host(host, rows, grown, now - batch.age, step);
        self.refresh_chance(step);
        if !is_recent {
            self.counters.stale_observations += batch.observations.len() as u64;
            self.counters.ignored_hits += batch.hits.len() as u64;
            return;
        }
        let flooded = self.hosts.by_number(host).is_some_and(|record| record.is_flooded(now));
        let report = Report { host, seen: now - batch.age, counts: !flooded, keep: self.keep() };
        if self.hosts.is_in_outage(host, now) {
            let ignored = (batch.observations.len() + batch.hits.len()) as u64;
            self.counters.outage_rows += ignored;
            if let Some(record) = self.hosts.by_number_mut(host) {
                record.held.ignored += ignored;
            }
        } else {
            self.take_rows(report, batch, step);
        }
        for row in &batch.completed {
            self.take_completed(report, row, step);
        }
    }

    /// Whether what `batch` saw still counts when it is taken at `now`.
    pub(crate) fn is_recent(&self, batch: &Batch, now: Moment) -> bool {
        batch.age <= MAX_OBSERVATION_AGE && now - batch.age >= self.horizon_at(now)
    }

    fn take_rows(&mut self, report: Report, batch: &Batch, step: &mut Step) {
        for rows in batch.observations.chunks(WARMED) {
            let (units, mut sum) = (rows.iter().map(|row| row.unit), 0);
            let spots = self.evidence.warm(units, report.host, |unit| sum ^= self.blocks.touch(unit));
            black_box(sum);
            for (row, spot) in rows.iter().zip(spots) {
                self.take_observation(report, row, spot, step);
            }
        }
        for hit in &batch.hits {
            self.take_hit(report, hit, step);
        }
    }

    fn take_observation(&mut self, report: Report, row: &Observation, spot: Spot, step: &mut Step) {
        if row.retransmits < self.policy.min_retransmits {
            self.counters.weak_observations += 1;
            return;
        }
        self.counters.observations += 1;
        let sockets = u8::try_from(row.sockets).unwrap_or(u8::MAX);
        let counts = report.counts || sockets > 1;
        if let Some(record) = self.hosts.by_number_mut(report.host) {
            record.observations += 1;
            record.held.uncounted += u64::from(!counts);
        }
        let new = Sighting::new(report.host, report.seen, row.retransmits, sockets, counts);
        self.sight(report, (row.unit, spot), new, step);
    }

    /// A packet that a rule at suppress dropped was a retransmit: as good as one that was seen.
    fn take_hit(&mut self, report: Report, row: &Hit, step: &mut Step) {
        if row.tier == Tier::Suppress && self.policy.min_retransmits == 1 {
            let sockets = u32::try_from(row.packets).unwrap_or(u32::MAX);
            return self.take_observation(
                report,
                &Observation { unit: row.unit, sockets, retransmits: 1 },
                Spot::NONE,
                step,
            );
        }
        let listed = if self.is_listed(row.unit) {
            Some(row.unit.prefix())
        } else {
            self.standings.wide_over(row.unit)
        };
        let Some(listed) = listed else {
            self.counters.ignored_hits += 1;
            return;
        };
        self.counters.hits += 1;
        self.uphold(report, &listed);
        self.follow_up(row.unit, &listed, step);
    }

    /// Takes a sighting in, if there is room for it, and does what comes of it.
    fn sight(&mut self, report: Report, (unit, spot): (Unit, Spot), new: Sighting, step: &mut Step) {
        let Some(noted) = self.note(report, (unit, spot), new, step) else { return };
        if !noted.is_listed
            && let Some(wide) = self.standings.wide_over(unit)
        {
            self.uphold(report, &wide);
            return self.follow_up(unit, &wide, step);
        }
        if noted.is_listed {
            self.uphold(report, &unit.prefix());
        }
        if noted.is_news {
            self.watch_block(unit, step);
        }
        let decision = self.decide_seen(unit, self.evidence.sightings(noted), noted.is_listed, self.now);
        self.enact(decision, unit, step);
    }

    fn note(
        &mut self,
        report: Report,
        (unit, spot): (Unit, Spot),
        new: Sighting,
        step: &mut Step,
    ) -> Option<Noted> {
        if !self.evidence.is_tracked(unit, spot) && !self.make_room(report.host, step) {
            self.counters.untracked += 1;
            return None;
        }
        let lately = report.seen - self.policy.window / FRESH_SHARE;
        let (keep, standings) = (report.keep.in_zones(self.hosts.zone_of()), &self.standings);
        let noted =
            self.evidence.note((unit, spot), new, lately, keep, || standings.get(&unit.prefix()).is_some());
        if noted.is_new {
            self.blocks.add(unit);
        }
        if matches!(unit, Unit::V4(_)) {
            if noted.is_first {
                self.seen_rate.note(self.now);
            }
            if noted.is_first_counting {
                self.counted_rate.note(self.now);
            }
        }
        Some(noted)
    }

    /// Makes room for a new unit of `host`. False if it brought too many already.
    fn make_room(&mut self, host: u32, step: &mut Step) -> bool {
        let share = (self.bounds.units / HOST_UNITS_SHARE).max(1);
        let owned = self.evidence.owned_by(host);
        if let Some(record) = self.hosts.by_number_mut(host) {
            if owned >= share {
                record.held.untracked += 1;
                if !core::mem::replace(&mut record.is_limited, true) {
                    step.events.push(Event::HostLimited { host: record.id.clone(), max: share as u64 });
                }
                return false;
            }
            if record.is_limited && owned < share / 2 {
                record.is_limited = false;
                let untracked = core::mem::take(&mut record.held.untracked);
                step.events.push(Event::HostUnlimited { host: record.id.clone(), untracked });
            }
        }
        if self.evidence.is_full()
            && let Some((gone, was_fresh)) = self.evidence.evict(self.horizon)
        {
            self.blocks.remove(gone);
            if was_fresh {
                self.counters.evicted_units += 1;
                self.units_lost += 1;
                if !core::mem::replace(&mut self.units_full, true) {
                    step.events.push(Event::UnitsFull { max: self.bounds.units as u64 });
                }
            }
        }
        true
    }

    /// A host saw or hit something in the entry at `prefix`.
    fn uphold(&mut self, report: Report, prefix: &Prefix) {
        let new = Sighting::new(report.host, report.seen, 0, 0, true);
        self.standings.note(prefix, new, report.keep.in_zones(self.hosts.zone_of()));
    }

    /// Something was seen or hit in the entry of evidence at `listed`: of a unit at once, of a prefix when the
    /// blocks are looked at.
    fn follow_up(&mut self, unit: Unit, listed: &Prefix, step: &mut Step) {
        if *listed == unit.prefix() {
            self.act(unit, step);
        } else {
            self.blocks.enqueue(block_of(unit));
        }
    }

    fn take_completed(&mut self, report: Report, row: &Completed, step: &mut Step) {
        self.counters.completed += 1;
        let connections = row.connections;
        let new = CounterSighting { host: report.host, seen: report.seen, connections };
        let covering = self.entries.covering(&row.unit.prefix(), self.now).next();
        let listed = covering.map(|entry| (entry.prefix, entry.tier, entry.expires, entry.created));
        let may_move =
            covering.is_some_and(|entry| entry.reason.is_evidence() && entry.tier > Tier::Suppress);
        // What is fresh, and of this listing.
        let since = listed.map_or(self.horizon, |(.., created)| self.horizon.max(created));
        let known = self.counter.of(row.unit, since);
        let is_news = known.len() < COUNTER_WITNESSES && known.iter().all(|one| one.host != report.host);
        if !self.counter.note(row.unit, new, self.horizon) {
            self.counters.ignored_completed += 1;
            return;
        }
        let Some((prefix, tier, expires, created)) = listed else { return };
        if is_news
            && report.seen >= created
            && let Some(record) = self.hosts.by_number(report.host)
        {
            self.counters.objections += 1;
            let host = record.id.clone();
            step.events.push(Event::Objected { host, unit: row.unit, connections, prefix, tier });
        }
        if may_move {
            self.retier(&prefix, Tier::Suppress, expires, Retier::CounterEvidence, step);
        }
    }
}
