//! `sekishoctl` as people and programs use it: the binary itself, against an aggregator on loopback
//! that says what each test wants.
#![expect(clippy::unwrap_used, reason = "the whole crate is a test, its helpers included")]

mod events;
mod explain;
mod fake;
mod get;
mod offline;
mod orders;
mod policy;
mod process;
mod replay;
mod requests;
mod tls;
mod watch;
