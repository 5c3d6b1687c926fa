//! The machine itself: its state, and the way of one log entry through it.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use sekisho_model::{
    Allowed, Change, Delta, Digest, Entry, Input, LogEntry, Moment, Policy, Prefix, Revision,
    limits::{
        MAX_ALLOWLIST, MAX_COUNTER_UNITS, MAX_HOLDS, MAX_HOSTS, MAX_PAST_LISTINGS, MAX_REQUESTS, MAX_UNITS,
    },
};

use crate::{
    blocks::Blocks,
    chance::Rate,
    checkpoint::Hold,
    counter::Counter,
    counters::Counters,
    evidence::Evidence,
    hosts::Hosts,
    outcome::{Limit, Outcome},
    past::Past,
    protected::Protected,
    requests::Requests,
    standing::Standings,
    step::Step,
    timed::TimedMap,
};

/// Stale units that every log entry may sweep, over those that its rows pay for.
const SWEEP_BASE: usize = 1_000;
/// Stale units that every row may sweep: more than the one that it may add.
const SWEEP_PER_ROW: usize = 2;

/// How much of everything there may be; smaller in tests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) units: usize,
    pub(crate) hosts: usize,
    pub(crate) past: usize,
    pub(crate) allowlist: usize,
    pub(crate) holds: usize,
    pub(crate) counter: usize,
    pub(crate) requests: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            units: MAX_UNITS,
            hosts: MAX_HOSTS,
            past: MAX_PAST_LISTINGS,
            allowlist: MAX_ALLOWLIST,
            holds: MAX_HOLDS,
            counter: MAX_COUNTER_UNITS,
            requests: MAX_REQUESTS,
        }
    }
}

/// What evidence did a moment ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// When, by the log's time.
    pub at: Moment,
    /// To which prefix.
    pub prefix: Prefix,
    /// Whether it listed it; otherwise it moved it up.
    pub is_new: bool,
}

/// The decision as a machine: log entries in, changes and events out.
///
/// Invariants: entries are pairwise disjoint, none overlaps the allowlist or what is never listed,
/// and the digest is that of all members.
#[derive(Debug)]
pub struct Engine {
    pub(crate) bounds: Bounds,
    /// The last log entry that was handled.
    pub(crate) index: Revision,
    /// The last one that caused a delta.
    pub(crate) revision: Revision,
    pub(crate) now: Moment,
    /// Evidence before this never counts again. It only grows, so that a window that is made longer
    /// does not bring back what may have been swept.
    pub(crate) horizon: Moment,
    pub(crate) policy: Policy,
    pub(crate) protected: Protected,
    pub(crate) hosts: Hosts,
    pub(crate) evidence: Evidence,
    pub(crate) blocks: Blocks,
    pub(crate) standings: Standings,
    pub(crate) counter: Counter,
    /// First counting sightings of IPv4 units, and first ones at all.
    pub(crate) counted_rate: Rate,
    pub(crate) seen_rate: Rate,
    /// The fewest hosts that do not see one IPv4 address by chance.
    pub(crate) chance: u32,
    pub(crate) entries: TimedMap<Entry>,
    pub(crate) allowlist: TimedMap<Allowed>,
    pub(crate) holds: TimedMap<Hold>,
    pub(crate) past: Past,
    pub(crate) requests: Requests,
    pub(crate) digest: Digest,
    pub(crate) counters: Counters,
    /// What evidence listed or moved up within the last minute, in order.
    pub(crate) recent: VecDeque<Recent>,
    /// Limits that are reached, and how many listings each has held back.
    pub(crate) held_back: BTreeMap<Limit, u64>,
    /// The widest prefixes in which a bombed one was said to be withheld, and when.
    pub(crate) withheld: BTreeMap<Prefix, Moment>,
    /// Whether units went since too many are tracked, and there has been no room since.
    pub(crate) units_full: bool,
    /// Units with fresh evidence that went since then.
    pub(crate) units_lost: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine that was told nothing: the default policy is in force.
    pub fn new() -> Self {
        Self::with_bounds(Bounds::default())
    }

