//! What the engine counts. Every counter of a loss stands beside that of the attempts.

/// Counts since the log began, and two sizes. Attempts to list are counted by observation: a unit
/// that keeps being seen counts each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Batches taken.
    pub batches: u64,
    /// Batches ignored: the log held their sequence already.
    pub duplicate_batches: u64,
    /// Batches and joins ignored: too many hosts are known.
    pub refused_hosts: u64,
    /// Observations taken as evidence.
    pub observations: u64,
    /// Observations ignored: fewer retransmits than the policy asks for.
    pub weak_observations: u64,
    /// Observations ignored: older than the window or the oldest that is taken.
    pub stale_observations: u64,
    /// Observations and hits ignored: their host was in outage.
    pub outage_rows: u64,
    /// Observations ignored: their host brought too many units that nobody else sees.
    pub untracked: u64,
    /// Rows of counter-evidence taken.
    pub completed: u64,
    /// Times that a host told connections with something listed.
    pub objections: u64,
    /// Hits taken.
    pub hits: u64,
    /// Hits ignored: too old, or of nothing that evidence has listed.
    pub ignored_hits: u64,
    /// Counter-evidence ignored: its host told of too many units.
    pub ignored_completed: u64,
    /// Units that went, with evidence in the window, since too many are tracked.
    pub evicted_units: u64,
    /// Entries listed by evidence.
    pub listed: u64,
    /// Entries moved to another tier.
    pub retiered: u64,
    /// Entries renewed.
    pub renewed: u64,
    /// Entries that ended by themselves.
    pub expired: u64,
    /// Entries that came off for another cause.
    pub removed: u64,
    /// Quorums that listed nothing: the unit is never listed.
    pub withheld_never: u64,
    /// Quorums that listed nothing: the unit is on the allowlist.
    pub withheld_allowed: u64,
    /// Quorums that listed nothing: the unit is held off since it was unblocked.
    pub withheld_held: u64,
    /// Quorums that listed nothing: the unit is in, or holds, an entry that was ordered.
    pub withheld_covered: u64,
    /// Quorums that listed nothing: a limit is reached.
    pub withheld_limit: u64,
    /// Orders carried out.
    pub orders: u64,
    /// Orders that were carried out before, by their request's id.
    pub repeated_orders: u64,
    /// Orders refused.
    pub refused_orders: u64,
    /// Policies refused: a value was out of its range.
    pub refused_policies: u64,
    /// Addresses of DNS names ignored: the policy does not have the name.
    pub unknown_names: u64,
    /// Units that are tracked now.
    pub tracked_units: u64,
    /// Entries that are listed now.
    pub entries: u64,
}
