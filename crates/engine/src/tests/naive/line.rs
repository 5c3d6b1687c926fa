//! The bound on the tracked units: who goes when another one comes.

use sekisho_model::{Unit, limits::HOST_UNITS_SHARE};

use super::{Naive, Tracked};
use crate::Event;

impl Naive {
    pub(super) fn is_tracked(&self, unit: Unit) -> bool {
        self.line.iter().any(|one| one.unit == unit)
    }

    /// Units that `host` alone has seen.
    fn alone(&self, host: usize) -> usize {
        let is_its = |unit| self.sights.iter().filter(|one| one.unit == unit).all(|one| one.host == host);
        self.line.iter().filter(|one| !one.is_shared && is_its(one.unit)).count()
    }

    /// Makes room for a unit that `host` sees first. Returns false if it may bring no more.
    pub(super) fn admit(&mut self, host: usize, unit: Unit) -> bool {
        if self.is_tracked(unit) {
            return true;
        }
        if self.alone(host) >= (self.bounds.units / HOST_UNITS_SHARE).max(1) {
            if !core::mem::replace(&mut self.hosts[host].is_limited, true) {
                self.events.push(Event::HostLimited { host: self.hosts[host].id.clone() });
            }
            return false;
        }
        if self.line.len() >= self.bounds.units {
            if !core::mem::replace(&mut self.is_filled, true) {
                self.events.push(Event::UnitsFull { max: self.bounds.units as u64 });
            }
            self.let_one_go();
        }
        self.line.push(Tracked { unit, is_shared: false, is_touched: false });
        true
    }

    /// `unit`, which is tracked, was seen again; by another host it goes in line with the shared ones.
    pub(super) fn touch_in_line(&mut self, unit: Unit, is_other_host: bool) {
        let at = self.line.iter().position(|one| one.unit == unit).unwrap();
        if is_other_host && !self.line[at].is_shared {
            self.line.remove(at);
            self.line.push(Tracked { unit, is_shared: true, is_touched: false });
        } else {
            self.line[at].is_touched = true;
        }
    }

    fn let_one_go(&mut self) {
        let is_shared = !self.line.iter().any(|one| !one.is_shared);
        for turn in 0.. {
            let at = self.line.iter().position(|one| one.is_shared == is_shared).unwrap();
            let first = self.line.remove(at);
            if first.is_touched && turn < 8 {
                self.line.push(Tracked { is_touched: false, ..first });
            } else {
                self.sights.retain(|one| one.unit != first.unit);
                return;
            }
        }
    }

    /// What is not fresh any more goes, from the heads of both lines.
    pub(super) fn sweep(&mut self) {
        for is_shared in [false, true] {
            while let Some(at) = self.line.iter().position(|one| one.is_shared == is_shared) {
                let unit = self.line[at].unit;
                if self.sights.iter().any(|one| one.unit == unit && self.is_fresh(one.seen)) {
                    break;
                }
                self.line.remove(at);
                self.sights.retain(|one| one.unit != unit);
            }
        }
        self.is_filled &= self.line.len() >= self.bounds.units;
    }
}
