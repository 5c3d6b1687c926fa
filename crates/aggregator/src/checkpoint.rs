//! The engine's state as bytes and back: parts of bounded size, each behind its length.

use std::{collections::HashMap, str::FromStr};

use prost::Message;
use sekisho_engine::{
    Checkpoint, Counters, HostRecord,
    checkpoint::{Hold, PastListing, ResolvedName, UnitSighting},
};
use sekisho_model::{Allowed, Entry, Moment, Reason, Revision, Tier, Unit};
use sekisho_wire::{Malformed, log, observation, pb::log::v1 as pb, readable};

/// Rows of one part.
const ROWS: usize = 10_000;
/// `CheckpointEntry.tier` of [`Tier::Drop`].
const TIER_DROP: u32 = 3;

/// Encodes a checkpoint, part by part.
pub fn encode(state: &Checkpoint) -> Vec<Vec<u8>> {
    let head = pb::CheckpointPart { head: Some(head(state)), ..Default::default() };
    let mut parts = vec![head.encode_length_delimited_to_vec()];
    macro_rules! list {
        ($field:ident, $rows:expr, $encode:expr) => {
            parts.extend($rows.chunks(ROWS).map(|rows| {
                let part =
                    pb::CheckpointPart { $field: rows.iter().map($encode).collect(), ..Default::default() };
                part.encode_length_delimited_to_vec()
            }));
        };
    }
    list!(hosts, state.hosts, host);
    list!(names, state.names, name);
    list!(entries, state.entries, entry);
    list!(allowlist, state.allowlist, allowed);
    list!(holds, state.holds, |hold| pb::CheckpointHold {
        prefix: hold.prefix.to_string(),
        until_ms: hold.until.as_millis(),
    });
    list!(past, state.past, |past| pb::CheckpointPast {
        prefix: past.prefix.to_string(),
        count: past.count,
        ended_ms: past.ended.as_millis(),
    });
    list!(evidence, state.evidence, sighting);
    list!(hits, state.hits, sighting);
    parts
}

/// Decodes a checkpoint.
///
/// # Errors
/// The field that this version cannot read.
pub fn decode(mut bytes: &[u8]) -> Result<Checkpoint, Malformed> {
    let unreadable = |error: prost::DecodeError| Malformed::field("checkpoint", error.to_string());
    let first = pb::CheckpointPart::decode_length_delimited(&mut bytes).map_err(unreadable)?;
    let head = first.head.as_ref().ok_or_else(|| Malformed::field("checkpoint.head", "missing"))?;
    let mut state = Checkpoint {
        index: Revision(head.index),
        revision: Revision(head.revision),
        now: Moment::from_millis(head.now_ms),
        horizon: Moment::from_millis(head.horizon_ms),
        policy: log::policy_from(
            head.policy.as_ref().ok_or_else(|| Malformed::field("checkpoint.policy", "missing"))?,
        )?,
        is_full: head.is_full,
        hosts: Vec::new(),
        names: Vec::new(),
        entries: Vec::new(),
        allowlist: Vec::new(),
        holds: Vec::new(),
        past: Vec::new(),
        evidence: Vec::new(),
        hits: Vec::new(),
        counters: counters_from(&head.counters),
    };
    while !bytes.is_empty() {
        let part = pb::CheckpointPart::decode_length_delimited(&mut bytes).map_err(unreadable)?;
        take(&mut state, part)?;
    }
    Ok(state)
}

fn take(state: &mut Checkpoint, part: pb::CheckpointPart) -> Result<(), Malformed> {
    macro_rules! list {
        ($field:ident, $decode:expr) => {
            for row in part.$field {
                state.$field.push($decode(row)?);
            }
        };
    }
    list!(hosts, |host| host_from(&host));
    list!(names, name_from);
    list!(entries, entry_from);
    list!(allowlist, allowed_from);
    list!(holds, |hold: pb::CheckpointHold| Ok(Hold {
        prefix: readable::prefix(&hold.prefix)?,
        until: Moment::from_millis(hold.until_ms),
    }));
    list!(past, |past: pb::CheckpointPast| Ok(PastListing {
        prefix: readable::prefix(&past.prefix)?,
        count: past.count,
        ended: Moment::from_millis(past.ended_ms),
    }));
    list!(evidence, sighting_from);
    list!(hits, sighting_from);
    Ok(())
}

fn head(state: &Checkpoint) -> pb::CheckpointHead {
    pb::CheckpointHead {
        index: state.index.0,
        revision: state.revision.0,
        now_ms: state.now.as_millis(),
        horizon_ms: state.horizon.as_millis(),
        policy: Some(log::policy(&state.policy)),
        is_full: state.is_full,
        counters: counters(&state.counters),
    }
}

