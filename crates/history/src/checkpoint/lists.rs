//! The lists of a checkpoint: what is listed, allowed, held off, remembered.

use bytes::Bytes;
use sekisho_engine::{
    Recent,
    checkpoint::{DoneRequest, Hold, PastListing, ResolvedName, SightingRecord, StandingRecord},
};
use sekisho_model::{Allowed, Entry, Moment, Reason, Revision, Tier};
use sekisho_wire::{Malformed, observation, order, packed, pb::log::v1 as pb, readable};

use super::{parse, small};

/// `CheckpointEntry.tier` of [`Tier::Suppress`].
const TIER_SUPPRESS: u32 = 2;
/// `CheckpointEntry.tier` of [`Tier::Drop`].
const TIER_DROP: u32 = 3;

pub(super) fn name(name: &ResolvedName) -> pb::NameResolved {
    pb::NameResolved {
        name: name.name.clone(),
        addresses: name.addresses.iter().map(observation::address).collect(),
    }
}

pub(super) fn name_from(name: pb::NameResolved) -> Result<ResolvedName, Malformed> {
    let addresses = observation::addresses("names.addresses", &name.addresses)?;
    Ok(ResolvedName { name: name.name, addresses })
}

pub(super) fn entry(entry: &Entry) -> pb::CheckpointEntry {
    let mut row = pb::CheckpointEntry {
        prefix: entry.prefix.to_string(),
        tier: match entry.tier {
            Tier::Suppress => TIER_SUPPRESS,
            Tier::Drop => TIER_DROP,
        },
        created_ms: entry.created.as_millis(),
        expires_ms: entry.expires.as_millis(),
        renewals: entry.renewals,
        repeats: entry.repeats,
        revision: entry.revision.0,
        ..Default::default()
    };
    match &entry.reason {
        Reason::Quorum { hosts, quorum } => (row.hosts, row.quorum) = (*hosts, *quorum),
        Reason::Prefix { hosts, quorum, units, least } => {
            (row.hosts, row.quorum, row.units, row.least_units) = (*hosts, *quorum, *units, *least);
        }
        Reason::Order { operator, text } => (row.operator, row.text) = (operator.to_string(), text.clone()),
    }
    row
}

pub(super) fn entry_from(entry: pb::CheckpointEntry) -> Result<Entry, Malformed> {
    let tier = match entry.tier {
        TIER_SUPPRESS => Tier::Suppress,
        TIER_DROP => Tier::Drop,
        _ => {
            let problem = "unknown: a newer version wrote this; run that version";
            return Err(Malformed::field("entries.tier", problem));
        }
    };
    let (hosts, quorum, units, least) = (entry.hosts, entry.quorum, entry.units, entry.least_units);
    let reason = match entry.operator.as_str() {
        "" if least > 0 => Reason::Prefix { hosts, quorum, units, least },
        "" => Reason::Quorum { hosts, quorum },
        operator => Reason::Order { operator: parse("entries.operator", operator)?, text: entry.text },
    };
    Ok(Entry {
        prefix: readable::prefix(&entry.prefix)?,
        tier,
        reason,
        created: Moment::from_millis(entry.created_ms),
        expires: Moment::from_millis(entry.expires_ms),
        renewals: entry.renewals,
        repeats: entry.repeats,
        revision: Revision(entry.revision),
    })
}

pub(super) fn standing(standing: &StandingRecord) -> pb::CheckpointStanding {
    let witness = |one: &SightingRecord| pb::CheckpointWitness {
        host: one.host,
        seen_ms: one.seen.as_millis(),
        retransmits: u32::from(one.retransmits),
        sockets: u32::from(one.sockets),
        counts: one.counts,
    };
    pb::CheckpointStanding {
        prefix: standing.prefix.to_string(),
        active_ms: standing.active.as_millis(),
        check_ms: standing.check.map(Moment::as_millis),
        witnesses: standing.witnesses.iter().map(witness).collect(),
    }
}

