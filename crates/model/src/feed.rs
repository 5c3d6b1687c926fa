//! What the two ends of a subscription say to each other.

use alloc::{string::String, vec::Vec};

use crate::{Delta, Digest, Member, Moment, Position, Revision};

/// From the aggregator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// First on the stream.
    Welcome {
        /// The aggregator's clock: expiries are by it.
        now: Moment,
        /// Where the aggregator stands.
        position: Position,
    },
    /// The net effect of one or more revisions.
    Delta(Delta),
    /// A snapshot starts.
    SnapshotBegin {
        /// The position at which it was taken.
        position: Position,
        /// The number of members.
        members: u64,
        /// The digest of them.
        digest: Digest,
    },
    /// A part of it.
    SnapshotChunk(Vec<Member>),
    /// It is complete.
    SnapshotEnd,
    /// Nothing is missing up to here.
    Bookmark {
        /// Up to here.
        position: Position,
        /// The digest of everything there.
        digest: Digest,
    },
}

/// From the subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// First on the stream.
    Start {
        /// What it has in force, and the digest of it; none to start with a snapshot.
        applied: Option<(Position, Digest)>,
    },
    /// This is in force now.
    Applied {
        /// Up to here.
        position: Position,
        /// The digest of everything in force.
        digest: Digest,
    },
    /// This could not be applied.
    Refused {
        /// The revision that was refused.
        revision: Revision,
        /// Why.
        reason: RefusalReason,
        /// Why, for people.
        message: String,
    },
}

/// Why a subscriber could not apply a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// The digest after it differs from the one that came with it.
    DigestMismatch,
    /// It does not follow on the subscriber's position.
    OutOfOrder,
    /// It could not be decoded.
    Undecodable,
    /// The kernel refused it.
    Kernel,
}
