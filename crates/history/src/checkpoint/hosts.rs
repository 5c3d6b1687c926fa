//! The hosts of a checkpoint.

use sekisho_engine::{Held, HostRecord, Meter};
use sekisho_model::Moment;
use sekisho_wire::{Malformed, observation, pb::log::v1 as pb};

use super::parse;

/// A host.
pub(super) fn encode(host: &HostRecord) -> pb::CheckpointHost {
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
        flooded_until_ms: host.flooded_until.as_millis(),
        outage_until_ms: host.outage_until.as_millis(),
        is_limited: host.is_limited,
        minute: host.minute,
        minute_units: host.minute_units,
        meter: Some(meter(&host.meter)),
        held: Some(held(host.held)),
    }
}

/// A host again.
pub(super) fn decode(host: &pb::CheckpointHost) -> Result<HostRecord, Malformed> {
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
        flooded_until: Moment::from_millis(host.flooded_until_ms),
        outage_until: Moment::from_millis(host.outage_until_ms),
        is_limited: host.is_limited,
        minute: host.minute,
        minute_units: host.minute_units,
        meter: host.meter.as_ref().map(meter_from).transpose()?.unwrap_or_default(),
        held: host.held.map(held_from).unwrap_or_default(),
    })
}

fn held(held: Held) -> pb::CheckpointHeld {
    let Held { uncounted, ignored, untracked } = held;
    pb::CheckpointHeld { uncounted, ignored, untracked }
}

fn held_from(held: pb::CheckpointHeld) -> Held {
    let pb::CheckpointHeld { uncounted, ignored, untracked } = held;
    Held { uncounted, ignored, untracked }
}

fn meter(meter: &Meter) -> pb::CheckpointMeter {
    pb::CheckpointMeter {
        taken_ms: meter.taken.map(Moment::as_millis),
        usual: meter.usual,
        millis: meter.millis,
        completed: meter.completed,
        networks: meter.networks.iter().map(ToString::to_string).collect(),
    }
}

fn meter_from(meter: &pb::CheckpointMeter) -> Result<Meter, Malformed> {
    Ok(Meter {
        taken: meter.taken_ms.map(Moment::from_millis),
        usual: meter.usual,
        millis: meter.millis,
        completed: meter.completed,
        networks: meter
            .networks
            .iter()
            .map(|text| parse("hosts.meter.networks", text))
            .collect::<Result<_, _>>()?,
    })
}
