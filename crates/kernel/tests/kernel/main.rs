//! The room against a real kernel, in network namespaces that the tests make themselves. Needs root.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod completed;
mod conntrack;
mod ending;
mod facts;
mod fill;
mod lab;
mod nft;
mod path;
mod probe;
mod refusals;
mod retries;
mod sockets;
mod suppress;
mod table;
mod tracepoint;
mod witness;
