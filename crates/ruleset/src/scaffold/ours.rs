//! Our table as this version makes it.
//!
//! ```text
//! sieve (prerouting): a SYN → syn: count; allowlisted → accept; at drop → block4 | block6
//! block4, block6:     note the unit in hit4 | hit6; count and drop
//! hear (input):       a SYN → anew: forget the handshake: its next SYN-ACK is a first one
//! mute (output):      a SYN-ACK → synack: allowlisted → accept; at drop → count and drop;
//!                     at suppress → first4 | first6
//! relay (forward):    both, for what goes to and comes from pods
//! first4, first6:     answered already → again4 | again6; else remember the handshake and accept
//! again4, again6:     note the unit in sup-hit4 | sup-hit6; renew the memory; count and drop
//! ```
//!
//! - The drop is a rule of its own after the note: a note that fails, since the set of hits is full,
//!   ends its rule but never the drop.
//! - At drop, `mute` is there since a drop of SYNs leaves the SYN-ACKs of handshakes that are half-open
//!   already: the kernel gives such a handshake up when its SYN-ACK cannot be sent. Our own
//!   connections to a listed address send no SYN-ACK and live on.
//! - At suppress, each SYN that comes in is worth one SYN-ACK, whatever ports or sequence numbers it
//!   uses: what a timer sends beyond that is dropped. A client that lost its SYN-ACK sends its SYN
//!   again, and one that uses its port again sends a new one: both are answered.
//! - A retransmit that is dropped on output ends its handshake in this host's kernel, after 1 s, which frees
//!   the listener's queue. A client whose answer to its SYN-ACK takes longer, or is lost while it has
//!   nothing to say, has to connect again. Pods notice nothing of a drop on their way and go on to the end.
//! - Where the memory of handshakes is full, SYN-ACKs to suppressed addresses pass and are counted as
//!   forgotten: their retransmits pass too. Dropping them would take the connections of honest clients
//!   away, which this tier is there to spare.

use super::{
    Action, Chain,
    End::{Destination, Source},
    Hook, Match, Rule, Scaffold, accept, always, base, helper, jump,
};
use crate::SetName;

/// Counts SYNs that came in, whatever became of them.
pub const COUNTER_SYNS: &str = "syns";
/// Counts SYNs that were dropped.
pub const COUNTER_DROPPED: &str = "dropped";
/// Counts SYN-ACKs to addresses at drop that were dropped.
pub const COUNTER_MUTED: &str = "muted";
/// Counts retransmitted SYN-ACKs to addresses at suppress that were dropped.
pub const COUNTER_SUPPRESSED: &str = "suppressed";
/// Counts SYN-ACKs to addresses at suppress that passed and were not remembered, since there are too many.
pub const COUNTER_FORGOTTEN: &str = "forgotten";

const fn mute(set: SetName) -> Rule {
    let then = &[Action::Count(COUNTER_MUTED), Action::Drop];
    Rule { when: Some(Match::At(Destination, set)), then }
}

const BLOCK: Rule = always(&[Action::Count(COUNTER_DROPPED), Action::Drop]);
const SUPPRESS: Rule = always(&[Action::Count(COUNTER_SUPPRESSED), Action::Drop]);
const FORGOTTEN: Rule = always(&[Action::Count(COUNTER_FORGOTTEN)]);

pub(super) const BLOCK4: Chain = helper("block4", &[always(&[Action::Note(Source, SetName::Hit4)]), BLOCK]);
pub(super) const BLOCK6: Chain = helper("block6", &[always(&[Action::Note(Source, SetName::Hit6)]), BLOCK]);

const AGAIN4: Chain = helper(
    "again4",
    &[
        always(&[Action::Note(Destination, SetName::SupHit4)]),
        always(&[Action::Renew(Destination, SetName::Answered4)]),
        SUPPRESS,
    ],
);
const AGAIN6: Chain = helper(
    "again6",
    &[
        always(&[Action::Note(Destination, SetName::SupHit6)]),
        always(&[Action::Renew(Destination, SetName::Answered6)]),
        SUPPRESS,
    ],
);

const FIRST4: Chain = helper(
    "first4",
    &[
        jump(Match::Of(Destination, SetName::Answered4), &[Action::Jump("again4")]),
        always(&[Action::Remember(Destination, SetName::Answered4), Action::Accept]),
        FORGOTTEN,
    ],
);
const FIRST6: Chain = helper(
    "first6",
    &[
        jump(Match::Of(Destination, SetName::Answered6), &[Action::Jump("again6")]),
        always(&[Action::Remember(Destination, SetName::Answered6), Action::Accept]),
        FORGOTTEN,
    ],
);

pub(super) const SYN: Chain = helper(
    "syn",
    &[
        always(&[Action::Count(COUNTER_SYNS)]),
        accept(Match::At(Source, SetName::Allow4)),
        accept(Match::At(Source, SetName::Allow6)),
        jump(Match::At(Source, SetName::Drop4), &[Action::Jump("block4")]),
        jump(Match::At(Source, SetName::DropNet4), &[Action::Jump("block4")]),
        jump(Match::At(Source, SetName::Drop6), &[Action::Jump("block6")]),
        jump(Match::At(Source, SetName::DropNet6), &[Action::Jump("block6")]),
    ],
);

