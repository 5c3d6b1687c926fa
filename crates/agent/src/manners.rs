//! The agent's manners towards its host, wired together: what it does beside keeping the list in force.

use std::{path::Path, sync::Arc, thread::JoinHandle};

use opentelemetry::metrics::Meter;
use sekisho_kernel::sysctl;
use tokio_util::sync::CancellationToken;

use crate::{
    endings::{self, Endings},
    metrics,
    retries::{self, Wish},
    sensor::SensorCounts,
};

/// The threads of it.
#[derive(Debug, Default)]
pub struct Manners(Vec<JoinHandle<()>>);

impl Manners {
    /// Starts what enforcing brings with it.
    ///
    /// # Errors
    /// What keeps a thread from being started.
    pub fn enforcing(
        endings: &Arc<Endings>,
        wish: Wish,
        state_dir: &Path,
        sensor: &Arc<SensorCounts>,
        meter: &Meter,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let counts = Arc::default();
        metrics::of_the_endings(meter, endings);
        metrics::of_the_retries(meter, &counts);
        let ender = endings::start(endings.clone(), stop.clone())?;
        let keeper = retries::start(wish, state_dir, sensor.clone(), counts, stop.clone())?;
        Ok(Self(ender.into_iter().chain([keeper]).collect()))
    }

    /// What is left to do where nothing is changed.
    pub fn observing(state_dir: Option<&Path>, sensor: &SensorCounts) -> Self {
        if let Some(dir) = state_dir {
            retries::recover(dir);
        }
        if let Ok(retries) = sysctl::synack_retries() {
            sensor.answers.retries(retries, retries);
        }
        Self::default()
    }

    /// Waits until all of them have ended.
    ///
    /// # Errors
    /// When one panicked.
    pub fn join(self) -> std::thread::Result<()> {
        self.0.into_iter().try_for_each(JoinHandle::join)
    }
}
