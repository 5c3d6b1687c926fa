//! How a history is put together: a policy, hosts that join, and then whatever comes.

use alloc::{vec, vec::Vec};

use sekisho_model::{Batch, Input, LogEntry, Moment, Order, Revision};

use super::{
    dice::Dice,
    inputs::{self, Host},
};
use crate::engine::Bounds;

/// One history, and how much room the engine has in it.
#[derive(Clone, Debug)]
pub(in crate::tests) struct History {
    pub(in crate::tests) seed: u64,
    pub(in crate::tests) bounds: Bounds,
    pub(in crate::tests) entries: Vec<LogEntry>,
}

/// What the generator knows while it makes a history.
struct Maker {
    dice: Dice,
    time: i64,
    hosts: Vec<Host>,
    /// The units that a wave of an attack is made of.
    wave: Vec<usize>,
    only_reports: bool,
}

/// Everything that can happen.
pub(in crate::tests) fn world(seed: u64) -> History {
    let mut dice = Dice::new(seed);
    let bounds = bounds(&mut dice);
    let many = if dice.once_in(6) { 12 } else { 5 };
    let hosts = (0..many).map(|number| Host::new(number, &mut dice)).collect();
    let mut maker = Maker { dice, time: 1_000_000, hosts, wave: Vec::new(), only_reports: false };
    let entries = maker.entries();
    History { seed, bounds, entries }
}

/// Reports only, under one policy, by hosts that are never flooded and whose totals tell of all that they saw.
pub(in crate::tests) fn reports(seed: u64) -> History {
    let mut dice = Dice::new(seed);
    let hosts = (0..12).map(|number| Host::new(number, &mut dice).honest()).collect();
    let mut maker = Maker { dice, time: 1_000_000, hosts, wave: Vec::new(), only_reports: true };
    let entries = maker.entries();
    History { seed, bounds: Bounds::default(), entries }
}

/// One batch, out of any context: its sequence is higher than any that came.
pub(in crate::tests) fn batch(dice: &mut Dice) -> Batch {
    let mut host = Host::new(dice.below(5), dice);
    host.sequence = u64::MAX - 1;
    host.batch(dice, 0)
}

/// One order, out of any context.
pub(in crate::tests) fn order(dice: &mut Dice) -> Order {
    inputs::order(dice)
}

/// Room for everything, in most histories; for next to nothing in some.
fn bounds(dice: &mut Dice) -> Bounds {
    let mut bounds = Bounds::default();
    if dice.once_in(3) {
        bounds.units = dice.pick(&[2, 4, 8, 12]);
    }
    if dice.once_in(8) {
        bounds.hosts = dice.pick(&[2, 4]);
        bounds.past = dice.pick(&[1, 3]);
        bounds.allowlist = dice.pick(&[1, 2]);
        bounds.holds = dice.pick(&[1, 2]);
        bounds.counter = dice.pick(&[1, 2, 4]);
        bounds.requests = dice.pick(&[1, 2]);
    }
    bounds
}

impl Maker {
    fn entries(&mut self) -> Vec<LogEntry> {
        let mut groups = vec![(self.time, self.first())];
        for _ in 0..5 + self.dice.below(50) {
            self.time += self.pause();
            let group = self.group();
            groups.push((self.time, group));
        }
        let entry = |((time, inputs), index): ((i64, Vec<Input>), i64)| LogEntry {
            index: Revision(index * 3),
            time: Moment::from_millis(time),
            inputs,
        };
        groups.into_iter().zip(1..).map(entry).collect()
    }

    /// The policy, and most of the hosts.
    fn first(&mut self) -> Vec<Input> {
        let mut policy = inputs::policy(&mut self.dice, false);
        if self.only_reports {
            policy.host_units_per_minute = 1_000_000;
        }
        let mut inputs = vec![Input::Policy(policy)];
        for host in 0..self.hosts.len() {
            if !self.dice.once_in(8) {
                inputs.push(self.hosts[host].join(&mut self.dice, false));
            }
        }
        inputs
    }

    fn group(&mut self) -> Vec<Input> {
        if self.dice.once_in(4) {
            return self.attack();
        }
        (0..self.dice.below(4)).map(|_| self.input()).collect()
    }

    /// Several hosts see the same few units at once: what quorums are made of.
    fn attack(&mut self) -> Vec<Input> {
        if self.wave.is_empty() || self.dice.once_in(3) {
            self.wave = inputs::targets(&mut self.dice);
        }
        let time = self.time;
        let mut inputs = Vec::new();
        for host in &mut self.hosts {
            if self.dice.below(3) > 0 {
                inputs.push(Input::Batch(host.strike(&mut self.dice, time, &self.wave)));
            }
        }
        inputs
    }

    fn input(&mut self) -> Input {
        let at = self.dice.place(self.hosts.len());
        let (dice, host) = (&mut self.dice, &mut self.hosts[at]);
        match dice.below(if self.only_reports { 44 } else { 64 }) {
            0..44 => Input::Batch(host.batch(dice, self.time)),
            44..52 => Input::Order(inputs::order(dice)),
            52..55 => Input::Policy(inputs::policy(dice, true)),
            55..58 => host.join(dice, true),
            58..60 => Input::HostLeft { host: host.id.clone() },
            60..62 => inputs::resolved(dice),
            _ => Input::Tick,
        }
    }

    /// How far the clock moves between two entries, in milliseconds; sometimes it is set back.
    fn pause(&mut self) -> i64 {
        let dice = &mut self.dice;
        let span = match dice.below(32) {
            0..14 => dice.below(2_000),
            14..22 => dice.below(15_000),
            22..25 => dice.pick(&[1_000, 2_000, 5_000, 10_000, 20_000, 60_000]),
            25..28 => 15_000 + dice.below(100_000),
            28 => 600_000 + dice.below(3_400_000),
            29 => 3_600_000,
            _ => return -i64::from(dice.below(5_000)),
        };
        i64::from(span)
    }
}
