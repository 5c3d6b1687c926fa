//! The scaffold's rules as commands to `nft`: plain JSON, since the nftables crate has no word for
//! counters of elements, nor for taking one out of a set.

use sekisho_ruleset::{
    Family, SetName,
    scaffold::{Action, End, Match, Rule, TABLE, TABLE_FAMILY},
};
use serde_json::{Value, json};

/// The upper 64 bits, the part of an IPv6 address that hits are counted by.
const UNIT_MASK: &str = "ffff:ffff:ffff:ffff::";

/// The command that adds `rule` at the end of `chain`.
pub(super) fn add(chain: &str, rule: &Rule) -> Value {
    let when = rule.when.iter().map(condition);
    let expression: Vec<Value> = when.chain(rule.then.iter().map(statement)).collect();
    let rule = json!({ "family": TABLE_FAMILY, "table": TABLE, "chain": chain, "expr": expression });
    json!({ "add": { "rule": rule } })
}

fn field(protocol: &str, field: &str) -> Value {
    json!({ "payload": { "protocol": protocol, "field": field } })
}

/// Flags set together, as binary operations of two, which every version of `nft` reads.
fn flags(first: &str, others: &[&str]) -> Value {
    others.iter().fold(json!(first), |all, flag| json!({ "|": [all, flag] }))
}

fn address(end: End, set: SetName) -> Value {
    let protocol = match set.family() {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    };
    field(protocol, end.address_field())
}

/// The unit of the address at one end.
fn unit(end: End, set: SetName) -> Value {
    match set.family() {
        Family::V4 => address(end, set),
        Family::V6 => json!({ "&": [address(end, set), UNIT_MASK] }),
    }
}

/// The handshake of the peer at one end: its address and port, then ours.
fn handshake(peer: End, set: SetName) -> Value {
    let end = |end: End| [address(end, set), field("tcp", end.port_field())];
    let ([their_address, their_port], [our_address, our_port]) = (end(peer), end(peer.other()));
    json!({ "concat": [their_address, their_port, our_address, our_port] })
}

fn condition(when: &Match) -> Value {
    let masked = || json!({ "&": [field("tcp", "flags"), flags("fin", &["syn", "rst", "ack"])] });
    let (left, right) = match *when {
        Match::Syn => (masked(), json!("syn")),
        Match::SynAck => (masked(), flags("syn", &["ack"])),
        Match::At(end, set) => (address(end, set), json!(format!("@{set}"))),
        Match::Of(end, set) => (handshake(end, set), json!(format!("@{set}"))),
    };
    json!({ "match": { "left": left, "right": right, "op": "==" } })
}

fn statement(action: &Action) -> Value {
    let change = |op: &str, set: SetName, element: Value| json!({ "set": { "op": op, "elem": element, "set": format!("@{set}") } });
    match *action {
        Action::Count(name) => json!({ "counter": name }),
        Action::Jump(chain) => json!({ "jump": { "target": chain } }),
        Action::Accept => json!({ "accept": null }),
        Action::Drop => json!({ "drop": null }),
        Action::Note(end, set) => {
            let mut note = change("update", set, unit(end, set));
            note["set"]["stmt"] = json!([{ "counter": null }]);
            note
        }
        Action::Remember(end, set) => change("add", set, handshake(end, set)),
        Action::Renew(end, set) => change("update", set, handshake(end, set)),
        Action::Forget(end, set) => change("delete", set, handshake(end, set)),
    }
}