    pub(crate) fn with_bounds(bounds: Bounds) -> Self {
        let policy = Policy::default();
        Self {
            bounds,
            index: Revision::default(),
            revision: Revision::default(),
            now: Moment::EPOCH,
            horizon: Moment::from_millis(i64::MIN),
            protected: Protected::of(&policy.never),
            policy,
            hosts: Hosts::default(),
            evidence: Evidence::new(bounds.units),
            blocks: Blocks::default(),
            standings: Standings::default(),
            counter: Counter::new(bounds.counter),
            counted_rate: Rate::default(),
            seen_rate: Rate::default(),
            chance: 1,
            entries: TimedMap::default(),
            allowlist: TimedMap::default(),
            holds: TimedMap::default(),
            past: Past::new(bounds.past),
            requests: Requests::new(bounds.requests),
            digest: Digest::EMPTY,
            counters: Counters::default(),
            recent: VecDeque::new(),
            held_back: BTreeMap::new(),
            withheld: BTreeMap::new(),
            units_full: false,
            units_lost: 0,
        }
    }

    /// Hashes units with a secret `seed` from here on, so that nobody can choose spoofed addresses
    /// that collide. It changes no answer; call it once after [`Engine::new`] or
    /// [`Engine::restore`].
    pub fn reseed(&mut self, seed: u64) {
        self.evidence.reseed(seed);
    }

    /// Takes the next log entry in. One whose index is not over that of the last is a repeat, and
    /// does nothing.
    pub fn handle(&mut self, entry: &LogEntry) -> Outcome {
        if entry.index <= self.index {
            return Outcome::default();
        }
        self.index = entry.index;
        self.now = self.now.max(entry.time);
        self.horizon = self.horizon_at(self.now);
        let mut step = Step::default();
        self.expire(&mut step);
        self.forget_recent();
        for input in &entry.inputs {
            self.take(input, &mut step);
        }
        self.look_at_blocks(&mut step);
        self.sweep(step.rows);
        self.clear_limits(&mut step);
        let delta = self.delta(&step);
        Outcome { delta, events: step.events, orders: step.orders }
    }

    /// The moment before which evidence does not count at `now`.
    pub(crate) fn horizon_at(&self, now: Moment) -> Moment {
        self.horizon.max(now - self.policy.window)
    }

    /// Drops what is out of the window, as far as the rows pay for it.
    fn sweep(&mut self, rows: usize) {
        let (budget, blocks) = (SWEEP_BASE + SWEEP_PER_ROW * rows, &mut self.blocks);
        self.evidence.sweep(self.horizon, budget, |unit| blocks.remove(unit));
        self.counter.sweep(self.horizon, budget);
    }

    fn take(&mut self, input: &Input, step: &mut Step) {
        match input {
            Input::Policy(policy) => self.take_policy(policy, None, step),
            Input::HostJoined { host, zone, addresses } => {
                self.take_join(host, zone.as_ref(), addresses, step);
            }
            Input::HostLeft { host } => self.take_leave(host, step),
            Input::Batch(batch) => self.take_batch(batch, step),
            Input::Order(order) => self.take_order(order, step),
            Input::Resolved { name, addresses } => self.take_names(name, addresses, step),
            Input::Tick => {}
        }
    }

    /// The net effect of a step, if there is one.
    fn delta(&mut self, step: &Step) -> Option<Delta> {
        let changes: Vec<Change> = step
            .before
            .iter()
            .map(|(key, before)| (key, before, self.member(key)))
            .filter(|(_, before, after)| *before != after)
            .map(|(key, _, after)| after.map_or(Change::Remove(*key), Change::Put))
            .collect();
        if changes.is_empty() {
            return None;
        }
        let previous = core::mem::replace(&mut self.revision, self.index);
        Some(Delta { previous, revision: self.index, changes, digest: self.digest })
    }
}
