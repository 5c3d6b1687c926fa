//! A rule's expressions as text, whoever wrote them: what is loaded, compared, looked up and decided. Which
//! registers are used for it does not show, since programs differ in that and it means nothing.

use std::{collections::BTreeMap, fmt::Write};

use sekisho_ruleset::Kind;

use super::{
    constants::{
        ACCEPT, BITWISE_FROM, BITWISE_LENGTH, BITWISE_MASK, BITWISE_OP, BITWISE_TO, BITWISE_XOR, CMP_DATA,
        CMP_FROM, CMP_OP, DATA_VERDICT, DROP, DYNSET_ADD, DYNSET_DATA, DYNSET_DELETE, DYNSET_EXPRESSION,
        DYNSET_EXPRESSIONS, DYNSET_FLAGS, DYNSET_FROM, DYNSET_OP, DYNSET_SET, DYNSET_TIMEOUT, DYNSET_UPDATE,
        IMMEDIATE_DATA, IMMEDIATE_TO, JUMP, LOOKUP_FLAGS, LOOKUP_FROM, LOOKUP_SET, LOOKUP_TO, META_FAMILY,
        META_KEY, META_TO, META_TRANSPORT, NETWORK, OBJREF_NAME, OBJREF_TYPE, PAYLOAD_BASE, PAYLOAD_LENGTH,
        PAYLOAD_OFFSET, PAYLOAD_TO, TRANSPORT, VERDICT_CHAIN, VERDICT_CODE,
    },
    shape::set_of,
};
use crate::{
    attributes::Attributes,
    nft::constants::{DATA_VALUE, EXPRESSION_DATA, EXPRESSION_NAME, LIST_ITEM, OBJECT_COUNTER},
};

/// `NFT_REG_4`, the last register of 16 bytes.
const LAST_WIDE: u32 = 4;
/// `NFT_REG32_00`.
const WORDS: u32 = 8;
/// `NFT_DYNSET_F_EXPR`: says only that expressions follow.
const WITH_EXPRESSIONS: u32 = 2;

/// What a rule does.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// In words.
    pub(super) text: String,
    /// The sets that it looks at or changes.
    pub(super) sets: Vec<String>,
}

/// Reads the expressions of a rule.
pub(super) fn said(expressions: Attributes<'_>) -> Said {
    let mut reader = Reader::default();
    for (_, content) in expressions.filter(|(kind, _)| *kind == LIST_ITEM) {
        let expression = Attributes(content);
        reader.take(expression.text(EXPRESSION_NAME).unwrap_or("?"), &expression.nested(EXPRESSION_DATA));
    }
    reader.said
}

/// What stands in the registers, in words: by their first 4 bytes, with how many such they take.
#[derive(Default)]
struct Reader {
    loaded: BTreeMap<u32, (u32, String)>,
    said: Said,
}

impl Reader {
    fn take(&mut self, name: &str, data: &Attributes<'_>) {
        match name {
            "meta" => {
                let key = match data.u32(META_KEY) {
                    Some(META_FAMILY) => "family".to_owned(),
                    Some(META_TRANSPORT) => "protocol".to_owned(),
                    other => format!("meta {other:?}"),
                };
                self.load(data.u32(META_TO), 1, key);
            }
            "payload" => self.payload(data),
            "bitwise" => self.bitwise(data),
            "cmp" => {
                let left = self.loaded(data.u32(CMP_FROM), 1);
                let operator = match data.u32(CMP_OP) {
                    Some(0) => "is".to_owned(),
                    other => format!("compares {other:?} to"),
                };
                self.say(&format!("{left} {operator} {}", hex(&data.nested(CMP_DATA))));
            }
            "lookup" => self.lookup(data),
            "dynset" => self.dynset(data),
            "immediate" => self.verdict(data),
            "objref" => {
                let name = data.text(OBJREF_NAME).unwrap_or("?");
                match data.u32(OBJREF_TYPE) {
                    Some(OBJECT_COUNTER) => self.say(&format!("counter {name}")),
                    other => self.say(&format!("object {other:?} {name}")),
                }
            }
            other => self.say(other),
        }
    }

