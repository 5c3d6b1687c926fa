//! The same replay without an aggregator: over a data directory, or a copy of it.

use std::{ops::ControlFlow, path::Path, time::Duration};

use sekisho_history::replay::{self as history, ReplayError, replay_directory};
use sekisho_model::Policy;
use sekisho_store::StoreError;
use sekisho_wire::pb::v1 as pb;

use super::{Progress, Replay};
use crate::{errors::Failure, policy, table::Printer};

/// Replays the data directory `dir` under the policy in `file`, and prints what [`run`](super::run) prints.
pub(crate) fn offline(
    dir: &Path,
    file: &Path,
    since: Option<Duration>,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let policy = load(file)?;
    if dir.exists() && !dir.is_dir() {
        let problem = "is no directory; name the data directory of an aggregator, or a copy of it";
        return Err(Failure::Usage(format!("--data-dir {} {problem}", dir.display())));
    }
    let mut shown = Progress::new();
    let progress = |at: history::Progress| {
        shown.take(at.into());
        ControlFlow::Continue(())
    };
    let replayed = replay_directory(dir, policy, since, progress).map_err(wrong)?;
    let differences = replayed.differences.into_iter().map(|of| pb::ReplayDifference::from(of).into());
    let (differences, summary) =
        (differences.collect(), Some(pb::ReplaySummary::from(replayed.summary).into()));
    Ok(printer.print(&Replay { differences, summary, left_out: 0 })?)
}

fn load(file: &Path) -> Result<Policy, Failure> {
    if file == Path::new("-") {
        let text = policy::read("--policy", file)?;
        return sekisho_policy::parse(&text)
            .map_err(|wrong| Failure::Usage(format!("--policy -:{}: {}", wrong.line, wrong.problem)));
    }
    sekisho_policy::load(file).map_err(|error| Failure::Usage(format!("--policy {error}")))
}

/// A directory that is no store was named by mistake. What the store says of damage is for an aggregator's own
/// directory, and would have a copy restored from a backup.
fn wrong(error: ReplayError) -> Failure {
    match error {
        ReplayError::Store(StoreError::NoStore { .. } | StoreError::Foreign { .. }) => {
            Failure::Usage(format!("--data-dir {error}"))
        }
        ReplayError::Store(StoreError::Corrupt { index, what }) => {
            Failure::Damaged(format!("index {index} is damaged: {what}"))
        }
        ReplayError::Store(StoreError::Damaged { path, what }) => {
            Failure::Damaged(format!("{} is damaged: {what}", path.display()))
        }
        error => Failure::Replay(error),
    }
}
