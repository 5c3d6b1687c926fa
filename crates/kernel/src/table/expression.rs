//! The scaffold's rules as nf_tables expressions: small steps that load parts of a packet into registers,
//! compare them, look them up, and decide. They are those that `nft` makes of the same rules, so that it lists
//! them as it would its own.

use sekisho_ruleset::{
    Family, SetName, Sides,
    scaffold::{Action, End, Match, Rule},
};

use super::constants::{
    ACCEPT, BITWISE_FROM, BITWISE_LENGTH, BITWISE_MASK, BITWISE_TO, BITWISE_XOR, CMP_DATA, CMP_FROM, CMP_OP,
    COUNTER_BYTES, DATA_VERDICT, DROP, DYNSET_ADD, DYNSET_DELETE, DYNSET_EXPRESSION, DYNSET_FROM, DYNSET_OP,
    DYNSET_SET, DYNSET_UPDATE, IMMEDIATE_DATA, IMMEDIATE_TO, JUMP, LOOKUP_FROM, LOOKUP_SET, META_FAMILY,
    META_KEY, META_TO, META_TRANSPORT, NETWORK, OBJREF_NAME, OBJREF_TYPE, PAYLOAD_BASE, PAYLOAD_LENGTH,
    PAYLOAD_OFFSET, PAYLOAD_TO, TRANSPORT, VERDICT_CHAIN, VERDICT_CODE,
};
use crate::{
    message::Writer,
    nft::constants::{
        COUNTER_PACKETS, DATA_VALUE, EXPRESSION_DATA, EXPRESSION_NAME, LIST_ITEM, OBJECT_COUNTER,
    },
};

/// `NFT_REG_1`, 16 bytes.
const FIRST: u32 = 1;
/// `NFT_REG32_00`, the first 4 bytes of it, and so on.
const WORDS: u32 = 8;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// Where the flags stand in a TCP header.
const TCP_FLAGS: u32 = 13;
/// FIN, SYN, RST and ACK.
const LOOKED_AT: u8 = 0x17;
const SYN: u8 = 0x02;
const SYN_ACK: u8 = 0x12;
/// The first 64 of 128 bits, by which hits are counted.
const UNIT_MASK: [u8; 16] = [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0];

/// Writes the expressions of a rule, in a list.
pub(super) fn rule(list: &mut Writer, rule: &Rule, sides: Sides) {
    let mut steps = Steps { list, sides };
    if let Some(when) = rule.when {
        steps.condition(when);
    }
    rule.then.iter().for_each(|action| steps.action(*action));
}

struct Steps<'a> {
    list: &'a mut Writer,
    sides: Sides,
}

