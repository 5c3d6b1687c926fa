//! The reference: `docs/decision.md` written a second time, as plainly as possible.
//!
//! Everything stands in lists that are searched from end to end each time; nothing is remembered that can
//! be counted again. It shares no code with the engine but the words in which the two answer.

mod bombed;
mod counter;
mod ends;
mod forbids;
mod hosts;
mod line;
mod orders;
mod outage;
mod pictures;
mod policy;
mod prefixes;
mod quorums;
mod sightings;
mod standing;
mod units;

use alloc::{string::String, vec::Vec};
use core::{net::IpAddr, time::Duration};

use sekisho_model::{
    Allowed, Batch, Change, Entry, Input, List, LogEntry, Member, Moment, Observation, Order, Policy, Prefix,
    Revision, Tier, Unit,
};

pub(super) use pictures::Explained;

use crate::{Event, Limit, engine::Bounds};

/// One pair of a host and a unit.
#[derive(Clone, Debug)]
struct Sight {
    unit: Unit,
    host: usize,
    seen: Moment,
    retransmits: u8,
    sockets: u8,
    counts: bool,
}

/// A tracked unit, in line.
#[derive(Clone, Debug)]
struct Tracked {
    unit: Unit,
    /// Who brought it.
    owner: usize,
    /// Whether somebody else has seen it since.
    is_shared: bool,
    /// Whether it stands in the second line.
    is_second: bool,
    is_touched: bool,
}

/// A host's connections with a unit.
#[derive(Clone, Debug)]
struct Told {
    unit: Unit,
    host: usize,
    seen: Moment,
}

/// Who has seen or hit something inside an entry that evidence listed.
#[derive(Clone, Debug)]
struct Standing {
    prefix: Prefix,
    active: Moment,
    /// When it is next looked at whether it is quiet.
    check: Option<Moment>,
    /// The newest first.
    hosts: Vec<Stood>,
}

#[derive(Clone, Debug)]
struct Stood {
    host: usize,
    seen: Moment,
}

/// A past listing.
#[derive(Clone, Debug)]
struct Ended {
    prefix: Prefix,
    count: u32,
    at: Moment,
}

/// An order that was carried out under a request id.
#[derive(Clone, Debug)]
struct Done {
    at: Moment,
    revision: Revision,
    order: Order,
    changes: Vec<Change>,
}

/// What an order is answered: what it changes and where that was done before, or that it is refused.
pub(in crate::tests) type Answer = Option<(Vec<Change>, Option<Revision>)>;

#[derive(Clone, Debug)]
pub(in crate::tests) struct Naive {
    bounds: Bounds,
    index: Revision,
    now: Moment,
    horizon: Moment,
    policy: Policy,
    hosts: Vec<hosts::Host>,
    names: Vec<(String, Vec<IpAddr>)>,
    sights: Vec<Sight>,
    line: Vec<Tracked>,
    is_filled: bool,
    /// Units that were seen lately and went since then.
    lost: u64,
    told: Vec<Told>,
    told_line: Vec<Unit>,
    /// When IPv4 units got their first counting sighting.
    counted: Vec<Moment>,
    /// When they got their first sighting of all.
    firsts: Vec<Moment>,
    chance: u32,
    blocks: Vec<Prefix>,
    entries: Vec<Entry>,
    standings: Vec<Standing>,
    allowed: Vec<Allowed>,
    holds: Vec<(Prefix, Moment)>,
    past: Vec<Ended>,
    requests: Vec<Done>,
    /// When evidence listed something anew or moved it up, what, and whether it was the former.
    recent: Vec<(Moment, Prefix, bool)>,
    /// The limits that are reached, and how many listings each held back.
    held: Vec<(Limit, u64)>,
    /// Where something was said to be withheld, and when.
    withheld: Vec<(Prefix, Moment)>,
    /// What happened in the last log entry.
    pub(in crate::tests) events: Vec<Event>,
    /// The answers to its orders.
    pub(in crate::tests) answers: Vec<Answer>,
}

