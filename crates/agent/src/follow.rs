//! The watch stream: hands what the aggregator says to the keeper, and the keeper's answers back.

use std::time::Duration;

use sekisho_daemon::readiness::Readiness;
use sekisho_model::{
    HostId, Revision,
    feed::{Announcement, RefusalReason, Response},
    limits::MAX_WATCH_BYTES,
};
use sekisho_wire::{
    feed,
    pb::v1::{WatchRequest, WatchResponse, blocklist_service_client::BlocklistServiceClient},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::{desk::Desk, keeper::Verdict, link::Link};

/// How long a stream may stay silent before its first message.
const FIRST: Duration = Duration::from_secs(15);
/// Answers that may wait to be sent.
const ANSWERS: usize = 16;
/// Readiness condition of the journal.
const JOURNAL: &str = "journal";
/// Readiness condition of the list.
pub const CONDITION: &str = "list";

/// Follows until `stop`, over any number of streams.
pub async fn run(mut link: Link, desk: Desk, host: HostId, readiness: Readiness, stop: CancellationToken) {
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = stream(&mut link, &desk, &host, &readiness) => ended,
        };
        let wait = link.failed();
        tracing::warn!(
            reason = ended.err().map(|error| format!("{error:#}")),
            again_in_ms = wait.as_millis(),
            "the watch stream ended; what is in force stays"
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// One stream, until it ends.
async fn stream(link: &mut Link, desk: &Desk, host: &HostId, readiness: &Readiness) -> anyhow::Result<()> {
    let channel = link.connect().await?;
    let (answers, requests) = mpsc::channel::<WatchRequest>(ANSWERS);
    let start = desk.begin().await?;
    answers.send(feed::request(&start, host.as_str())).await?;
    let mut client = BlocklistServiceClient::new(channel).max_decoding_message_size(MAX_WATCH_BYTES);
    let mut messages = client.watch(ReceiverStream::new(requests)).await?.into_inner();
    let mut patience = FIRST;
    loop {
        let message = timeout(patience, messages.message()).await;
        let message =
            message.map_err(|_| anyhow::anyhow!("nothing was heard for {} s", patience.as_secs()))??;
        let Some(message) = message else { anyhow::bail!("the aggregator closed the stream") };
        let announcement = match feed::announcement(&message) {
            Ok(announcement) => announcement,
            Err(malformed) => {
                let (reason, message) = (RefusalReason::Undecodable, malformed.to_string());
                let refused = Response::Refused { revision: Revision::default(), reason, message };
                answers.send(feed::request(&refused, host.as_str())).await?;
                return end(answers, messages, "a message could not be decoded").await;
            }
        };
        let resumed = matches!(announcement, Announcement::Welcome { .. });
        let (verdict, silence) = desk.hear(announcement).await?;
        patience = silence.unwrap_or(FIRST).max(Duration::from_secs(1));
        match verdict {
            Verdict::Going(said) => {
                if let Some(said) = said {
                    answers.send(feed::request(&said, host.as_str())).await?;
                    readiness.met(CONDITION);
                    told(desk, readiness);
                }
                if !resumed {
                    link.worked();
                }
            }
            Verdict::Over(said) => {
                readiness.unmet(CONDITION, "the last revision could not be put in force; the log says why");
                answers.send(feed::request(&said, host.as_str())).await?;
                return end(answers, messages, "a message could not be applied").await;
            }
        }
    }
}

/// Says whether what is in force could be written down: a restart would have much to catch up with.
fn told(desk: &Desk, readiness: &Readiness) {
    if desk.counts().unwritten {
        readiness.unmet(JOURNAL, "what is in force cannot be written to the state directory");
    } else {
        readiness.met(JOURNAL);
    }
}

/// Ends the stream from our side, so that the last answer still goes out before the connection does.
async fn end(
    answers: mpsc::Sender<WatchRequest>,
    mut messages: Streaming<WatchResponse>,
    why: &'static str,
) -> anyhow::Result<()> {
    drop(answers);
    let drained = async { while let Ok(Some(_)) = messages.message().await {} };
    drop(timeout(Duration::from_secs(1), drained).await);
    anyhow::bail!(why)
}