    fn say(&mut self, words: &str) {
        if !self.said.text.is_empty() {
            self.said.text.push_str(", ");
        }
        self.said.text.push_str(words);
    }

    fn load(&mut self, register: Option<u32>, words: u32, what: String) {
        let first = register.map_or(u32::MAX, slot);
        self.loaded.retain(|slot, (taken, _)| *slot + *taken <= first || first + words <= *slot);
        self.loaded.insert(first, (words, what));
    }

    /// What stands in `words` times 4 bytes from a register on.
    fn loaded(&self, register: Option<u32>, words: u32) -> String {
        let (mut at, mut text) = (register.map_or(u32::MAX, slot), String::new());
        let end = at.saturating_add(words);
        while at < end {
            let Some((taken, what)) = self.loaded.get(&at) else { break };
            if !text.is_empty() {
                text.push_str(" . ");
            }
            text.push_str(what);
            at += taken;
        }
        text
    }

    fn payload(&mut self, data: &Attributes<'_>) {
        let header = match data.u32(PAYLOAD_BASE) {
            Some(NETWORK) => "network".to_owned(),
            Some(TRANSPORT) => "transport".to_owned(),
            other => format!("base {other:?}"),
        };
        let (offset, length) = (data.u32(PAYLOAD_OFFSET), data.u32(PAYLOAD_LENGTH).unwrap_or(0));
        let what = format!("{header}@{}+{length}", offset.unwrap_or(0));
        self.load(data.u32(PAYLOAD_TO), length.div_ceil(4).max(1), what);
    }

    fn bitwise(&mut self, data: &Attributes<'_>) {
        let words = data.u32(BITWISE_LENGTH).unwrap_or(0).div_ceil(4).max(1);
        let from = self.loaded(data.u32(BITWISE_FROM), words);
        let mut what = format!("{from} & {}", hex(&data.nested(BITWISE_MASK)));
        let exclusive = data.nested(BITWISE_XOR);
        if exclusive.find(DATA_VALUE).is_some_and(|value| value.iter().any(|byte| *byte != 0)) {
            // Writing to a string cannot fail.
            let _ = write!(what, " ^ {}", hex(&exclusive));
        }
        if let Some(operation @ 1..) = data.u32(BITWISE_OP) {
            let _ = write!(what, " operation {operation}");
        }
        self.load(data.u32(BITWISE_TO), words, what);
    }

    fn lookup(&mut self, data: &Attributes<'_>) {
        let set = data.text(LOOKUP_SET).unwrap_or("?");
        let key = self.loaded(data.u32(LOOKUP_FROM), key_words(set));
        let how = if data.u32(LOOKUP_FLAGS).unwrap_or(0) == 0 { "in" } else { "not in" };
        let to = if data.u32(LOOKUP_TO).is_some() { ", and what it maps to" } else { "" };
        self.say(&format!("{key} {how} {set}{to}"));
        self.said.sets.push(set.to_owned());
    }

    fn dynset(&mut self, data: &Attributes<'_>) {
        let set = data.text(DYNSET_SET).unwrap_or("?");
        let how = match data.u32(DYNSET_OP) {
            Some(DYNSET_ADD) => "add".to_owned(),
            Some(DYNSET_UPDATE) => "update".to_owned(),
            Some(DYNSET_DELETE) => "delete".to_owned(),
            other => format!("change {other:?}"),
        };
        let key = self.loaded(data.u32(DYNSET_FROM), key_words(set));
        let mut text = format!("{how} {key} in {set}");
        let alone = data.find(DYNSET_EXPRESSION);
        let among = data.nested(DYNSET_EXPRESSIONS).map(|(_, content)| content);
        for each in alone.into_iter().chain(among) {
            let _ = write!(text, " with {}", Attributes(each).text(EXPRESSION_NAME).unwrap_or("?"));
        }
        for (attribute, name) in [(DYNSET_DATA, "data"), (DYNSET_FLAGS, "flags")] {
            if let Some(number) = data.u32(attribute).map(|number| number & !WITH_EXPRESSIONS)
                && number != 0
            {
                let _ = write!(text, " {name} {number}");
            }
        }
        if let Some(timeout @ 1..) = data.u64(DYNSET_TIMEOUT) {
            let _ = write!(text, " for {timeout} ms");
        }
        self.say(&text);
        self.said.sets.push(set.to_owned());
    }

