//! Rows and a moment become observations: which half-open sockets are proven stuck, each counted once.
//!
//! Pure: it opens no socket and reads no clock.
#![no_std]

extern crate alloc;

pub mod interval;
pub mod observer;

pub use interval::poll_interval;
pub use observer::{Observer, Seen};
