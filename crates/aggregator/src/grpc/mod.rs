//! The services: each request is checked, translated, handed to the room that knows, and answered.

pub mod auth;
pub mod blocklist;
pub mod events;
pub mod explain;
pub mod fleet;
pub mod operator;
pub mod paging;
pub mod replay;
pub mod report;
pub mod server;
pub mod subscriber;

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{roster::Roster, sequencer::Message, shared::Shared};
use sekisho_wire::Reason;

/// What every service needs.
#[derive(Clone)]
pub struct Context {
    /// The engine and the publisher.
    pub shared: Arc<Shared>,
    /// The hosts' present.
    pub roster: Arc<Roster>,
    /// The way into the log.
    pub sequencer: mpsc::Sender<Message>,
    /// Places for subscribers.
    pub subscribers: Arc<Semaphore>,
    /// Places for snapshots under way.
    pub snapshots: Arc<Semaphore>,
    /// Places for readers that follow the events.
    pub event_watchers: Arc<Semaphore>,
    /// The place for a replay.
    pub replays: Arc<Semaphore>,
    /// Cancelled when the process stops.
    pub stop: CancellationToken,
}

/// The aggregator is stopping.
fn stopping() -> Status {
    Reason::Stopping.status("this aggregator is stopping; connect again")
}

/// The log takes nothing.
fn log_unavailable(problem: &str) -> Status {
    Reason::LogUnavailable.status(format!("nothing is taken at the moment: {problem}"))
}

/// Reads the store on a thread that may wait for the disk.
async fn reading<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(read).await.map_err(|error| Status::internal(error.to_string()))
}

/// Gives the transport's own errors on a stream the codes that the protocol promises.
fn received(status: Status) -> Status {
    match status.code() {
        tonic::Code::OutOfRange => Reason::LimitReached.status(format!(
            "a message is over {} bytes; send less in one message",
            sekisho_model::limits::MAX_MESSAGE_BYTES
        )),
        tonic::Code::Internal if status.message().contains("decode") => Reason::MalformedField.status_about(
            format!("undecodable: {}", status.message()),
            Some("message"),
            [],
        ),
        _ => status,
    }
}
