//! `sekishoctl watch`: follows both lists live, a line for each change, over broken streams and
//! restarts of the aggregator.

use std::{num::NonZeroUsize, time::Duration};

use sekisho_daemon::shutdown;
use sekisho_model::{
    Position,
    limits::{BOOKMARK_INTERVAL, MAX_WATCH_BYTES},
};
use sekisho_wire::{
    feed,
    pb::v1::{WatchResponse, blocklist_service_client::BlocklistServiceClient},
};
use tokio::time::timeout;
use tokio_stream::StreamExt;
use tonic::{Status, Streaming, transport::Channel};

use crate::{
    args::WatchArgs,
    errors::{Failure, describe, say},
    follow::{Follower, Meant, Noted},
    line::{self, Line},
    retry::{backoff, is_for_good},
    table::Printer,
};

/// Longest silence before the stream counts as dead.
pub(crate) const SILENCE: Duration = BOOKMARK_INTERVAL.saturating_mul(3);

/// Why a stream is over.
enum Ended {
    /// All lines that were wanted are printed.
    Enough,
    /// It broke; another one goes on from there.
    Broke(String),
}

/// Follows until it is interrupted, `wanted` is satisfied, or the aggregator refuses for good.
pub(crate) async fn run(
    channel: Channel,
    wanted: WatchArgs,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let stop = shutdown::on_signal()?;
    let mut watch = Watch { follower: Follower::default(), wanted, printed: 0, synced: false, failures: 0 };
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = watch.follow(channel, printer) => ended,
    }
}

struct Watch {
    follower: Follower,
    wanted: WatchArgs,
    printed: usize,
    synced: bool,
    failures: u32,
}

impl Watch {
    async fn follow(&mut self, channel: Channel, printer: &mut Printer<'_>) -> Result<(), Failure> {
        loop {
            match self.stream(channel.clone(), printer).await? {
                Ended::Enough => return Ok(()),
                Ended::Broke(why) => say(&format!("{why}; following again from {}", self.place())),
            }
            tokio::time::sleep(backoff(self.failures)).await;
            self.failures = self.failures.saturating_add(1);
        }
    }

    fn place(&self) -> String {
        self.follower.at().map_or_else(|| "a snapshot".to_owned(), |at| at.to_string())
    }

    /// One stream, from its start to its end.
    async fn stream(&mut self, channel: Channel, printer: &mut Printer<'_>) -> Result<Ended, Failure> {
        let mut stream = match timeout(SILENCE, self.open(channel)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(status)) => return self.judge(status),
            Err(_) => return self.judge(Status::deadline_exceeded("no answer")),
        };
        loop {
            let message = match timeout(SILENCE, stream.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return self.judge(Status::unavailable("the aggregator closed the stream")),
                Ok(Err(status)) => return self.judge(status),
                Err(_) => return self.judge(Status::deadline_exceeded("the stream is silent")),
            };
            if let Some(ended) = self.take(&message, printer)? {
                return Ok(ended);
            }
        }
    }

    async fn open(&mut self, channel: Channel) -> Result<Streaming<WatchResponse>, Status> {
        let start = feed::request(&self.follower.start(), "");
        // The stream stays open from this side: nothing is in force here that could be acknowledged.
        let requests = tokio_stream::once(start).chain(tokio_stream::pending());
        Ok(BlocklistServiceClient::new(channel)
            .max_decoding_message_size(MAX_WATCH_BYTES)
            .watch(requests)
            .await?
            .into_inner())
    }

    /// A refusal ends the program; so does everything before the first snapshot, since then nobody
    /// relies on it yet. The rest passes.
    fn judge(&self, status: Status) -> Result<Ended, Failure> {
        if self.synced && !is_for_good(&status) {
            Ok(Ended::Broke(describe(&status)))
        } else {
            Err(status.into())
        }
    }

    fn take(&mut self, message: &WatchResponse, printer: &mut Printer<'_>) -> Result<Option<Ended>, Failure> {
        let announcement = match feed::announcement(message) {
            Ok(announcement) => announcement,
            Err(malformed) => return Err(Failure::Unsound(malformed.to_string())),
        };
        match self.follower.take(announcement) {
            Ok(Meant::Welcome | Meant::Part) => Ok(None),
            Ok(Meant::At(at, noted)) => self.print(at, &noted, printer),
            Err(broken) => Ok(Some(Ended::Broke(broken.to_string()))),
        }
    }

    fn print(
        &mut self,
        at: Position,
        noted: &[Noted],
        printer: &mut Printer<'_>,
    ) -> Result<Option<Ended>, Failure> {
        self.failures = 0;
        let told = self.synced || self.wanted.initial;
        if !self.synced {
            self.synced = true;
            line::head(printer)?;
            say(&format!("following from {at}"));
        }
        let left = self.wanted.limit.map_or(usize::MAX, NonZeroUsize::get) - self.printed;
        for noted in noted.iter().filter(|_| told).take(left) {
            line::print(&Line::new(at, noted), printer)?;
            self.printed += 1;
        }
        printer.out.flush()?;
        let enough = self.wanted.limit.is_some_and(|limit| self.printed >= limit.get());
        Ok(enough.then_some(Ended::Enough))
    }
}
