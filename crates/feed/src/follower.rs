//! The following half: decides of each message whether it may be applied, and to what it leads.
//!
//! The follower holds no members. Whoever applies them does, and lends them by key, so that there is one
//! copy only.

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use sekisho_model::{
    Change, Delta, Digest, Epoch, Key, Member, Moment, Position,
    feed::{Announcement, RefusalReason, Response},
    limits::BOOKMARK_INTERVAL,
};

/// Bookmarks that may be missing before the stream counts as dead.
const MISSED_BOOKMARKS: u32 = 3;
/// Members that a snapshot may announce before any has arrived, to reserve room for.
const MAX_RESERVED: usize = 1 << 20;

/// What is to be done about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// Put these changes in force, as one.
    Apply {
        /// Sorted by key.
        changes: Vec<Change>,
        /// Where that leads.
        position: Position,
        /// The digest of all members there.
        digest: Digest,
    },
    /// Put exactly these members in force, as one.
    Replace {
        /// Sorted by key, each key once.
        members: Vec<Member>,
        /// Where that leads.
        position: Position,
        /// The digest of them.
        digest: Digest,
    },
    /// What is in force is what it should be: say so, since the aggregator may not know it.
    Confirm {
        /// What is in force.
        position: Position,
        /// The digest of it.
        digest: Digest,
    },
    /// Everything up to here is in force already: remember it, and say so.
    Advance {
        /// Where that leads.
        position: Position,
    },
}

/// A message that must not be applied. What is in force stays in force; the stream must end and a new
/// one begin with [`Follower::start`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// A delta or bookmark does not fit what is in force.
    #[error("the aggregator's message does not follow on {at}; starting over")]
    OutOfOrder {
        /// What is in force.
        at: Position,
    },
    /// The digest after a message is not the announced one: something was lost.
    #[error("the list differs from the aggregator's at {at}; asking for a snapshot")]
    DigestMismatch {
        /// Where they differ.
        at: Position,
    },
}

/// One subscriber's state.
#[derive(Clone, Debug)]
pub struct Follower {
    applied: Option<(Position, Digest)>,
    /// Whether the next stream must begin with a snapshot whatever is in force.
    distrust: bool,
    stream: Option<Stream>,
}

#[derive(Clone, Debug)]
struct Stream {
    epoch: Epoch,
    heard: Moment,
    snapshot: Option<Incoming>,
}

#[derive(Clone, Debug)]
struct Incoming {
    position: Position,
    digest: Digest,
    count: u64,
    members: Vec<Member>,
    /// The digest of the members so far.
    sum: Digest,
}

impl Follower {
    /// Has `applied` in force.
    pub fn new(applied: Option<(Position, Digest)>) -> Self {
        Self { applied, distrust: false, stream: None }
    }

    /// What is in force, and the digest of it.
    pub fn applied(&self) -> Option<(Position, Digest)> {
        self.applied
    }

    /// A new stream begins: what to say first.
    pub fn start(&mut self) -> Response {
        self.stream = None;
        Response::Start { applied: self.applied.filter(|_| !self.distrust) }
    }

    /// When the stream counts as dead unless something is heard before.
    pub fn poll_timeout(&self) -> Option<Moment> {
        let patience = BOOKMARK_INTERVAL.checked_mul(MISSED_BOOKMARKS).unwrap_or(Duration::MAX);
        self.stream.as_ref().map(|stream| stream.heard + patience)
    }

    /// Decides about `message`, heard at `now`. `current` lends what is in force, by key.
    ///
    /// # Errors
    /// [`Rejection`]: say [`Follower::rejected`], and end the stream.
    pub fn handle(
        &mut self,
        message: Announcement,
        now: Moment,
        current: impl Fn(&Key) -> Option<Member>,
    ) -> Result<Effect, Rejection> {
        if let Some(stream) = &mut self.stream {
            stream.heard = now;
        }
        match message {
            Announcement::Welcome { position, .. } => {
                self.stream = Some(Stream { epoch: position.epoch, heard: now, snapshot: None });
                Ok(Effect::None)
            }
            Announcement::Delta(delta) => self.delta(delta, current),
            Announcement::SnapshotBegin { position, members: count, digest } => {
                let reserve = usize::try_from(count).unwrap_or(usize::MAX).min(MAX_RESERVED);
                let members = Vec::with_capacity(reserve);
                self.expect_snapshot(position)?.snapshot =
                    Some(Incoming { position, digest, count, members, sum: Digest::EMPTY });
                Ok(Effect::None)
            }
            Announcement::SnapshotChunk(members) => self.chunk(&members),
            Announcement::SnapshotEnd => self.complete(),
            Announcement::Bookmark { position, digest } => self.bookmark(position, digest),
        }
    }