impl Naive {
    pub(in crate::tests) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            index: Revision::default(),
            now: Moment::EPOCH,
            horizon: Moment::from_millis(i64::MIN),
            policy: Policy::default(),
            hosts: Vec::new(),
            names: Vec::new(),
            sights: Vec::new(),
            line: Vec::new(),
            is_filled: false,
            lost: 0,
            told: Vec::new(),
            told_line: Vec::new(),
            counted: Vec::new(),
            firsts: Vec::new(),
            chance: 1,
            blocks: Vec::new(),
            entries: Vec::new(),
            standings: Vec::new(),
            allowed: Vec::new(),
            holds: Vec::new(),
            past: Vec::new(),
            requests: Vec::new(),
            recent: Vec::new(),
            held: Vec::new(),
            withheld: Vec::new(),
            events: Vec::new(),
            answers: Vec::new(),
        }
    }

    pub(in crate::tests) fn handle(&mut self, entry: &LogEntry) {
        self.events.clear();
        self.answers.clear();
        if entry.index <= self.index {
            return;
        }
        self.index = entry.index;
        self.now = self.now.max(entry.time);
        self.move_horizon();
        self.end_what_is_over();
        for input in &entry.inputs {
            self.take(input);
        }
        self.look_at_blocks();
        self.sweep();
        self.clear_limits();
    }

    /// The members, sorted.
    pub(in crate::tests) fn members(&self) -> Vec<Member> {
        let entries = self.entries.iter().map(|one| (one.prefix, List::Block(one.tier), one.expires));
        let allowed = self.allowed.iter().map(|one| (one.prefix, List::Allow, one.expires));
        let member = |(prefix, list, expires)| Member { prefix, list, expires };
        let mut members: Vec<Member> = entries.chain(allowed).map(member).collect();
        members.sort_by_key(Member::key);
        members
    }

    /// The entries, sorted.
    pub(in crate::tests) fn entries(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|one| one.prefix);
        entries
    }

    fn take(&mut self, input: &Input) {
        match input {
            Input::Policy(policy) => self.take_policy(policy),
            Input::HostJoined { host, zone, addresses } => self.take_join(host, zone.as_ref(), addresses),
            Input::HostLeft { host } => self.take_leave(host),
            Input::Batch(batch) => self.take_batch(batch),
            Input::Order(order) => self.take_order(order),
            Input::Resolved { name, addresses } => self.take_name(name, addresses),
            Input::Tick => {}
        }
    }

    fn move_horizon(&mut self) {
        self.horizon = self.horizon.max(self.now - self.policy.window);
    }

    fn is_fresh(&self, at: Moment) -> bool {
        at >= self.horizon
    }

    fn take_batch(&mut self, batch: &Batch) {
        let Some(host) = self.host_or_new(&batch.host) else { return };
        if !self.advance(host, batch) {
            return;
        }
        let seen = self.now - batch.age;
        let is_recent = batch.age <= Duration::from_secs(600) && self.is_fresh(seen);
        // Of an old batch only the totals are taken.
        let rows = if is_recent { &batch.observations[..] } else { &[] };
        self.judge_flood(host, rows, seen);
        self.judge_path(host, rows, seen);
        self.look_at_chance();
        if !is_recent {
            return;
        }
        if self.is_in_outage(host) {
            self.hosts[host].held[1] += (batch.observations.len() + batch.hits.len()) as u64;
        } else {
            self.take_rows(host, seen, batch);
        }
        for told in &batch.completed {
            self.take_counter(host, seen, told);
        }
    }

    fn take_rows(&mut self, host: usize, seen: Moment, batch: &Batch) {
        for row in &batch.observations {
            self.take_row(host, seen, row);
        }
        for hit in &batch.hits {
            if hit.tier == Tier::Suppress && self.policy.min_retransmits == 1 {
                let sockets = u32::try_from(hit.packets).unwrap_or(u32::MAX);
                self.take_row(host, seen, &Observation { unit: hit.unit, sockets, retransmits: 1 });
            } else {
                self.take_hit(host, seen, hit.unit);
            }
        }
    }

    fn entry(&self, prefix: &Prefix) -> Option<&Entry> {
        self.entries.iter().find(|one| one.prefix == *prefix)
    }

    fn entry_mut(&mut self, prefix: &Prefix) -> &mut Entry {
        self.entries.iter_mut().find(|one| one.prefix == *prefix).unwrap()
    }

    /// The entry that covers `prefix`: there is at most one.
    fn covering(&self, prefix: &Prefix) -> Option<&Entry> {
        self.entries.iter().find(|one| one.prefix.covers(prefix))
    }
}
