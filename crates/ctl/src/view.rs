//! The API's messages as programs see them: the names of protobuf's JSON form, every field always
//! there except absent messages, moments in RFC 3339.

use std::fmt;

use prost_types::Timestamp;
use sekisho_model::Moment;
use sekisho_wire::readable;
use serde::{Serialize, Serializer};

use crate::explain::Standing;

/// A moment, in RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(pub(crate) Timestamp);

impl Stamp {
    /// The same to the millisecond.
    pub(crate) fn moment(&self) -> Moment {
        readable::moment(&self.0)
    }
}

impl From<Moment> for Stamp {
    fn from(moment: Moment) -> Self {
        Self(readable::timestamp(moment))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Position {
    pub(crate) epoch: i64,
    pub(crate) revision: i64,
}

/// One prefix on the blocklist.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) prefix: String,
    pub(crate) tier: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) create_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expire_time: Option<Stamp>,
    pub(crate) renewals: i32,
    pub(crate) repeats: i32,
    pub(crate) revision: i64,
}

/// Why an entry is listed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Reason {
    Quorum {
        hosts: i32,
        quorum: i32,
    },
    #[serde(rename_all = "camelCase")]
    Prefix {
        hosts: i32,
        quorum: i32,
        units: i32,
        least_units: i32,
    },
    Order {
        operator: String,
        text: String,
    },
}

/// A page-less list of entries.
#[derive(Debug, Serialize)]
pub(crate) struct Entries {
    pub(crate) entries: Vec<Entry>,
}

/// One entry and its evidence.
#[derive(Debug, Serialize)]
pub(crate) struct EntryDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<Entry>,
    pub(crate) witnesses: Vec<Witness>,
    /// None for an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) standing: Option<Standing>,
}

/// A host that saw a unit stuck.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Witness {
    pub(crate) host_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen_time: Option<Stamp>,
    pub(crate) retransmits: i32,
    pub(crate) hit: bool,
    pub(crate) zone: String,
    pub(crate) sockets: i32,
    pub(crate) counts: &'static str,
}

/// One prefix on the allowlist.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AllowlistEntry {
    pub(crate) prefix: String,
    pub(crate) operator: String,
    pub(crate) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) create_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expire_time: Option<Stamp>,
    pub(crate) revision: i64,
}

/// The allowlist.
#[derive(Debug, Serialize)]
pub(crate) struct Allowlist {
    pub(crate) entries: Vec<AllowlistEntry>,
}

/// One agent's host.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Host {
    pub(crate) host_id: String,
    pub(crate) zone: String,
    pub(crate) connected: bool,
    pub(crate) mode: String,
    pub(crate) agent_version: String,
    pub(crate) addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_report_time: Option<Stamp>,
    pub(crate) observations: i64,
    pub(crate) watching: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) applied: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) applied_time: Option<Stamp>,
    pub(crate) refusal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) totals: Option<HostTotals>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flooded_until_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) outage_until_time: Option<Stamp>,
    pub(crate) limited: bool,
}

/// What a sample may have missed, and what the rules did.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HostTotals {
    pub(crate) half_open: i64,
    pub(crate) cookies_sent_full: i64,
    pub(crate) cookies_sent: i64,
    pub(crate) truncated: i64,
    pub(crate) dropped_packets: i64,
    pub(crate) completed: i64,
    pub(crate) stuck_units: i64,
    pub(crate) established: i64,
    pub(crate) cookies_received: i64,
    pub(crate) attempts_failed: i64,
    pub(crate) tracked: i64,
    pub(crate) tracked_limit: i64,
    pub(crate) sensors: Vec<String>,
    pub(crate) truncated_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answers: Option<HostAnswers>,
}

/// How a host answers SYNs.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HostAnswers {
    pub(crate) reflected: i64,
    pub(crate) withheld: i64,
    pub(crate) saved: i64,
    pub(crate) retries: i32,
    pub(crate) retries_lowered: bool,
    pub(crate) bypassed: bool,
}

/// The hosts; `head` is where the aggregator stands, for people.
#[derive(Debug, Serialize)]
pub(crate) struct Hosts {
    pub(crate) hosts: Vec<Host>,
    #[serde(skip)]
    pub(crate) head: Option<Position>,
}

/// One host; `head` as in [`Hosts`].
#[derive(Debug, Serialize)]
pub(crate) struct HostDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<Host>,
    #[serde(skip)]
    pub(crate) head: Option<Position>,
}

/// How the aggregator is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<Position>,
    pub(crate) digest: String,
    pub(crate) entries: i64,
    pub(crate) allowlist_entries: i64,
    pub(crate) tracked_units: i64,
    pub(crate) connected_hosts: i64,
    pub(crate) subscribers: i64,
    pub(crate) drop_quorum: i32,
    pub(crate) log_writable: bool,
    pub(crate) log_problem: String,
    pub(crate) version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) quorums: Option<Quorums>,
    pub(crate) flooded_hosts: i64,
    pub(crate) outage_hosts: i64,
    pub(crate) prefix_entries: i64,
    pub(crate) limits_reached: Vec<ReachedLimit>,
    pub(crate) syn_acks_reflected: i64,
    pub(crate) syn_acks_withheld: i64,
    pub(crate) syn_acks_saved: i64,
    pub(crate) bypassed_hosts: i64,
    pub(crate) unresolved_names: Vec<String>,
}

/// The quorums as they are.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Quorums {
    pub(crate) suppress: i32,
    pub(crate) drop: i32,
    pub(crate) policy_suppress: i32,
    pub(crate) policy_drop: i32,
    pub(crate) fraction: i32,
    pub(crate) chance: i32,
    pub(crate) units: i64,
    pub(crate) live_hosts: i32,
    pub(crate) min_zones: i32,
}

/// A limit that is reached.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ReachedLimit {
    pub(crate) limit: &'static str,
    pub(crate) max: i32,
    pub(crate) held: i64,
    /// The key that it has in the policy.
    #[serde(skip)]
    pub(crate) key: &'static str,
}
