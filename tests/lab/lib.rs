//! The laboratory: a small internet out of network namespaces, with real hosts, real spoofed SYNs and
//! the real programs. The demonstration, the benchmark and the whole-product tests stand on it.
//!
//! Everything that it makes carries the number of the process that made it, goes away with the value
//! that holds it, also on Ctrl-C, and what a killed run left is swept by the next one.

pub mod attack;
pub mod carpet;
pub mod certs;
pub mod client;
pub mod command;
pub mod counter;
pub mod fleet;
pub mod grpc;
pub mod http;
pub mod leftovers;
pub mod monitor;
pub mod namespace;
pub mod nft;
pub mod packet;
pub mod process;
pub mod programs;
pub mod reporter;
pub mod server;
pub mod spoof;
pub mod wait;
pub mod world;

pub use attack::{Attack, Outcome};
pub use carpet::Carpet;
pub use fleet::{Fleet, Setup};
pub use world::World;
