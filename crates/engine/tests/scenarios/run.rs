//! Telling a story to an engine.

use std::{collections::BTreeMap, time::Duration};

use sekisho_engine::{Engine, Event};
use sekisho_model::{
    Batch, Completed, Hit, HostId, Input, LogEntry, Moment, Observation, Order, OrderKind, Policy, Prefix,
    Revision, Sensor, Tier, Totals, Unit, limits::MAX_BATCH_ROWS,
};

use crate::{
    expect::{self, Expectation},
    facts, policy,
    statement::{self, Ordered, Report, Statement, What},
    targets::Progress,
    words::{self, Wrong},
};

/// When every story begins: the start of a minute.
const BEGIN: Moment = Moment::from_millis(1_700_000_040_000);
/// Ticks between two lines that are too many: the engine asks for ticks that change nothing.
const MAX_TICKS: u32 = 100_000;

/// An engine and the log that it is told.
struct Story {
    engine: Engine,
    index: i64,
    time: Duration,
    hosts: BTreeMap<HostId, (u64, Totals)>,
    progress: Progress,
    /// Everything that happened, and since when the last statement was.
    events: Vec<String>,
    since: usize,
    /// The first that was at `drop`.
    dropped: Option<Prefix>,
}

/// Tells `text` line by line. What is wrong is told with the number of the line.
pub fn play(text: &str) -> Result<(), Wrong> {
    let mut story = Story {
        engine: Engine::new(),
        index: 0,
        time: Duration::ZERO,
        hosts: BTreeMap::new(),
        progress: Progress::new(),
        events: Vec::new(),
        since: 0,
        dropped: None,
    };
    for (line, number) in text.lines().zip(1..) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            story.line(line).map_err(|wrong| format!("{number}: {wrong}"))?;
        }
    }
    Ok(())
}

impl Story {
    fn line(&mut self, line: &str) -> Result<(), Wrong> {
        let (time, rest) = line.split_once(char::is_whitespace).ok_or("what happens then?")?;
        let time = if time == "\"" { self.time } else { words::time(time)? };
        if time < self.time {
            return Err("the time goes back".to_owned());
        }
        let statement = statement::read(rest.trim())?;
        let is_expectation = matches!(statement, Statement::Expect(_));
        if !is_expectation {
            self.since = self.events.len();
        }
        self.go_on_to(time)?;
        self.tell(&statement)
    }

    /// Lets time go on, with the ticks that the engine asks for.
    fn go_on_to(&mut self, time: Duration) -> Result<(), Wrong> {
        for _ in 0..MAX_TICKS {
            let due = self.engine.poll_timeout().filter(|due| *due <= BEGIN + time);
            let Some(due) = due else {
                self.time = time;
                return Ok(());
            };
            self.time = self.time.max(due.since(BEGIN));
            self.log(vec![Input::Tick]);
        }
        Err(format!("over {MAX_TICKS} ticks up to {}", words::written(time)))
    }

    fn tell(&mut self, statement: &Statement) -> Result<(), Wrong> {
        match statement {
            Statement::Every { step, until, what } => {
                while self.time < *until {
                    self.tell(what)?;
                    self.go_on_to((self.time + *step).min(*until))?;
                }
            }
            Statement::Report(report) => self.report(report),
            Statement::Expect(expectation) => return self.check(expectation),
            Statement::Policy(pairs) => {
                let policy = self.policy(pairs)?;
                self.log(vec![Input::Policy(policy)]);
            }
            Statement::Order { operator, request, what } => self.order(operator, request.as_deref(), what)?,
            other => {
                let inputs = plain_inputs(other);
                self.log(inputs);
            }
        }
        Ok(())
    }

    fn log(&mut self, inputs: Vec<Input>) {
        self.index += 1;
        let entry = LogEntry { index: Revision(self.index), time: BEGIN + self.time, inputs };
        let outcome = self.engine.handle(&entry);
        self.events.extend(outcome.events.iter().map(facts::event));
        for event in &outcome.events {
            if let Event::Listed { entry, .. } | Event::Retiered { entry, .. } = event
                && entry.tier == Tier::Drop
            {
                self.dropped = self.dropped.or(Some(entry.prefix));
            }
        }
    }

    fn policy(&self, pairs: &[(String, String)]) -> Result<Policy, Wrong> {
        let mut policy = self.engine.policy().clone();
        for (key, value) in pairs {
            policy::set(&mut policy, key, value)?;
        }
        policy.check().map_err(|error| error.to_string())?;
        Ok(policy)
    }

