//! Sources of rows behind one seam: what a sensor is, whether this host has it, and how often it may look.

use std::time::Duration;

use sekisho_kernel::{Conntrack, Diag, KernelError, Tracepoint, Tracked, tracepoint};
use sekisho_model::{Flags, Row, Sensor, Truncation, limits::TRACE_INTERVAL};
use sekisho_observe::{poll_interval, tracked_interval};

/// What a look was like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// Whether it saw all that the sensor can see, so that what it did not see is gone.
    pub whole: bool,
    /// Why it may lack handshakes.
    pub truncated_by: Flags<Truncation>,
    /// Rows that are known to be lost.
    pub lost: u64,
}

/// A sensor that is in use.
pub trait Source: Send {
    /// Which one.
    fn sensor(&self) -> Sensor;
    /// Gives every row that there is now to `each`.
    fn look(&mut self, each: &mut dyn FnMut(Row)) -> Result<Look, KernelError>;
    /// How long to wait after a look that took `cost`, from its beginning.
    fn interval(&self, cost: Duration) -> Duration;
}

/// Why a sensor is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unused {
    /// What it looks at is not there, and may come later.
    #[error("{0}")]
    NotYet(&'static str),
    /// It cannot be used, or should not.
    #[error("{0}")]
    Never(String),
}

impl From<KernelError> for Unused {
    fn from(error: KernelError) -> Self {
        Self::Never(error.to_string())
    }
}

/// Takes a sensor into use. What was not asked for by name (`by_itself`) is used only where it can do no harm.
///
/// # Errors
/// Why it is not used.
pub fn open(sensor: Sensor, by_itself: bool) -> Result<Box<dyn Source>, Unused> {
    Ok(match sensor {
        Sensor::SockDiag => Box::new(Diag::open()?),
        Sensor::Conntrack => Box::new(conntrack()?),
        Sensor::Tracepoint if by_itself && !tracepoint::in_first_namespace() => {
            return Err(Unused::Never(
                "this agent is not in the machine's first network namespace, and the tracepoint would show it the \
                 handshakes of all others; with --sensors tracepoint it is used anyway"
                    .to_owned(),
            ));
        }
        Sensor::Tracepoint => Box::new(Tracepoint::open()?),
    })
}

/// Asking would load the tracking where it is not loaded; where it is and nothing uses it, there is nothing to see.
fn conntrack() -> Result<Conntrack, Unused> {
    match Tracked::read() {
        None => {
            Err(Unused::NotYet("connection tracking is not loaded, and is never loaded for Sekisho alone"))
        }
        Some(Tracked { count: 0, .. }) => {
            Err(Unused::NotYet("no connections are tracked in this network namespace"))
        }
        Some(_) => {
            let mut conntrack = Conntrack::open()?;
            conntrack.half_open(|_| ())?;
            Ok(conntrack)
        }
    }
}

impl Source for Diag {
    fn sensor(&self) -> Sensor {
        Sensor::SockDiag
    }

    fn look(&mut self, each: &mut dyn FnMut(Row)) -> Result<Look, KernelError> {
        let pass = self.half_open(each)?;
        Ok(consistent(!pass.inconsistent))
    }

    fn interval(&self, cost: Duration) -> Duration {
        poll_interval(cost)
    }
}

impl Source for Conntrack {
    fn sensor(&self) -> Sensor {
        Sensor::Conntrack
    }

    fn look(&mut self, each: &mut dyn FnMut(Row)) -> Result<Look, KernelError> {
        let pass = self.half_open(each)?;
        let full = Tracked::read().is_some_and(|tracked| tracked.count >= tracked.limit);
        let mut look = consistent(!pass.inconsistent);
        look.truncated_by = look.truncated_by.with_if(Truncation::TrackingFull, full);
        Ok(look)
    }

    fn interval(&self, cost: Duration) -> Duration {
        tracked_interval(cost)
    }
}

impl Source for Tracepoint {
    fn sensor(&self) -> Sensor {
        Sensor::Tracepoint
    }

    fn look(&mut self, each: &mut dyn FnMut(Row)) -> Result<Look, KernelError> {
        let read = self.read(each)?;
        let truncated_by = Flags::default().with_if(Truncation::TraceOverrun, read.overrun);
        Ok(Look { whole: false, truncated_by, lost: read.lost })
    }

    /// Each event is read once, so that the cost is that of the events, whatever the interval.
    fn interval(&self, _cost: Duration) -> Duration {
        TRACE_INTERVAL
    }
}

fn consistent(whole: bool) -> Look {
    Look { whole, truncated_by: Flags::default().with_if(Truncation::Inconsistent, !whole), lost: 0 }
}
