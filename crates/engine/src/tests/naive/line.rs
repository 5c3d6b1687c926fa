//! The bound on the tracked units: who goes when another one comes.

use alloc::vec::Vec;

use sekisho_model::{Unit, limits::HOST_UNITS_SHARE};

use super::{Naive, Tracked};
use crate::Event;

/// How many may go to the end of a line before one has to go.
const SECOND_CHANCES: u32 = 8;

impl Naive {
    /// Makes room for a unit that `host` sees. Returns false if it may bring no more.
    pub(super) fn admit(&mut self, host: usize, unit: Unit) -> bool {
        if self.line.iter().any(|one| one.unit == unit) {
            return true;
        }
        let share = (self.bounds.units / HOST_UNITS_SHARE).max(1);
        let alone = self.line.iter().filter(|one| one.owner == host && !one.is_shared).count();
        if alone >= share {
            self.hosts[host].held[2] += 1;
            if !core::mem::replace(&mut self.hosts[host].is_limited, true) {
                let (host, max) = (self.hosts[host].id.clone(), share as u64);
                self.events.push(Event::HostLimited { host, max });
            }
            return false;
        }
        if self.hosts[host].is_limited && alone < share / 2 {
            self.hosts[host].is_limited = false;
            let untracked = core::mem::take(&mut self.hosts[host].held[2]);
            self.events.push(Event::HostUnlimited { host: self.hosts[host].id.clone(), untracked });
        }
        if self.line.len() >= self.bounds.units {
            self.let_one_go();
        }
        true
    }

    /// `unit` was seen: it comes into line, or stands there touched.
    pub(super) fn touch_in_line(&mut self, host: usize, unit: Unit) {
        match self.line.iter_mut().find(|one| one.unit == unit) {
            Some(known) => {
                known.is_touched = true;
                known.is_shared |= known.owner != host;
            }
            None => self.line.push(Tracked {
                unit,
                owner: host,
                is_shared: false,
                is_second: false,
                is_touched: false,
            }),
        }
    }

    /// The first in the first line, or in the second: unless it has to go to an end instead.
    fn let_one_go(&mut self) {
        for is_second in [false, true] {
            let mut chances = SECOND_CHANCES;
            while let Some(at) = self.first_in(is_second) {
                let is_fresh = self.has_fresh(self.line[at].unit, false);
                let moves = self.line[at].is_shared && !is_second;
                let may_stay = moves || (is_fresh && chances > 0);
                if may_stay && self.pass_on(at) {
                    chances -= u32::from(!moves);
                    continue;
                }
                self.drop_at(at);
                self.lost += u64::from(is_fresh);
                if is_fresh && !core::mem::replace(&mut self.is_filled, true) {
                    self.events.push(Event::UnitsFull { max: self.bounds.units as u64 });
                }
                return;
            }
        }
    }

    /// What is not fresh goes from the heads of both lines, what was seen again goes to their ends.
    pub(super) fn sweep(&mut self) {
        for is_second in [false, true] {
            while let Some(at) = self.first_in(is_second) {
                if !self.has_fresh(self.line[at].unit, false) {
                    self.drop_at(at);
                } else if !self.pass_on(at) {
                    break;
                }
            }
        }
        if self.is_filled && self.line.len() * 4 <= self.bounds.units * 3 {
            self.is_filled = false;
            self.events.push(Event::UnitsCleared { lost: core::mem::take(&mut self.lost) });
        }
        self.sweep_counter();
    }

    fn first_in(&self, is_second: bool) -> Option<usize> {
        self.line.iter().position(|one| one.is_second == is_second)
    }

    /// Sends a unit to the end of its line, or of the one where it belongs. Returns false if it stays.
    fn pass_on(&mut self, at: usize) -> bool {
        let one = &self.line[at];
        let moves = one.is_shared && !one.is_second;
        if !moves && !one.is_touched {
            return false;
        }
        let one = self.line.remove(at);
        let is_second = one.is_shared;
        self.line.push(Tracked { is_second, is_touched: one.is_touched && moves, ..one });
        true
    }

    fn drop_at(&mut self, at: usize) {
        let gone = self.line.remove(at).unit;
        self.sights.retain(|one| one.unit != gone);
    }

    /// Counter-evidence that is not fresh goes from the head of its line.
    fn sweep_counter(&mut self) {
        while let Some(unit) = self.told_line.first().copied() {
            if self.has_counter(&unit.prefix()) {
                return;
            }
            self.told_line.remove(0);
            self.told.retain(|one| one.unit != unit);
        }
    }

    /// How many tracked units `prefix` has.
    pub(super) fn tracked_in(&self, prefix: &sekisho_model::Prefix) -> usize {
        let inside: Vec<&Tracked> =
            self.line.iter().filter(|one| prefix.covers(&one.unit.prefix())).collect();
        inside.len()
    }
}
