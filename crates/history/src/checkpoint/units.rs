//! The tracked units of a checkpoint, in columns: about ten bytes for a unit that one host saw. And those with
//! counter-evidence.

use sekisho_engine::checkpoint::{CounterRecord, CounterSighting, SightingRecord, UnitRecord};
use sekisho_model::{Moment, Unit};
use sekisho_wire::{Malformed, pb::log::v1 as pb};

/// Bits of `CheckpointUnits.shapes`, above which the number of sightings is.
const IPV6: u32 = 1;
const MOVED: u32 = 2;
const TOUCHED: u32 = 4;
const SHARED: u32 = 8;
const SIGHTINGS: u32 = 16;
/// Bits of `CheckpointUnits.details`.
const COUNTS: u32 = 1;
const RETRANSMITS: u32 = 2;
const SOCKETS: u32 = 512;

/// Packs units.
pub(super) fn encode(units: &[UnitRecord]) -> pb::CheckpointUnits {
    let mut packed = pb::CheckpointUnits::default();
    let mut before = 0;
    for record in units {
        packed.shapes.push(shape(record));
        packed.owners.push(record.owner);
        match record.unit {
            Unit::V4(bits) => packed.ipv4.push(bits),
            Unit::V6(bits) => packed.ipv6.push(bits),
        }
        for one in &record.sightings {
            let seen = one.seen.as_millis();
            packed.hosts.push(one.host);
            packed.seen_steps_ms.push(seen.wrapping_sub(before));
            packed.details.push(
                u32::from(one.counts) * COUNTS
                    + u32::from(one.retransmits) * RETRANSMITS
                    + u32::from(one.sockets) * SOCKETS,
            );
            before = seen;
        }
    }
    packed
}

fn shape(record: &UnitRecord) -> u32 {
    let sightings = u32::try_from(record.sightings.len()).unwrap_or(0);
    u32::from(matches!(record.unit, Unit::V6(_))) * IPV6
        + u32::from(record.is_moved) * MOVED
        + u32::from(record.is_touched) * TOUCHED
        + u32::from(record.is_shared) * SHARED
        + sightings * SIGHTINGS
}

/// Unpacks units behind those that are there.
pub(super) fn decode(packed: &pb::CheckpointUnits, units: &mut Vec<UnitRecord>) -> Result<(), Malformed> {
    let cut = || Malformed::field("units", "the columns do not fit each other");
    let (mut v4, mut v6) = (packed.ipv4.iter(), packed.ipv6.iter());
    let mut owners = packed.owners.iter();
    let columns = packed.hosts.iter().zip(&packed.seen_steps_ms).zip(&packed.details);
    let mut sightings = columns.scan(0_i64, |seen, ((host, step), details)| {
        *seen = seen.wrapping_add(*step);
        Some(sighting(*host, *seen, *details))
    });
    for shape in &packed.shapes {
        let unit = if shape & IPV6 == 0 {
            v4.next().map(|bits| Unit::V4(*bits))
        } else {
            v6.next().map(|bits| Unit::V6(*bits))
        };
        let count = (shape / SIGHTINGS) as usize;
        let own: Vec<_> = sightings.by_ref().take(count).collect();
        if own.len() < count {
            return Err(cut());
        }
        units.push(UnitRecord {
            unit: unit.ok_or_else(cut)?,
            owner: *owners.next().ok_or_else(cut)?,
            is_shared: shape & SHARED != 0,
            is_moved: shape & MOVED != 0,
            is_touched: shape & TOUCHED != 0,
            sightings: own,
        });
    }
    let columns = [packed.hosts.len(), packed.seen_steps_ms.len(), packed.details.len()];
    let all_read = v4.next().is_none() && v6.next().is_none() && owners.next().is_none();
    let fits = all_read && sightings.next().is_none() && columns.iter().all(|length| *length == columns[0]);
    if fits { Ok(()) } else { Err(cut()) }
}

fn sighting(host: u32, seen: i64, details: u32) -> SightingRecord {
    let byte = |value: u32| u8::try_from(value & 0xff).unwrap_or(u8::MAX);
    SightingRecord {
        host,
        seen: Moment::from_millis(seen),
        retransmits: byte(details / RETRANSMITS),
        sockets: byte(details / SOCKETS),
        counts: details & COUNTS != 0,
    }
}

/// A unit with counter-evidence.
pub(super) fn counter(record: &CounterRecord) -> pb::CheckpointCounter {
    let (ipv4, ipv6) = match record.unit {
        Unit::V4(bits) => (Some(bits), None),
        Unit::V6(bits) => (None, Some(bits)),
    };
    let witness = |one: &CounterSighting| pb::CheckpointCounterWitness {
        host: one.host,
        seen_ms: one.seen.as_millis(),
        connections: one.connections,
    };
    pb::CheckpointCounter { ipv4, ipv6, hosts: record.hosts.iter().map(witness).collect() }
}

/// A unit with counter-evidence again.
pub(super) fn counter_from(record: &pb::CheckpointCounter) -> Result<CounterRecord, Malformed> {
    let witness = |one: &pb::CheckpointCounterWitness| CounterSighting {
        host: one.host,
        seen: Moment::from_millis(one.seen_ms),
        connections: one.connections,
    };
    let unit = unit("counter.unit", record.ipv4, record.ipv6)?;
    Ok(CounterRecord { unit, hosts: record.hosts.iter().map(witness).collect() })
}

/// The one of both that is there.
pub(super) fn unit(field: &'static str, ipv4: Option<u32>, ipv6: Option<u64>) -> Result<Unit, Malformed> {
    match (ipv4, ipv6) {
        (Some(bits), None) => Ok(Unit::V4(bits)),
        (None, Some(bits)) => Ok(Unit::V6(bits)),
        _ => Err(Malformed::field(field, "exactly one of ipv4 and ipv6 must be there")),
    }
}
