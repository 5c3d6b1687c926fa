//! What is known of the hosts that need not survive a restart: their streams, and what is in force there.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sekisho_model::{Answers, HostId, Moment, Position, Totals};
use tokio_util::sync::CancellationToken;

use crate::benefit::{Benefit, Sums};

/// One host's present.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    /// Its agent's version.
    pub agent_version: String,
    /// Whether it changes its kernel: "observe" or "enforce".
    pub mode: String,
    /// Whether the log has refused it: there was no room for one more host.
    pub is_refused: bool,
    /// Report streams that are open.
    pub reporting: usize,
    /// Ends the newest report stream.
    pub report_stream: Option<CancellationToken>,
    /// Watch streams that are open.
    pub watching: usize,
    /// What is in force in its kernel, and when it said so.
    pub applied: Option<(Position, Moment)>,
    /// Its last refusal since it last applied something.
    pub refusal: String,
    /// When it last reported.
    pub last_report: Option<Moment>,
    /// The host as a whole, as last reported.
    pub totals: Totals,
    /// What it answered and was spared since this aggregator began.
    pub benefit: Benefit,
}

/// All hosts that were here since the start.
#[derive(Debug, Default)]
pub struct Roster {
    hosts: Mutex<BTreeMap<HostId, Presence>>,
}

impl Roster {
    /// Changes one host's presence, and gives back what `change` gives.
    pub fn update<T>(&self, host: &HostId, change: impl FnOnce(&mut Presence) -> T) -> T {
        let mut hosts = self.lock();
        // No entry API: it would clone the name each time.
        if let Some(presence) = hosts.get_mut(host) {
            return change(presence);
        }
        change(hosts.entry(host.clone()).or_default())
    }

    /// One host's presence; empty when it was not here.
    pub fn get(&self, host: &HostId) -> Presence {
        self.lock().get(host).cloned().unwrap_or_default()
    }

    /// Watch streams of hosts that are open.
    pub fn watching(&self) -> usize {
        self.lock().values().map(|presence| presence.watching).sum()
    }

    /// Hosts whose report stream is open.
    pub fn reporting(&self) -> usize {
        self.lock().values().filter(|presence| presence.reporting > 0).count()
    }

    /// What all hosts answered and were spared.
    pub fn benefit(&self) -> Sums {
        self.lock().values().fold(Sums::default(), |sums, presence| sums.plus(presence.benefit.sums()))
    }

    /// Hosts that report, and of which this is so.
    pub fn answering(&self, so: impl Fn(&Answers) -> bool) -> usize {
        let reporting = |presence: &&Presence| presence.reporting > 0 && so(&presence.totals.answers);
        self.lock().values().filter(reporting).count()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostId, Presence>> {
        // Presence has no invariant over several fields, so a panic elsewhere leaves nothing half-done.
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
