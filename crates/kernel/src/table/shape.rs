//! What a table is made of, so that one that the kernel lists can be compared with the one that we would make.

use std::collections::{BTreeMap, BTreeSet};

use sekisho_ruleset::{Scaffold, SetName, Sides, scaffold::TABLE};

use super::{
    constants::{
        CHAIN_HOOK, CHAIN_NAME, CHAIN_POLICY, CHAIN_TABLE, CHAIN_TYPE, DESCRIPTION_SIZE, DORMANT,
        HOOK_DEVICE, HOOK_NUMBER, HOOK_PRIORITY, NEW_CHAIN, NEW_OBJECT, NEW_RULE, NEW_SET, NEW_TABLE,
        RULE_CHAIN, RULE_EXPRESSIONS, RULE_TABLE, SET_DESCRIPTION, SET_DYNAMIC, SET_FLAGS, SET_KEY_LENGTH,
        SET_KEY_TYPE, SET_TIMEOUT,
    },
    make,
    rule::said,
};
use crate::{
    attributes::Attributes,
    message::{Message, Messages},
    nft::{
        batch::BatchWriter,
        constants::{OBJECT_NAME, OBJECT_TABLE, OBJECT_TYPE, SET_NAME, SET_TABLE, TABLE_FLAGS, TABLE_NAME},
    },
};

/// A line of text for each counter, set, chain and rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    lines: BTreeMap<String, String>,
    /// The sets that rules look at.
    looked_at: BTreeSet<String>,
}

/// The set of ours that goes by this name, on either side.
pub(crate) fn set_of(name: &str) -> Option<SetName> {
    let known = |set: &SetName| set.as_str() == name || Sides::default().aside(*set) == Some(name);
    SetName::ALL.into_iter().find(known)
}

impl Shape {
    /// The shape of a table of ours with its sets on these sides.
    pub(crate) fn of(scaffold: &Scaffold, sides: Sides) -> Self {
        let mut batch = BatchWriter::new(0);
        make::create(&mut batch, scaffold, 0, sides);
        let mut shape = Self::default();
        Messages(&batch.done().bytes).for_each(|message| shape.take(&message));
        shape
    }

    /// Which sides the rules look at, as far as this can be a table of ours.
    pub(crate) fn sides(&self) -> Sides {
        SetName::HASHED.into_iter().fold(Sides::default(), |sides, set| {
            let second = sides.aside(set).is_some_and(|name| self.looked_at.contains(name));
            if second { sides.turned(set) } else { sides }
        })
    }

