//! The passes for counter-evidence, on a thread of their own: which of the units that this host reports, and of
//! what is listed, have completed connections with it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sekisho_kernel::{Diag, KernelError};
use sekisho_model::{Moment, Observation, Prefix, Unit, limits::MAX_COMPLETED_PREFIXES};
use sekisho_observe::{Candidates, CounterEvidence, completed_interval};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{desk::Desk, sensor::SensorCounts};

/// Counts since the start, for the metrics.
#[derive(Debug, Default)]
pub struct CompletedCounts {
    /// Passes that were made.
    pub passes: AtomicU64,
    /// Passes that failed.
    pub failed: AtomicU64,
    /// Units that were told of.
    pub units: AtomicU64,
    /// What was left out since there is too much of it.
    pub truncated: AtomicU64,
    /// What the last pass cost, in microseconds.
    pub cost_micros: AtomicU64,
}

/// What this host reported lately: the sensor adds to it, the passes ask about it.
#[derive(Debug)]
pub struct Lately {
    begun: Instant,
    units: Mutex<Candidates>,
}

impl Default for Lately {
    fn default() -> Self {
        Self { begun: Instant::now(), units: Mutex::default() }
    }
}

impl Lately {
    /// These were reported just now.
    pub fn reported(&self, observations: &[Observation]) {
        let (now, mut units) = (self.now(), self.units.lock().unwrap_or_else(PoisonError::into_inner));
        for observation in observations {
            units.reported(observation.unit, now);
        }
    }

    fn next(&self, limit: usize) -> Vec<Unit> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner).next(limit, self.now())
    }

    fn now(&self) -> Moment {
        Moment::EPOCH + self.begun.elapsed()
    }
}

/// Starts the thread. It ends soon after `stop`.
///
/// # Errors
/// When the kernel has no sock_diag, or the thread cannot be started.
pub fn start(
    lately: Arc<Lately>,
    desk: Option<Desk>,
    reports: Arc<SensorCounts>,
    counts: Arc<CompletedCounts>,
    stop: CancellationToken,
) -> anyhow::Result<thread::JoinHandle<()>> {
    let (diag, runtime) = (Diag::open()?, Handle::current());
    let seeker =
        Seeker { diag, evidence: CounterEvidence::default(), lately, desk, reports, counts, runtime };
    Ok(thread::Builder::new().name("completed".into()).spawn(move || seeker.run(&stop))?)
}

struct Seeker {
    diag: Diag,
    evidence: CounterEvidence,
    lately: Arc<Lately>,
    /// None where nothing is enforced, and so nothing is known of the list.
    desk: Option<Desk>,
    reports: Arc<SensorCounts>,
    counts: Arc<CompletedCounts>,
    runtime: Handle,
}

impl Seeker {
    fn run(mut self, stop: &CancellationToken) {
        let mut rest = completed_interval(Duration::ZERO);
        loop {
            drop(self.runtime.block_on(async { timeout(rest, stop.cancelled()).await }));
            if stop.is_cancelled() {
                return;
            }
            let asked = self.asked();
            let begun = Instant::now();
            if let Err(error) = self.pass(&asked) {
                self.counts.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "completed connections cannot be read; honest clients are not spoken for");
            }
            let cost = begun.elapsed();
            let micros = u64::try_from(cost.as_micros()).unwrap_or(u64::MAX);
            self.counts.cost_micros.store(micros, Ordering::Relaxed);
            rest = completed_interval(cost).saturating_sub(cost);
        }
    }

    /// What the next pass asks about: of what is listed at most a half, unless nothing else is there.
    fn asked(&self) -> Vec<Prefix> {
        let half = MAX_COMPLETED_PREFIXES / 2;
        let mut asked = self.listed(half);
        let own = self.lately.next(MAX_COMPLETED_PREFIXES - asked.len());
        asked.extend(own.into_iter().map(Unit::prefix));
        if asked.len() < MAX_COMPLETED_PREFIXES {
            asked.extend(self.listed(MAX_COMPLETED_PREFIXES - asked.len()));
        }
        asked
    }

    fn listed(&self, limit: usize) -> Vec<Prefix> {
        let Some(desk) = &self.desk else { return Vec::new() };
        self.runtime.block_on(desk.listed(limit)).unwrap_or_default()
    }

    fn pass(&mut self, asked: &[Prefix]) -> Result<(), KernelError> {
        if asked.is_empty() {
            return Ok(());
        }
        let evidence = &mut self.evidence;
        let pass = self.diag.completed(asked, |peer| evidence.connection(peer));
        // Also after a failure, and where the table changed meanwhile: what was seen is true.
        let proof = self.evidence.end_pass(self.lately.now());
        self.counts.passes.fetch_add(1, Ordering::Relaxed);
        self.counts.units.fetch_add(proof.completed.len() as u64, Ordering::Relaxed);
        self.counts.truncated.fetch_add(proof.truncated, Ordering::Relaxed);
        if !proof.completed.is_empty() {
            if let Some(desk) = &self.desk {
                // A keeper that has ended has said so itself.
                let _ = self.runtime.block_on(desk.object(proof.completed.clone()));
            }
            self.reports.completed().extend(proof.completed);
        }
        pass.map(drop)
    }
}
