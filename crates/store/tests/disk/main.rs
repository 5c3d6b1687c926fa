//! The store on a real disk that fails in real ways: processes that are killed, files that are cut
//! and flipped, a file system that is full. The processes are this test binary, started again.
#![expect(clippy::unwrap_used, reason = "a test fails where something is not there")]

mod child;
mod crash;
mod damage;
mod full;
mod reading;
mod work;