pub(super) fn standing_from(standing: &pb::CheckpointStanding) -> Result<StandingRecord, Malformed> {
    let witness = |one: &pb::CheckpointWitness| {
        Ok(SightingRecord {
            host: one.host,
            seen: Moment::from_millis(one.seen_ms),
            retransmits: small("standings.retransmits", one.retransmits)?,
            sockets: small("standings.sockets", one.sockets)?,
            counts: one.counts,
        })
    };
    Ok(StandingRecord {
        prefix: readable::prefix(&standing.prefix)?,
        active: Moment::from_millis(standing.active_ms),
        check: standing.check_ms.map(Moment::from_millis),
        witnesses: standing.witnesses.iter().map(witness).collect::<Result<_, _>>()?,
    })
}

pub(super) fn allowed(allowed: &Allowed) -> pb::CheckpointAllowed {
    pb::CheckpointAllowed {
        prefix: allowed.prefix.to_string(),
        operator: allowed.operator.to_string(),
        text: allowed.text.clone(),
        created_ms: allowed.created.as_millis(),
        expires_ms: allowed.expires.as_millis(),
        revision: allowed.revision.0,
    }
}

pub(super) fn allowed_from(allowed: pb::CheckpointAllowed) -> Result<Allowed, Malformed> {
    Ok(Allowed {
        prefix: readable::prefix(&allowed.prefix)?,
        operator: parse("allowlist.operator", &allowed.operator)?,
        text: allowed.text,
        created: Moment::from_millis(allowed.created_ms),
        expires: Moment::from_millis(allowed.expires_ms),
        revision: Revision(allowed.revision),
    })
}

pub(super) fn hold(hold: &Hold) -> pb::CheckpointHold {
    pb::CheckpointHold { prefix: hold.prefix.to_string(), until_ms: hold.until.as_millis() }
}

pub(super) fn hold_from(hold: &pb::CheckpointHold) -> Result<Hold, Malformed> {
    Ok(Hold { prefix: readable::prefix(&hold.prefix)?, until: Moment::from_millis(hold.until_ms) })
}

pub(super) fn past(past: &PastListing) -> pb::CheckpointPast {
    let (prefix, ended_ms) = (past.prefix.to_string(), past.ended.as_millis());
    pb::CheckpointPast { prefix, count: past.count, ended_ms }
}

pub(super) fn past_from(past: &pb::CheckpointPast) -> Result<PastListing, Malformed> {
    let (prefix, ended) = (readable::prefix(&past.prefix)?, Moment::from_millis(past.ended_ms));
    Ok(PastListing { prefix, count: past.count, ended })
}

pub(super) fn request(request: &DoneRequest) -> pb::CheckpointRequest {
    pb::CheckpointRequest {
        done_ms: request.at.as_millis(),
        revision: request.revision.0,
        order: Some(order::encode(&request.order)),
        changes: if request.changes.is_empty() { Bytes::new() } else { packed::encode(&request.changes) },
    }
}

pub(super) fn request_from(request: &pb::CheckpointRequest) -> Result<DoneRequest, Malformed> {
    let order = request.order.as_ref().ok_or_else(|| Malformed::field("requests.order", "missing"))?;
    Ok(DoneRequest {
        at: Moment::from_millis(request.done_ms),
        revision: Revision(request.revision),
        order: order::decode(order)?,
        changes: packed::decode(&request.changes)?,
    })
}

pub(super) fn recent(one: &Recent) -> pb::CheckpointRecent {
    pb::CheckpointRecent {
        listed_ms: one.at.as_millis(),
        prefix: one.prefix.to_string(),
        is_raise: !one.is_new,
    }
}

pub(super) fn recent_from(one: &pb::CheckpointRecent) -> Result<Recent, Malformed> {
    let at = Moment::from_millis(one.listed_ms);
    Ok(Recent { at, prefix: readable::prefix(&one.prefix)?, is_new: !one.is_raise })
}
