//! Inputs as the payload of a log entry, and back. What was written by an older version must stay
//! readable; what a newer version wrote is refused whole, never half-read.

use std::time::Duration;

use prost::Message;
use sekisho_model::{Input, Never, Order, OrderKind, Policy};

use crate::{
    Malformed, observation,
    pb::log::v1::{self as pb, input::Kind, operator_order},
    readable,
};

/// Encodes a group of inputs.
pub fn encode(inputs: &[Input]) -> Vec<u8> {
    let inputs = inputs.iter().map(|input| pb::Input { kind: Some(kind(input)) }).collect();
    pb::Group { inputs }.encode_to_vec()
}

/// Decodes a group of inputs.
///
/// # Errors
/// The field that this version cannot read.
pub fn decode(payload: &[u8]) -> Result<Vec<Input>, Malformed> {
    let group = pb::Group::decode(payload).map_err(|error| Malformed::field("group", error.to_string()))?;
    group.inputs.into_iter().map(input).collect()
}

fn kind(input: &Input) -> Kind {
    match input {
        Input::Policy(policy) => Kind::Policy(self::policy(policy)),
        Input::HostJoined { host, zone, addresses } => Kind::HostJoined(pb::HostJoined {
            host_id: host.to_string(),
            zone: zone.as_ref().map(ToString::to_string).unwrap_or_default(),
            addresses: addresses.iter().map(observation::address).collect(),
        }),
        Input::HostLeft { host } => Kind::HostLeft(pb::HostLeft { host_id: host.to_string() }),
        Input::Batch(batch) => Kind::Batch(pb::HostBatch {
            host_id: batch.host.to_string(),
            session: batch.session,
            batch: Some(observation::encode(batch)),
        }),
        Input::Order(order) => Kind::Order(self::order(order)),
        Input::Resolved { name, addresses } => Kind::Resolved(pb::NameResolved {
            name: name.clone(),
            addresses: addresses.iter().map(observation::address).collect(),
        }),
        Input::Tick => Kind::Tick(pb::Tick {}),
    }
}

fn input(input: pb::Input) -> Result<Input, Malformed> {
    let kind = input.kind.ok_or_else(|| {
        Malformed::field("input.kind", "unknown: a newer version wrote this log; run that version")
    })?;
    Ok(match kind {
        Kind::Policy(policy) => Input::Policy(policy_from(&policy)?),
        Kind::HostJoined(joined) => Input::HostJoined {
            host: name("host_joined.host_id", &joined.host_id)?,
            zone: (!joined.zone.is_empty()).then(|| name("host_joined.zone", &joined.zone)).transpose()?,
            addresses: observation::addresses("host_joined.addresses", &joined.addresses)?,
        },
        Kind::HostLeft(left) => Input::HostLeft { host: name("host_left.host_id", &left.host_id)? },
        Kind::Batch(batch) => {
            let host = name("batch.host_id", &batch.host_id)?;
            let columns = batch.batch.ok_or_else(|| Malformed::field("batch.batch", "missing"))?;
            Input::Batch(observation::decode(host, batch.session, &columns)?)
        }
        Kind::Order(order) => Input::Order(order_from(&order)?),
        Kind::Resolved(resolved) => Input::Resolved {
            addresses: observation::addresses("resolved.addresses", &resolved.addresses)?,
            name: resolved.name,
        },
        Kind::Tick(_) => Input::Tick,
    })
}

/// A policy as a message: for the log and for checkpoints.
pub fn policy(policy: &Policy) -> pb::PolicySet {
    pb::PolicySet {
        window_ms: millis(policy.window),
        min_retransmits: u32::from(policy.min_retransmits),
        drop_quorum: policy.drop_quorum,
        ttl_base_ms: millis(policy.ttl_base),
        ttl_max_ms: millis(policy.ttl_max),
        max_entries: policy.max_entries,
        never_private: policy.never.private,
        never_prefixes: policy.never.prefixes.iter().map(ToString::to_string).collect(),
        never_names: policy.never.names.clone(),
    }
}

/// A policy from a message.
///
/// # Errors
/// The value that is out of its range.
pub fn policy_from(set: &pb::PolicySet) -> Result<Policy, Malformed> {
    let policy = Policy {
        window: span("policy.window_ms", set.window_ms)?,
        min_retransmits: u8::try_from(set.min_retransmits).unwrap_or(u8::MAX),
        drop_quorum: set.drop_quorum,
        ttl_base: span("policy.ttl_base_ms", set.ttl_base_ms)?,
        ttl_max: span("policy.ttl_max_ms", set.ttl_max_ms)?,
        max_entries: set.max_entries,
        never: Never {
            private: set.never_private,
            prefixes: set
                .never_prefixes
                .iter()
                .map(|text| readable::prefix(text))
                .collect::<Result<_, _>>()?,
            names: set.never_names.clone(),
        },
    };
    policy.check().map_err(|error| Malformed::field("policy", error.to_string()))?;
    Ok(policy)
}

