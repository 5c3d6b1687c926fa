//! The room against a real kernel, in network namespaces that the tests make themselves. Needs root.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod completed;
mod lab;
mod nft;
mod sockets;
mod suppress;
mod table;
mod witness;
