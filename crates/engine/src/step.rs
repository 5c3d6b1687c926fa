//! One log entry under way: what it touched, and what it has to say.

use alloc::{collections::BTreeMap, vec::Vec};

use sekisho_model::{Key, Member};

use crate::outcome::{Event, OrderResult};

/// Gathers the effects of one log entry.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// Each key that was touched, with its member before the first touch.
    pub(crate) before: BTreeMap<Key, Option<Member>>,
    /// What happened.
    pub(crate) events: Vec<Event>,
    /// The answers to orders.
    pub(crate) orders: Vec<OrderResult>,
    /// Observations and hits that were looked at: what the sweep is paid by.
    pub(crate) rows: usize,
    /// Units that chance asks for, from a block to the widest IPv4 prefix, once somebody asked.
    pub(crate) bars: Option<Vec<u32>>,
}

impl Step {
    /// `key` is about to change; it is `member` now.
    pub(crate) fn touch(&mut self, key: Key, member: Option<Member>) {
        self.before.entry(key).or_insert(member);
    }
}
