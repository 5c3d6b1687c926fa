//! The ordered, durable record of everything that the engine is told.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

use crate::{Batch, HostId, Moment, Order, Policy, Revision, Zone};

/// One thing that the engine is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// This policy is in force from here on.
    Policy(Policy),
    /// A host's report stream began.
    HostJoined {
        /// Who, by certificate.
        host: HostId,
        /// Its failure domain, by its configuration.
        zone: Option<Zone>,
        /// Its own addresses, which are never listed.
        addresses: Vec<IpAddr>,
    },
    /// A host's report stream ended.
    HostLeft {
        /// Who.
        host: HostId,
    },
    /// A host's report.
    Batch(Batch),
    /// An operator's command.
    Order(Order),
    /// A name on the never-list has these addresses now.
    Resolved {
        /// The DNS name.
        name: String,
        /// All its addresses.
        addresses: Vec<IpAddr>,
    },
    /// Nothing, but that time went on.
    Tick,
}

/// A group of inputs that became durable together. Its index is the revision of what it causes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place in the log.
    pub index: Revision,
    /// The log's time: never less than the entry's before.
    pub time: Moment,
    /// In the order in which the engine takes them.
    pub inputs: Vec<Input>,
}
