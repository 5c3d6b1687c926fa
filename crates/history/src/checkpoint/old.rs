//! Checkpoints of format 1: evidence was a list of single sightings, all of which counted, and the hits of
//! listed units were another.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    mem,
};

use sekisho_engine::{
    Checkpoint,
    checkpoint::{SightingRecord, StandingRecord, UnitRecord},
};
use sekisho_model::{Moment, Unit};
use sekisho_wire::{Malformed, pb::log::v1 as pb};

use super::{small, units};

/// The sightings of a checkpoint of format 1; none of a newer one.
#[derive(Default)]
pub(super) struct Sightings {
    evidence: Vec<pb::CheckpointSighting>,
    hits: Vec<pb::CheckpointSighting>,
}

impl Sightings {
    /// Takes what is old out of a part.
    pub(super) fn take(&mut self, part: &mut pb::CheckpointPart) {
        self.evidence.append(&mut mem::take(&mut part.evidence));
        self.hits.append(&mut mem::take(&mut part.hits));
    }

    /// Puts it into `state` as it is written now.
    pub(super) fn put(self, state: &mut Checkpoint, format: u32) -> Result<(), Malformed> {
        if format > 1 {
            return Ok(());
        }
        for one in self.evidence {
            let (unit, sighting) = read(&one, true)?;
            match state.units.last_mut().filter(|last| last.unit == unit) {
                Some(last) => {
                    last.sightings.push(sighting);
                    last.is_shared = true;
                }
                None => state.units.push(first(unit, sighting)),
            }
        }
        // Those that several hosts saw stand in a line of their own, behind the others.
        state.units.sort_by_key(|record| record.is_shared);
        state.units.iter_mut().for_each(|record| record.is_moved = record.is_shared);
        let hits = self.hits.iter().map(|one| read(one, false)).collect::<Result<Vec<_>, _>>()?;
        state.standings = standings(state, &hits);
        Ok(())
    }
}

/// How the entries stand that evidence listed: by whoever saw or hit them. They are looked at anew at once,
/// and have been active until now.
fn standings(state: &Checkpoint, hits: &[(Unit, SightingRecord)]) -> Vec<StandingRecord> {
    let mut witnesses: HashMap<Unit, Vec<SightingRecord>> = HashMap::new();
    for (unit, hit) in hits {
        witnesses.entry(*unit).or_default().push(*hit);
    }
    for record in &state.units {
        if let Some(known) = witnesses.get_mut(&record.unit) {
            known.extend(&record.sightings);
        }
    }
    let listed = state.entries.iter().filter(|entry| entry.reason.is_evidence());
    let standing = listed.map(|entry| {
        let unit = Unit::of(entry.prefix.address());
        let mut witnesses = witnesses.remove(&unit).unwrap_or_default();
        witnesses.sort_by_key(|one| Reverse(one.seen));
        let mut hosts = HashSet::new();
        witnesses.retain(|one| hosts.insert(one.host));
        StandingRecord { prefix: entry.prefix, active: state.now, check: Some(state.now), witnesses }
    });
    standing.collect()
}

fn first(unit: Unit, sighting: SightingRecord) -> UnitRecord {
    UnitRecord {
        unit,
        owner: sighting.host,
        is_shared: false,
        is_moved: false,
        is_touched: false,
        sightings: vec![sighting],
    }
}

fn read(one: &pb::CheckpointSighting, counts: bool) -> Result<(Unit, SightingRecord), Malformed> {
    let sighting = SightingRecord {
        host: one.host,
        seen: Moment::from_millis(one.seen_ms),
        retransmits: small("evidence.retransmits", one.retransmits)?,
        sockets: u8::from(counts),
        counts,
    };
    Ok((units::unit("evidence.unit", one.ipv4, one.ipv6)?, sighting))
}
