//! The scaffold as nf_tables messages, to be put into a batch.

use sekisho_ruleset::{
    Family, Kind, Scaffold, SetName, Sides,
    scaffold::{Chain, Hook, PRIORITY, TABLE},
};

use super::{
    constants::{
        CHAIN_HOOK, CHAIN_NAME, CHAIN_POLICY, CHAIN_TABLE, CHAIN_TYPE, DELETE_RULE, DELETE_SET, DELETE_TABLE,
        DESCRIPTION_SIZE, HOOK_NUMBER, HOOK_PRIORITY, NEW_CHAIN, NEW_OBJECT, NEW_RULE, NEW_SET, NEW_TABLE,
        RULE_CHAIN, RULE_EXPRESSIONS, RULE_TABLE, SET_DESCRIPTION, SET_DYNAMIC, SET_FLAGS, SET_ID,
        SET_INTERVAL, SET_KEY_LENGTH, SET_KEY_TYPE, SET_TIMEOUT, SET_TIMES_OUT,
    },
    expression::{self, number},
};
use crate::{
    message::{APPEND, CREATE, EXCLUSIVE},
    nft::{
        batch::BatchWriter,
        constants::{
            OBJECT_COUNTER, OBJECT_DATA, OBJECT_NAME, OBJECT_TABLE, OBJECT_TYPE, SET_NAME, SET_TABLE,
            TABLE_FLAGS, TABLE_NAME,
        },
    },
};

/// `NF_ACCEPT`, as a policy.
const ACCEPT: u32 = 1;
/// What `nft` calls the types of keys: `ipv4_addr`, `ipv6_addr`, `inet_service`.
const TYPE_V4: u32 = 7;
const TYPE_V6: u32 = 8;
const TYPE_PORT: u32 = 13;
/// Bits of a type within that of keys that consist of several.
const TYPE_BITS: u32 = 6;

/// The messages that make a table of this shape, where there is none, with its sets on these sides.
pub(crate) fn create(batch: &mut BatchWriter, scaffold: &Scaffold, flags: u32, sides: Sides) {
    table(batch, TABLE, flags, EXCLUSIVE);
    scaffold.counters.iter().for_each(|name| counter(batch, name));
    scaffold.sets.iter().for_each(|each| set(batch, *each, sides.name(*each)));
    chains(batch, scaffold, sides);
}

/// The messages that make all rules of `old` anew, as `new` has them, with the sets on these sides. What is new in
/// `new` comes too; the sets and counters stay as they are.
pub(crate) fn rules_anew(batch: &mut BatchWriter, old: &Scaffold, new: &Scaffold, sides: Sides) {
    for chain in old.chains {
        batch.message(DELETE_RULE, 0, |body| {
            body.text(RULE_TABLE, TABLE);
            body.text(RULE_CHAIN, chain.name);
        });
    }
    for name in new.counters.iter().filter(|name| !old.counters.contains(name)) {
        counter(batch, name);
    }
    for each in new.sets.iter().filter(|each| !old.sets.contains(each)) {
        set(batch, *each, sides.name(*each));
    }
    chains(batch, new, sides);
}

/// The message that makes a table, or does nothing if it is there.
pub(crate) fn table(batch: &mut BatchWriter, name: &str, flags: u32, more: u16) {
    batch.message(NEW_TABLE, CREATE | more, |body| {
        body.text(TABLE_NAME, name);
        number(body, TABLE_FLAGS, flags);
    });
}

/// The message that deletes a table.
pub(crate) fn delete_table(batch: &mut BatchWriter, name: &str) {
    batch.message(DELETE_TABLE, 0, |body| body.text(TABLE_NAME, name));
}

/// The message that deletes a set.
pub(crate) fn delete_set(batch: &mut BatchWriter, name: &str) {
    batch.message(DELETE_SET, 0, |body| {
        body.text(SET_TABLE, TABLE);
        body.text(SET_NAME, name);
    });
}

