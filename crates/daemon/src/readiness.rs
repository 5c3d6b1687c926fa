//! Whether the process does its job: named conditions, each with the reason why it does not hold.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Shared by everything that can be unready. Ready when no condition is unmet.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    unmet: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Readiness {
    /// `condition` does not hold, for this reason.
    pub fn unmet(&self, condition: &'static str, why: impl Into<String>) {
        self.lock().insert(condition, why.into());
    }

    /// `condition` holds.
    pub fn met(&self, condition: &'static str) {
        self.lock().remove(condition);
    }

    /// Every unmet condition as `condition: why`, one a line; empty when ready.
    pub fn problems(&self) -> String {
        self.lock().iter().map(|(condition, why)| format!("{condition}: {why}\n")).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, String>> {
        // The map is whole after every operation, so a panic elsewhere cannot have left it half-changed.
        self.unmet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_condition_holds() {
        let readiness = Readiness::default();
        assert_eq!(readiness.problems(), "");
        readiness.unmet("log", "disk full");
        readiness.unmet("feed", "no aggregator");
        readiness.met("feed");
        assert_eq!(readiness.problems(), "log: disk full\n");
        readiness.met("log");
        assert_eq!(readiness.problems(), "");
    }
}
