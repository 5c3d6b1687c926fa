//! The publishing half: one ring of encoded deltas that all subscribers share. A subscriber is a cursor,
//! so a slow one costs nobody anything.

use alloc::collections::VecDeque;

use sekisho_model::{
    Digest, Epoch, Position, Revision,
    limits::{RING_BYTES, RING_DELTAS},
};

/// A delta in the ring, encoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<T> {
    /// The revision before it.
    pub previous: Revision,
    /// The revision after it.
    pub revision: Revision,
    /// The encoded delta; cheap to clone.
    pub body: T,
}

/// How a subscriber begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With deltas after this revision.
    Resume(Revision),
    /// With a snapshot.
    Snapshot,
    /// Not here: it has seen more of this epoch than this aggregator.
    Behind,
}

/// What a cursor gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// This delta; the cursor then stands at its revision.
    Frame(Frame<T>),
    /// Stored deltas: the ring does not reach back so far.
    Stored,
    /// Nothing now.
    Wait,
}

/// The ring and where its head stands.
#[derive(Clone, Debug)]
pub struct Publisher<T> {
    epoch: Epoch,
    head: Revision,
    digest: Digest,
    ring: VecDeque<(Frame<T>, usize)>,
    bytes: usize,
    max_deltas: usize,
    max_bytes: usize,
}

impl<T: Clone> Publisher<T> {
    /// Stands at `position`, where the members have `digest`, with an empty ring.
    pub fn new(position: Position, digest: Digest) -> Self {
        Self::with_limits(position, digest, RING_DELTAS, RING_BYTES)
    }

    fn with_limits(position: Position, digest: Digest, max_deltas: usize, max_bytes: usize) -> Self {
        let Position { epoch, revision: head } = position;
        Self { epoch, head, digest, ring: VecDeque::new(), bytes: 0, max_deltas, max_bytes }
    }

    /// Where the head stands.
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, revision: self.head }
    }

    /// The digest of the members at the head.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Adds a delta of `bytes` encoded bytes that leads to `digest`. One that does not follow on the head
    /// empties the ring first, so that no cursor can skip what is missing.
    pub fn publish(&mut self, frame: Frame<T>, bytes: usize, digest: Digest) {
        if frame.previous != self.head {
            self.ring.clear();
            self.bytes = 0;
        }
        (self.head, self.digest) = (frame.revision, digest);
        self.bytes += bytes;
        self.ring.push_back((frame, bytes));
        while self.ring.len() > self.max_deltas || (self.bytes > self.max_bytes && self.ring.len() > 1) {
            let Some((_, oldest)) = self.ring.pop_front() else { return };
            self.bytes -= oldest;
        }
    }

    /// How a subscriber begins that has applied this.
    pub fn start(&self, applied: Option<(Position, Digest)>) -> Start {
        match applied {
            Some((at, _)) if at.epoch != self.epoch => Start::Snapshot,
            Some((at, _)) if at.revision > self.head => Start::Behind,
            Some((at, digest)) if at.revision < self.head || digest == self.digest => {
                Start::Resume(at.revision)
            }
            _ => Start::Snapshot,
        }
    }

    /// What a cursor at `cursor` gets next.
    pub fn next(&self, cursor: Revision) -> Step<T> {
        if cursor >= self.head {
            return Step::Wait;
        }
        let after = self.ring.partition_point(|(frame, _)| frame.revision <= cursor);
        match self.ring.get(after) {
            Some((frame, _)) if frame.previous <= cursor => Step::Frame(frame.clone()),
            _ => Step::Stored,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn at(revision: i64) -> Position {
        Position { epoch: Epoch(7), revision: Revision(revision) }
    }

    fn frame(previous: i64, revision: i64) -> Frame<i64> {
        Frame { previous: Revision(previous), revision: Revision(revision), body: revision }
    }

    #[test]
    fn a_subscriber_begins_where_it_stands() {
        let mut publisher = Publisher::new(at(10), Digest(1));
        publisher.publish(frame(10, 14), 1, Digest(2));
        assert_eq!(publisher.start(None), Start::Snapshot);
        assert_eq!(publisher.start(Some((at(14), Digest(2)))), Start::Resume(Revision(14)));
        assert_eq!(publisher.start(Some((at(14), Digest(3)))), Start::Snapshot);
        assert_eq!(publisher.start(Some((at(12), Digest(9)))), Start::Resume(Revision(12)));
        assert_eq!(publisher.start(Some((at(15), Digest(2)))), Start::Behind);
        let elsewhere = Position { epoch: Epoch(8), revision: Revision(14) };
        assert_eq!(publisher.start(Some((elsewhere, Digest(2)))), Start::Snapshot);
    }

    #[test]
    fn a_gap_is_never_skipped() {
        let mut publisher = Publisher::new(at(10), Digest(1));
        publisher.publish(frame(10, 11), 1, Digest(2));
        publisher.publish(frame(13, 14), 1, Digest(3));
        assert_eq!(publisher.next(Revision(10)), Step::Stored);
        assert_eq!(publisher.next(Revision(13)), Step::Frame(frame(13, 14)));
    }

    proptest! {
        /// Whatever the limits and wherever a cursor stands: it gets each revision in order, or is told
        /// to look in the store.
        #[test]
        fn cursors_see_every_revision_in_order(
            steps in proptest::collection::vec((1i64..5, 1usize..40), 1..40),
            max_deltas in 1usize..10, max_bytes in 1usize..200, from in 0i64..100,
        ) {
            let mut publisher = Publisher::with_limits(at(0), Digest(0), max_deltas, max_bytes);
            let mut all = vec![0];
            for (step, bytes) in steps {
                let previous = all[all.len() - 1];
                publisher.publish(frame(previous, previous + step), bytes, Digest(u128::from(previous.unsigned_abs())));
                all.push(previous + step);
                prop_assert!(publisher.ring.len() <= max_deltas);
                prop_assert!(publisher.bytes <= max_bytes || publisher.ring.len() == 1);
            }
            let mut cursor = Revision(from);
            let expected: Vec<i64> = all.iter().copied().filter(|revision| *revision > from).collect();
            let mut got = Vec::new();
            loop {
                match publisher.next(cursor) {
                    Step::Frame(frame) => { cursor = frame.revision; got.push(frame.body); }
                    Step::Stored => { prop_assert!(got.is_empty()); return Ok(()); }
                    Step::Wait => break,
                }
            }
            prop_assert_eq!(got, expected);
        }
    }
}
