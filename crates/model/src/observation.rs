//! What an agent tells the aggregator.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{Answers, Flag, Flags, HostId, Sensor, Tier, Unit};

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
///
/// At [`Tier::Drop`] they were SYNs, of which nobody knows whether an honest client sent them. At
/// [`Tier::Suppress`] they were retransmitted SYN-ACKs: handshakes that were stuck, as good as seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Whose packets.
    pub unit: Unit,
    /// Which rule dropped them.
    pub tier: Tier,
    /// Packets dropped since the last reading.
    pub packets: u64,
}

/// Counter-evidence: honest clients live at a unit that is a candidate or listed, since this host has
/// connections with it whose handshakes were completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Whose connections.
    pub unit: Unit,
    /// Connections of it that are established, or were until a moment ago. At least 1.
    pub connections: u32,
}

/// The host as a whole at the time of a batch: what the sample may have missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Half-open handshakes that the last passes saw, proven stuck or not: sockets, or tracked connections where
    /// these are more.
    pub half_open: u64,
    /// `TcpExt: TCPReqQFullDoCookies` since boot: SYNs answered by cookie, invisible to the pass.
    pub cookies_sent_full: u64,
    /// `TcpExt: SyncookiesSent` since boot.
    pub cookies_sent: u64,
    /// Rows that were left out since the agent's limits were reached.
    pub truncated: u64,
    /// Packets dropped by our rules since the table was made.
    pub dropped_packets: u64,
    /// `Tcp: PassiveOpens` since boot: inbound handshakes that were completed.
    pub completed: u64,
    /// Distinct units that were newly proven stuck since the agent began, whether they fit the batch
    /// or not.
    pub stuck_units: u64,
    /// `Tcp: CurrEstab`: connections that are established now.
    pub established: u64,
    /// `TcpExt: SyncookiesRecv` since boot: cookies that honest clients brought back.
    pub cookies_received: u64,
    /// `Tcp: AttemptFails` since boot: handshakes that failed, in both directions.
    pub attempts_failed: u64,
    /// Connections that the kernel tracks, of all kinds; 0 where it tracks none.
    pub tracked: u64,
    /// How many it would track.
    pub tracked_limit: u64,
    /// The sensors that worked when they were last looked at.
    pub sensors: Flags<Sensor>,
    /// Why the batches since the last one may lack handshakes.
    pub truncated_by: Flags<Truncation>,
    /// How the host answers SYNs.
    pub answers: Answers,
}

/// Why a sample may lack handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truncation {
    /// Some were answered by SYN cookies, and nothing tracks connections: nobody sees them.
    Cookies,
    /// The kernel's table of tracked connections was full.
    TrackingFull,
    /// The agent follows as many handshakes as it may.
    Limit,
    /// More retransmits were traced than the kernel's buffer holds.
    TraceOverrun,
    /// The kernel's table changed while it was listed.
    Inconsistent,
    /// A look of a sensor failed.
    Failed,
}

impl Truncation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Cookies,
        Self::TrackingFull,
        Self::Limit,
        Self::TraceOverrun,
        Self::Inconsistent,
        Self::Failed,
    ];
}

impl Flag for Truncation {
    const ALL: &'static [Self] = &Self::ALL;
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
    /// Where honest clients live.
    pub completed: Vec<Completed>,
    /// The host as a whole.
    pub totals: Totals,
}
