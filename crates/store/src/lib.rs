//! The log, the checkpoints, the stored deltas and the events, on RocksDB.
//!
//! The log is the one truth; a checkpoint shortens its replay, the stored deltas spare a subscriber
//! that was away a snapshot, and the events tell operators what happened. All can be made again from
//! the log, as far as it reaches back. Payloads are opaque bytes here: the store knows no protobuf, no
//! gRPC and no subscriber.
//!
//! [`Store`] belongs to the one writer; [`Reader`] is for everybody else, and lives through a
//! [`Store::reopen`]. It also reads a directory that nobody writes to, or somebody else.

mod checkpoints;
mod database;
mod deltas;
mod error;
mod event_pages;
mod events;
mod home;
mod kv;
mod log;
mod reader;
mod records;
mod store;
mod truncate;
mod tuning;

pub use checkpoints::Checkpoint;
pub use deltas::StoredDelta;
pub use error::StoreError;
pub use event_pages::{EventPage, EventQuery};
pub use events::{EventId, NewEvent, StoredEvent};
pub use log::{Log, LoggedRecord, Record};
pub use reader::{LogEnds, Reader};
pub use store::{Options, Store};
