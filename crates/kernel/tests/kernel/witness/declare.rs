//! The scaffold as commands to `nft` (libnftables-json(5)), in the types of the nftables crate.

use std::collections::HashSet;

use nftables::{
    schema::{Chain, Counter, NfCmd, NfListObject, Set, SetFlag, SetType, SetTypeValue, Table},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};
use sekisho_ruleset::{
    Family, Kind, Scaffold, SetName,
    scaffold::{self, Hook, PRIORITY, TABLE},
};
use serde_json::{Value, json};

use super::rule;

/// Makes a table of this shape, where there is none.
pub(super) fn create(scaffold: &Scaffold) -> Value {
    let table = command(NfCmd::Create(NfListObject::Table(table())));
    commands([table].into_iter().chain(contents(scaffold)))
}

fn commands(commands: impl IntoIterator<Item = Value>) -> Value {
    json!({ "nftables": commands.into_iter().collect::<Vec<Value>>() })
}

fn command(command: NfCmd<'static>) -> Value {
    serde_json::to_value(command).unwrap_or(Value::Null)
}

fn add(object: NfListObject<'static>) -> Value {
    command(NfCmd::Add(object))
}

fn table() -> Table<'static> {
    Table { family: NfFamily::INet, name: TABLE.into(), handle: None }
}

/// Counters, sets, chains and rules, each after what it refers to.
fn contents(scaffold: &Scaffold) -> impl Iterator<Item = Value> {
    let counters = scaffold.counters.iter().map(|name| counter(name));
    let sets = scaffold.sets.iter().map(|set| declared(*set));
    counters.chain(sets).chain(chains(scaffold))
}

fn chains(scaffold: &Scaffold) -> impl Iterator<Item = Value> {
    scaffold.chains.iter().flat_map(|each| {
        let rules = each.rules.iter().map(|each_rule| rule::add(each.name, each_rule));
        [chain(each)].into_iter().chain(rules)
    })
}

fn counter(name: &'static str) -> Value {
    add(NfListObject::Counter(Counter {
        family: NfFamily::INet,
        table: TABLE.into(),
        name: name.into(),
        packets: Some(0),
        bytes: Some(0),
        ..Counter::default()
    }))
}

fn declared(set: SetName) -> Value {
    // That a set is filled by rules, `nft` sees from the rules: older versions have no word for it.
    let flags = match set.kind() {
        Kind::Hash | Kind::Dynamic | Kind::Handshakes => HashSet::from([SetFlag::Timeout]),
        Kind::Interval => HashSet::from([SetFlag::Interval, SetFlag::Timeout]),
    };
    add(NfListObject::Set(Box::new(Set {
        family: NfFamily::INet,
        table: TABLE.into(),
        name: set.as_str().into(),
        set_type: element_type(set),
        flags: Some(flags),
        size: set.size(),
        timeout: set.timeout().and_then(|timeout| u32::try_from(timeout.as_secs()).ok()),
        ..Set::default()
    })))
}

fn element_type(set: SetName) -> SetTypeValue<'static> {
    let address = match set.family() {
        Family::V4 => SetType::Ipv4Addr,
        Family::V6 => SetType::Ipv6Addr,
    };
    match set.kind() {
        Kind::Hash | Kind::Dynamic | Kind::Interval => SetTypeValue::Single(address),
        Kind::Handshakes => {
            let end = [address, SetType::InetService];
            SetTypeValue::Concatenated([end, end].concat().into())
        }
    }
}

fn named(name: &'static str) -> Chain<'static> {
    Chain { family: NfFamily::INet, table: TABLE.into(), name: name.into(), ..Chain::default() }
}

fn chain(chain: &scaffold::Chain) -> Value {
    let plain = named(chain.name);
    let Some(hook) = chain.hook else { return add(NfListObject::Chain(plain)) };
    add(NfListObject::Chain(Chain {
        _type: Some(NfChainType::Filter),
        hook: Some(match hook {
            Hook::Prerouting => NfHook::Prerouting,
            Hook::Input => NfHook::Input,
            Hook::Forward => NfHook::Forward,
            Hook::Output => NfHook::Output,
        }),
        prio: Some(PRIORITY),
        policy: Some(NfChainPolicy::Accept),
        ..plain
    }))
}
