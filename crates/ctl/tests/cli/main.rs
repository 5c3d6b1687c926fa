//! `sekishoctl` as people and programs use it: the binary itself, against an aggregator on loopback
//! that says what each test wants.

mod fake;
mod get;
mod orders;
mod process;
mod tls;
mod watch;