    fn order(&mut self, operator: &str, request: Option<&str>, what: &Ordered) -> Result<(), Wrong> {
        let kind = match what {
            Ordered::Kind(kind) => kind.clone(),
            Ordered::Policy(key, value) => {
                OrderKind::SetPolicy(Box::new(self.policy(&[(key.clone(), value.clone())])?))
            }
        };
        let order = Order {
            operator: operator.parse().map_err(|error| format!("{error}"))?,
            text: "a story".to_owned(),
            request: request.map(|one| one.parse().map_err(|error| format!("{error}"))).transpose()?,
            kind,
        };
        self.log(vec![Input::Order(order)]);
        Ok(())
    }

    /// All hosts report; what is more than fits a batch goes into more of them, a log entry each.
    fn report(&mut self, report: &Report) {
        let mut batches = Vec::new();
        for host in &report.hosts {
            let units = match &report.what {
                What::Nothing => Vec::new(),
                What::Sees { targets, .. } | What::Hits { targets, .. } | What::Serves { targets, .. } => {
                    targets.next(&mut self.progress)
                }
            };
            let (_, totals) = self.hosts.entry(host.clone()).or_default();
            totals.completed += report.completes;
            totals.cookies_sent += report.cookies;
            totals.cookies_sent_full += report.cookies;
            totals.sensors =
                totals.sensors.without(Sensor::Conntrack).with_if(Sensor::Conntrack, report.tracked);
            let seen = if matches!(report.what, What::Sees { .. }) { units.len() as u64 } else { 0 };
            totals.stuck_units += report.stuck.max(seen);
            let mut parts: Vec<&[Unit]> = units.chunks(MAX_BATCH_ROWS).collect();
            if parts.is_empty() {
                parts.push(&[]);
            }
            batches.extend(parts.iter().map(|part| self.batch(report, host, part)));
        }
        let groups: Vec<Vec<Batch>> =
            if batches.iter().any(|batch| batch.observations.len() == MAX_BATCH_ROWS) {
                batches.into_iter().map(|batch| vec![batch]).collect()
            } else {
                vec![batches]
            };
        for group in groups {
            self.log(group.into_iter().map(Input::Batch).collect());
        }
    }

    fn batch(&mut self, report: &Report, host: &HostId, units: &[Unit]) -> Batch {
        let (sequence, totals) = self.hosts.entry(host.clone()).or_default();
        *sequence += 1;
        let mut batch = Batch {
            host: host.clone(),
            session: 1,
            sequence: *sequence,
            age: report.age,
            observations: Vec::new(),
            hits: Vec::new(),
            completed: Vec::new(),
            totals: *totals,
        };
        let units = units.iter().copied();
        match report.what {
            What::Nothing => {}
            What::Sees { sockets, retransmits, .. } => {
                batch.observations = units.map(|unit| Observation { unit, sockets, retransmits }).collect();
            }
            What::Hits { tier, packets, .. } => {
                batch.hits = units.map(|unit| Hit { unit, tier, packets }).collect();
            }
            What::Serves { connections, .. } => {
                batch.completed = units.map(|unit| Completed { unit, connections }).collect();
            }
        }
        batch
    }

    fn check(&self, expectation: &Expectation) -> Result<(), Wrong> {
        let recent = &self.events[self.since..];
        match expectation {
            Expectation::Listed(expected) => {
                let found = facts::listed(&self.engine, BEGIN);
                if !expect::is_as_expected(expected, &found) {
                    let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
                    return Err(format!("listed is: {found}"));
                }
            }
            Expectation::Event(text) if !recent.contains(text) => {
                return Err(format!("there was no such event, but: {}", recent.join("; ")));
            }
            Expectation::Count(count, text) => {
                let found: Vec<&String> =
                    self.events.iter().filter(|event| event.starts_with(text)).collect();
                if found.len() != *count {
                    return Err(format!("there were {}: {:?}", found.len(), &found[..found.len().min(50)]));
                }
            }
            Expectation::NothingDropped if let Some(prefix) = self.dropped => {
                return Err(format!("{prefix} was dropped"));
            }
            Expectation::Chance(bound) if self.engine.quorums().chance != *bound => {
                return Err(format!("the chance bound is {}", self.engine.quorums().chance));
            }
            Expectation::Event(_) | Expectation::Chance(_) | Expectation::NothingDropped => {}
        }
        Ok(())
    }
}

/// The inputs of a statement that says everything itself.
fn plain_inputs(statement: &Statement) -> Vec<Input> {
    match statement {
        Statement::Join { hosts, zone, addresses } => hosts
            .iter()
            .map(|host| Input::HostJoined {
                host: host.clone(),
                zone: zone.clone(),
                addresses: addresses.clone(),
            })
            .collect(),
        Statement::Leave { hosts } => {
            hosts.iter().map(|host| Input::HostLeft { host: host.clone() }).collect()
        }
        Statement::Name { name, addresses } => {
            vec![Input::Resolved { name: name.clone(), addresses: addresses.clone() }]
        }
        _ => Vec::new(),
    }
}
