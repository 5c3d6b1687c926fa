//! The place of one sensor: in use or not, why not, and when it is looked at next.

use std::time::{Duration, Instant};

use sekisho_daemon::exit::usage;
use sekisho_model::{Row, Sensor, limits::SENSOR_AGAIN};

use super::source::{self, Look, Source, Unused};
use crate::settings::SensorChoice;

/// How long after a look that failed the sensor is opened anew.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// One sensor that was chosen.
pub(super) struct Slot {
    sensor: Sensor,
    /// Chosen by ourselves, not by name.
    by_itself: bool,
    source: Option<Box<dyn Source>>,
    due: Instant,
    /// What went wrong at the last look.
    failure: Option<String>,
    /// Why it is not in use, as far as that was said.
    said: Option<Unused>,
}

/// What became of a step.
pub(super) enum Outcome {
    /// It is not in use.
    Unused,
    /// It looked.
    Looked(Look),
    /// It looked and failed; some rows may have been given.
    Failed,
}

/// A slot for each sensor that was chosen, those that can be used being in use.
///
/// # Errors
/// When one that was named cannot be used, and never will, or none at all is in use or may come to be.
pub(super) fn all(choice: &SensorChoice) -> anyhow::Result<Vec<Slot>> {
    let by_itself = choice.is_auto();
    let mut slots = Vec::new();
    for sensor in choice.sensors() {
        let (due, failure, said) = (Instant::now(), None, None);
        let mut slot = Slot { sensor, by_itself, source: None, due, failure, said };
        if let Err(Unused::Never(why)) = slot.open()
            && !by_itself
        {
            return Err(usage(format!("--sensors {}: {why}", sensor.as_str())));
        }
        slots.push(slot);
    }
    if by_itself && !slots.iter().any(Slot::in_use) {
        anyhow::bail!("no sensor can be used on this host; the lines before this one say why for each");
    }
    Ok(slots)
}

/// What keeps the sensors from being ready: one that fails, or none being in use.
pub(super) fn trouble(slots: &[Slot]) -> Option<String> {
    let failing = slots.iter().find_map(|slot| slot.failure.clone());
    failing.or_else(|| {
        let none = !slots.iter().any(Slot::in_use);
        none.then(|| "no sensor is in use yet".to_owned())
    })
}

impl Slot {
    pub(super) fn sensor(&self) -> Sensor {
        self.sensor
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn in_use(&self) -> bool {
        self.source.is_some()
    }

    /// Looks, or tries to use the sensor if it is not in use.
    pub(super) fn step(&mut self, each: &mut dyn FnMut(Row)) -> Outcome {
        if self.source.is_none() && self.open().is_err() {
            return Outcome::Unused;
        }
        let Some(source) = &mut self.source else { return Outcome::Unused };
        match source.look(each) {
            Ok(look) => {
                self.failure = None;
                Outcome::Looked(look)
            }
            Err(error) => {
                tracing::error!(sensor = self.sensor.as_str(), %error, "half-open handshakes cannot be read");
                self.failure = Some(format!("{}: {error}", self.sensor.as_str()));
                // It may be in the middle of an answer.
                self.source = None;
                Outcome::Failed
            }
        }
    }

    /// A look that began at `begun` has taken `cost`.
    pub(super) fn wait(&mut self, begun: Instant, cost: Duration) {
        let interval = self.source.as_ref().map_or(AFTER_FAILURE, |source| source.interval(cost));
        self.due = begun + interval;
    }

    /// Takes it into use, and says once why not.
    fn open(&mut self) -> Result<(), Unused> {
        let opened = source::open(self.sensor, self.by_itself);
        let sensor = self.sensor.as_str();
        match opened {
            Ok(source) => {
                debug_assert_eq!(source.sensor(), self.sensor);
                tracing::info!(sensor, "sensor in use");
                (self.source, self.said) = (Some(source), None);
                Ok(())
            }
            Err(unused) => {
                self.due = Instant::now() + SENSOR_AGAIN;
                if self.said.replace(unused.clone()).as_ref() != Some(&unused) {
                    tracing::info!(sensor, why = %unused, "sensor not used");
                }
                Err(unused)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sekisho_kernel::KernelError;

    use super::*;

    struct Fails;

    impl Source for Fails {
        fn sensor(&self) -> Sensor {
            Sensor::SockDiag
        }

        fn look(&mut self, _each: &mut dyn FnMut(Row)) -> Result<Look, KernelError> {
            Err(KernelError::NoSockDiag)
        }

        fn interval(&self, _cost: Duration) -> Duration {
            Duration::from_secs(5)
        }
    }

    #[test]
    fn a_sensor_that_fails_is_not_ready_and_opened_anew() {
        let (due, failure, said) = (Instant::now(), None, None);
        let source: Option<Box<dyn Source>> = Some(Box::new(Fails));
        let mut slots = [Slot { sensor: Sensor::SockDiag, by_itself: true, source, due, failure, said }];
        assert_eq!(trouble(&slots), None);
        assert!(matches!(slots[0].step(&mut |_| ()), Outcome::Failed));
        assert!(trouble(&slots).is_some_and(|why| why.starts_with("sock_diag: ")));
        slots[0].wait(due, Duration::ZERO);
        assert_eq!(slots[0].due(), due + AFTER_FAILURE);
        // The real one, which needs no privilege.
        assert!(matches!(slots[0].step(&mut |_| ()), Outcome::Looked(Look { .. })));
        assert_eq!(trouble(&slots), None);
    }
}
