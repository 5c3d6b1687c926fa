//! Rules as `nft` writes them.

use core::fmt;

use super::{Action, End, Match, Rule};
use crate::{Family, SetName};

fn protocol(set: SetName) -> &'static str {
    match set.family() {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

impl End {
    /// The field of an IP header that holds this end's address.
    pub const fn address_field(self) -> &'static str {
        match self {
            Self::Source => "saddr",
            Self::Destination => "daddr",
        }
    }

    /// The field of a TCP header that holds this end's port.
    pub const fn port_field(self) -> &'static str {
        match self {
            Self::Source => "sport",
            Self::Destination => "dport",
        }
    }
}

/// The handshake of a peer at one end: its address and port, then ours.
struct Handshake(End, SetName);

impl fmt::Display for Handshake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ip, peer, own) = (protocol(self.1), self.0, self.0.other());
        let (their_address, their_port) = (peer.address_field(), peer.port_field());
        let (our_address, our_port) = (own.address_field(), own.port_field());
        write!(out, "{ip} {their_address} . tcp {their_port} . {ip} {our_address} . tcp {our_port}")
    }
}

impl fmt::Display for Match {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Syn => out.write_str("tcp flags & (fin|syn|rst|ack) == syn"),
            Self::SynAck => out.write_str("tcp flags & (fin|syn|rst|ack) == (syn|ack)"),
            Self::At(end, set) => write!(out, "{} {} @{set}", protocol(set), end.address_field()),
            Self::Of(end, set) => write!(out, "{} @{set}", Handshake(end, set)),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(counter) => write!(out, "counter name {counter}"),
            Self::Note(end, set) => {
                let mask = if set.family() == Family::V4 { "" } else { " & ffff:ffff:ffff:ffff::" };
                write!(out, "update @{set} {{ {} {}{mask} counter }}", protocol(set), end.address_field())
            }
            Self::Remember(end, set) => write!(out, "add @{set} {{ {} }}", Handshake(end, set)),
            Self::Renew(end, set) => write!(out, "update @{set} {{ {} }}", Handshake(end, set)),
            Self::Forget(end, set) => write!(out, "delete @{set} {{ {} }}", Handshake(end, set)),
            Self::Jump(chain) => write!(out, "jump {chain}"),
            Self::Accept => out.write_str("accept"),
            Self::Drop => out.write_str("drop"),
        }
    }
}

impl fmt::Display for Rule {
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
