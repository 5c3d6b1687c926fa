//! Everything that the decision looks at for one address, as a message.

use sekisho_engine::{
    CounterWitness, Counts, Explanation, Keeper, PrefixPicture, Quorums, StandingPicture, Witness,
    checkpoint::PastListing,
};
use sekisho_model::Moment;
use sekisho_wire::{
    pb::v1::{self as pb, ExplainResponse},
    readable,
};

use crate::events;

/// The picture of an address, with what happened to it.
pub fn response(of: Explanation, history: Vec<pb::Event>) -> ExplainResponse {
    ExplainResponse {
        unit: of.unit.to_string(),
        time: Some(readable::timestamp(of.now)),
        entry: of.entry.as_ref().map(readable::entry),
        protection: of.protection.unwrap_or_default(),
        allowlist: of.allowed.iter().map(readable::allowed).collect(),
        hold: of.hold.map(|(prefix, until)| pb::Hold {
            prefix: prefix.to_string(),
            expire_time: Some(readable::timestamp(until)),
        }),
        witnesses: of.witnesses.iter().map(witness).collect(),
        counter_witnesses: of.counter.iter().map(counter_witness).collect(),
        hosts: readable::count(of.hosts),
        zones: readable::count(of.zones),
        quorums: Some(quorums(&of.quorums)),
        prefixes: of.prefixes.iter().map(picture).collect(),
        past: of.past.as_ref().map(past),
        forbidden: of.forbidden.map_or(0, |cause| events::cause(cause) as i32),
        wanted: of.wanted.map_or(0, |tier| readable::tier(tier) as i32),
        history,
        standing: of.standing.as_ref().map(standing),
        prefixes_past: of.prefixes_past.iter().map(past).collect(),
        forbidden_by: of.forbidden_by.map(|by| by.to_string()).unwrap_or_default(),
    }
}

fn past(of: &PastListing) -> pb::PastListings {
    pb::PastListings {
        prefix: of.prefix.to_string(),
        listings: readable::count(of.count),
        end_time: Some(readable::timestamp(of.ended)),
    }
}

/// Who keeps an entry up.
pub fn standing(of: &StandingPicture) -> pb::Standing {
    pb::Standing {
        active_time: Some(readable::timestamp(of.active)),
        quiet_time: of.quiet.map(readable::timestamp),
        keepers: of.keepers.iter().map(keeper).collect(),
    }
}

fn keeper(of: &Keeper) -> pb::Keeper {
    pb::Keeper {
        host_id: of.host.to_string(),
        zone: of.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
        seen_time: Some(readable::timestamp(of.seen)),
        renews: of.renews,
        away: of.is_away,
    }
}

/// A host that saw a unit stuck, or hit it.
pub fn witness(of: &Witness) -> pb::Witness {
    pb::Witness {
        host_id: of.host.to_string(),
        seen_time: Some(readable::timestamp(of.seen)),
        retransmits: i32::from(of.retransmits),
        hit: of.is_hit,
        zone: of.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
        sockets: i32::from(of.sockets),
        counts: match of.counts {
            Counts::Yes => pb::WitnessCounts::Yes,
            Counts::Flooded => pb::WitnessCounts::Flooded,
            Counts::Outage => pb::WitnessCounts::Outage,
            Counts::Hit => pb::WitnessCounts::Hit,
        } as i32,
    }
}

/// The quorums that are in force, and why.
pub fn quorums(of: &Quorums) -> pb::Quorums {
    pb::Quorums {
        suppress: readable::count(of.suppress),
        drop: readable::count(of.drop),
        policy_suppress: readable::count(of.policy_suppress),
        policy_drop: readable::count(of.policy_drop),
        fraction: readable::count(of.fraction),
        chance: readable::count(of.chance),
        units: events::large(of.units),
        live_hosts: readable::count(of.live_hosts),
        min_zones: readable::count(of.zones),
    }
}

/// `until` as a Timestamp, where it is after `now`.
pub fn while_it_lasts(until: Moment, now: Moment) -> Option<prost_types::Timestamp> {
    (until > now).then(|| readable::timestamp(until))
}

fn counter_witness(of: &CounterWitness) -> pb::CounterWitness {
    pb::CounterWitness {
        host_id: of.host.to_string(),
        seen_time: Some(readable::timestamp(of.seen)),
        connections: readable::count(of.connections),
    }
}

fn picture(of: &PrefixPicture) -> pb::PrefixPicture {
    pb::PrefixPicture {
        prefix: of.prefix.to_string(),
        units: readable::count(of.units),
        least_units: readable::count(of.least_units),
        without_one: readable::count(of.without_one),
        least_without_one: readable::count(of.least_without_one),
        hosts: readable::count(of.hosts),
        least_hosts: readable::count(of.least_hosts),
        zones: readable::count(of.zones),
        has_counter: of.has_counter,
        bombed: of.is_bombed,
        forbidden: of.forbidden.map_or(0, |cause| events::cause(cause) as i32),
        forbidden_by: of.forbidden_by.map(|by| by.to_string()).unwrap_or_default(),
    }
}
