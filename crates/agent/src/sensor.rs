//! The sock_diag sensor: passes over the half-open sockets, on a thread of its own, as often as their cost
//! allows.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sekisho_daemon::readiness::Readiness;
use sekisho_kernel::{Diag, KernelError, Netstat};
use sekisho_model::{Completed, Hit, Totals};
use sekisho_observe::{Observer, poll_interval};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    answers::Answers,
    buffer::{Buffer, Rows},
    completed::Lately,
};

/// Readiness condition of the sensor.
const CONDITION: &str = "sensor";
/// Longest time between two reports, so that the totals stay fresh when nothing is stuck.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Counts since the start, for the metrics, and what the kernel's keeper has for the next report.
#[derive(Debug, Default)]
pub struct SensorCounts {
    /// Passes that were made.
    pub passes: AtomicU64,
    /// Passes that failed.
    pub failed: AtomicU64,
    /// Half-open sockets in the last pass.
    pub half_open: AtomicU64,
    /// Units newly seen stuck.
    pub observations: AtomicU64,
    /// Sockets left out since the agent follows too many already.
    pub truncated: AtomicU64,
    /// What the last pass cost, in microseconds.
    pub cost_micros: AtomicU64,
    /// Packets that our rules dropped since the table was made; the keeper's side writes it.
    pub dropped: AtomicU64,
    /// What was hit and is not reported yet; the keeper's side adds to it.
    pub hits: Mutex<Vec<Hit>>,
    /// How this host answers SYNs.
    pub answers: Answers,
    /// Counter-evidence that is not reported yet; the passes for it add to it.
    pub completed: Mutex<Vec<Completed>>,
}

impl SensorCounts {
    /// What was hit, for whoever adds to it or reports it.
    pub fn hits(&self) -> MutexGuard<'_, Vec<Hit>> {
        // A list of plain values is whole whatever happened to its last holder.
        self.hits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counter-evidence, likewise.
    pub fn completed(&self) -> MutexGuard<'_, Vec<Completed>> {
        self.completed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the sensor's thread. It ends soon after `stop`.
///
/// # Errors
/// When the kernel has no sock_diag, or the thread cannot be started.
pub fn start(
    buffer: Arc<Buffer>,
    counts: Arc<SensorCounts>,
    lately: Arc<Lately>,
    readiness: Readiness,
    stop: CancellationToken,
) -> anyhow::Result<thread::JoinHandle<()>> {
    let sensor = Sensor {
        diag: Diag::open()?,
        observer: Observer::default(),
        buffer,
        counts,
        lately,
        last_report: None,
        truncated: 0,
        stuck_units: 0,
    };
    let runtime = Handle::current();
    readiness.unmet(CONDITION, "no pass over the sockets was made yet");
    Ok(thread::Builder::new().name("sensor".into()).spawn(move || sensor.run(&readiness, &stop, &runtime))?)
}

struct Sensor {
    diag: Diag,
    observer: Observer,
    buffer: Arc<Buffer>,
    counts: Arc<SensorCounts>,
    lately: Arc<Lately>,
    last_report: Option<Instant>,
    truncated: u64,
    stuck_units: u64,
}

impl Sensor {
    fn run(mut self, readiness: &Readiness, stop: &CancellationToken, runtime: &Handle) {
        while !stop.is_cancelled() {
            let begun = Instant::now();
            match self.pass(begun) {
                Ok(()) => readiness.met(CONDITION),
                Err(error) => {
                    self.counts.failed.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(%error, "the half-open sockets cannot be read");
                    readiness.unmet(CONDITION, error.to_string());
                }
            }
            let cost = begun.elapsed();
            self.counts
                .cost_micros
                .store(u64::try_from(cost.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
            // Until the next pass, or the end.
            let rest = poll_interval(cost).saturating_sub(cost);
            drop(runtime.block_on(async { timeout(rest, stop.cancelled()).await }));
        }
    }

    fn pass(&mut self, begun: Instant) -> Result<(), KernelError> {
        let observer = &mut self.observer;
        let pass = self.diag.half_open(|row| observer.row(&row));
        let whole = pass.as_ref().is_ok_and(|stats| !stats.inconsistent);
        // Also after a failure: what was seen is true, only what was not seen is unknown.
        let seen = self.observer.end_pass(whole);
        self.counts.passes.fetch_add(1, Ordering::Relaxed);
        self.counts.half_open.store(seen.half_open, Ordering::Relaxed);
        self.counts.observations.fetch_add(seen.observations.len() as u64, Ordering::Relaxed);
        self.counts.truncated.fetch_add(seen.truncated, Ordering::Relaxed);
        self.counts.answers.take_pass(&seen);
        self.truncated += seen.truncated;
        self.stuck_units += seen.stuck_units;
        self.lately.reported(&seen.observations);
        let due = self.last_report.is_none_or(|last| begun.duration_since(last) >= HEARTBEAT);
        let hits = std::mem::take(&mut *self.counts.hits());
        let completed = std::mem::take(&mut *self.counts.completed());
        if due || !seen.observations.is_empty() || !hits.is_empty() || !completed.is_empty() {
            let totals = self.totals(seen.half_open);
            self.buffer.push(begun, &Rows { observations: seen.observations, hits, completed, totals });
            self.last_report = Some(begun);
        }
        pass.map(drop)
    }

    fn totals(&self, half_open: u64) -> Totals {
        // Containers may hide these files of /proc/net; the observations count without them.
        let netstat = Netstat::read().unwrap_or_default();
        Totals {
            half_open,
            cookies_sent_full: netstat.queue_full_cookies,
            cookies_sent: netstat.cookies_sent,
            truncated: self.truncated,
            dropped_packets: self.counts.dropped.load(Ordering::Relaxed),
            completed: netstat.passive_opens,
            stuck_units: self.stuck_units,
            answers: self.counts.answers.told(),
        }
    }
}
