//! The inputs of a history: policies, orders, and what a host has to say.

use alloc::{format, string::String, vec::Vec};
use core::{net::IpAddr, time::Duration};

use sekisho_model::{
    Batch, Completed, Hit, HostId, Input, Never, Observation, Order, OrderKind, Policy, Prefix, Sensor, Tier,
    Totals, Unit,
};

use super::dice::Dice;

/// Several in one /24, in the /24 beside it, in one /22; several /64s of one /56, and of the /56 beside it.
const UNITS: [&str; 17] = [
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.3",
    "203.0.113.4",
    "203.0.112.1",
    "203.0.112.2",
    "203.0.112.3",
    "203.0.114.1",
    "203.0.115.1",
    "198.51.100.1",
    "10.0.0.1",
    "127.0.0.1",
    "2001:db8::7",
    "2001:db8:0:1::7",
    "2001:db8:0:2::7",
    "2001:db8:0:100::7",
    "2001:db8:0:101::7",
];

/// Units of unrelated networks: what gets stuck when a path is broken.
const SCATTERED: u32 = 9;

const PREFIXES: [&str; 16] = [
    "203.0.113.1",
    "203.0.113.2",
    "203.0.113.0/30",
    "203.0.113.0/24",
    "203.0.112.0/24",
    "203.0.112.0/23",
    "203.0.112.0/22",
    "203.0.0.0/16",
    "198.51.100.0/24",
    "10.0.0.0/24",
    "2001:db8::/64",
    "2001:db8::/56",
    "2001:db8::/48",
    "2001:db8::1",
    "203.0.0.0/8",
    "::/0",
];

const ADDRESSES: [&str; 6] =
    ["203.0.113.2", "::ffff:203.0.113.3", "198.51.100.1", "2001:db8::1", "192.0.2.1", "203.0.115.9"];

const NAMES: [&str; 3] = ["a.example", "b.example", "c.example"];

/// All units that histories are about, those of unrelated networks apart.
pub(in crate::tests) fn units() -> impl Iterator<Item = Unit> {
    UNITS.iter().map(|text| Unit::of(text.parse().unwrap()))
}

fn unit(dice: &mut Dice) -> Unit {
    Unit::of(dice.pick(&UNITS).parse().unwrap())
}

fn scattered(number: u32) -> Unit {
    Unit::V4(0x1401_0001 + (number << 16))
}

fn prefix(dice: &mut Dice) -> Prefix {
    dice.pick(&PREFIXES).parse().unwrap()
}

fn addresses(dice: &mut Dice) -> Vec<IpAddr> {
    (0..dice.below(3)).map(|_| dice.pick(&ADDRESSES).parse().unwrap()).collect()
}

/// The units that one wave of an attack is about, by their place in the list.
pub(super) fn targets(dice: &mut Dice) -> Vec<usize> {
    match dice.below(4) {
        0 => (0..9).collect(),
        1 => (12..17).collect(),
        2 => (0..4).collect(),
        _ => Vec::from([dice.place(UNITS.len())]),
    }
}

/// A policy with short times and small numbers; one of many is out of its range if it may be.
pub(super) fn policy(dice: &mut Dice, may_be_bad: bool) -> Policy {
    let window = dice.span(&[5, 20, 60, 300]);
    let drop_quorum = dice.pick(&[1, 2, 2, 3, 3, 4]);
    let ttl_base = dice.span(&[10, 20, 60]);
    let mut policy = Policy {
        window,
        min_retransmits: dice.pick(&[1, 1, 1, 2]),
        suppress_quorum: dice.pick(&[1, 2, 2, 3]).min(drop_quorum),
        drop_quorum,
        quorum_per_mille: dice.pick(&[0, 0, 0, 0, 400, 1_000]),
        min_zones: dice.pick(&[1, 1, 1, 2, 3]),
        prefix_tier: dice.pick(&[None, Some(Tier::Suppress), Some(Tier::Suppress), Some(Tier::Drop)]),
        prefix_min_units: dice.pick(&[2, 2, 3, 5]),
        ttl_base,
        ttl_max: ttl_base * dice.pick(&[1, 4, 16]),
        ttl_quiet: dice.pick(&[Duration::ZERO, window / 2, window, Duration::from_secs(200)]),
        max_entries: dice.pick(&[1, 2, 3, 100, 100, 100]),
        new_per_minute: dice.pick(&[1, 2, 5, 100, 100, 100]),
        widest_ipv4: dice.pick(&[16, 20, 22, 22, 23, 24]),
        widest_ipv6: dice.pick(&[48, 52, 54, 55, 56]),
        host_units_per_minute: dice.pick(&[1, 2, 5, 1_000, 1_000, 1_000, 1_000]),
        never: never(dice),
    };
    if may_be_bad && dice.once_in(12) {
        policy.min_zones = 0;
    }
    policy
}