/// The counters by name, both ways, from one list of them.
macro_rules! counters {
    ($($name:ident)*) => {
        fn counters(counters: &Counters) -> HashMap<String, u64> {
            HashMap::from([$((stringify!($name).to_owned(), counters.$name)),*])
        }

        /// A counter that is missing was not there yet when the checkpoint was written.
        fn counters_from(map: &HashMap<String, u64>) -> Counters {
            Counters { $($name: map.get(stringify!($name)).copied().unwrap_or(0)),* }
        }
    };
}

counters! {
    batches duplicate_batches refused_hosts observations weak_observations stale_observations hits
    ignored_hits evicted_units listed renewed expired removed withheld_never withheld_allowed withheld_held
    withheld_covered withheld_limit orders refused_orders refused_policies unknown_names tracked_units entries
}

fn parse<T: FromStr<Err: ToString>>(field: &'static str, text: &str) -> Result<T, Malformed> {
    text.parse().map_err(|error: T::Err| Malformed::field(field, error.to_string()))
}

fn host(host: &HostRecord) -> pb::CheckpointHost {
    pb::CheckpointHost {
        host_id: host.id.to_string(),
        zone: host.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
        addresses: host.addresses.iter().map(observation::address).collect(),
        connected: host.connected,
        session: host.session,
        sequence: host.sequence,
        last_seen_ms: host.last_seen.as_millis(),
        totals: Some(observation::totals(&host.totals)),
        observations: host.observations,
    }
}

fn host_from(host: &pb::CheckpointHost) -> Result<HostRecord, Malformed> {
    let zone = (!host.zone.is_empty()).then_some(&host.zone);
    Ok(HostRecord {
        id: parse("hosts.host_id", &host.host_id)?,
        zone: zone.map(|zone| parse("hosts.zone", zone)).transpose()?,
        addresses: observation::addresses("hosts.addresses", &host.addresses)?,
        connected: host.connected,
        session: host.session,
        sequence: host.sequence,
        last_seen: Moment::from_millis(host.last_seen_ms),
        totals: host.totals.as_ref().map(observation::totals_from).unwrap_or_default(),
        observations: host.observations,
    })
}

fn name(name: &ResolvedName) -> pb::NameResolved {
    pb::NameResolved {
        name: name.name.clone(),
        addresses: name.addresses.iter().map(observation::address).collect(),
    }
}

fn name_from(name: pb::NameResolved) -> Result<ResolvedName, Malformed> {
    let addresses = observation::addresses("names.addresses", &name.addresses)?;
    Ok(ResolvedName { name: name.name, addresses })
}

fn entry(entry: &Entry) -> pb::CheckpointEntry {
    let Tier::Drop = entry.tier;
    let (hosts, quorum, operator, text) = match &entry.reason {
        Reason::Quorum { hosts, quorum } => (*hosts, *quorum, String::new(), String::new()),
        Reason::Order { operator, text } => (0, 0, operator.to_string(), text.clone()),
    };
    pb::CheckpointEntry {
        prefix: entry.prefix.to_string(),
        tier: TIER_DROP,
        hosts,
        quorum,
        operator,
        text,
        created_ms: entry.created.as_millis(),
        expires_ms: entry.expires.as_millis(),
        renewals: entry.renewals,
        repeats: entry.repeats,
        revision: entry.revision.0,
    }
}

fn entry_from(entry: pb::CheckpointEntry) -> Result<Entry, Malformed> {
    if entry.tier != TIER_DROP {
        return Err(Malformed::field(
            "entries.tier",
            "unknown: a newer version wrote this; run that version",
        ));
    }
    let reason = if entry.operator.is_empty() {
        Reason::Quorum { hosts: entry.hosts, quorum: entry.quorum }
    } else {
        Reason::Order { operator: parse("entries.operator", &entry.operator)?, text: entry.text }
    };
    Ok(Entry {
        prefix: readable::prefix(&entry.prefix)?,
        tier: Tier::Drop,
        reason,
        created: Moment::from_millis(entry.created_ms),
        expires: Moment::from_millis(entry.expires_ms),
        renewals: entry.renewals,
        repeats: entry.repeats,
        revision: Revision(entry.revision),
    })
}

fn allowed(allowed: &Allowed) -> pb::CheckpointAllowed {
    pb::CheckpointAllowed {
        prefix: allowed.prefix.to_string(),
        operator: allowed.operator.to_string(),
        text: allowed.text.clone(),
        created_ms: allowed.created.as_millis(),
        expires_ms: allowed.expires.as_millis(),
        revision: allowed.revision.0,
    }
}