fn order(order: &Order) -> pb::OperatorOrder {
    let kind = match order.kind {
        OrderKind::Block { ttl } => operator_order::Kind::BlockTtlMs(millis(ttl)),
        OrderKind::Unblock { hold } => operator_order::Kind::UnblockHoldMs(millis(hold)),
        OrderKind::Allow { ttl } => operator_order::Kind::AllowTtlMs(millis(ttl)),
        OrderKind::Disallow => operator_order::Kind::Disallow(true),
    };
    pb::OperatorOrder {
        operator: order.operator.to_string(),
        reason: order.text.clone(),
        prefix: order.prefix.to_string(),
        kind: Some(kind),
    }
}

fn order_from(order: &pb::OperatorOrder) -> Result<Order, Malformed> {
    let kind = order.kind.ok_or_else(|| {
        Malformed::field("order.kind", "unknown: a newer version wrote this log; run that version")
    })?;
    Ok(Order {
        operator: name("order.operator", &order.operator)?,
        text: order.reason.clone(),
        prefix: readable::prefix(&order.prefix)?,
        kind: match kind {
            operator_order::Kind::BlockTtlMs(ttl) => {
                OrderKind::Block { ttl: span("order.block_ttl_ms", ttl)? }
            }
            operator_order::Kind::UnblockHoldMs(hold) => {
                OrderKind::Unblock { hold: span("order.unblock_hold_ms", hold)? }
            }
            operator_order::Kind::AllowTtlMs(ttl) => {
                OrderKind::Allow { ttl: span("order.allow_ttl_ms", ttl)? }
            }
            operator_order::Kind::Disallow(_) => OrderKind::Disallow,
        },
    })
}

fn name<T: std::str::FromStr<Err: ToString>>(field: &'static str, text: &str) -> Result<T, Malformed> {
    text.parse().map_err(|error: T::Err| Malformed::field(field, error.to_string()))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn span(field: &'static str, millis: i64) -> Result<Duration, Malformed> {
    u64::try_from(millis)
        .map(Duration::from_millis)
        .map_err(|_| Malformed::field(field, "must not be negative"))
}

#[cfg(test)]
mod tests {
    use sekisho_model::{Batch, Hit, Observation, Totals, Unit};

    use super::*;

    fn order(kind: OrderKind) -> Input {
        let (operator, prefix) = ("ana".parse().unwrap(), "203.0.113.0/24".parse().unwrap());
        Input::Order(Order { operator, text: "drill".into(), prefix, kind })
    }

    #[test]
    fn every_input_round_trips() {
        let minute = Duration::from_secs(60);
        let never = Never {
            private: false,
            prefixes: vec!["2001:db8::/48".parse().unwrap()],
            names: vec!["a.example".into()],
        };
        let addresses = vec!["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let inputs = vec![
            Input::Policy(Policy { never, ..Policy::default() }),
            Input::HostJoined { host: "edge-1".parse().unwrap(), zone: None, addresses: vec![] },
            Input::HostJoined {
                host: "edge-1".parse().unwrap(),
                zone: "tokyo".parse().ok(),
                addresses: addresses.clone(),
            },
            Input::HostLeft { host: "edge-1".parse().unwrap() },
            Input::Batch(Batch {
                host: "edge-1".parse().unwrap(),
                session: 77,
                sequence: 3,
                age: Duration::from_millis(12),
                observations: vec![Observation { unit: Unit::V4(0xcb00_7107), sockets: 2, retransmits: 1 }],
                hits: vec![Hit { unit: Unit::V6(0x2001_0db8_0000_0001), packets: 9 }],
                totals: Totals { half_open: 4, ..Totals::default() },
            }),
            order(OrderKind::Block { ttl: minute }),
            order(OrderKind::Unblock { hold: Duration::ZERO }),
            order(OrderKind::Allow { ttl: minute }),
            order(OrderKind::Disallow),
            Input::Resolved { name: "a.example".into(), addresses },
            Input::Tick,
        ];
        assert_eq!(decode(&encode(&inputs)).unwrap(), inputs);
    }

    #[test]
    fn a_newer_kind_is_refused_whole() {
        let newer = pb::Group {
            inputs: vec![pb::Input { kind: Some(Kind::Tick(pb::Tick {})) }, pb::Input { kind: None }],
        };
        assert_eq!(decode(&newer.encode_to_vec()).unwrap_err().field, "input.kind");
    }
}