const ANEW: Chain = helper(
    "anew",
    &[
        always(&[Action::Forget(Source, SetName::Answered4)]),
        always(&[Action::Forget(Source, SetName::Answered6)]),
    ],
);

/// The part of `synack` that spares the allowlist and mutes what is at drop.
pub(super) const MUTE: [Rule; 6] = [
    accept(Match::At(Destination, SetName::Allow4)),
    accept(Match::At(Destination, SetName::Allow6)),
    mute(SetName::Drop4),
    mute(SetName::DropNet4),
    mute(SetName::Drop6),
    mute(SetName::DropNet6),
];

const SYNACK: Chain = helper(
    "synack",
    &[
        MUTE[0],
        MUTE[1],
        MUTE[2],
        MUTE[3],
        MUTE[4],
        MUTE[5],
        jump(Match::At(Destination, SetName::Suppress4), &[Action::Jump("first4")]),
        jump(Match::At(Destination, SetName::SuppressNet4), &[Action::Jump("first4")]),
        jump(Match::At(Destination, SetName::Suppress6), &[Action::Jump("first6")]),
        jump(Match::At(Destination, SetName::SuppressNet6), &[Action::Jump("first6")]),
    ],
);

const A_SYN_IS_NEW: Rule = jump(Match::Syn, &[Action::Jump("anew")]);
const A_SYN_ACK_IS_JUDGED: Rule = jump(Match::SynAck, &[Action::Jump("synack")]);

pub(super) const SIEVE: Chain = base("sieve", Hook::Prerouting, &[jump(Match::Syn, &[Action::Jump("syn")])]);
pub(super) const OUTPUT: Chain = base("mute", Hook::Output, &[A_SYN_ACK_IS_JUDGED]);

/// Our table.
pub const SCAFFOLD: Scaffold = Scaffold {
    counters: &[COUNTER_SYNS, COUNTER_DROPPED, COUNTER_MUTED, COUNTER_SUPPRESSED, COUNTER_FORGOTTEN],
    sets: &SetName::ALL,
    chains: &[
        BLOCK4,
        BLOCK6,
        AGAIN4,
        AGAIN6,
        FIRST4,
        FIRST6,
        SYN,
        SYNACK,
        ANEW,
        SIEVE,
        base("hear", Hook::Input, &[A_SYN_IS_NEW]),
        base("relay", Hook::Forward, &[A_SYN_IS_NEW, A_SYN_ACK_IS_JUDGED]),
        OUTPUT,
    ],
};

#[cfg(test)]
mod tests {
    use alloc::{
        string::{String, ToString},
        vec::Vec,
    };

    use super::*;

    fn rules(chain: &str) -> Vec<String> {
        let chain = SCAFFOLD.chains.iter().find(|each| each.name == chain).unwrap();
        chain.rules.iter().map(Rule::to_string).collect()
    }

    #[test]
    fn the_allowlist_comes_before_everything_else() {
        for chain in ["syn", "synack"] {
            let rules = rules(chain);
            let last_accept = rules.iter().rposition(|rule| rule.ends_with("accept")).unwrap();
            let listed = |rule: &String| rule.contains("@drop") || rule.contains("@suppress");
            let first_listed = rules.iter().position(listed).unwrap();
            assert!(last_accept < first_listed, "{rules:?}");
        }
    }

    #[test]
    fn the_drop_is_a_rule_of_its_own() {
        assert_eq!(rules("block4"), ["update @hit4 { ip saddr counter }", "counter name dropped drop"]);
        assert_eq!(
            rules("block6"),
            ["update @hit6 { ip6 saddr & ffff:ffff:ffff:ffff:: counter }", "counter name dropped drop"]
        );
        assert_eq!(
            rules("again6"),
            [
                "update @sup-hit6 { ip6 daddr & ffff:ffff:ffff:ffff:: counter }",
                "update @answered6 { ip6 daddr . tcp dport . ip6 saddr . tcp sport }",
                "counter name suppressed drop"
            ]
        );
    }

    #[test]
    fn a_first_syn_ack_passes_and_one_that_finds_no_room_is_counted() {
        assert_eq!(
            rules("first4"),
            [
                "ip daddr . tcp dport . ip saddr . tcp sport @answered4 jump again4",
                "add @answered4 { ip daddr . tcp dport . ip saddr . tcp sport } accept",
                "counter name forgotten"
            ]
        );
        assert_eq!(
            rules("anew"),
            [
                "delete @answered4 { ip saddr . tcp sport . ip daddr . tcp dport }",
                "delete @answered6 { ip6 saddr . tcp sport . ip6 daddr . tcp dport }"
            ]
        );
    }

    #[test]
    fn only_bare_syns_and_syn_acks_are_looked_at() {
        for chain in SCAFFOLD.chains.iter().filter(|chain| chain.hook.is_some()) {
            for rule in chain.rules {
                assert!(matches!(rule.when, Some(Match::Syn | Match::SynAck)), "{}: {rule}", chain.name);
            }
        }
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
