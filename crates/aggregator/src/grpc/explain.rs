//! The engine's picture of one address, on the wire.

use sekisho_engine::{Counts, Explanation, PrefixPicture, Quorums, Witness};
use sekisho_wire::{pb::v1 as pb, readable};

use crate::trail;

/// The picture, without its history.
pub fn explanation(from: &Explanation) -> pb::ExplainResponse {
    pb::ExplainResponse {
        unit: from.unit.to_string(),
        time: Some(readable::timestamp(from.now)),
        entry: from.entry.as_ref().map(readable::entry),
        protection: from.protection.clone().unwrap_or_default(),
        allowlist: from.allowed.iter().map(readable::allowed).collect(),
        hold: from.hold.map(|(prefix, until)| pb::Hold {
            prefix: prefix.to_string(),
            expire_time: Some(readable::timestamp(until)),
        }),
        witnesses: from.witnesses.iter().map(witness).collect(),
        counter_witnesses: from.counter.iter().map(counter_witness).collect(),
        hosts: readable::count(from.hosts),
        zones: readable::count(from.zones),
        quorums: Some(quorums(&from.quorums)),
        prefixes: from.prefixes.iter().map(picture).collect(),
        past: from.past.map(|past| pb::PastListings {
            prefix: past.prefix.to_string(),
            listings: readable::count(past.count),
            end_time: Some(readable::timestamp(past.ended)),
        }),
        forbidden: from.forbidden.map_or(pb::Cause::Unspecified, trail::cause) as i32,
        wanted: from.wanted.map_or(pb::Tier::Unspecified, readable::tier) as i32,
        history: Vec::new(),
    }
}

/// A witness.
pub fn witness(from: &Witness) -> pb::Witness {
    pb::Witness {
        host_id: from.host.to_string(),
        seen_time: Some(readable::timestamp(from.seen)),
        retransmits: i32::from(from.retransmits),
        hit: from.is_hit,
        zone: from.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
        sockets: i32::from(from.sockets),
        counts: match from.counts {
            Counts::Yes => pb::WitnessCounts::Yes,
            Counts::Flooded => pb::WitnessCounts::Flooded,
            Counts::Outage => pb::WitnessCounts::Outage,
            Counts::Hit => pb::WitnessCounts::Hit,
        } as i32,
    }
}

/// The quorums.
pub fn quorums(from: &Quorums) -> pb::Quorums {
    pb::Quorums {
        suppress: readable::count(from.suppress),
        drop: readable::count(from.drop),
        policy_suppress: readable::count(from.policy_suppress),
        policy_drop: readable::count(from.policy_drop),
        fraction: readable::count(from.fraction),
        chance: readable::count(from.chance),
        units: i64::try_from(from.units).unwrap_or(i64::MAX),
        live_hosts: readable::count(from.live_hosts),
        min_zones: readable::count(from.zones),
    }
}

fn counter_witness(from: &sekisho_engine::CounterWitness) -> pb::CounterWitness {
    pb::CounterWitness {
        host_id: from.host.to_string(),
        seen_time: Some(readable::timestamp(from.seen)),
        connections: readable::count(from.connections),
    }
}

fn picture(from: &PrefixPicture) -> pb::PrefixPicture {
    pb::PrefixPicture {
        prefix: from.prefix.to_string(),
        units: readable::count(from.units),
        least_units: readable::count(from.least_units),
        without_one: readable::count(from.without_one),
        least_without_one: readable::count(from.least_without_one),
        hosts: readable::count(from.hosts),
        least_hosts: readable::count(from.least_hosts),
        zones: readable::count(from.zones),
        has_counter: from.has_counter,
        bombed: from.is_bombed,
    }
}
