//! The keeper against a real kernel, in network namespaces that the tests make themselves. Needs root.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod disturbed;
mod faults;
mod feed;
mod guarded;
mod place;
mod restart;
mod whole;
