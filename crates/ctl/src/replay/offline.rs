//! The same replay without an aggregator: over a data directory, or a copy of it.

use std::{ops::ControlFlow, path::Path, time::Duration};

use sekisho_history::replay::{self as history, Kind, ReplayError, replay_directory};
use sekisho_model::Policy;
use sekisho_store::StoreError;
use sekisho_wire::{
    pb::v1::{self as pb, ReplayDifferenceKind},
    readable,
};

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
    let mut shown = Progress::new();
    let progress = |at: history::Progress| {
        let time = Some(readable::timestamp(at.time));
        shown.take(pb::ReplayProgress { done: large(at.done), total: large(at.total), time });
        ControlFlow::Continue(())
    };
    let replayed = replay_directory(dir, policy, since, progress).map_err(wrong)?;
    let differences = replayed.differences.into_iter().map(|of| difference(of).into()).collect();
    let summary = Some(summary(replayed.summary).into());
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

/// A directory that is no store was named by mistake.
fn wrong(error: ReplayError) -> Failure {
    match error {
        ReplayError::Store(StoreError::NoStore { .. } | StoreError::Foreign { .. }) => {
            Failure::Usage(format!("--data-dir {error}"))
        }
        error => Failure::Replay(error),
    }
}

fn difference(of: history::Difference) -> pb::ReplayDifference {
    let kind = match of.kind {
        Kind::More => ReplayDifferenceKind::More,
        Kind::Fewer => ReplayDifferenceKind::Fewer,
        Kind::Earlier => ReplayDifferenceKind::Earlier,
        Kind::Later => ReplayDifferenceKind::Later,
        Kind::OtherTier => ReplayDifferenceKind::OtherTier,
    };
    pb::ReplayDifference {
        prefix: of.prefix.to_string(),
        kind: kind.into(),
        happened: of.happened.map(listing),
        would_have: of.would_have.map(listing),
    }
}

fn listing(of: history::Listing) -> pb::ReplayListing {
    pb::ReplayListing {
        tier: readable::tier(of.tier).into(),
        start_time: Some(readable::timestamp(of.start)),
        end_time: of.end.map(readable::timestamp),
        listings: readable::count(of.listings),
    }
}

fn summary(of: history::Summary) -> pb::ReplaySummary {
    pb::ReplaySummary {
        start_time: Some(readable::timestamp(of.start)),
        end_time: Some(readable::timestamp(of.end)),
        log_entries: large(of.log_entries),
        observations: large(of.observations),
        happened: large(of.happened),
        would_have: large(of.would_have),
        in_both: large(of.in_both),
        differences: large(of.differences),
        left_out: large(of.left_out),
        elapsed: of.elapsed.try_into().ok(),
        caveats: of.caveats,
    }
}

fn large(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
