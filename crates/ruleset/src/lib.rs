//! Mirror and delta become one nf_tables transaction, a value with a text form; a strict fake kernel
//! judges it.
//!
//! Pure: nothing here runs anything or reads a clock. The crate is `no_std` so that the compiler
//! keeps it so.
#![no_std]

extern crate alloc;

pub mod cover;
pub mod element;
pub mod error;
pub mod fake;
pub mod fill;
pub mod fresh;
pub mod mirror;
pub mod range;
pub mod scaffold;
pub mod set;
pub mod sides;
pub mod snapshot;
pub mod transaction;

mod check;
mod overlay;

pub use element::{Element, diff};
pub use error::RulesetError;
pub use fake::{Fake, FakeError};
pub use fill::{Fill, Fullness};
pub use fresh::newly_dropped;
pub use mirror::Mirror;
pub use range::Range;
pub use scaffold::{SCAFFOLD, Scaffold};
pub use set::{Family, Kind, SetName};
pub use sides::Sides;
pub use snapshot::Snapshot;
pub use transaction::{MIN_TIMEOUT, Op, Removal, Transaction, Ways};
