//! What an agent tells the aggregator.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{HostId, Unit};

/// What one host saw about one unit in one reporting window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Whose handshakes are stuck.
    pub unit: Unit,
    /// Sockets that were newly proven stuck: each socket counts once in its life. 0 when only
    /// `retransmits` grew.
    pub sockets: u32,
    /// The most SYN-ACK retransmits that one of its sockets has seen; at least 1.
    pub retransmits: u8,
}

/// A listed unit whose packets the kernel still drops: the attack goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Whose packets.
    pub unit: Unit,
    /// Packets dropped since the last reading.
    pub packets: u64,
}

/// The host as a whole at the time of a batch: what the sample may have missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Half-open sockets that the pass saw, proven stuck or not.
    pub half_open: u64,
    /// `TcpExt: TCPReqQFullDoCookies` since boot: SYNs answered by cookie, invisible to the pass.
    pub cookies_sent_full: u64,
    /// `TcpExt: SyncookiesSent` since boot.
    pub cookies_sent: u64,
    /// Rows that were left out since the agent's limits were reached.
    pub truncated: u64,
    /// Packets dropped by our rules since the table was made.
    pub dropped_packets: u64,
}

/// One agent's report: what it saw since the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Who, by certificate.
    pub host: HostId,
    /// A random number of the agent's life: sequences start anew with it.
    pub session: u64,
    /// Grows by 1 with each batch of a session, from 1.
    pub sequence: u64,
    /// How long before it was received this was seen.
    pub age: Duration,
    /// What was seen.
    pub observations: Vec<Observation>,
    /// What was hit.
    pub hits: Vec<Hit>,
    /// The host as a whole.
    pub totals: Totals,
}
