//! Our table as earlier versions made it: what is there after an upgrade of the program is known by it,
//! and brought to this version's without letting go of what it blocks.

use super::{
    Scaffold, helper,
    ours::{BLOCK4, BLOCK6, COUNTER_DROPPED, COUNTER_MUTED, COUNTER_SYNS, MUTE, OUTPUT, SIEVE, SYN},
};
use crate::SetName;

/// Before there was a tier suppress.
const DROP_ONLY: Scaffold = Scaffold {
    counters: &[COUNTER_SYNS, COUNTER_DROPPED, COUNTER_MUTED],
    sets: &[
        SetName::Drop4,
        SetName::Drop6,
        SetName::DropNet4,
        SetName::DropNet6,
        SetName::Allow4,
        SetName::Allow6,
        SetName::Hit4,
        SetName::Hit6,
    ],
    chains: &[BLOCK4, BLOCK6, SYN, helper("synack", &MUTE), SIEVE, OUTPUT],
};

/// The tables of earlier versions, the newest first.
pub const OLDER: [Scaffold; 1] = [DROP_ONLY];

#[cfg(test)]
mod tests {
    use super::{super::SCAFFOLD, *};

    /// An upgrade adds sets and makes the rules anew: it takes no set or chain away.
    #[test]
    fn what_was_there_is_still_there() {
        for old in OLDER {
            assert!(old.sets.iter().all(|set| SCAFFOLD.sets.contains(set)));
            assert!(old.counters.iter().all(|counter| SCAFFOLD.counters.contains(counter)));
            for chain in old.chains {
                let now = SCAFFOLD.chains.iter().find(|now| now.name == chain.name).unwrap();
                assert_eq!(now.hook, chain.hook);
            }
        }
    }
}
