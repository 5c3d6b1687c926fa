//! The table of ours: its chains, rules and counters, as one static value from which both the
//! declaration to the kernel and the check of a table that is there derive.
//!
//! ```text
//! sieve (prerouting, raw): a SYN → syn: count; allowlisted → accept; listed → block4 | block6
//! block4, block6:          note the unit in hit4 | hit6; count and drop
//! mute (output, raw):      a SYN-ACK → synack: allowlisted → accept; listed → count and drop
//! ```
//!
//! - The drop is a rule of its own after the note: a note that fails, since the set of hits is full,
//!   ends its rule but never the drop.
//! - `mute` is there since a drop of SYNs leaves the SYN-ACKs of handshakes that are half-open
//!   already: the kernel gives such a handshake up when its SYN-ACK cannot be sent. Our own
//!   connections to a listed address send no SYN-ACK and live on.

use core::fmt;

use crate::SetName;

/// The family of the table.
pub const TABLE_FAMILY: &str = "inet";
/// The name of the table.
pub const TABLE: &str = "sekisho";
/// Priority of the base chains: raw, before connection tracking (`NF_IP_PRI_RAW`).
pub const PRIORITY: i32 = -300;

/// Counts SYNs that came in, whatever became of them.
pub const COUNTER_SYNS: &str = "syns";
/// Counts SYNs that were dropped.
pub const COUNTER_DROPPED: &str = "dropped";
/// Counts SYN-ACKs that were dropped.
pub const COUNTER_MUTED: &str = "muted";

/// A table as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaffold {
    /// Named counters.
    pub counters: &'static [&'static str],
    /// Sets.
    pub sets: &'static [SetName],
    /// Chains, each after those that it jumps to.
    pub chains: &'static [Chain],
}

/// A chain of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where the kernel enters it; none if only other chains jump to it.
    pub hook: Option<Hook>,
    /// Its rules, in order. Where they end, a base chain accepts.
    pub rules: &'static [Rule],
}

/// A place in the way of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// All that comes in, before routing.
    Prerouting,
    /// All that this host itself sends.
    Output,
}

/// What a rule looks at and what it then does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The condition; none is always.
    pub when: Option<Match>,
    /// What is done, in order.
    pub then: &'static [Action],
}

