//! The decision: log entries become changes of the lists, and events for the audit log.
//!
//! [`Engine`] is a pure machine. It reads no clock, numbers no revision by itself, stores and sends
//! nothing: whatever it knows came in a log entry, so that the same log gives the same lists, byte
//! for byte. The files are cut by kind of input: `batch` (evidence and hits), `orders`, `joins`
//! (hosts), `policy`; `listing` decides, `lists` changes, `read` and `news` only look.
#![no_std]

extern crate alloc;

mod batch;
mod blocks;
mod bombing;
mod chance;
pub mod checkpoint;
mod counter;
pub mod counters;
mod engine;
mod evidence;
mod expiry;
pub mod explain;
mod explanation;
mod guards;
pub mod hosts;
mod index;
mod joins;
mod listing;
mod lists;
mod meter;
mod news;
mod orders;
pub mod outcome;
mod past;
mod policy;
mod prefixes;
mod protected;
mod quorums;
mod read;
pub mod refusal;
mod requests;
mod standing;
mod step;
mod timed;
mod units;
mod witness;

#[cfg(test)]
mod tests;

pub use checkpoint::Checkpoint;
pub use counters::Counters;
pub use engine::{Engine, Recent};
pub use explain::{
    CounterWitness, Counts, Explanation, Keeper, PrefixPicture, Quorums, StandingPicture, Witness,
};
pub use hosts::{Held, HostRecord, Meter};
pub use outcome::{
    AllowanceEnd, Cause, End, Event, Flood, Limit, OrderPreview, OrderResult, Outcome, Owner, Retier,
};
pub use refusal::Refusal;
