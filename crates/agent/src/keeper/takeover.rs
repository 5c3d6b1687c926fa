//! What a keeper does with the table that it finds at its start.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sekisho_kernel::{Found, KernelError};
use sekisho_model::limits::{AUDIT_SAMPLES, MAX_LIVE_STEPS};
use sekisho_ruleset::{Kind, Op, SetName, Transaction, diff};

use super::{
    Keeper, KeeperError,
    audit::{self, TOLERANCE},
    door::Wanted,
};

impl Keeper {
    /// Takes over the table that is there, or makes it, and brings it to where the journal stands. What the kernel
    /// holds beyond that was put there after the last step was written, and must not be let go before the feed has
    /// said so: only additions.
    pub(super) fn take_over(&mut self) -> Result<(), KeeperError> {
        let now = self.clock.now();
        let found = self.door.look()?;
        let table = match &found {
            Found::Absent => {
                self.door.make(&found, Wanted::Mirror(&self.mirror), now)?;
                self.ahead = false;
                "made"
            }
            Found::Ours => "found",
            Found::Older(_) => {
                self.door.set_right(&found)?;
                tracing::info!(
                    "an earlier version's table is brought to this one's; what it blocks stays blocked"
                );
                "upgraded"
            }
            Found::Edited { what } => {
                tracing::warn!(%what, "table inet sekisho was edited while no agent ran; putting its rules back");
                self.door.set_right(&found)?;
                "edited"
            }
            Found::Foreign { what } => return Err(KernelError::Foreign(what.clone()).into()),
        };
        let lacking: Vec<SetName> = audit::differences(&mut self.door, &self.mirror, now, AUDIT_SAMPLES)?
            .into_iter()
            .filter(|(_, difference)| difference.lacks)
            .map(|(set, _)| set)
            .collect();
        self.complete(&lacking)?;
        self.door.known()?;
        let position = self.follower.applied().map(|(at, _)| at.to_string());
        let features = self.door.features;
        tracing::info!(
            table,
            position,
            members = self.mirror.len(),
            ?lacking,
            ?features,
            "the kernel's table is taken over"
        );
        Ok(())
    }

    /// Adds to these sets what they lack; takes nothing out of them, but from big sets of ranges.
    pub(super) fn complete(&mut self, sets: &[SetName]) -> Result<(), KeeperError> {
        let now = self.clock.now();
        for set in sets {
            if set.kind() == Kind::Hash {
                self.door.complete(*set, self.mirror.elements_of(*set, now))?;
            } else if self.door.count(*set)?.is_some_and(|held| held <= MAX_LIVE_STEPS) {
                let held = self.door.nft.read_set(*set)?;
                let missing = diff(&held, &self.mirror, now, TOLERANCE).only(|each| each == *set);
                self.door.commit(&additions(&missing)?)?;
            } else {
                self.bring(&[*set], None, Transaction::default())?;
            }
        }
        Ok(())
    }
}

/// Only what `transaction` adds anew, not what it removes or replaces.
fn additions(transaction: &Transaction) -> Result<Transaction, sekisho_ruleset::RulesetError> {
    // What a set holds is disjoint, so that only the last range that begins before the end can overlap.
    let mut removed: BTreeMap<SetName, BTreeMap<IpAddr, IpAddr>> = BTreeMap::new();
    for op in transaction.ops() {
        if let Op::Remove { set, range } = op {
            removed.entry(*set).or_default().insert(range.first(), range.last());
        }
    }
    let replaces = |op: &Op| {
        let Some(range) = op.range() else { return false };
        let before = removed.get(&op.set()).and_then(|ranges| ranges.range(..=range.last()).next_back());
        before.is_some_and(|(_, last)| *last >= range.first())
    };
    let fresh = |op: &&Op| matches!(op, Op::Add { .. }) && !replaces(op);
    Transaction::new(transaction.ops().iter().filter(fresh).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adoption_only_adds() {
        let text = "remove element dropnet4 203.0.113.0/24\nremove element drop4 198.51.100.9\n\
                    add element dropnet4 203.0.113.0/25 timeout 60s\nadd element dropnet4 203.0.114.0/24 timeout 60s\n\
                    add element drop4 198.51.100.9 timeout 60s\nadd element drop4 198.51.100.10 timeout 60s\n";
        let left = additions(&text.parse().unwrap()).unwrap();
        let names: Vec<String> = left.ops().iter().map(|op| op.range().unwrap().to_string()).collect();
        assert_eq!(names, ["203.0.114.0/24", "198.51.100.10"]);
    }
}
