//! Hosts whose path is broken: they complete far less than usual while unrelated networks get stuck.

use alloc::vec::Vec;

use sekisho_model::{Batch, Moment, Prefix, Reason, Unit};

use super::Naive;
use crate::{End, Event};

/// What a host usually completes, and what it has completed since it was last judged.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter {
    taken: Option<Moment>,
    /// Thousandths of a handshake a second.
    usual: Option<u64>,
    millis: u64,
    completed: u64,
    networks: Vec<Prefix>,
}

impl Naive {
    pub(super) fn judge_path(&mut self, host: usize, batch: &Batch) {
        let now = self.now;
        let one = &mut self.hosts[host];
        let totals = one.totals;
        let meter = &mut one.meter;
        let before = meter.taken.replace(now);
        let (Some((last, new)), Some(before)) = (totals, before) else {
            (meter.millis, meter.completed) = (0, 0);
            meter.networks.clear();
            return;
        };
        meter.millis += now.since(before).as_millis() as u64;
        meter.completed += new.completed.saturating_sub(last.completed);
        for row in batch.observations.iter().filter(|row| row.sockets > 0) {
            let network = row.unit.prefix().widened(if row.unit.prefix().is_ipv4() { 16 } else { 48 });
            if !meter.networks.contains(&network) {
                meter.networks.push(network);
            }
        }
        if meter.millis < 2_000 {
            return;
        }
        let rate = meter.completed * 1_000_000 / meter.millis;
        let Some(usual) = meter.usual else {
            meter.usual = Some(rate);
            self.reset(host);
            return;
        };
        let expected = usual * meter.millis / 1_000_000;
        if usual > 0 && expected < 8 {
            return;
        }
        let completed = meter.completed;
        let is_broken = usual > 0 && completed * 4 < expected && meter.networks.len() >= 8;
        if !is_broken {
            let (weight, span) = (meter.millis.min(600_000), 600_000);
            meter.usual = Some((usual * (span - weight) + rate * weight) / span);
        }
        self.reset(host);
        if is_broken {
            self.begin_outage(host, completed, expected);
        }
    }

    fn reset(&mut self, host: usize) {
        let meter = &mut self.hosts[host].meter;
        (meter.millis, meter.completed) = (0, 0);
        meter.networks.clear();
    }

    fn begin_outage(&mut self, host: usize, completed: u64, expected: u64) {
        let is_new = !self.is_in_outage(host);
        self.hosts[host].outage_until = Some(self.now + self.policy.window);
        if is_new {
            let host = self.hosts[host].id.clone();
            self.events.push(Event::OutageBegan { host, completed, expected });
            self.take_back();
        }
    }

    /// What was listed within the last minute and has no quorum any more comes off.
    fn take_back(&mut self) {
        for (_, prefix) in self.recent.clone() {
            let Some(entry) = self.entry(&prefix) else { continue };
            if entry.reason.is_evidence() && !self.still_stands(&prefix) {
                self.remove(&prefix, End::Outage);
            }
        }
    }

    /// Whether what is listed would be listed again by what is left.
    fn still_stands(&self, prefix: &Prefix) -> bool {
        match self.entry(prefix).map(|entry| &entry.reason) {
            Some(Reason::Quorum { .. }) => self.wanted(Unit::of(prefix.address())).is_some(),
            _ => self.bombed(prefix, &self.picture(prefix)).is_some(),
        }
    }
}