    /// Takes the sets out that are filled aside and that no rule looks at; gives them.
    pub(crate) fn take_asides(&mut self) -> Vec<SetName> {
        let sides = self.sides();
        let aside =
            |set: &SetName| sides.aside(*set).is_some_and(|name| self.lines.remove(&set_key(name)).is_some());
        SetName::HASHED.into_iter().filter(aside).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The first difference to `wanted`, in words.
    pub(crate) fn difference(&self, wanted: &Self) -> Option<String> {
        let missing = wanted.lines.iter().find_map(|(key, want)| match self.lines.get(key) {
            Some(found) if found == want => None,
            Some(found) => Some(format!("{key} is \"{found}\" and should be \"{want}\"")),
            None => Some(format!("{key} is missing")),
        });
        let extra = || {
            self.lines
                .keys()
                .find(|key| !wanted.lines.contains_key(*key))
                .map(|key| format!("{key} is not ours"))
        };
        missing.or_else(extra)
    }

    /// Whether everything of `wanted` but the rules is there as it should be, and nothing else.
    pub(crate) fn differs_by_rules_only(&self, wanted: &Self) -> bool {
        let others = |shape: &Self| -> BTreeMap<String, String> {
            shape
                .lines
                .iter()
                .filter(|(key, _)| !key.starts_with("rule "))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        };
        others(self) == others(wanted)
    }

    /// Takes a message about an object in, if it is of our table.
    pub(crate) fn take(&mut self, message: &Message<'_>) {
        let body = Attributes(message.payload.get(4..).unwrap_or(&[]));
        let ours = |kind: u16| body.text(kind) == Some(TABLE);
        match message.kind {
            // Who owns it does not matter here.
            NEW_TABLE if ours(TABLE_NAME) => {
                let dormant = body.u32(TABLE_FLAGS).unwrap_or(0) & DORMANT != 0;
                self.lines.insert("table".to_owned(), if dormant { "dormant" } else { "" }.to_owned());
            }
            NEW_CHAIN if ours(CHAIN_TABLE) => {
                let name = body.text(CHAIN_NAME).unwrap_or("?");
                self.lines.insert(format!("chain {name}"), chain(&body));
            }
            NEW_RULE if ours(RULE_TABLE) => self.rule(&body),
            NEW_SET if ours(SET_TABLE) => {
                self.lines.insert(set_key(body.text(SET_NAME).unwrap_or("?")), set(&body));
            }
            NEW_OBJECT if ours(OBJECT_TABLE) => {
                let name = body.text(OBJECT_NAME).unwrap_or("?");
                self.lines.insert(format!("counter {name}"), kind(&body));
            }
            _ => {}
        }
    }

    fn rule(&mut self, body: &Attributes<'_>) {
        let chain = body.text(RULE_CHAIN).unwrap_or("?");
        let key = |place: u32| format!("rule {place} of chain {chain}");
        let place = (1..).find(|place| !self.lines.contains_key(&key(*place))).unwrap_or(0);
        let said = said(body.nested(RULE_EXPRESSIONS));
        self.looked_at.extend(said.sets);
        self.lines.insert(key(place), said.text);
    }
}

fn set_key(name: &str) -> String {
    format!("set {name}")
}

fn kind(body: &Attributes<'_>) -> String {
    format!("type {}", body.u32(OBJECT_TYPE).unwrap_or(0))
}

fn chain(body: &Attributes<'_>) -> String {
    let hook = body.nested(CHAIN_HOOK);
    let Some(number) = hook.u32(HOOK_NUMBER) else { return String::new() };
    let priority = hook.find(HOOK_PRIORITY).and_then(|bytes| bytes.first_chunk());
    format!(
        "type {} hook {number} priority {} policy {}{}",
        body.text(CHAIN_TYPE).unwrap_or("?"),
        priority.map_or(0, |bytes| i32::from_be_bytes(*bytes)),
        body.u32(CHAIN_POLICY).unwrap_or(0),
        hook.text(HOOK_DEVICE).map(|device| format!(" device {device}")).unwrap_or_default(),
    )
}

/// That rules fill a set, `nft` tells only where it knew so when it made it.
fn set(body: &Attributes<'_>) -> String {
    format!(
        "type {} length {} size {} timeout {} flags {:#x}",
        body.u32(SET_KEY_TYPE).unwrap_or(0),
        body.u32(SET_KEY_LENGTH).unwrap_or(0),
        body.nested(SET_DESCRIPTION).u32(DESCRIPTION_SIZE).unwrap_or(0),
        body.u64(SET_TIMEOUT).unwrap_or(0),
        body.u32(SET_FLAGS).unwrap_or(0) & !SET_DYNAMIC,
    )
}

#[cfg(test)]
mod tests {
    use sekisho_ruleset::{SCAFFOLD, scaffold::OLDER};

    use super::*;

    #[test]
    fn sides_are_told_by_what_the_rules_look_at() {
        let turned = Sides::default().turned(SetName::Drop4).turned(SetName::Suppress6);
        for sides in [Sides::default(), turned] {
            let shape = Shape::of(&SCAFFOLD, sides);
            let mut made = Shape::default();
            let mut batch = BatchWriter::new(0);
            make::rules_anew(&mut batch, &SCAFFOLD, &SCAFFOLD, sides);
            Messages(&batch.done().bytes).for_each(|message| made.take(&message));
            assert_eq!(made.sides(), sides);
            // The rules are those that the messages of a turn make.
            for (key, line) in &made.lines {
                assert_eq!(shape.lines.get(key), Some(line), "{key}");
            }
        }
    }

    #[test]
    fn what_is_filled_aside_is_no_difference() {
        let wanted = Shape::of(&SCAFFOLD, Sides::default());
        let mut found = wanted.clone();
        found.lines.insert("set drop6-b".to_owned(), String::new());
        assert_eq!(found.difference(&wanted).unwrap(), "set drop6-b is not ours");
        assert_eq!(found.take_asides(), [SetName::Drop6]);
        assert_eq!(found.difference(&wanted), None);
        assert_eq!(found.take_asides(), []);
    }

    #[test]
    fn versions_differ() {
        for old in OLDER {
            assert!(
                Shape::of(&old, Sides::default())
                    .difference(&Shape::of(&SCAFFOLD, Sides::default()))
                    .is_some()
            );
        }
    }
}
