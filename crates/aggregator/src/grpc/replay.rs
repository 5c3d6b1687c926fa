//! `ReplayService`: the stored log under another policy. It runs on a thread of its own, one at a time, and
//! neither the log nor the engine in service is touched by it.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use sekisho_history::replay::{Progress, ReplayError, Replayed, replay};
use sekisho_wire::{
    Reason,
    pb::v1::{ReplayRequest, ReplayResponse, replay_response, replay_service_server::ReplayService},
    readable,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::grpc::{Context, auth, operator, reading, stopping};

/// Messages that wait to be taken.
const WAITING: usize = 64;
/// Shortest time between two words on how far it has come.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Longest that a difference may wait to be taken.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

type Out = mpsc::Sender<Result<ReplayResponse, Status>>;

/// The service.
pub struct Replays(pub Context);

#[tonic::async_trait]
impl ReplayService for Replays {
    type ReplayStream = ReceiverStream<Result<ReplayResponse, Status>>;

    async fn replay(&self, request: Request<ReplayRequest>) -> Result<Response<Self::ReplayStream>, Status> {
        auth::operator(&request)?;
        let request = request.into_inner();
        let policy = operator::policy(&request.policy_yaml)?;
        let since = request.since.map(|since| readable::duration("since", Some(since), Duration::ZERO));
        let from = since.transpose()?.map(|since| self.0.shared.now() - since);
        let place = self.0.replays.clone().try_acquire_owned().map_err(|_| {
            Reason::LimitReached
                .status("a replay is under way, and one runs at a time; ask again when it is done")
        })?;
        let (out, stream) = mpsc::channel(WAITING);
        let context = self.0.clone();
        tokio::spawn(async move {
            let progress = progress(&context, out.clone());
            let reader = context.shared.reader.clone();
            let done = reading(move || replay(&reader, policy, from, progress)).await;
            let done = done.and_then(|done| done.map_err(|error| failed(&context, &error)));
            let told = match done {
                Ok(replayed) => tell(&out, replayed).await,
                Err(status) => Err(status),
            };
            if let Err(status) = told {
                // Whoever asked may have gone, or read nothing.
                drop(timeout(TAKEN_WITHIN, out.send(Err(status))).await);
            }
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Says how far it has come, and ends the replay when nobody waits for it any more.
fn progress(context: &Context, out: Out) -> impl FnMut(Progress) -> ControlFlow<()> + Send + 'static {
    let stop = context.stop.clone();
    let mut told: Option<Instant> = None;
    move |progress| {
        if stop.is_cancelled() || out.is_closed() {
            return ControlFlow::Break(());
        }
        if told.is_none_or(|told| told.elapsed() >= PROGRESS_INTERVAL) {
            told = Some(Instant::now());
            // Where many wait to be read, one more says nothing.
            drop(out.try_send(Ok(message(replay_response::Kind::Progress(progress.into())))));
        }
        ControlFlow::Continue(())
    }
}

/// Tells what came of it.
async fn tell(out: &Out, replayed: Replayed) -> Result<(), Status> {
    for difference in replayed.differences {
        send(out, replay_response::Kind::Difference(difference.into())).await?;
    }
    send(out, replay_response::Kind::Summary(replayed.summary.into())).await
}

async fn send(out: &Out, kind: replay_response::Kind) -> Result<(), Status> {
    let sent = timeout(TAKEN_WITHIN, out.send(Ok(message(kind)))).await;
    let taken = sent.map_err(|_| Reason::LimitReached.status("nothing was read for 60 s; ask again"))?;
    taken.map_err(|_| Status::cancelled("the reader went"))
}

fn message(kind: replay_response::Kind) -> ReplayResponse {
    ReplayResponse { kind: Some(kind) }
}

fn failed(context: &Context, error: &ReplayError) -> Status {
    let text = error.to_string();
    match error {
        ReplayError::Truncated { .. } => Reason::LogTruncated.status_about(text, Some("since"), []),
        ReplayError::Policy(_) => Reason::PolicyInvalid.status_about(text, Some("policy_yaml"), []),
        ReplayError::Empty => Reason::NotFound.status(text),
        ReplayError::Stopped if context.stop.is_cancelled() => stopping(),
        ReplayError::Stopped => Status::cancelled(text),
        // What was to be read next went meanwhile: the log is kept for a time only.
        ReplayError::Store(sekisho_store::StoreError::Outside { .. }) => {
            Reason::LogTruncated.status_about(text, Some("since"), [])
        }
        ReplayError::Store(_) | ReplayError::Unreadable(_) | ReplayError::Checkpoint { .. } => {
            tracing::error!(%error, "the log cannot be replayed");
            Reason::LogUnavailable.status(text)
        }
    }
}
