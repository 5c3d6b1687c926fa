//! What the feed carries: members of the two lists, and the changes between two revisions.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::{Digest, Moment, Prefix, Revision, Tier};

/// Which of the two lists a member is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum List {
    /// Never dropped; always wins.
    Allow,
    /// Blocked, at this tier.
    Block(Tier),
}

/// What a change is about: a prefix on the allowlist or on the blocklist. A prefix has at most one
/// tier, so the tier is no part of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whether the allowlist is meant.
    pub allow: bool,
    /// The prefix.
    pub prefix: Prefix,
}

/// One member of the lists as subscribers and kernels know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member {
    /// The prefix.
    pub prefix: Prefix,
    /// Which list, and which tier.
    pub list: List,
    /// When it ends, by the aggregator's clock.
    pub expires: Moment,
}

impl Member {
    /// What identifies this member.
    pub fn key(&self) -> Key {
        Key { allow: self.list == List::Allow, prefix: self.prefix }
    }
}

/// The final state of one key after a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is this, whatever it was before.
    Put(Member),
    /// It is not there, whether it was before or not.
    Remove(Key),
}

impl Change {
    /// What the change is about.
    pub fn key(&self) -> Key {
        match self {
            Self::Put(member) => member.key(),
            Self::Remove(key) => *key,
        }
    }
}

/// The net effect over `(previous, revision]`: the final state of each key touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The revision before it: a subscriber at `c` may take it iff `previous <= c < revision`.
    pub previous: Revision,
    /// The revision after it.
    pub revision: Revision,
    /// Sorted by key, each key once.
    pub changes: Vec<Change>,
    /// The digest of all members at `revision`.
    pub digest: Digest,
}

impl Delta {
    /// This delta and then `next` as one: later states win. None when `next` does not start where this
    /// one ends.
    pub fn merge(&self, next: &Self) -> Option<Self> {
        if next.previous != self.revision {
            return None;
        }
        let changes = self.changes.iter().chain(&next.changes);
        let states: BTreeMap<Key, Change> = changes.map(|change| (change.key(), *change)).collect();
        Some(Self {
            previous: self.previous,
            changes: states.into_values().collect(),
            revision: next.revision,
            digest: next.digest,
        })
    }
}
