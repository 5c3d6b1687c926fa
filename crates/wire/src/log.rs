//! Inputs as the payload of a log entry, and back. What was written by an older version must stay
//! readable; what a newer version wrote is refused whole, never half-read.

use std::time::Duration;

use prost::Message;
use sekisho_model::Input;

use crate::{
    Malformed, observation, order,
    pb::log::v1::{self as pb, input::Kind},
    policy,
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
        Input::Policy(policy) => Kind::Policy(policy::encode(policy)),
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
        Input::Order(order) => Kind::Order(order::encode(order)),
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
        Kind::Policy(policy) => Input::Policy(policy::decode(&policy)?),
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
        Kind::Order(order) => Input::Order(order::decode(&order)?),
        Kind::Resolved(resolved) => Input::Resolved {
            addresses: observation::addresses("resolved.addresses", &resolved.addresses)?,
            name: resolved.name,
        },
        Kind::Tick(_) => Input::Tick,
    })
}

pub(crate) fn name<T: std::str::FromStr<Err: ToString>>(
    field: &'static str,
    text: &str,
) -> Result<T, Malformed> {
    text.parse().map_err(|error: T::Err| Malformed::field(field, error.to_string()))
}

pub(crate) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn span(field: &'static str, millis: i64) -> Result<Duration, Malformed> {
    u64::try_from(millis)
        .map(Duration::from_millis)
        .map_err(|_| Malformed::field(field, "must not be negative"))
}

#[cfg(test)]
mod tests {
    use sekisho_model::{
        Batch, Completed, Hit, Never, Observation, Order, OrderKind, Policy, Tier, Totals, Unit,
    };

    use super::*;

    fn order(kind: OrderKind, request: Option<&str>) -> Input {
        let request = request.map(|text| text.parse().unwrap());
        Input::Order(Order { operator: "ana".parse().unwrap(), text: "drill".into(), request, kind })
    }

    fn orders() -> Vec<Input> {
        let prefix = "203.0.113.0/24".parse().unwrap();
        let ttl = Duration::from_secs(60);
        let policy = Policy { prefix_tier: None, ..Policy::default() };
        vec![
            order(OrderKind::Block { prefix, tier: Tier::Drop, ttl }, None),
            order(OrderKind::Block { prefix, tier: Tier::Suppress, ttl }, Some("deploy-7")),
            order(OrderKind::Unblock { prefix, hold: Duration::ZERO }, None),
            order(OrderKind::Allow { prefix, ttl }, Some("a")),
            order(OrderKind::Disallow { prefix }, None),
            order(OrderKind::SetPolicy(Box::new(policy)), Some("b")),
        ]
    }

    fn batch() -> Batch {
        Batch {
            host: "edge-1".parse().unwrap(),
            session: 77,
            sequence: 3,
            age: Duration::from_millis(12),
            observations: vec![Observation { unit: Unit::V4(0xcb00_7107), sockets: 2, retransmits: 1 }],
            hits: vec![Hit { unit: Unit::V6(0x2001_0db8_0000_0001), tier: Tier::Suppress, packets: 9 }],
            completed: vec![Completed { unit: Unit::V4(0xcb00_7108), connections: 4 }],
            totals: Totals { half_open: 4, completed: 8, stuck_units: 9, ..Totals::default() },
        }
    }

    #[test]
    fn every_input_round_trips() {
        let never = Never {
            private: false,
            prefixes: vec!["2001:db8::/48".parse().unwrap()],
            names: vec!["a.example".into()],
        };
        let addresses = vec!["203.0.113.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
        let mut inputs = vec![
            Input::Policy(Policy { never, ..Policy::default() }),
            Input::HostJoined { host: "edge-1".parse().unwrap(), zone: None, addresses: vec![] },
            Input::HostJoined {
                host: "edge-1".parse().unwrap(),
                zone: "tokyo".parse().ok(),
                addresses: addresses.clone(),
            },
            Input::HostLeft { host: "edge-1".parse().unwrap() },
            Input::Batch(batch()),
            Input::Resolved { name: "a.example".into(), addresses },
            Input::Tick,
        ];
        inputs.extend(orders());
        assert_eq!(decode(&encode(&inputs)).unwrap(), inputs);
    }

    #[test]
    fn a_newer_kind_is_refused_whole() {
        let newer = pb::Group {
            inputs: vec![pb::Input { kind: Some(Kind::Tick(pb::Tick {})) }, pb::Input { kind: None }],
        };
        assert_eq!(decode(&newer.encode_to_vec()).unwrap_err().field, "input.kind");
    }

    /// A log entry as version 0.1.0 wrote it: a policy, a batch with a hit, and a block.
    const OLD: &[u8] = &[
        // policy {window_ms 300000, min_retransmits 1, drop_quorum 3, ttl_base_ms 600000,
        // ttl_max_ms 86400000, max_entries 1000000, never_private}
        10, 25, 10, 23, 8, 224, 167, 18, 16, 1, 24, 3, 32, 192, 207, 36, 40, 128, 184, 153, 41, 48, 192, 132,
        61, 56, 1, //
        // batch {host_id "edge-1", session 77, {sequence 3, ipv4, sockets, retransmits, hit_ipv4,
        // hit_packets, totals {half_open 4}}}
        10, 48, 34, 46, 10, 6, 101, 100, 103, 101, 45, 49, 17, 77, 0, 0, 0, 0, 0, 0, 0, 26, 27, 8, 3, 26, 4,
        203, 0, 113, 7, 42, 1, 2, 50, 1, 1, 58, 4, 203, 0, 113, 8, 74, 1, 9, 82, 2, 8, 4, //
        // order {operator "ana", reason "drill", prefix "203.0.113.7", block_ttl_ms 60000}
        10, 31, 42, 29, 10, 3, 97, 110, 97, 18, 5, 100, 114, 105, 108, 108, 26, 11, 50, 48, 51, 46, 48, 46,
        49, 49, 51, 46, 55, 32, 224, 212, 3, //
    ];

    #[test]
    fn a_log_from_before_there_were_two_tiers_stays_readable() {
        let inputs = decode(OLD).unwrap();
        assert_eq!(inputs[0], Input::Policy(Policy::default()));
        let Input::Batch(batch) = &inputs[1] else { panic!("{inputs:?}") };
        assert_eq!(batch.hits, [Hit { unit: Unit::V4(0xcb00_7108), tier: Tier::Drop, packets: 9 }]);
        let totals = Totals { half_open: 4, ..Totals::default() };
        assert!(batch.completed.is_empty() && batch.totals == totals, "{batch:?}");
        let kind = OrderKind::Block {
            prefix: "203.0.113.7".parse().unwrap(),
            tier: Tier::Drop,
            ttl: Duration::from_secs(60),
        };
        assert_eq!(inputs[2], order(kind, None));
        assert_eq!(inputs.len(), 3);
    }
}