    fn verdict(&mut self, data: &Attributes<'_>) {
        let verdict = data.nested(IMMEDIATE_DATA).nested(DATA_VERDICT);
        let code = verdict.find(VERDICT_CODE).and_then(|bytes| bytes.first_chunk());
        let code = code.map(|bytes| i32::from_be_bytes(*bytes));
        let chain = verdict.text(VERDICT_CHAIN).unwrap_or("?");
        match (data.u32(IMMEDIATE_TO), code) {
            (Some(0), Some(ACCEPT)) => self.say("accept"),
            (Some(0), Some(DROP)) => self.say("drop"),
            (Some(0), Some(JUMP)) => self.say(&format!("jump {chain}")),
            (to, code) => {
                let value = hex(&data.nested(IMMEDIATE_DATA));
                self.say(&format!("immediate {to:?} {code:?} {chain} {value}"));
            }
        }
    }
}

/// The number of a register's first 4 bytes.
fn slot(register: u32) -> u32 {
    match register {
        1..=LAST_WIDE => (register - 1) * 4,
        WORDS.. => register - WORDS,
        _ => u32::MAX - 64,
    }
}

/// How many times 4 bytes a key of this set has.
fn key_words(set: &str) -> u32 {
    let Some(set) = set_of(set) else { return 1 };
    let address = match set.family() {
        sekisho_ruleset::Family::V4 => 1,
        sekisho_ruleset::Family::V6 => 4,
    };
    if set.kind() == Kind::Handshakes { 2 * (address + 1) } else { address }
}

fn hex(value: &Attributes<'_>) -> String {
    let bytes = value.find(DATA_VALUE).unwrap_or(&[]);
    bytes.iter().fold(String::from("0x"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sekisho_ruleset::{SCAFFOLD, SetName, Sides};

    use super::{super::expression, *};
    use crate::message::Writer;

    fn text(chain: &str, index: usize, sides: Sides) -> String {
        let chain = SCAFFOLD.chains.iter().find(|each| each.name == chain).unwrap();
        let mut list = Writer::default();
        expression::rule(&mut list, &chain.rules[index], sides);
        said(Attributes(&list.bytes)).text
    }

    #[test]
    fn rules_are_told_by_what_they_do() {
        let sides = Sides::default();
        assert_eq!(text("sieve", 0, sides), "protocol is 0x06, transport@13+1 & 0x17 is 0x02, jump syn");
        assert_eq!(text("syn", 3, sides), "family is 0x02, network@12+4 in drop4, jump block4");
        let turned = sides.turned(SetName::Drop4);
        assert_eq!(text("syn", 3, turned), "family is 0x02, network@12+4 in drop4-b, jump block4");
        assert_eq!(
            text("first4", 0, sides),
            "family is 0x02, protocol is 0x06, network@16+4 . transport@2+2 . network@12+4 . transport@0+2 \
             in answered4, jump again4"
        );
        assert_eq!(
            text("block6", 0, sides),
            "family is 0x0a, update network@8+16 & 0xffffffffffffffff0000000000000000 in hit6 with counter"
        );
        assert_eq!(text("block6", 1, sides), "counter dropped, drop");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>, name in "meta|payload|bitwise|cmp|lookup|dynset|immediate|objref",
                               register: u32) {
            let mut reader = Reader::default();
            let mut writer = Writer::default();
            for kind in 1..=6 {
                writer.attribute(kind, &[&register.to_be_bytes()]);
            }
            reader.take(&name, &Attributes(&writer.bytes));
            reader.take(&name, &Attributes(&bytes));
            said(Attributes(&bytes));
        }
    }
}
