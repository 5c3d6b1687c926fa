//! Connection tracking: whether it is in use already. Nothing is asked by netlink that would load it.

use std::fs;

/// The number of entries in this thread's network namespace.
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
/// The most that there may be.
const LIMIT: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// What there is of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conntrack {
    /// Not in this kernel, or not loaded.
    Absent,
    /// Connections of this namespace are tracked, or could be without loading anything.
    Present {
        /// Entries there are. None of them: nothing here tracks, or there are no connections.
        entries: u64,
        /// The most there may be.
        limit: u64,
    },
}

/// What there is of it in this thread's network namespace.
pub fn conntrack() -> Conntrack {
    let number = |path| fs::read_to_string(path).ok()?.trim().parse().ok();
    match (number(COUNT), number(LIMIT)) {
        (Some(entries), Some(limit)) => Conntrack::Present { entries, limit },
        _ => Conntrack::Absent,
    }
}
