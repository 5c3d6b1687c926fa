//! A small world for tests that tell one story: names for hosts and units, and a clock in seconds.

use alloc::{format, string::String, vec, vec::Vec};
use core::time::Duration;

use sekisho_model::{
    Batch, Completed, Hit, HostId, Input, LogEntry, Moment, Observation, Order, OrderKind, Policy, Prefix,
    Revision, Tier, Totals, Unit,
};

use crate::{Engine, Event, Explanation, Outcome, engine::Bounds};

/// The unit that most stories are about.
pub(super) const VICTIM: &str = "203.0.113.7";

pub(super) fn prefix(text: &str) -> Prefix {
    text.parse().unwrap()
}

pub(super) fn unit(address: &str) -> Unit {
    Unit::of(address.parse().unwrap())
}

pub(super) fn host(number: u32) -> HostId {
    format!("host-{number}").parse().unwrap()
}

pub(super) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn order(kind: OrderKind) -> Order {
    Order { operator: "ana".parse().unwrap(), text: String::from("a test"), request: None, kind }
}

pub(super) fn block(what: &str, ttl: u64) -> Order {
    order(OrderKind::Block { prefix: prefix(what), tier: Tier::Drop, ttl: seconds(ttl) })
}

pub(super) fn unblock(what: &str, hold: u64) -> Order {
    order(OrderKind::Unblock { prefix: prefix(what), hold: seconds(hold) })
}

pub(super) fn allow(what: &str, ttl: u64) -> Order {
    order(OrderKind::Allow { prefix: prefix(what), ttl: seconds(ttl) })
}

pub(super) fn disallow(what: &str) -> Order {
    order(OrderKind::Disallow { prefix: prefix(what) })
}

pub(super) fn sees(number: u32, sequence: u64, what: &[&str]) -> Batch {
    let row = |address: &&str| Observation { unit: unit(address), sockets: 1, retransmits: 1 };
    Batch {
        host: host(number),
        session: 1,
        sequence,
        age: Duration::ZERO,
        observations: what.iter().map(row).collect(),
        hits: Vec::new(),
        completed: Vec::new(),
        totals: Totals::default(),
    }
}

/// An engine, its log, and a clock that starts at 1,000 s.
pub(super) struct World {
    pub(super) engine: Engine,
    pub(super) log: Vec<LogEntry>,
    sequence: u64,
    time: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(Engine::new())
    }

    pub(super) fn bounded(bounds: Bounds) -> Self {
        Self::with(Engine::with_bounds(bounds))
    }

    fn with(engine: Engine) -> Self {
        Self { engine, log: Vec::new(), sequence: 0, time: 1_000 }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::EPOCH + seconds(self.time)
    }

    /// Lets time go on without telling the engine.
    pub(super) fn wait(&mut self, span: u64) -> &mut Self {
        self.time += span;
        self
    }

    pub(super) fn tell(&mut self, inputs: Vec<Input>) -> Outcome {
        let index = Revision(self.log.len() as i64 + 1);
        let entry = LogEntry { index, time: self.now(), inputs };
        let outcome = self.engine.handle(&entry);
        self.log.push(entry);
        outcome
    }

    pub(super) fn tick(&mut self) -> Outcome {
        self.tell(vec![Input::Tick])
    }

    pub(super) fn policy(&mut self, change: impl FnOnce(&mut Policy)) -> Outcome {
        let mut policy = self.engine.policy().clone();
        change(&mut policy);
        self.tell(vec![Input::Policy(policy)])
    }

    pub(super) fn order(&mut self, order: Order) -> Outcome {
        self.tell(vec![Input::Order(order)])
    }

    pub(super) fn join(&mut self, number: u32, addresses: &[&str]) -> Outcome {
        self.join_in(number, None, addresses)
    }

    pub(super) fn join_in(&mut self, number: u32, zone: Option<&str>, addresses: &[&str]) -> Outcome {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let zone = zone.map(|zone| zone.parse().unwrap());
        self.tell(vec![Input::HostJoined { host: host(number), zone, addresses }])
    }

    pub(super) fn resolve(&mut self, name: &str, addresses: &[&str]) -> Outcome {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.tell(vec![Input::Resolved { name: String::from(name), addresses }])
    }

    /// A batch of the next sequence.
    pub(super) fn batch(&mut self, number: u32, what: &[&str]) -> Batch {
        self.sequence += 1;
        sees(number, self.sequence, what)
    }

    /// Each of `hosts` sees `what`, in one log entry.
    pub(super) fn seen(&mut self, hosts: &[u32], what: &str) -> Outcome {
        let inputs = hosts.iter().map(|number| Input::Batch(self.batch(*number, &[what]))).collect();
        self.tell(inputs)
    }

    /// A host sees all of `what`, in one log entry.
    pub(super) fn sees_all(&mut self, number: u32, what: impl Iterator<Item = Unit>) -> Outcome {
        let observations = what.map(|unit| Observation { unit, sockets: 1, retransmits: 1 }).collect();
        let batch = Batch { observations, ..self.batch(number, &[]) };
        self.tell(vec![Input::Batch(batch)])
    }

    /// Each of `hosts` drops packets of `what` by a rule of `tier`, in one log entry.
    pub(super) fn hit_at(&mut self, tier: Tier, hosts: &[u32], what: &str) -> Outcome {
        let mut hit = |number: &u32| {
            let hits = vec![Hit { unit: unit(what), tier, packets: 9 }];
            Input::Batch(Batch { hits, ..self.batch(*number, &[]) })
        };
        let inputs = hosts.iter().map(&mut hit).collect();
        self.tell(inputs)
    }

    /// Each of `hosts` drops SYNs of `what`, in one log entry.
    pub(super) fn hit(&mut self, hosts: &[u32], what: &str) -> Outcome {
        self.hit_at(Tier::Drop, hosts, what)
    }

    /// A host has connections with `what`.
    pub(super) fn serves(&mut self, number: u32, what: &str) -> Outcome {
        let completed = vec![Completed { unit: unit(what), connections: 3 }];
        let batch = Batch { completed, ..self.batch(number, &[]) };
        self.tell(vec![Input::Batch(batch)])
    }

    /// What is listed, as text.
    pub(super) fn listed(&self) -> Vec<String> {
        self.engine.entries_from(None).map(|entry| format!("{}", entry.prefix)).collect()
    }

    /// What is done to `what`; nothing if it is not listed.
    pub(super) fn tier(&self, what: &str) -> Option<Tier> {
        self.engine.entry(&prefix(what)).map(|entry| entry.tier)
    }

    /// How long the entry at `what` still lasts, in seconds.
    pub(super) fn left(&self, what: &str) -> u64 {
        self.engine.entry(&prefix(what)).unwrap().expires.since(self.now()).as_secs()
    }

    /// The picture of an address as it is now.
    pub(super) fn explain(&self, what: &str) -> Explanation {
        self.engine.explain(what.parse().unwrap(), self.now())
    }
}

/// Why each entry came off, in order.
pub(super) fn ends(outcome: &Outcome) -> Vec<crate::End> {
    let end = |event: &Event| match event {
        Event::Removed { why, .. } => Some(*why),
        _ => None,
    };
    outcome.events.iter().filter_map(end).collect()
}
