//! Reports of hosts: evidence and hits, one row after the other.

use sekisho_model::{Batch, Hit, Moment, Observation, limits::MAX_OBSERVATION_AGE};

use crate::{engine::Engine, step::Step, witness::Sighting};

/// Who reports, and when it was seen.
#[derive(Clone, Copy)]
struct Report {
    host: u32,
    seen: Moment,
}

impl Engine {
    /// Takes a batch in, unless the log holds its sequence already.
    pub(crate) fn take_batch(&mut self, batch: &Batch, step: &mut Step) {
        let Some(host) = self.hosts.number_or_add(&batch.host, self.bounds.hosts) else {
            self.counters.refused_hosts += 1;
            return;
        };
        let now = self.now;
        if !self.hosts.by_number_mut(host).is_some_and(|record| record.advance(batch, now)) {
            self.counters.duplicate_batches += 1;
            return;
        }
        self.counters.batches += 1;
        step.rows += batch.observations.len() + batch.hits.len();
        if !self.is_recent(batch, self.now) {
            self.counters.stale_observations += batch.observations.len() as u64;
            self.counters.ignored_hits += batch.hits.len() as u64;
            return;
        }
        let report = Report { host, seen: self.now - batch.age };
        for observation in &batch.observations {
            self.take_observation(report, observation, step);
        }
        for hit in &batch.hits {
            self.take_hit(report, hit, step);
        }
    }

    /// Whether what `batch` saw still counts when it is taken at `now`.
    pub(crate) fn is_recent(&self, batch: &Batch, now: Moment) -> bool {
        batch.age <= MAX_OBSERVATION_AGE && now - batch.age >= self.horizon_at(now)
    }

    fn take_observation(&mut self, report: Report, row: &Observation, step: &mut Step) {
        if row.retransmits < self.policy.min_retransmits {
            self.counters.weak_observations += 1;
            return;
        }
        self.counters.observations += 1;
        if let Some(record) = self.hosts.by_number_mut(report.host) {
            record.observations += 1;
        }
        let new = Sighting { seen: report.seen, host: report.host, retransmits: row.retransmits };
        let evicted = self.evidence.note(row.unit, new, self.kept(), self.horizon);
        self.counters.evicted_units += u64::from(evicted);
        self.act(row.unit, step);
    }

    fn take_hit(&mut self, report: Report, row: &Hit, step: &mut Step) {
        let new = Sighting { seen: report.seen, host: report.host, retransmits: 0 };
        if self.hits.note(row.unit, new, self.kept(), self.horizon) {
            self.counters.hits += 1;
            self.act(row.unit, step);
        } else {
            self.counters.ignored_hits += 1;
        }
    }
}
