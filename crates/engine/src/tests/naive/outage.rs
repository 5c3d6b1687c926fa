//! Hosts whose path is broken: they complete far less than usual while unrelated networks get stuck.

use alloc::vec::Vec;
use core::time::Duration;

use sekisho_model::{Moment, Observation, Prefix, Tier, Unit};

use super::Naive;
use crate::{End, Event, Retier};

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
    pub(super) fn judge_path(&mut self, host: usize, rows: &[Observation], seen: Moment) {
        let one = &mut self.hosts[host];
        let totals = one.totals;
        let meter = &mut one.meter;
        let now = meter.taken.map_or(seen, |taken| taken.max(seen));
        let before = meter.taken.replace(now);
        let (Some((last, new)), Some(before)) = (totals, before) else {
            (meter.millis, meter.completed) = (0, 0);
            meter.networks.clear();
            self.end_outage(host);
            return;
        };
        meter.millis += u64::try_from(now.since(before).as_millis()).unwrap();
        meter.completed += new.completed.saturating_sub(last.completed);
        for row in rows.iter().filter(|row| row.sockets > 0) {
            let network = row.unit.prefix().widened(if row.unit.prefix().is_ipv4() { 16 } else { 48 });
            if !meter.networks.contains(&network) {
                meter.networks.push(network);
            }
        }
        let (completed, expected) = (meter.completed, meter.usual.unwrap_or(0) * meter.millis / 1_000_000);
        let may_judge = meter.millis >= 2_000 && expected >= 8;
        let is_broken = may_judge && completed * 4 < expected && meter.networks.len() >= 8;
        if !may_judge && meter.millis < 60_000 {
            self.end_outage(host);
            return;
        }
        if !is_broken && meter.millis > 0 {
            let rate = completed * 1_000_000 / meter.millis;
            let (weight, span) = (meter.millis.min(600_000), 600_000);
            let learnt = |usual| (usual * (span - weight) + rate * weight) / span;
            meter.usual = Some(meter.usual.map_or(rate, learnt));
        }
        (meter.millis, meter.completed) = (0, 0);
        meter.networks.clear();
        if is_broken {
            self.begin_outage(host, completed, expected);
        } else {
            self.end_outage(host);
        }
    }

    fn end_outage(&mut self, host: usize) {
        let host = &mut self.hosts[host];
        if host.outage_until.is_some_and(|until| until <= self.now) {
            host.outage_until = None;
            let ignored = core::mem::take(&mut host.held[1]);
            self.events.push(Event::OutageEnded { host: host.id.clone(), ignored });
        }
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

    /// What was listed or moved up within the last minute and would not be listed now comes off, or moves down.
    fn take_back(&mut self) {
        let mut recent: Vec<Prefix> = self.recent.iter().map(|one| one.1).collect();
        recent.sort();
        recent.dedup();
        for prefix in recent {
            let Some(entry) = self.covering(&prefix).filter(|entry| entry.reason.is_evidence()) else {
                continue;
            };
            let (prefix, tier, expires, created) = (entry.prefix, entry.tier, entry.expires, entry.created);
            let unit = Unit::of(prefix.address());
            let mut stays = if unit.prefix() == prefix {
                self.wanted(unit)
            } else {
                self.bombed(&prefix, &self.picture(&prefix))
            };
            let is_old = created + Duration::from_secs(60) <= self.now;
            if is_old && self.is_met(&self.standing_hosts(&prefix), self.asked(Tier::Suppress)) {
                stays = stays.max(Some(Tier::Suppress));
            }
            match stays {
                None => self.remove(&prefix, End::Outage),
                Some(met) if met < tier => self.move_to(&prefix, met, expires, Retier::Faded),
                Some(_) => {}
            }
        }
    }
}