fn never(dice: &mut Dice) -> Never {
    let prefixes = if dice.once_in(8) { Vec::from([prefix(dice)]) } else { Vec::new() };
    let names = (0..dice.below(3)).map(|_| String::from(dice.pick(&NAMES))).collect();
    Never { private: !dice.once_in(3), prefixes, names }
}

/// An order about anything; many are refused.
pub(super) fn order(dice: &mut Dice) -> Order {
    let tier = dice.pick(&[Tier::Suppress, Tier::Drop]);
    let prefix = prefix(dice);
    let kind = match dice.below(10) {
        0..4 => OrderKind::Block { prefix, tier, ttl: dice.span(&[0, 1, 15, 60, 4_000, 400_000_000]) },
        4..7 => OrderKind::Unblock { prefix, hold: dice.span(&[0, 0, 5, 60, 4_000_000]) },
        7 => OrderKind::Allow { prefix, ttl: dice.span(&[0, 1, 15, 60, 4_000, 400_000_000]) },
        8 => OrderKind::Disallow { prefix },
        _ => OrderKind::SetPolicy(policy(dice, true).into()),
    };
    let request = dice.once_in(3).then(|| dice.pick(&["one", "two", "three"]).parse().unwrap());
    Order {
        operator: dice.pick(&["ana", "ana", "ben"]).parse().unwrap(),
        text: String::from(if dice.once_in(20) { "" } else { "a test" }),
        request,
        kind,
    }
}

pub(super) fn resolved(dice: &mut Dice) -> Input {
    Input::Resolved { name: String::from(dice.pick(&NAMES)), addresses: addresses(dice) }
}

/// One host as the generator knows it: its totals only grow, until it boots.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) id: HostId,
    number: u32,
    session: u64,
    pub(super) sequence: u64,
    totals: Totals,
    /// Handshakes that it completes a second.
    usual: u64,
    /// When it last reported.
    reported: i64,
    /// Whether its totals tell of all units that it reports.
    is_honest: bool,
    /// Whether its kernel never answers by cookies.
    is_calm: bool,
}

impl Host {
    pub(super) fn new(number: u32, dice: &mut Dice) -> Self {
        Self {
            id: format!("host-{number}").parse().unwrap(),
            number,
            session: 1,
            sequence: 0,
            totals: Totals::default(),
            usual: dice.pick(&[0, 1, 20, 100]),
            reported: 1_000_000,
            is_honest: dice.once_in(2),
            is_calm: false,
        }
    }

    /// The host with totals that tell of all that it reports, and never flooded.
    pub(super) fn honest(self) -> Self {
        Self { is_honest: true, is_calm: true, ..self }
    }

    pub(super) fn join(&self, dice: &mut Dice, may_move: bool) -> Input {
        let number = if may_move && dice.once_in(4) { dice.below(4) } else { self.number };
        let zone = (number % 4 != 3).then(|| format!("zone-{}", number % 4).parse().unwrap());
        let addresses = if may_move && dice.once_in(3) { addresses(dice) } else { Vec::new() };
        Input::HostJoined { host: self.id.clone(), zone, addresses }
    }

