//! What another policy would have done: the log is run once more through two engines, one as it was and one
//! under the other policy, and what they list is compared.
//!
//! It begins at the newest checkpoint that is older than what is asked for, with one engine; where the
//! comparison begins, that one is doubled. Each record is decoded once. Nothing is written.

mod begin;
mod caveats;
mod listings;
mod messages;
mod run;

#[cfg(test)]
mod tests;

use std::{
    ops::ControlFlow,
    path::Path,
    time::{Duration, SystemTime},
};

use sekisho_model::{Moment, Policy, PolicyError, Prefix, Revision, Tier};
use sekisho_store::{Reader, StoreError};

use crate::records::Unreadable;

/// Prefixes that are compared; later ones are not.
const COMPARED: usize = 1_000_000;
/// Differences that are told; the rest is counted.
const TOLD: usize = 100_000;

/// Why there is no replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A log entry that this version cannot read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// No checkpoint where it could begin can be read.
    #[error("the checkpoint at {at} cannot be read ({problem}); run the version that wrote it")]
    Checkpoint {
        /// Its index.
        at: Revision,
        /// What is wrong with it.
        problem: String,
    },
    /// The log that is kept does not reach back so far.
    #[error("the log reaches back to {}, not to {}; ask for less", Shown(*.reaches), Shown(*.asked))]
    Truncated {
        /// From when on the comparison was to be.
        asked: Moment,
        /// From when on it can be.
        reaches: Moment,
    },
    /// The log is empty.
    #[error("the log is empty; there is nothing to replay")]
    Empty,
    /// The policy is out of its range.
    #[error("the policy cannot be tried: {0}")]
    Policy(#[from] PolicyError),
    /// Whoever asked wants it no more.
    #[error("the replay was stopped")]
    Stopped,
}

/// How far a replay has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Log entries that were read.
    pub done: u64,
    /// Log entries that are to be read in all.
    pub total: u64,
    /// The log's time that it has reached.
    pub time: Moment,
}

/// How the other policy differs about a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It would have been listed, and was not.
    More,
    /// It was listed, and would not have been.
    Fewer,
    /// It would have been listed earlier.
    Earlier,
    /// It would have been listed later.
    Later,
    /// It would have been listed at another tier.
    OtherTier,
}

/// When a prefix was on the blocklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The strictest tier that it was at.
    pub tier: Tier,
    /// When it was first listed.
    pub start: Moment,
    /// When it was last listed; none when it still is at the end of the log.
    pub end: Option<Moment>,
    /// How many times it was listed.
    pub listings: u32,
}

/// One prefix that the other policy would have treated otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which.
    pub prefix: Prefix,
    /// How.
    pub kind: Kind,
    /// What happened; none when it was not listed.
    pub happened: Option<Listing>,
    /// What would have happened; none when it would not have been listed.
    pub would_have: Option<Listing>,
}

/// All differences in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// From when on it was compared, by the log's time.
    pub start: Moment,
    /// The log's time at its end.
    pub end: Moment,
    /// Log entries that were read.
    pub log_entries: u64,
    /// Observations in them.
    pub observations: u64,
    /// Prefixes that were listed.
    pub happened: u64,
    /// Prefixes that would have been listed.
    pub would_have: u64,
    /// Prefixes that are in both.
    pub in_both: u64,
    /// Differences in all.
    pub differences: u64,
    /// Differences that are not told, since there are too many.
    pub left_out: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// What makes the comparison inexact, for people.
    pub caveats: Vec<String>,
}

/// What came of a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The differences, sorted by prefix.
    pub differences: Vec<Difference>,
    /// All of them in short.
    pub summary: Summary,
}

/// Replays the log behind `reader` under `policy`, compared from the moment `from` on; none for all that the
/// log has. It ends at the record that is the last when it begins. `progress` hears from time to time how far
/// it has come, and may stop it.
///
/// # Errors
/// `Truncated` where the log does not reach back so far; what cannot be read; `Stopped`.
pub fn replay(
    reader: &Reader,
    policy: Policy,
    from: Option<Moment>,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Replayed, ReplayError> {
    policy.check()?;
    run::run(reader, policy, from, progress)
}

/// The same for the data directory `path`, or a copy of it, as it is now: compared over the last `since` of
/// the log. Nothing in it is changed, and an aggregator may have it open.
///
/// # Errors
/// As for [`replay`], and where `path` is no data directory.
pub fn replay_directory(
    path: &Path,
    policy: Policy,
    since: Option<Duration>,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Replayed, ReplayError> {
    let reader = Reader::open(path)?;
    let end = reader.ends()?.time;
    replay(&reader, policy, since.map(|since| end - since), progress)
}

/// A moment for people.
struct Shown(Moment);

impl std::fmt::Display for Shown {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(0);
        // The last that the format can tell: the year 9999.
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(millis.min(253_402_300_799_000));
        humantime::format_rfc3339_seconds(time).fmt(out)
    }
}
