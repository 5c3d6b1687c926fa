//! Rows and a moment become observations: which half-open handshakes are proven stuck, each counted once; and
//! which units have honest clients.
//!
//! Pure: it opens no socket and reads no clock.
#![no_std]

extern crate alloc;

pub mod attack;
pub mod benefit;
pub mod candidates;
pub mod counter;
pub mod interval;
pub mod leftover;
pub mod observer;
pub mod path;
pub mod retries;
pub mod turns;

mod life;
#[cfg(test)]
mod tests;

pub use attack::{Attack, Window};
pub use candidates::Candidates;
pub use counter::{CounterEvidence, Proof};
pub use interval::{completed_interval, poll_interval, tracked_interval};
pub use leftover::is_leftover;
pub use observer::{Observer, Seen};
pub use path::{Counted, Path, PathWatch};
pub use retries::{Goal, GoalError, Hold, Retries, Step};
pub use turns::Turns;
