//! What the sensors have counted, for the metrics, and what waits for the next report.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use sekisho_model::{Completed, Hit, Sensor};

use crate::answers::Answers;

/// Counts of one sensor since the start.
#[derive(Debug, Default)]
pub struct LookCounts {
    /// Looks that were made.
    pub passes: AtomicU64,
    /// Looks that failed.
    pub failed: AtomicU64,
    /// Half-open handshakes in the last look.
    pub half_open: AtomicU64,
    /// Units newly seen stuck.
    pub observations: AtomicU64,
    /// What the last look cost, in microseconds.
    pub cost_micros: AtomicU64,
    /// Whether it is used, and the last look worked.
    pub working: AtomicBool,
}

/// Counts since the start, for the metrics, and what others have for the next report.
#[derive(Debug, Default)]
pub struct SensorCounts {
    sock_diag: LookCounts,
    conntrack: LookCounts,
    tracepoint: LookCounts,
    /// Handshakes left out since the agent follows too many already.
    pub truncated: AtomicU64,
    /// Retransmits that were traced and lost: the kernel's buffer was full.
    pub overrun: AtomicU64,
    /// Packets that our rules dropped since the table was made; the keeper's side writes it.
    pub dropped: AtomicU64,
    /// How this host answers SYNs.
    pub answers: Answers,
    /// What was hit and is not reported yet; the keeper's side adds to it.
    pub hits: Mutex<Vec<Hit>>,
    /// Counter-evidence that is not reported yet; the passes for it add to it.
    pub completed: Mutex<Vec<Completed>>,
}

impl SensorCounts {
    /// The counts of one sensor.
    pub fn of(&self, sensor: Sensor) -> &LookCounts {
        match sensor {
            Sensor::SockDiag => &self.sock_diag,
            Sensor::Conntrack => &self.conntrack,
            Sensor::Tracepoint => &self.tracepoint,
        }
    }

    /// Whether this sensor is used, and its last look worked.
    pub fn works(&self, sensor: Sensor) -> bool {
        self.of(sensor).working.load(Ordering::Relaxed)
    }

    /// Half-open handshakes in the last look of a sensor that works.
    pub fn half_open(&self, sensor: Sensor) -> u64 {
        if self.works(sensor) { self.of(sensor).half_open.load(Ordering::Relaxed) } else { 0 }
    }

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
