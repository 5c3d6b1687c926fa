//! The log, the checkpoints and the stored deltas, on RocksDB.
//!
//! The log is the one truth; a checkpoint shortens its replay, and the stored deltas spare a
//! subscriber that was away a snapshot. Both can be made again from the log. Payloads are opaque
//! bytes here: the store knows no protobuf, no gRPC and no subscriber.
//!
//! [`Store`] belongs to the one writer; [`Reader`] is for everybody else, and lives through a
//! [`Store::reopen`].

mod checkpoints;
mod database;
mod deltas;
mod error;
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
pub use log::{Log, LoggedRecord, Record};
pub use reader::Reader;
pub use store::{Options, Store};