fn allowed_from(allowed: pb::CheckpointAllowed) -> Result<Allowed, Malformed> {
    Ok(Allowed {
        prefix: readable::prefix(&allowed.prefix)?,
        operator: parse("allowlist.operator", &allowed.operator)?,
        text: allowed.text,
        created: Moment::from_millis(allowed.created_ms),
        expires: Moment::from_millis(allowed.expires_ms),
        revision: Revision(allowed.revision),
    })
}

fn sighting(sighting: &UnitSighting) -> pb::CheckpointSighting {
    let (ipv4, ipv6) = match sighting.unit {
        Unit::V4(bits) => (Some(bits), None),
        Unit::V6(bits) => (None, Some(bits)),
    };
    pb::CheckpointSighting {
        ipv4,
        ipv6,
        host: sighting.host,
        seen_ms: sighting.seen.as_millis(),
        retransmits: u32::from(sighting.retransmits),
    }
}

fn sighting_from(sighting: pb::CheckpointSighting) -> Result<UnitSighting, Malformed> {
    let unit = match (sighting.ipv4, sighting.ipv6) {
        (Some(bits), None) => Unit::V4(bits),
        (None, Some(bits)) => Unit::V6(bits),
        _ => return Err(Malformed::field("evidence.unit", "exactly one of ipv4 and ipv6 must be there")),
    };
    Ok(UnitSighting {
        unit,
        host: sighting.host,
        seen: Moment::from_millis(sighting.seen_ms),
        retransmits: u8::try_from(sighting.retransmits).unwrap_or(u8::MAX),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sekisho_engine::Engine;
    use sekisho_model::{Batch, Hit, Input, LogEntry, Observation, Order, OrderKind, Policy, Totals};

    use super::*;

    fn told() -> Engine {
        let mut engine = Engine::new();
        let order = |prefix: &str, kind| {
            let (operator, prefix) = ("ana".parse().unwrap(), prefix.parse().unwrap());
            Input::Order(Order { operator, text: "drill".into(), prefix, kind })
        };
        let ttl = Duration::from_secs(60);
        let mut inputs = vec![
            Input::Policy(Policy {
                never: sekisho_model::Never {
                    private: true,
                    prefixes: vec![],
                    names: vec!["a.example".into()],
                },
                ..Policy::default()
            }),
            Input::Resolved { name: "a.example".into(), addresses: vec!["192.0.2.9".parse().unwrap()] },
            order("198.18.0.0/24", OrderKind::Block { ttl }),
            order("198.18.1.0/24", OrderKind::Block { ttl }),
            order("198.18.1.0/24", OrderKind::Unblock { hold: ttl }),
            order("192.0.2.1", OrderKind::Allow { ttl }),
            order("198.18.2.0/25", OrderKind::Block { ttl }),
            order("198.18.2.0/24", OrderKind::Block { ttl }),
        ];
        for (n, host) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let host: sekisho_model::HostId = host.parse().unwrap();
            inputs.push(Input::HostJoined {
                host: host.clone(),
                zone: "z".parse().ok(),
                addresses: vec!["2001:db8::1".parse().unwrap()],
            });
            let row = |unit| Observation { unit, sockets: 1, retransmits: 1 };
            let observations =
                vec![row(Unit::V4(0xcb00_7107)), row(Unit::V6(0x2001_0db8_00ba_0000 + n as u64))];
            let hits = if n == 3 { vec![Hit { unit: Unit::V4(0xcb00_7107), packets: 5 }] } else { vec![] };
            let totals = Totals { half_open: 9, ..Totals::default() };
            inputs.push(Input::Batch(Batch {
                host,
                session: 5,
                sequence: 1,
                age: Duration::ZERO,
                observations,
                hits,
                totals,
            }));
        }
        engine.handle(&LogEntry { index: Revision(4), time: Moment::from_millis(1_700_000_000_000), inputs });
        engine
    }

    #[test]
    fn the_whole_state_comes_back() {
        let state = told().checkpoint();
        for full in [
            state.entries.len(),
            state.allowlist.len(),
            state.holds.len(),
            state.past.len(),
            state.names.len(),
            state.hosts.len(),
            state.evidence.len(),
            state.hits.len(),
        ] {
            assert!(full > 0, "the test must cover every list: {state:?}");
        }
        let bytes: Vec<u8> = encode(&state).concat();
        assert_eq!(decode(&bytes).unwrap(), state);
    }

    #[test]
    fn a_cut_checkpoint_is_refused() {
        let bytes: Vec<u8> = encode(&told().checkpoint()).concat();
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode(&[]).is_err());
    }
}
