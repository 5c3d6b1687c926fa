//! Where a replay begins: at a checkpoint, or at the first record that there ever was.

use std::hash::{BuildHasher, RandomState};

use sekisho_engine::Engine;
use sekisho_model::{Moment, Revision};
use sekisho_store::{Reader, StoreError};

use super::ReplayError;
use crate::checkpoint;

/// An engine, and what it is to be told next.
pub(super) struct Beginning {
    /// As it was then.
    pub(super) engine: Engine,
    /// The first log entry that it has not seen.
    pub(super) next: Revision,
    /// The log entry that is the last.
    pub(super) last: Revision,
}

/// The newest state from before `from`; the oldest that there is where nothing is asked for.
pub(super) fn begin(reader: &Reader, from: Option<Moment>) -> Result<Beginning, ReplayError> {
    let ends = reader.ends()?;
    if ends.last.0 == 0 {
        return Err(ReplayError::Empty);
    }
    let is_whole = ends.first.0 == 1;
    let mut places = reader.checkpoints()?;
    places.retain(|(at, _)| at.0 + 1 >= ends.first.0 && *at <= ends.last);
    let reaches = places.last().map(|(_, time)| *time);
    match from {
        Some(from) => places.retain(|(_, time)| *time <= from),
        None if is_whole => places.clear(),
        None => places.reverse(),
    }
    let mut problem = None;
    for (at, _) in places {
        match load(reader, at) {
            Ok(Some(engine)) => return Ok(Beginning { engine, next: Revision(at.0 + 1), last: ends.last }),
            Ok(None) => {}
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    if is_whole {
        return Ok(Beginning { engine: seeded(Engine::new()), next: Revision(1), last: ends.last });
    }
    Err(match (problem, from, reaches) {
        (Some(problem), ..) => problem,
        (None, Some(asked), Some(reaches)) => ReplayError::Truncated { asked, reaches },
        _ => StoreError::Corrupt {
            index: ends.first,
            what: "the log before it is gone, and there is no checkpoint".into(),
        }
        .into(),
    })
}

/// The engine of the checkpoint at `at`; none when it is gone meanwhile.
fn load(reader: &Reader, at: Revision) -> Result<Option<Engine>, ReplayError> {
    let Some(found) = reader.checkpoint(at)? else { return Ok(None) };
    let state = checkpoint::decode(&found.bytes);
    let state = state.map_err(|error| ReplayError::Checkpoint { at, problem: error.to_string() })?;
    Ok(Some(seeded(Engine::restore(state))))
}

/// With a seed of its own: addresses in the log may have been chosen to collide.
pub(super) fn seeded(mut engine: Engine) -> Engine {
    engine.reseed(RandomState::new().hash_one(0));
    engine
}
