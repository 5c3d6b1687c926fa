//! What stands once in a checkpoint.

use std::collections::HashMap;

use sekisho_engine::{Checkpoint, Counters, Limit};
use sekisho_model::{Moment, Prefix, Revision};
use sekisho_wire::{Malformed, pb::log::v1 as pb, policy, readable};

use super::FORMAT;

/// `CheckpointHeldBack.limit` of each limit.
const LIMITS: [(u32, Limit); 2] = [(1, Limit::Entries), (2, Limit::NewPerMinute)];

/// The head of a checkpoint.
pub(super) fn encode(state: &Checkpoint) -> pb::CheckpointHead {
    let rate = |slices: &[(i64, u64)]| {
        slices.iter().map(|(slice, units)| pb::CheckpointRate { slice: *slice, units: *units }).collect()
    };
    pb::CheckpointHead {
        index: state.index.0,
        revision: state.revision.0,
        now_ms: state.now.as_millis(),
        horizon_ms: state.horizon.as_millis(),
        policy: Some(policy::encode(&state.policy)),
        is_full: false,
        counters: counters(&state.counters),
        format: FORMAT,
        chance: state.chance,
        counted_rate: rate(&state.counted_rate),
        seen_rate: rate(&state.seen_rate),
        held_back: state.held_back.iter().map(|(limit, held)| held_back(*limit, *held)).collect(),
        units_full: state.units_full,
        units_lost: state.units_lost,
        withheld: state.withheld.iter().map(|(said, prefix)| withheld(*said, *prefix)).collect(),
    }
}

/// A checkpoint with what the head says, and empty lists.
pub(super) fn decode(head: &pb::CheckpointHead) -> Result<Checkpoint, Malformed> {
    let policy = head.policy.as_ref().ok_or_else(|| Malformed::field("checkpoint.policy", "missing"))?;
    let rate = |slices: &[pb::CheckpointRate]| slices.iter().map(|one| (one.slice, one.units)).collect();
    Ok(Checkpoint {
        index: Revision(head.index),
        revision: Revision(head.revision),
        now: Moment::from_millis(head.now_ms),
        horizon: Moment::from_millis(head.horizon_ms),
        policy: policy::decode(policy)?,
        chance: head.chance.max(1),
        counted_rate: rate(&head.counted_rate),
        seen_rate: rate(&head.seen_rate),
        held_back: head.held_back.iter().map(held_back_from).collect::<Result<_, _>>()?,
        units_full: head.units_full,
        units_lost: head.units_lost,
        withheld: head.withheld.iter().map(withheld_from).collect::<Result<_, _>>()?,
        recent: Vec::new(),
        hosts: Vec::new(),
        names: Vec::new(),
        entries: Vec::new(),
        standings: Vec::new(),
        allowlist: Vec::new(),
        holds: Vec::new(),
        past: Vec::new(),
        requests: Vec::new(),
        units: Vec::new(),
        counter: Vec::new(),
        blocks: Vec::new(),
        counters: counters_from(&head.counters),
    })
}

fn withheld(said: Moment, prefix: Prefix) -> pb::CheckpointRecent {
    pb::CheckpointRecent { listed_ms: said.as_millis(), prefix: prefix.to_string(), is_raise: false }
}

fn withheld_from(one: &pb::CheckpointRecent) -> Result<(Moment, Prefix), Malformed> {
    Ok((Moment::from_millis(one.listed_ms), readable::prefix(&one.prefix)?))
}

fn held_back(limit: Limit, held: u64) -> pb::CheckpointHeldBack {
    let number = LIMITS.iter().find(|(_, known)| *known == limit).map_or(0, |(number, _)| *number);
    pb::CheckpointHeldBack { limit: number, held }
}

fn held_back_from(row: &pb::CheckpointHeldBack) -> Result<(Limit, u64), Malformed> {
    let known = LIMITS.iter().find(|(number, _)| *number == row.limit);
    let (_, limit) = known.ok_or_else(|| {
        Malformed::field("head.held_back", "an unknown limit: a newer version wrote this; run that version")
    })?;
    Ok((*limit, row.held))
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
    batches duplicate_batches refused_hosts observations weak_observations stale_observations outage_rows
    untracked completed objections hits ignored_hits ignored_completed evicted_units listed retiered renewed expired removed
    withheld_never withheld_allowed withheld_held withheld_covered withheld_limit orders repeated_orders
    refused_orders refused_policies unknown_names tracked_units entries
}
