//! `ReplayService`: the stored log under another policy. One replay at a time, on a thread of its own: it takes
//! a core for as long as it lasts, and as much memory as the engine.

use std::{ops::ControlFlow, time::Duration};

use sekisho_history::replay::{self, Difference, Kind, Listing, Progress, ReplayError, Replayed, Summary};
use sekisho_model::{Moment, Policy};
use sekisho_wire::{
    Reason,
    pb::v1::{self as pb, replay_response::Kind as Step, replay_service_server::ReplayService},
    readable,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::grpc::{Context, auth, log_unavailable, operator::policy_from};

/// Steps that wait for a slow reader; the replay waits with them.
const STEPS: usize = 64;

/// The service.
pub struct Replays(pub Context);

#[tonic::async_trait]
impl ReplayService for Replays {
    type ReplayStream = ReceiverStream<Result<pb::ReplayResponse, Status>>;

    async fn replay(
        &self,
        request: Request<pb::ReplayRequest>,
    ) -> Result<Response<Self::ReplayStream>, Status> {
        auth::operator(&request)?;
        let pb::ReplayRequest { policy_yaml, since } = request.into_inner();
        let policy = policy_from(&policy_yaml)?;
        let now = self.0.shared.now();
        let from = match since {
            None => None,
            some => Some(now - readable::duration("since", some, Duration::ZERO)?),
        };
        let place = self.0.replays.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            Reason::LimitReached.status("another replay is under way; try again when it has ended")
        })?;
        let (out, stream) = mpsc::channel(STEPS);
        let context = self.0.clone();
        tokio::task::spawn_blocking(move || {
            run(&context, policy, from, &out);
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

type Out = mpsc::Sender<Result<pb::ReplayResponse, Status>>;

fn run(context: &Context, policy: Policy, from: Option<Moment>, out: &Out) {
    let progress = |progress: Progress| {
        if context.stop.is_cancelled() || tell(out, Step::Progress(self::progress(&progress))).is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    match replay::replay(&context.shared.reader, policy, from, progress) {
        Ok(Replayed { differences, summary }) => {
            for one in &differences {
                if tell(out, Step::Difference(difference(one))).is_err() {
                    return;
                }
            }
            // The operator may have gone.
            tell(out, Step::Summary(self::summary(&summary))).unwrap_or(());
        }
        Err(error) => drop(out.blocking_send(Err(failed(&error)))),
    }
}

fn tell(out: &Out, step: Step) -> Result<(), ()> {
    out.blocking_send(Ok(pb::ReplayResponse { kind: Some(step) })).map_err(drop)
}

fn failed(error: &ReplayError) -> Status {
    match error {
        ReplayError::Truncated { .. } | ReplayError::Empty => Reason::LogTruncated.status(error.to_string()),
        ReplayError::Policy(_) => {
            Reason::PolicyInvalid.status_about(error.to_string(), Some("policy_yaml"), [])
        }
        ReplayError::Stopped => Reason::Stopping.status(error.to_string()),
        _ => {
            tracing::error!(%error, "a replay failed");
            log_unavailable(&error.to_string())
        }
    }
}

fn progress(from: &Progress) -> pb::ReplayProgress {
    pb::ReplayProgress {
        done: long(from.done),
        total: long(from.total),
        time: Some(readable::timestamp(from.time)),
    }
}

fn difference(from: &Difference) -> pb::ReplayDifference {
    let kind = match from.kind {
        Kind::More => pb::ReplayDifferenceKind::More,
        Kind::Fewer => pb::ReplayDifferenceKind::Fewer,
        Kind::Earlier => pb::ReplayDifferenceKind::Earlier,
        Kind::Later => pb::ReplayDifferenceKind::Later,
        Kind::OtherTier => pb::ReplayDifferenceKind::OtherTier,
    };
    pb::ReplayDifference {
        prefix: from.prefix.to_string(),
        kind: kind as i32,
        happened: from.happened.as_ref().map(listing),
        would_have: from.would_have.as_ref().map(listing),
    }
}

fn listing(from: &Listing) -> pb::ReplayListing {
    pb::ReplayListing {
        tier: readable::tier(from.tier) as i32,
        start_time: Some(readable::timestamp(from.start)),
        end_time: from.end.map(readable::timestamp),
        listings: readable::count(from.listings),
    }
}

fn summary(from: &Summary) -> pb::ReplaySummary {
    pb::ReplaySummary {
        start_time: Some(readable::timestamp(from.start)),
        end_time: Some(readable::timestamp(from.end)),
        log_entries: long(from.log_entries),
        observations: long(from.observations),
        happened: long(from.happened),
        would_have: long(from.would_have),
        in_both: long(from.in_both),
        differences: long(from.differences),
        left_out: long(from.left_out),
        elapsed: from.elapsed.try_into().ok(),
        caveats: from.caveats.clone(),
    }
}

fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
