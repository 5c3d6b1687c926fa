//! One subscriber of `Watch`: a cursor into the shared ring, the stored deltas behind it, and a snapshot
//! behind those. It holds no queue; when it is slow, only its cursor lags.

use std::{sync::Arc, time::Duration};

use prost::Message;
use sekisho_feed::{Start, Step};
use sekisho_model::{
    Digest, HostId, Member, Position, Revision,
    feed::Response as Said,
    limits::{BOOKMARK_INTERVAL, SNAPSHOT_MEMBERS},
};
use sekisho_wire::{
    Reason, feed,
    identity::Caller,
    pb::v1::{WatchRequest, WatchResponse, watch_request::Kind},
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tonic::{Status, Streaming};

use crate::{
    grpc::{Context, auth, received, stopping},
    roster::Presence,
};

/// Longest wait for the first message of a stream.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest that a message may wait to be taken. A subscriber that reads nothing holds memory, and its
/// place among the snapshots' senders.
const TAKEN_WITHIN: Duration = Duration::from_secs(15);
/// Watch streams that one host may have: the one before may not be missed yet.
const STREAMS_PER_HOST: usize = 2;
/// Bytes of stored deltas that are read at a time.
const STORED_BYTES: usize = 64 << 10;

/// The way to the subscriber.
type Out = mpsc::Sender<Result<WatchResponse, Status>>;

struct Subscriber {
    context: Context,
    out: Out,
    cursor: Revision,
}

/// Serves one subscriber until it goes, or something is wrong with it.
pub async fn serve(
    context: Context,
    caller: Option<Caller>,
    mut incoming: Streaming<WatchRequest>,
    out: Out,
) {
    let ended = match greet(&context, caller.as_ref(), &mut incoming).await {
        Ok((host, applied)) => follow(&context, host, applied, incoming, &out).await,
        Err(status) => Err(status),
    };
    if let Err(status) = ended {
        // The subscriber may have gone, or read nothing.
        drop(timeout(TAKEN_WITHIN, out.send(Err(status))).await);
    }
}

async fn follow(
    context: &Context,
    host: Option<HostId>,
    applied: Applied,
    incoming: Streaming<WatchRequest>,
    out: &Out,
) -> Result<(), Status> {
    let host = host.map(|host| Watching::begin(context, host)).transpose()?;
    let heard = listen(host.as_ref(), incoming);
    let mut subscriber =
        Subscriber { context: context.clone(), out: out.clone(), cursor: Revision::default() };
    tokio::select! {
        result = heard => result,
        result = subscriber.run(applied) => result,
    }
}

type Applied = Option<(Position, Digest)>;

/// Hears where the subscriber stands, and which host it is; operators are none.
async fn greet(
    context: &Context,
    caller: Option<&Caller>,
    incoming: &mut Streaming<WatchRequest>,
) -> Result<(Option<HostId>, Applied), Status> {
    let first = tokio::select! {
        () = context.stop.cancelled() => return Err(stopping()),
        first = timeout(START_TIMEOUT, incoming.message()) => first,
    };
    let first =
        first.map_err(|_| Reason::HelloExpected.status("no start came within 10 s"))?.map_err(received)?;
    let Some(WatchRequest { kind: Some(Kind::Start(start)) }) = &first else {
        return Err(Reason::HelloExpected.status_about(
            "the first message must be a start",
            Some("start"),
            [],
        ));
    };
    let host = match caller {
        Some(Caller::Operator(_)) => None,
        None if start.host_id.is_empty() => None,
        caller => Some(auth::agent(caller, &start.host_id)?),
    };
    match first.as_ref().map(feed::said).transpose()? {
        Some(Said::Start { applied }) => Ok((host, applied)),
        _ => Err(Reason::HelloExpected.status("the first message must be a start")),
    }
}

/// A host's place in the roster while it watches.
struct Watching {
    context: Context,
    host: HostId,
}

impl Watching {
    fn begin(context: &Context, host: HostId) -> Result<Self, Status> {
        let streams = context.roster.update(&host, |presence| {
            presence.watching += 1;
            presence.watching
        });
        let watching = Self { context: context.clone(), host };
        if streams > STREAMS_PER_HOST {
            return Err(
                Reason::LimitReached.status(format!("a host may have {STREAMS_PER_HOST} watch streams"))
            );
        }
        Ok(watching)
    }

    /// The host has this in force. Where the head can judge it and it is not what it should be, that shows.
    fn applied(&self, position: Position, digest: Digest) {
        let (head, right) = {
            let publisher = self.context.shared.publisher();
            (publisher.position(), publisher.digest())
        };
        let (wrong, at) = (position == head && digest != right, self.context.shared.now());
        if wrong {
            tracing::error!(host = %self.host, %position, "a host has another list in force than it says; restart its agent");
        }
        self.update(|presence| {
            presence.applied = Some((position, at));
            presence.refusal.clear();
            if wrong {
                presence.refusal = format!("{}: its list differs from the aggregator's", position.revision);
            }
        });
    }

    fn update<T>(&self, change: impl FnOnce(&mut Presence) -> T) -> T {
        self.context.roster.update(&self.host, change)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.update(|presence| presence.watching -= 1);
    }
}

/// Hears what the subscriber put in force, until it goes.
async fn listen(host: Option<&Watching>, mut incoming: Streaming<WatchRequest>) -> Result<(), Status> {
    while let Some(message) = incoming.message().await.map_err(received)? {
        let said = feed::said(&message)?;
        let Some(host) = host else { continue };
        match said {
            Said::Applied { position, digest } => host.applied(position, digest),
            Said::Refused { revision, reason, message } => {
                let refusal = format!("{revision}: {message}");
                let known = host.update(|presence| {
                    let before = std::mem::replace(&mut presence.refusal, refusal.clone());
                    before == refusal
                });
                // Said once: a host may try again as often as it likes.
                if !known {
                    tracing::warn!(host = %host.host, %revision, ?reason, message, "a host refused a revision");
                }
            }
            Said::Start { .. } => {
                return Err(Reason::MalformedField.status_about(
                    "start may only come first",
                    Some("start"),
                    [],
                ));
            }
        }
    }
    Ok(())
}

impl Subscriber {
    async fn run(&mut self, applied: Applied) -> Result<(), Status> {
        let shared = self.context.shared.clone();
        let mut head = shared.head();
        let (position, digest, start) = {
            let publisher = shared.publisher();
            (publisher.position(), publisher.digest(), publisher.start(applied))
        };
        self.send(feed::welcome(shared.now(), position)).await?;
        match start {
            Start::Resume(revision) => {
                self.cursor = revision;
                if revision == position.revision {
                    // Nothing else may come for long: let the subscriber know that it is up to date.
                    self.send(feed::bookmark(position, digest)).await?;
                }
            }
            Start::Snapshot => self.snapshot().await?,
            Start::Behind => {
                let text = "this aggregator stands behind you; wait a little or ask another one";
                return Err(Reason::Behind.status(text));
            }
        }
        loop {
            let step = shared.publisher().next(self.cursor);
            match step {
                Step::Frame(frame) => {
                    self.send(frame.body).await?;
                    self.cursor = frame.revision;
                }
                Step::Stored => self.stored().await?,
                Step::Wait => self.wait(&mut head).await?,
            }
        }
    }

    /// Waits for news; says that there is none when it takes long.
    async fn wait(&mut self, head: &mut watch::Receiver<Revision>) -> Result<(), Status> {
        let stop = self.context.stop.clone();
        let news = async { head.wait_for(|head| *head > self.cursor).await.is_ok() };
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(stopping()),
            going = news => if going { Ok(()) } else { Err(stopping()) },
            () = sleep_until(Instant::now() + BOOKMARK_INTERVAL) => {
                let (position, digest) = {
                    let publisher = self.context.shared.publisher();
                    (publisher.position(), publisher.digest())
                };
                // The head may have moved since: then the delta comes first.
                if position.revision == self.cursor { self.send(feed::bookmark(position, digest)).await } else { Ok(()) }
            }
        }
    }

    /// Sends deltas that are not in the ring any more; a snapshot when they are not stored either.
    async fn stored(&mut self) -> Result<(), Status> {
        let (reader, cursor) = (self.context.shared.reader.clone(), self.cursor);
        let read = tokio::task::spawn_blocking(move || reader.deltas_after(cursor, STORED_BYTES)).await;
        let deltas = match read.map_err(|error| Status::internal(error.to_string()))? {
            Ok(Some(deltas)) if !deltas.is_empty() => deltas,
            Ok(_) => return self.snapshot().await,
            Err(error) => {
                tracing::error!(%error, "stored deltas cannot be read; a snapshot serves instead");
                return self.snapshot().await;
            }
        };
        for delta in deltas {
            let Ok(message) = WatchResponse::decode(&delta.bytes[..]) else { return self.snapshot().await };
            self.send(message).await?;
            self.cursor = delta.revision;
        }
        Ok(())
    }

    async fn snapshot(&mut self) -> Result<(), Status> {
        let places = self.context.snapshots.clone();
        let place = places.acquire_owned().await.map_err(|_| stopping())?;
        let shared = self.context.shared.clone();
        let (position, digest, members): (_, _, Vec<Member>) = {
            let engine = shared.engine();
            let position = Position { epoch: shared.epoch, revision: engine.revision() };
            (position, engine.digest(), engine.members().collect())
        };
        let members = Arc::new(members);
        self.send(feed::snapshot_begin(position, members.len(), digest)).await?;
        for chunk in members.chunks(SNAPSHOT_MEMBERS) {
            self.send(feed::snapshot_chunk(chunk)).await?;
        }
        self.send(feed::snapshot_end()).await?;
        self.cursor = position.revision;
        drop(place);
        Ok(())
    }

    async fn send(&self, message: WatchResponse) -> Result<(), Status> {
        let sent = tokio::select! {
            () = self.context.stop.cancelled() => return Err(stopping()),
            sent = timeout(TAKEN_WITHIN, self.out.send(Ok(message))) => sent,
        };
        let taken = sent.map_err(|_| {
            Reason::LimitReached.status("nothing was read for 15 s; come back when you can read")
        })?;
        taken.map_err(|_| Status::cancelled("the subscriber went"))
    }
}
