//! The table of ours: its chains, rules and counters, as static values from which both the declaration
//! to the kernel and the check of a table that is there derive.

mod older;
mod ours;
mod text;

pub use older::OLDER;
pub use ours::{
    COUNTER_DROPPED, COUNTER_FORGOTTEN, COUNTER_MUTED, COUNTER_SUPPRESSED, COUNTER_SYNS, SCAFFOLD,
};

use crate::SetName;

/// The family of the table.
pub const TABLE_FAMILY: &str = "inet";
/// The name of the table.
pub const TABLE: &str = "sekisho";
/// Priority of the base chains: raw, before connection tracking, where that has a say
/// (`NF_IP_PRI_RAW`); on input and forward just the first in line. No address is translated between our
/// chain on input and ours on output, nor between both ways through the one on forward.
pub const PRIORITY: i32 = -300;

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
    /// All that comes in for this host itself.
    Input,
    /// All that goes through this host: to and from its pods.
    Forward,
    /// All that this host itself sends.
    Output,
}

/// One end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where it comes from.
    Source,
    /// Where it goes to.
    Destination,
}

impl End {
    /// The end at the other side.
    pub const fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }
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
    /// The address at this end is in this set.
    At(End, SetName),
    /// The handshake of a peer at this end is in this set.
    Of(End, SetName),
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Counts in a named counter.
    Count(&'static str),
    /// Puts the unit (an IPv4 address, an IPv6 /64) at this end in this set, with a counter, or renews it.
    Note(End, SetName),
    /// Puts the handshake of the peer at this end in this set; where that is full the rule ends here.
    Remember(End, SetName),
    /// The same, and the time of one that is there begins anew.
    Renew(End, SetName),
    /// Takes the handshake of the peer at this end out of this set.
    Forget(End, SetName),
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

const fn helper(name: &'static str, rules: &'static [Rule]) -> Chain {
    Chain { name, hook: None, rules }
}

const fn base(name: &'static str, hook: Hook, rules: &'static [Rule]) -> Chain {
    Chain { name, hook: Some(hook), rules }
}
