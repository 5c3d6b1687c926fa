//! The words of Sekisho as types: what rooms hand to each other, and every limit.
//!
//! Nothing here knows protobuf, time, disk or a runtime; the crate is `no_std` so that the compiler
//! keeps it so.
#![no_std]

extern crate alloc;

pub mod answers;
pub mod change;
pub mod digest;
pub mod entry;
pub mod feed;
pub mod flags;
pub mod identity;
pub mod limits;
pub mod log;
pub mod never;
pub mod observation;
pub mod order;
pub mod policy;
pub mod position;
pub mod prefix;
pub mod row;
pub mod time;

pub use answers::Answers;
pub use change::{Change, Delta, Key, List, Member};
pub use digest::Digest;
pub use entry::{Allowed, Entry, Reason, Tier};
pub use flags::{Flag, Flags};
pub use identity::{HostId, IdentityError, OperatorId, RequestId, Zone};
pub use log::{Input, LogEntry};
pub use observation::{Batch, Completed, Hit, Observation, Totals, Truncation};
pub use order::{Order, OrderKind};
pub use policy::{Never, Policy, PolicyError};
pub use position::{Epoch, Position, Revision};
pub use prefix::{Prefix, PrefixError, Unit};
pub use row::{Handshake, Row, Sensor, Sign};
pub use time::Moment;