impl Steps<'_> {
    fn condition(&mut self, when: Match) {
        match when {
            Match::Syn => self.flags(SYN),
            Match::SynAck => self.flags(SYN_ACK),
            Match::At(end, set) => {
                self.family(set);
                self.address(end, set, FIRST);
                self.lookup(set);
            }
            Match::Of(end, set) => {
                self.handshake(end, set);
                self.lookup(set);
            }
        }
    }

    fn action(&mut self, action: Action) {
        match action {
            Action::Count(name) => self.step("objref", |data| {
                number(data, OBJREF_TYPE, OBJECT_COUNTER);
                data.text(OBJREF_NAME, name);
            }),
            Action::Note(end, set) => {
                self.family(set);
                self.address(end, set, FIRST);
                if set.family() == Family::V6 {
                    self.mask(&UNIT_MASK);
                }
                self.change(set, DYNSET_UPDATE, true);
            }
            Action::Remember(end, set) => self.change_handshake(end, set, DYNSET_ADD),
            Action::Renew(end, set) => self.change_handshake(end, set, DYNSET_UPDATE),
            Action::Forget(end, set) => self.change_handshake(end, set, DYNSET_DELETE),
            Action::Jump(chain) => self.verdict(JUMP, Some(chain)),
            Action::Accept => self.verdict(ACCEPT, None),
            Action::Drop => self.verdict(DROP, None),
        }
    }

    /// Writes one expression.
    fn step(&mut self, name: &str, data: impl FnOnce(&mut Writer)) {
        self.list.nest(LIST_ITEM, |item| expression(item, name, data));
    }

    /// Goes on only for packets of the family of `set`.
    fn family(&mut self, set: SetName) {
        let family = match set.family() {
            Family::V4 => libc::NFPROTO_IPV4,
            Family::V6 => libc::NFPROTO_IPV6,
        };
        self.meta(META_FAMILY, u8::try_from(family).unwrap_or(0));
    }

    /// Goes on only where a fact about the packet is `wanted`.
    fn meta(&mut self, key: u32, wanted: u8) {
        self.step("meta", |data| {
            number(data, META_KEY, key);
            number(data, META_TO, FIRST);
        });
        self.equal(&[wanted]);
    }

    fn equal(&mut self, wanted: &[u8]) {
        self.step("cmp", |data| {
            number(data, CMP_FROM, FIRST);
            number(data, CMP_OP, 0);
            data.nest(CMP_DATA, |value| value.attribute(DATA_VALUE, &[wanted]));
        });
    }

    fn flags(&mut self, wanted: u8) {
        self.meta(META_TRANSPORT, TCP);
        self.load(TRANSPORT, TCP_FLAGS, 1, FIRST);
        self.mask(&[LOOKED_AT]);
        self.equal(&[wanted]);
    }

    fn mask(&mut self, mask: &[u8]) {
        let nothing = vec![0; mask.len()];
        self.step("bitwise", |data| {
            number(data, BITWISE_FROM, FIRST);
            number(data, BITWISE_TO, FIRST);
            number(data, BITWISE_LENGTH, u32::try_from(mask.len()).unwrap_or(0));
            data.nest(BITWISE_MASK, |value| value.attribute(DATA_VALUE, &[mask]));
            data.nest(BITWISE_XOR, |value| value.attribute(DATA_VALUE, &[&nothing]));
        });
    }

    fn load(&mut self, base: u32, offset: u32, length: u32, to: u32) {
        self.step("payload", |data| {
            number(data, PAYLOAD_TO, to);
            number(data, PAYLOAD_BASE, base);
            number(data, PAYLOAD_OFFSET, offset);
            number(data, PAYLOAD_LENGTH, length);
        });
    }

    /// Loads the address at one end; gives the register behind it.
    fn address(&mut self, end: End, set: SetName, to: u32) {
        let (offset, length) = match (set.family(), end) {
            (Family::V4, End::Source) => (12, 4),
            (Family::V4, End::Destination) => (16, 4),
            (Family::V6, End::Source) => (8, 16),
            (Family::V6, End::Destination) => (24, 16),
        };
        self.load(NETWORK, offset, length, to);
    }

    fn port(&mut self, end: End, to: u32) {
        let offset = match end {
            End::Source => 0,
            End::Destination => 2,
        };
        self.load(TRANSPORT, offset, 2, to);
    }

    /// Loads the address and port of the peer at one end, then ours, each from a register of 4 bytes on.
    fn handshake(&mut self, peer: End, set: SetName) {
        self.family(set);
        self.meta(META_TRANSPORT, TCP);
        let words = match set.family() {
            Family::V4 => 1,
            Family::V6 => 4,
        };
        for (end, from) in [(peer, WORDS), (peer.other(), WORDS + words + 1)] {
            self.address(end, set, from);
            self.port(end, from + words);
        }
    }

    fn lookup(&mut self, set: SetName) {
        let name = self.sides.name(set);
        self.step("lookup", |data| {
            data.text(LOOKUP_SET, name);
            number(data, LOOKUP_FROM, FIRST);
        });
    }

    fn change_handshake(&mut self, end: End, set: SetName, change: u32) {
        self.handshake(end, set);
        self.change(set, change, false);
    }

    /// Changes a set by what is loaded.
    fn change(&mut self, set: SetName, change: u32, with_counter: bool) {
        let name = self.sides.name(set);
        self.step("dynset", |data| {
            data.text(DYNSET_SET, name);
            number(data, DYNSET_OP, change);
            number(data, DYNSET_FROM, FIRST);
            if with_counter {
                data.nest(DYNSET_EXPRESSION, |item| expression(item, "counter", from_nothing));
            }
        });
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) {
        self.step("immediate", |data| {
            number(data, IMMEDIATE_TO, 0);
            data.nest(IMMEDIATE_DATA, |value| {
                value.nest(DATA_VERDICT, |verdict| {
                    verdict.attribute(VERDICT_CODE, &[&code.to_be_bytes()]);
                    if let Some(chain) = chain {
                        verdict.text(VERDICT_CHAIN, chain);
                    }
                });
            });
        });
    }
}

fn expression(item: &mut Writer, name: &str, data: impl FnOnce(&mut Writer)) {
    item.text(EXPRESSION_NAME, name);
    item.nest(EXPRESSION_DATA, data);
}

/// A counter that has counted nothing.
pub(super) fn from_nothing(data: &mut Writer) {
    data.attribute(COUNTER_BYTES, &[&[0; 8]]);
    data.attribute(COUNTER_PACKETS, &[&[0; 8]]);
}

/// Writes a number in network order.
pub(super) fn number(writer: &mut Writer, kind: u16, value: u32) {
    writer.attribute(kind, &[&value.to_be_bytes()]);
}