    /// The last effect is in force. What to say, if anything.
    pub fn put_in_force(&mut self, position: Position, digest: Digest) -> Response {
        self.applied = Some((position, digest));
        self.distrust = false;
        Response::Applied { position, digest }
    }

    /// The kernel refused the last effect; the state is as before. What to say before the stream ends.
    pub fn kernel_refused(&mut self, position: Position, message: String) -> Response {
        self.stream = None;
        Response::Refused { revision: position.revision, reason: RefusalReason::Kernel, message }
    }

    /// What to say about a rejection before the stream ends.
    pub fn rejected(&mut self, rejection: Rejection) -> Response {
        self.stream = None;
        self.distrust = true;
        let (reason, at) = match rejection {
            Rejection::OutOfOrder { at } => (RefusalReason::OutOfOrder, at),
            Rejection::DigestMismatch { at } => (RefusalReason::DigestMismatch, at),
        };
        let message = alloc::string::ToString::to_string(&rejection);
        Response::Refused { revision: at.revision, reason, message }
    }

    fn out_of_order(&self) -> Rejection {
        Rejection::OutOfOrder { at: self.applied.map(|(at, _)| at).unwrap_or_default() }
    }

    fn delta(&self, delta: Delta, current: impl Fn(&Key) -> Option<Member>) -> Result<Effect, Rejection> {
        let epoch =
            self.stream.as_ref().filter(|stream| stream.snapshot.is_none()).map(|stream| stream.epoch);
        let fits = |at: &Position| {
            Some(at.epoch) == epoch && delta.previous <= at.revision && at.revision < delta.revision
        };
        let Some((at, digest)) = self.applied.filter(|(at, _)| fits(at)) else {
            return Err(self.out_of_order());
        };
        let position = Position { revision: delta.revision, ..at };
        let after = delta.changes.iter().fold(digest, |sum, change| {
            let without = current(&change.key()).map_or(sum, |old| sum.without(&old));
            match change {
                Change::Put(new) => without.with(new),
                Change::Remove(_) => without,
            }
        });
        if after != delta.digest {
            return Err(Rejection::DigestMismatch { at: position });
        }
        Ok(Effect::Apply { changes: delta.changes, position, digest: after })
    }

    /// A snapshot at `position` may come now: a stream is there, and it does not lead back.
    fn expect_snapshot(&mut self, position: Position) -> Result<&mut Stream, Rejection> {
        let back =
            self.applied.is_some_and(|(at, _)| at.epoch == position.epoch && at.revision > position.revision);
        let refusal = self.out_of_order();
        let stream = self.stream.as_mut();
        stream
            .filter(|stream| !back && stream.epoch == position.epoch && stream.snapshot.is_none())
            .ok_or(refusal)
    }

    fn chunk(&mut self, members: &[Member]) -> Result<Effect, Rejection> {
        let refusal = self.out_of_order();
        let incoming = self.stream.as_mut().and_then(|stream| stream.snapshot.as_mut()).ok_or(refusal)?;
        let announced = usize::try_from(incoming.count).unwrap_or(usize::MAX);
        if incoming.members.len().saturating_add(members.len()) > announced {
            return Err(Rejection::DigestMismatch { at: incoming.position });
        }
        incoming.members.extend_from_slice(members);
        incoming.sum = members.iter().fold(incoming.sum, Digest::with);
        Ok(Effect::None)
    }

    fn complete(&mut self) -> Result<Effect, Rejection> {
        let refusal = self.out_of_order();
        let incoming = self.stream.as_mut().and_then(|stream| stream.snapshot.take()).ok_or(refusal)?;
        let Incoming { position, digest, mut members, sum, .. } = incoming;
        // In place, since there may be millions; they come sorted from an aggregator of ours.
        if !members.is_sorted_by_key(Member::key) {
            members.sort_unstable_by_key(Member::key);
        }
        let mut neighbours = members.iter().zip(members.iter().skip(1));
        let twice = neighbours.any(|(one, next)| one.key() == next.key());
        if twice || sum != digest {
            return Err(Rejection::DigestMismatch { at: position });
        }
        Ok(Effect::Replace { members, position, digest })
    }

    fn bookmark(&self, position: Position, digest: Digest) -> Result<Effect, Rejection> {
        let epoch = self.stream.as_ref().map(|stream| stream.epoch);
        match self.applied {
            Some((at, mine))
                if Some(at.epoch) == epoch
                    && at.epoch == position.epoch
                    && at.revision <= position.revision =>
            {
                match (mine == digest, at == position) {
                    (true, true) => Ok(Effect::Confirm { position, digest }),
                    (true, false) => Ok(Effect::Advance { position }),
                    (false, _) => Err(Rejection::DigestMismatch { at: position }),
                }
            }
            _ => Err(self.out_of_order()),
        }
    }
}