    /// A report of anything.
    pub(super) fn batch(&mut self, dice: &mut Dice, time: i64) -> Batch {
        let mut batch = self.report(dice, time, dice_is_broken);
        if batch.observations.is_empty() {
            batch.observations = (0..dice.below(4)).map(|_| row(dice)).collect();
        }
        batch.hits = (0..dice.below(3)).map(|_| hit(dice)).collect();
        if dice.once_in(5) {
            let connections = 1 + dice.below(3);
            batch.completed =
                (0..1 + dice.below(2)).map(|_| Completed { unit: unit(dice), connections }).collect();
        }
        self.told(batch)
    }

    /// The batch with what its totals have to tell of its rows.
    fn told(&mut self, mut batch: Batch) -> Batch {
        if self.is_honest {
            self.totals.stuck_units += stuck_units(&batch);
            batch.totals = self.totals;
        }
        batch
    }

    /// A report of a wave: of all of its units or of one.
    pub(super) fn strike(&mut self, dice: &mut Dice, time: i64, wave: &[usize]) -> Batch {
        let mut batch = self.report(dice, time, |_| false);
        let only = dice.once_in(3).then(|| dice.pick(wave));
        for at in wave.iter().filter(|at| only.is_none_or(|only| only == **at)) {
            let unit = Unit::of(UNITS[*at].parse().unwrap());
            batch.observations.push(Observation { unit, sockets: 1 + dice.below(2), retransmits: 2 });
            if dice.once_in(4) {
                batch.hits.push(Hit { unit, ..hit(dice) });
            }
        }
        self.told(batch)
    }

    fn report(&mut self, dice: &mut Dice, time: i64, is_broken: fn(&mut Dice) -> bool) -> Batch {
        let is_broken = is_broken(dice);
        let millis = u64::try_from((time - self.reported).clamp(0, 600_000)).unwrap();
        self.reported = self.reported.max(time);
        if dice.once_in(40) {
            (self.session, self.sequence, self.totals) = (self.session + 1, 0, Totals::default());
        }
        let scattered = if is_broken { SCATTERED - dice.below(3) } else { 0 };
        let part =
            if is_broken { dice.pick(&[0, 0, 10, 50]) } else { dice.pick(&[100, 100, 100, 150, 50, 0]) };
        self.totals.completed += self.usual * millis * part / 100_000;
        self.totals.stuck_units += u64::from(if dice.once_in(4) { dice.below(4) } else { 0 });
        self.totals.cookies_sent += u64::from(dice.once_in(24) && !self.is_calm);
        self.totals.cookies_sent_full = self.totals.cookies_sent;
        if dice.once_in(20) {
            self.totals.sensors = Sensor::ALL.into_iter().filter(|_| dice.once_in(2)).collect();
        }
        self.sequence = self.sequence.saturating_add(u64::from(!dice.once_in(16)));
        let age = match dice.below(12) {
            0..8 => 0,
            8..11 => dice.below(20_000),
            _ => 590_000 + dice.below(20_000),
        };
        let sight = |number| Observation { unit: self::scattered(number), sockets: 1, retransmits: 1 };
        Batch {
            host: self.id.clone(),
            session: self.session,
            sequence: self.sequence,
            age: Duration::from_millis(u64::from(age)),
            observations: (0..scattered).map(sight).collect(),
            hits: Vec::new(),
            completed: Vec::new(),
            totals: self.totals,
        }
    }
}

/// Units with a new socket: what the agent counts.
pub(in crate::tests) fn stuck_units(batch: &Batch) -> u64 {
    batch.observations.iter().filter(|row| row.sockets > 0).count() as u64
}

fn dice_is_broken(dice: &mut Dice) -> bool {
    dice.once_in(6)
}

fn row(dice: &mut Dice) -> Observation {
    Observation {
        unit: unit(dice),
        sockets: dice.pick(&[0, 1, 1, 1, 2, 300]),
        retransmits: dice.pick(&[1, 1, 2, 3]),
    }
}

fn hit(dice: &mut Dice) -> Hit {
    Hit {
        unit: unit(dice),
        tier: dice.pick(&[Tier::Suppress, Tier::Drop]),
        packets: 1 + u64::from(dice.below(3)),
    }
}
