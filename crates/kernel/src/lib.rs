//! The only room that talks to the kernel: half-open and completed sockets by sock_diag, tracked
//! connections by ctnetlink, retransmits by tracefs, sets by nf_tables, counters by procfs, addresses and gateways by rtnetlink.
//!
//! It decides nothing, retries nothing and remembers nothing. Every call may block for as long as
//! the kernel takes (seconds for a big transaction): call it from a thread of its own, never from a
//! runtime's worker. All of it acts in the network namespace of the thread that opened the socket or
//! makes the call.

pub mod addresses;
pub mod conntrack;
pub mod error;
pub mod namespace;
pub mod netstat;
pub mod nft;
pub mod probe;
pub mod sock_diag;
pub mod sysctl;
pub mod table;
pub mod tracepoint;

mod attributes;
mod link;
mod message;

pub use addresses::{gateways, own_addresses};
pub use conntrack::{Conntrack, Tracked};
pub use error::KernelError;
pub use netstat::Netstat;
pub use nft::{Counters, Nft};
pub use sock_diag::{Destroyed, Diag, HalfOpen, PassStats};
pub use table::Found;
pub use tracepoint::{TraceStats, Tracepoint};