/// Chains and rules, each after what it refers to.
fn chains(batch: &mut BatchWriter, scaffold: &Scaffold, sides: Sides) {
    for each in scaffold.chains {
        chain(batch, each);
        for rule in each.rules {
            batch.message(NEW_RULE, CREATE | APPEND, |body| {
                body.text(RULE_TABLE, TABLE);
                body.text(RULE_CHAIN, each.name);
                body.nest(RULE_EXPRESSIONS, |list| expression::rule(list, rule, sides));
            });
        }
    }
}

fn counter(batch: &mut BatchWriter, name: &str) {
    batch.message(NEW_OBJECT, CREATE, |body| {
        body.text(OBJECT_TABLE, TABLE);
        body.text(OBJECT_NAME, name);
        number(body, OBJECT_TYPE, OBJECT_COUNTER);
        body.nest(OBJECT_DATA, expression::from_nothing);
    });
}

/// The message that makes `set` under a name.
pub(crate) fn set(batch: &mut BatchWriter, set: SetName, name: &str) {
    set_in(batch, TABLE, set, name);
}

/// The message that makes a set like `set` in a table.
pub(crate) fn set_in(batch: &mut BatchWriter, table: &str, set: SetName, name: &str) {
    let (key_type, length) = key(set);
    // The number only has to be another one for each set of a batch.
    let id = SetName::ALL.iter().position(|each| *each == set).unwrap_or(0);
    batch.message(NEW_SET, CREATE, |body| {
        body.text(SET_TABLE, table);
        body.text(SET_NAME, name);
        number(body, SET_FLAGS, flags(set));
        number(body, SET_KEY_TYPE, key_type);
        number(body, SET_KEY_LENGTH, length);
        number(body, SET_ID, u32::try_from(id).unwrap_or(0) + 1);
        if let Some(size) = set.size() {
            body.nest(SET_DESCRIPTION, |inner| number(inner, DESCRIPTION_SIZE, size));
        }
        if let Some(timeout) = set.timeout() {
            let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            body.attribute(SET_TIMEOUT, &[&millis.to_be_bytes()]);
        }
    });
}

fn flags(set: SetName) -> u32 {
    match set.kind() {
        Kind::Hash => SET_TIMES_OUT,
        Kind::Interval => SET_TIMES_OUT | SET_INTERVAL,
        Kind::Dynamic | Kind::Handshakes => SET_TIMES_OUT | SET_DYNAMIC,
    }
}

/// The type of a set's keys, as `nft` numbers it, and how many bytes they have. Parts of a key are padded to 4 bytes.
fn key(set: SetName) -> (u32, u32) {
    let (address, length) = match set.family() {
        Family::V4 => (TYPE_V4, 4),
        Family::V6 => (TYPE_V6, 16),
    };
    match set.kind() {
        Kind::Hash | Kind::Interval | Kind::Dynamic => (address, length),
        Kind::Handshakes => {
            let end = address << TYPE_BITS | TYPE_PORT;
            (end << (2 * TYPE_BITS) | end, 2 * (length + 4))
        }
    }
}

fn chain(batch: &mut BatchWriter, chain: &Chain) {
    batch.message(NEW_CHAIN, CREATE, |body| {
        body.text(CHAIN_TABLE, TABLE);
        body.text(CHAIN_NAME, chain.name);
        let Some(hook) = chain.hook else { return };
        body.nest(CHAIN_HOOK, |inner| {
            number(inner, HOOK_NUMBER, hook_number(hook));
            inner.attribute(HOOK_PRIORITY, &[&PRIORITY.to_be_bytes()]);
        });
        number(body, CHAIN_POLICY, ACCEPT);
        body.text(CHAIN_TYPE, "filter");
    });
}

/// `NF_INET_PRE_ROUTING` and so on.
fn hook_number(hook: Hook) -> u32 {
    match hook {
        Hook::Prerouting => 0,
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
    }
}
