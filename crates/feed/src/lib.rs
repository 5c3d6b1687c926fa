//! Both halves of the subscription as state machines: the publisher and its cursors, and the follower.
//!
//! Pure: neither knows what carries the messages, and neither reads a clock.
#![no_std]

extern crate alloc;

pub mod follower;
pub mod publisher;

pub use follower::{Effect, Follower, Rejection};
pub use publisher::{Frame, Publisher, Start, Step};
