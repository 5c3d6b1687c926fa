//! The scaffold as commands to `nft` (libnftables-json(5)), in the types of the nftables crate.

use std::collections::HashSet;

use nftables::{
    expr::{BinaryOperation, Expression, NamedExpression, Payload, PayloadField},
    schema::{
        Chain, Counter, NfCmd, NfListObject, NfObject, Nftables, Rule, Set, SetFlag, SetType, SetTypeValue,
        Table,
    },
    stmt::{Counter as Count, JumpTarget, Match as Condition, Operator, Set as Update, SetOp, Statement},
    types::{NfChainPolicy, NfChainType, NfFamily, NfHook},
};
use sekisho_ruleset::{
    Family, Kind, SCAFFOLD, SetName,
    scaffold::{Action, Hook, Match, PRIORITY, TABLE},
};
use serde_json::{Value, json};

/// The upper 64 bits, the part of an IPv6 address that hits are counted by.
const UNIT_MASK: &str = "ffff:ffff:ffff:ffff::";

/// Makes the table, where there is none.
pub(super) fn create() -> Value {
    let table = NfCmd::Create(NfListObject::Table(table()));
    commands([table].into_iter().chain(contents()))
}

/// Deletes the table if there is one, and makes it.
pub(super) fn replace() -> Value {
    // Deleting what is not there is an error, adding what is there is not.
    let table = || NfListObject::Table(table());
    let anew = [NfCmd::Add(table()), NfCmd::Delete(table()), NfCmd::Add(table())];
    commands(anew.into_iter().chain(contents()))
}

/// Deletes the table if there is one.
pub(super) fn remove() -> Value {
    commands([NfCmd::Add(NfListObject::Table(table())), NfCmd::Delete(NfListObject::Table(table()))])
}

fn commands(commands: impl IntoIterator<Item = NfCmd<'static>>) -> Value {
    let objects: Vec<NfObject<'static>> = commands.into_iter().map(NfObject::CmdObject).collect();
    let mut value = serde_json::to_value(Nftables { objects: objects.into() }).unwrap_or(Value::Null);
    count_updates(&mut value);
    value
}

/// Gives every element that a rule puts a counter: the crate's type of that statement has no place
/// for one, libnftables has ("stmt").
fn count_updates(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(count_updates),
        Value::Object(fields) => {
            if fields.get("op").is_some_and(|op| op == "update") {
                fields.insert("stmt".into(), json!([{ "counter": null }]));
            }
            fields.values_mut().for_each(count_updates);
        }
        _ => {}
    }
}

fn table() -> Table<'static> {
    Table { family: NfFamily::INet, name: TABLE.into(), handle: None }
}

/// Counters, sets, chains and rules, each after what it refers to.
fn contents() -> impl Iterator<Item = NfCmd<'static>> {
    let counters = SCAFFOLD.counters.iter().map(|name| NfListObject::Counter(counter(name)));
    let sets = SCAFFOLD.sets.iter().map(|set| NfListObject::Set(Box::new(declared(*set))));
    let chains = SCAFFOLD.chains.iter().flat_map(|each| {
        let rules = each.rules.iter().map(|each_rule| NfListObject::Rule(rule(each.name, each_rule)));
        [NfListObject::Chain(chain(each))].into_iter().chain(rules)
    });
    counters.chain(sets).chain(chains).map(NfCmd::Add)
}

fn counter(name: &'static str) -> Counter<'static> {
    Counter {
        family: NfFamily::INet,
        table: TABLE.into(),
        name: name.into(),
        packets: Some(0),
        bytes: Some(0),
        ..Counter::default()
    }
}

fn declared(set: SetName) -> Set<'static> {
    let set_type = match set.family() {
        Family::V4 => SetType::Ipv4Addr,
        Family::V6 => SetType::Ipv6Addr,
    };
    // That a set is filled by rules, `nft` sees from the rules: older versions have no word for it.
    let flags = match set.kind() {
        Kind::Hash | Kind::Dynamic => HashSet::from([SetFlag::Timeout]),
        Kind::Interval => HashSet::from([SetFlag::Interval, SetFlag::Timeout]),
    };
    Set {
        family: NfFamily::INet,
        table: TABLE.into(),
        name: set.as_str().into(),
        set_type: SetTypeValue::Single(set_type),
        flags: Some(flags),
        size: set.size(),
        timeout: set.timeout().and_then(|timeout| u32::try_from(timeout.as_secs()).ok()),
        ..Set::default()
    }
}

fn chain(chain: &sekisho_ruleset::scaffold::Chain) -> Chain<'static> {
    let plain =
        Chain { family: NfFamily::INet, table: TABLE.into(), name: chain.name.into(), ..Chain::default() };
    let Some(hook) = chain.hook else { return plain };
    Chain {
        _type: Some(NfChainType::Filter),
        hook: Some(match hook {
            Hook::Prerouting => NfHook::Prerouting,
            Hook::Output => NfHook::Output,
        }),
        prio: Some(PRIORITY),
        policy: Some(NfChainPolicy::Accept),
        ..plain
    }
}

fn rule(chain: &'static str, rule: &sekisho_ruleset::scaffold::Rule) -> Rule<'static> {
    let when = rule.when.iter().map(|when| Statement::Match(condition(*when)));
    let statements: Vec<Statement<'static>> = when.chain(rule.then.iter().map(statement)).collect();
    Rule {
        family: NfFamily::INet,
        table: TABLE.into(),
        chain: chain.into(),
        expr: statements.into(),
        ..Rule::default()
    }
}

fn text(text: impl Into<String>) -> Expression<'static> {
    Expression::String(text.into().into())
}

fn field(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let field = PayloadField { protocol: protocol.into(), field: field.into() };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(field)))
}

fn and(left: Expression<'static>, right: Expression<'static>) -> Expression<'static> {
    Expression::BinaryOperation(Box::new(BinaryOperation::AND(left, right)))
}

/// Flags set together, as binary operations of two, which every version of `nft` reads.
fn flags(first: &'static str, others: &[&'static str]) -> Expression<'static> {
    others.iter().fold(text(first), |all, flag| {
        Expression::BinaryOperation(Box::new(BinaryOperation::OR(vec![all, text(*flag)])))
    })
}

fn address(set: SetName, side: &'static str) -> Expression<'static> {
    let protocol = match set.family() {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    field(protocol, side)
}

fn condition(when: Match) -> Condition<'static> {
    let masked = || and(field("tcp", "flags"), flags("fin", &["syn", "rst", "ack"]));
    let (left, right) = match when {
        Match::Syn => (masked(), text("syn")),
        Match::SynAck => (masked(), flags("syn", &["ack"])),
        Match::From(set) => (address(set, "saddr"), text(format!("@{set}"))),
        Match::To(set) => (address(set, "daddr"), text(format!("@{set}"))),
    };
    Condition { left, right, op: Operator::EQ }
}

fn statement(action: &Action) -> Statement<'static> {
    match action {
        Action::Count(name) => Statement::Counter(Count::Named((*name).into())),
        Action::Jump(chain) => Statement::Jump(JumpTarget { target: (*chain).into() }),
        Action::Accept => Statement::Accept(None),
        Action::Drop => Statement::Drop(None),
        Action::Note(set) => {
            let source = address(*set, "saddr");
            let elem = match set.family() {
                Family::V4 => source,
                Family::V6 => and(source, text(UNIT_MASK)),
            };
            Statement::Set(Update { op: SetOp::Update, elem, set: format!("@{set}").into() })
        }
    }
}
