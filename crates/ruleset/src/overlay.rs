//! Changes in a form that a mirror can be asked through: the final state of each prefix touched.

use alloc::collections::BTreeMap;

use sekisho_model::{Change, List, Moment, Prefix, Tier};

/// An entry of the blocklist, without its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// What is done to it.
    pub(crate) tier: Tier,
    /// When it ends, by the aggregator's clock.
    pub(crate) expires: Moment,
}

/// The final state of each prefix that changes touch; none means removed.
#[derive(Default)]
pub(crate) struct Overlay {
    pub(crate) blocks: BTreeMap<Prefix, Option<Held>>,
    pub(crate) allows: BTreeMap<Prefix, Option<Moment>>,
}

impl Overlay {
    /// Of changes about the same key the last one counts.
    pub(crate) fn of(changes: &[Change]) -> Self {
        let mut overlay = Self::default();
        for change in changes {
            overlay.take(change);
        }
        overlay
    }

    fn take(&mut self, change: &Change) {
        match change {
            Change::Put(member) => match member.list {
                List::Allow => {
                    self.allows.insert(member.prefix, Some(member.expires));
                }
                List::Block(tier) => {
                    self.blocks.insert(member.prefix, Some(Held { tier, expires: member.expires }));
                }
            },
            Change::Remove(key) if key.allow => {
                self.allows.insert(key.prefix, None);
            }
            Change::Remove(key) => {
                self.blocks.insert(key.prefix, None);
            }
        }
    }

    /// The allowlist after the changes.
    pub(crate) fn allows_over(&self, before: &BTreeMap<Prefix, Moment>) -> BTreeMap<Prefix, Moment> {
        let mut after = before.clone();
        for (prefix, state) in &self.allows {
            match state {
                Some(expires) => after.insert(*prefix, *expires),
                None => after.remove(prefix),
            };
        }
        after
    }

    /// The entries that are put.
    pub(crate) fn puts(&self) -> impl Iterator<Item = Prefix> {
        self.blocks.iter().filter(|(_, state)| state.is_some()).map(|(prefix, _)| *prefix)
    }
}
