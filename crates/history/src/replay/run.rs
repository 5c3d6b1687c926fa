//! The two engines in lockstep over each log entry.

use std::{ops::ControlFlow, time::Instant};

use sekisho_engine::Engine;
use sekisho_model::{Input, LogEntry, Moment, OrderKind, Policy, Revision};
use sekisho_store::Reader;

use super::{
    Progress, ReplayError, Replayed, Summary,
    begin::{self, Beginning},
    caveats::Caveats,
    listings::Listings,
};
use crate::records;

/// Bytes of the log that are read at a time.
const PAGE_BYTES: usize = 4 << 20;

/// Runs the log from before `from` to its end.
pub(super) fn run(
    reader: &Reader,
    policy: Policy,
    from: Option<Moment>,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Replayed, ReplayError> {
    let begun = Instant::now();
    let Beginning { engine, mut next, last } = begin::begin(reader, from)?;
    let total = u64::try_from(last.0 + 1 - next.0).unwrap_or(0);
    let mut run = Run { was: engine, would: None, policy, from, done: 0, observations: 0 };
    while next <= last {
        for record in reader.records(next, PAGE_BYTES)?.into_iter().take_while(|one| one.index <= last) {
            next = Revision(record.index.0 + 1);
            run.take(records::entry(&record)?);
        }
        let told = progress(Progress { done: run.done, total, time: run.was.now() });
        if told.is_break() {
            return Err(ReplayError::Stopped);
        }
        run.look();
    }
    Ok(run.end(begun))
}

struct Run {
    /// As it was.
    was: Engine,
    /// As it would have been, from where it is compared on.
    would: Option<Would>,
    policy: Policy,
    from: Option<Moment>,
    done: u64,
    observations: u64,
}

struct Would {
    engine: Engine,
    start: Moment,
    listings: Listings,
    caveats: Caveats,
}

impl Run {
    fn take(&mut self, mut entry: LogEntry) {
        self.done += 1;
        self.observations += entry.inputs.iter().map(observations).sum::<u64>();
        let first = self.would.is_none() && self.from.is_none_or(|from| entry.time >= from);
        if first {
            self.double(entry.time);
        }
        let outcome = self.was.handle(&entry);
        let Some(would) = &mut self.would else { return };
        would.listings.happened(outcome.delta.as_ref(), self.was.now());
        let inputs = entry.inputs.len();
        entry.inputs.retain(|input| !sets_policy(input));
        let was_set = inputs > entry.inputs.len();
        // A policy that is in force already is not put in force again: nothing else is to differ then.
        if first && *would.engine.policy() != self.policy {
            entry.inputs.insert(0, Input::Policy(self.policy.clone()));
        }
        let outcome = would.engine.handle(&entry);
        would.listings.would_have(outcome.delta.as_ref(), would.engine.now());
        if first || was_set {
            self.look();
        }
    }

    /// From here on it is compared.
    fn double(&mut self, start: Moment) {
        let state = self.was.checkpoint();
        let caveats = Caveats::at_start(&state, &self.policy, self.from, start);
        let engine = begin::seeded(Engine::restore(state));
        let listings = Listings::of(self.was.entries_from(None));
        self.would = Some(Would { engine, start, listings, caveats });
    }

    /// Notes what the log lacks.
    fn look(&mut self) {
        if let Some(would) = &mut self.would {
            would.caveats.look(&self.was, &would.engine);
        }
    }

    fn end(self, begun: Instant) -> Replayed {
        let end = self.was.now();
        let none = summary(end, self.done, self.observations, begun);
        let Some(would) = self.would else {
            let caveats = vec!["nothing was logged since then: there is nothing to compare".into()];
            return Replayed { differences: Vec::new(), summary: Summary { caveats, ..none } };
        };
        let Would { start, listings, mut caveats, .. } = would;
        let compared = listings.compared();
        caveats.at_end(&compared);
        let summary = Summary {
            start,
            happened: compared.happened,
            would_have: compared.would_have,
            in_both: compared.in_both,
            differences: compared.differences.len() as u64 + compared.left_out,
            left_out: compared.left_out,
            caveats: caveats.texts(),
            ..none
        };
        Replayed { differences: compared.differences, summary }
    }
}

/// A summary without differences.
fn summary(end: Moment, log_entries: u64, observations: u64, begun: Instant) -> Summary {
    Summary {
        start: end,
        end,
        log_entries,
        observations,
        happened: 0,
        would_have: 0,
        in_both: 0,
        differences: 0,
        left_out: 0,
        elapsed: begun.elapsed(),
        caveats: Vec::new(),
    }
}

fn observations(input: &Input) -> u64 {
    if let Input::Batch(batch) = input { batch.observations.len() as u64 } else { 0 }
}

fn sets_policy(input: &Input) -> bool {
    match input {
        Input::Policy(_) => true,
        Input::Order(order) => matches!(order.kind, OrderKind::SetPolicy(_)),
        _ => false,
    }
}