/// A condition on a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Of FIN, SYN, RST and ACK only SYN is set.
    Syn,
    /// Of FIN, SYN, RST and ACK just SYN and ACK are set.
    SynAck,
    /// The source is in this set.
    From(SetName),
    /// The destination is in this set.
    To(SetName),
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Counts in a named counter.
    Count(&'static str),
    /// Puts the source's unit (an IPv4 address, an IPv6 /64) in this set, with a counter, or renews it.
    Note(SetName),
    /// Goes through this chain, and on here afterwards.
    Jump(&'static str),
    /// Lets the packet pass this hook.
    Accept,
    /// Drops the packet.
    Drop,
}

const fn jump(when: Match, then: &'static [Action; 1]) -> Rule {
    Rule { when: Some(when), then }
}

const fn accept(when: Match) -> Rule {
    Rule { when: Some(when), then: &[Action::Accept] }
}

const fn always(then: &'static [Action]) -> Rule {
    Rule { when: None, then }
}

const fn mute(set: SetName) -> Rule {
    Rule { when: Some(Match::To(set)), then: &[Action::Count(COUNTER_MUTED), Action::Drop] }
}

const COUNT_AND_DROP: Rule = always(&[Action::Count(COUNTER_DROPPED), Action::Drop]);

const SYN: &[Rule] = &[
    always(&[Action::Count(COUNTER_SYNS)]),
    accept(Match::From(SetName::Allow4)),
    accept(Match::From(SetName::Allow6)),
    jump(Match::From(SetName::Drop4), &[Action::Jump("block4")]),
    jump(Match::From(SetName::DropNet4), &[Action::Jump("block4")]),
    jump(Match::From(SetName::Drop6), &[Action::Jump("block6")]),
    jump(Match::From(SetName::DropNet6), &[Action::Jump("block6")]),
];

const SYNACK: &[Rule] = &[
    accept(Match::To(SetName::Allow4)),
    accept(Match::To(SetName::Allow6)),
    mute(SetName::Drop4),
    mute(SetName::DropNet4),
    mute(SetName::Drop6),
    mute(SetName::DropNet6),
];

/// Our table.
pub const SCAFFOLD: Scaffold = Scaffold {
    counters: &[COUNTER_SYNS, COUNTER_DROPPED, COUNTER_MUTED],
    sets: &SetName::ALL,
    chains: &[
        Chain {
            name: "block4",
            hook: None,
            rules: &[always(&[Action::Note(SetName::Hit4)]), COUNT_AND_DROP],
        },
        Chain {
            name: "block6",
            hook: None,
            rules: &[always(&[Action::Note(SetName::Hit6)]), COUNT_AND_DROP],
        },
        Chain { name: "syn", hook: None, rules: SYN },
        Chain { name: "synack", hook: None, rules: SYNACK },
        Chain {
            name: "sieve",
            hook: Some(Hook::Prerouting),
            rules: &[jump(Match::Syn, &[Action::Jump("syn")])],
        },
        Chain {
            name: "mute",
            hook: Some(Hook::Output),
            rules: &[jump(Match::SynAck, &[Action::Jump("synack")])],
        },
    ],
};

impl fmt::Display for Match {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = |set: &SetName| if set.family() == crate::Family::V4 { "ip" } else { "ip6" };
        match self {
            Self::Syn => out.write_str("tcp flags & (fin|syn|rst|ack) == syn"),
            Self::SynAck => out.write_str("tcp flags & (fin|syn|rst|ack) == (syn|ack)"),
            Self::From(set) => write!(out, "{} saddr @{set}", protocol(set)),
            Self::To(set) => write!(out, "{} daddr @{set}", protocol(set)),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(counter) => write!(out, "counter name {counter}"),
            Self::Note(set) if set.family() == crate::Family::V4 => {
                write!(out, "update @{set} {{ ip saddr counter }}")
            }
            Self::Note(set) => write!(out, "update @{set} {{ ip6 saddr & ffff:ffff:ffff:ffff:: counter }}"),
            Self::Jump(chain) => write!(out, "jump {chain}"),
            Self::Accept => out.write_str("accept"),
            Self::Drop => out.write_str("drop"),
        }
    }
}

impl fmt::Display for Rule {
    /// The rule as `nft` writes it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gap = "";
        if let Some(when) = &self.when {
            write!(out, "{when}")?;
            gap = " ";
        }
        for action in self.then {
            write!(out, "{gap}{action}")?;
            gap = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec::Vec};

    use super::*;

    fn rules(chain: &str) -> Vec<alloc::string::String> {
        let chain = SCAFFOLD.chains.iter().find(|each| each.name == chain).unwrap();
        chain.rules.iter().map(Rule::to_string).collect()
    }

    #[test]
    fn the_allowlist_comes_before_every_drop() {
        for chain in ["syn", "synack"] {
            let rules = rules(chain);
            let last_accept = rules.iter().rposition(|rule| rule.ends_with("accept")).unwrap();
            let first_drop = rules.iter().position(|rule| rule.contains("@drop")).unwrap();
            assert!(last_accept < first_drop, "{rules:?}");
        }
    }

    #[test]
    fn the_drop_is_a_rule_of_its_own() {
        assert_eq!(rules("block4"), ["update @hit4 { ip saddr counter }", "counter name dropped drop"]);
        assert_eq!(
            rules("block6"),
            ["update @hit6 { ip6 saddr & ffff:ffff:ffff:ffff:: counter }", "counter name dropped drop"]
        );
    }

    #[test]
    fn only_bare_syns_and_syn_acks_are_looked_at() {
        assert_eq!(rules("sieve"), ["tcp flags & (fin|syn|rst|ack) == syn jump syn"]);
        assert_eq!(rules("mute"), ["tcp flags & (fin|syn|rst|ack) == (syn|ack) jump synack"]);
    }

    #[test]
    fn a_chain_stands_after_those_that_it_jumps_to() {
        for (index, chain) in SCAFFOLD.chains.iter().enumerate() {
            for action in chain.rules.iter().flat_map(|rule| rule.then) {
                if let Action::Jump(target) = action {
                    assert!(SCAFFOLD.chains[..index].iter().any(|before| before.name == *target));
                }
            }
        }
    }
}
