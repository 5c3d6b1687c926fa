//! What was seen and is not durable yet: bounded, over an aggregator's absence too.
//!
//! A batch gets its sequence when it is first sent. What was sent stays until it is acknowledged, and is
//! sent again on the next stream; what waits goes, the oldest first, when there is too much of it.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sekisho_model::{
    Completed, Hit, Observation, Totals,
    limits::{MAX_BATCH_ROWS, MAX_OBSERVATION_AGE, REPORT_BUFFER_BYTES, STREAM_BATCHES_IN_FLIGHT},
};
use tokio::sync::Notify;

/// Observations, hits, and units with counter-evidence, each, in one batch.
const THIRD: usize = MAX_BATCH_ROWS / 3;

/// What was seen at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// What was seen.
    pub observations: Vec<Observation>,
    /// What was hit.
    pub hits: Vec<Hit>,
    /// Where honest clients live.
    pub completed: Vec<Completed>,
    /// The host as a whole.
    pub totals: Totals,
}

/// A batch with its number, to be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its number.
    pub sequence: u64,
    /// How long ago it was seen.
    pub age: Duration,
    /// What was seen.
    pub rows: Rows,
}

/// Counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Batches that went since too many waited.
    pub overflowed: u64,
    /// Batches that went since they were too old to count.
    pub expired: u64,
    /// Batches that the aggregator refused as malformed.
    pub refused: u64,
}

/// Shared by the sensors, which push, and the reporter, which sends.
#[derive(Debug)]
pub struct Buffer {
    state: Mutex<State>,
    pushed: Notify,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Batch>,
    in_flight: VecDeque<(u64, Batch)>,
    /// How many of `in_flight` were sent on the current stream.
    sent: usize,
    last_sequence: u64,
    bytes: usize,
    lost: Lost,
}

#[derive(Clone, Debug)]
struct Batch {
    seen: Instant,
    rows: Rows,
}

impl Batch {
    fn bytes(&self) -> usize {
        let Rows { observations, hits, completed, totals: _ } = &self.rows;
        let rows = size_of_val(&observations[..]) + size_of_val(&hits[..]) + size_of_val(&completed[..]);
        size_of::<Self>() + rows
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::with_limit(REPORT_BUFFER_BYTES)
    }
}

impl Buffer {
    fn with_limit(max_bytes: usize) -> Self {
        Self { state: Mutex::default(), pushed: Notify::new(), max_bytes }
    }

    /// Adds what was seen at `seen`, in batches of at most [`MAX_BATCH_ROWS`].
    pub fn push(&self, seen: Instant, rows: &Rows) {
        let mut state = self.lock();
        let mut observations = rows.observations.chunks(THIRD);
        let mut hits = rows.hits.chunks(THIRD);
        let mut completed = rows.completed.chunks(THIRD);
        let mut part = (observations.next(), hits.next(), completed.next());
        loop {
            let rows = Rows {
                observations: part.0.unwrap_or_default().to_vec(),
                hits: part.1.unwrap_or_default().to_vec(),
                completed: part.2.unwrap_or_default().to_vec(),
                totals: rows.totals,
            };
            let batch = Batch { seen, rows };
            state.bytes += batch.bytes();
            state.waiting.push_back(batch);
            part = (observations.next(), hits.next(), completed.next());
            if part == (None, None, None) {
                break;
            }
        }
        while state.bytes > self.max_bytes
            && let Some(oldest) = state.waiting.pop_front()
        {
            state.bytes -= oldest.bytes();
            state.lost.overflowed += 1;
        }
        drop(state);
        self.pushed.notify_one();
    }

    /// A new stream begins: everything in flight is to be sent again.
    pub fn rewind(&self) {
        self.lock().sent = 0;
    }

    /// The next batch to send at `now`; waits until there is one, and room in flight for it.
    pub async fn next(&self) -> Outgoing {
        loop {
            if let Some(outgoing) = self.lock().next(Instant::now()) {
                return outgoing;
            }
            self.pushed.notified().await;
        }
    }

    /// Everything up to `sequence` is durable.
    pub fn acknowledge(&self, sequence: u64) {
        let mut state = self.lock();
        while let Some((first, _)) = state.in_flight.front()
            && *first <= sequence
        {
            state.pop_in_flight();
        }
        drop(state);
        self.pushed.notify_one();
    }

    /// The aggregator refuses `sequence` for good: it goes, and the others in flight get new numbers, so
    /// that there is no gap. Those that were durable already count twice at most.
    pub fn refuse(&self, sequence: u64) {
        let mut state = self.lock();
        state.sent = 0;
        while let Some((number, batch)) = state.in_flight.pop_back() {
            if number == sequence {
                state.bytes -= batch.bytes();
                state.lost.refused += 1;
            } else {
                state.waiting.push_front(batch);
            }
        }
    }

    /// What was lost since the start.
    pub fn lost(&self) -> Lost {
        self.lock().lost
    }

    /// Batches that are not durable yet.
    pub fn len(&self) -> usize {
        let state = self.lock();
        state.waiting.len() + state.in_flight.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every operation leaves the state whole before it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self, now: Instant) -> Option<Outgoing> {
        self.expire(now);
        if self.sent == self.in_flight.len() {
            if self.in_flight.len() == STREAM_BATCHES_IN_FLIGHT {
                return None;
            }
            let batch = self.waiting.pop_front()?;
            self.last_sequence += 1;
            self.in_flight.push_back((self.last_sequence, batch));
        }
        let (sequence, batch) = self.in_flight.get(self.sent)?;
        let outgoing = Outgoing {
            sequence: *sequence,
            age: now.saturating_duration_since(batch.seen),
            rows: batch.rows.clone(),
        };
        self.sent += 1;
        Some(outgoing)
    }

    /// Drops what is too old to count, from the front, where the oldest are; what is on its way stays.
    fn expire(&mut self, now: Instant) {
        let old = |batch: &Batch| now.saturating_duration_since(batch.seen) >= MAX_OBSERVATION_AGE;
        while self.sent == 0 && self.in_flight.front().is_some_and(|(_, batch)| old(batch)) {
            self.pop_in_flight();
            self.lost.expired += 1;
        }
        while self.waiting.front().is_some_and(old) {
            if let Some(batch) = self.waiting.pop_front() {
                self.bytes -= batch.bytes();
                self.lost.expired += 1;
            }
        }
    }

    fn pop_in_flight(&mut self) {
        if let Some((_, batch)) = self.in_flight.pop_front() {
            self.bytes -= batch.bytes();
            self.sent = self.sent.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use sekisho_model::{Tier, Unit};

    use super::*;

    fn rows(n: u32) -> Rows {
        Rows {
            observations: vec![Observation { unit: Unit::V4(n), sockets: 1, retransmits: 1 }],
            ..Rows::default()
        }
    }

    fn unit(outgoing: &Outgoing) -> u32 {
        match outgoing.rows.observations[0].unit {
            Unit::V4(bits) => bits,
            Unit::V6(_) => unreachable!("the tests push IPv4"),
        }
    }

    fn next(buffer: &Buffer) -> Option<(u64, u32)> {
        buffer.lock().next(Instant::now()).map(|outgoing| (outgoing.sequence, unit(&outgoing)))
    }

    #[test]
    fn what_is_not_acknowledged_is_sent_again_under_its_number() {
        let buffer = Buffer::default();
        (0..4).for_each(|n| buffer.push(Instant::now(), &rows(n)));
        assert_eq!([next(&buffer), next(&buffer), next(&buffer)], [Some((1, 0)), Some((2, 1)), Some((3, 2))]);
        buffer.acknowledge(1);
        buffer.rewind();
        assert_eq!([next(&buffer), next(&buffer), next(&buffer)], [Some((2, 1)), Some((3, 2)), Some((4, 3))]);
        assert_eq!(next(&buffer), None);
        buffer.acknowledge(4);
        assert_eq!((buffer.len(), buffer.lock().bytes), (0, 0));
    }

    #[test]
    fn only_so_many_are_in_flight() {
        let buffer = Buffer::default();
        (0..100).for_each(|n| buffer.push(Instant::now(), &rows(n)));
        assert_eq!(std::iter::from_fn(|| next(&buffer)).count(), STREAM_BATCHES_IN_FLIGHT);
        buffer.acknowledge(3);
        assert_eq!(std::iter::from_fn(|| next(&buffer)).count(), 3);
    }

    #[test]
    fn the_oldest_that_wait_go_first_and_are_counted() {
        let one = Batch { seen: Instant::now(), rows: rows(0) }.bytes();
        let buffer = Buffer::with_limit(3 * one);
        (0..5).for_each(|n| buffer.push(Instant::now(), &rows(n)));
        assert_eq!(buffer.lost(), Lost { overflowed: 2, ..Lost::default() });
        assert_eq!(next(&buffer), Some((1, 2)));
    }

    #[test]
    fn what_is_too_old_to_count_is_not_sent() {
        let Some(long_ago) = Instant::now().checked_sub(MAX_OBSERVATION_AGE) else { return };
        let buffer = Buffer::default();
        buffer.push(long_ago, &rows(0));
        buffer.push(Instant::now(), &rows(1));
        assert_eq!(next(&buffer), Some((1, 1)));
        assert_eq!(buffer.lost().expired, 1);
    }

    #[test]
    fn a_refused_batch_goes_and_the_others_follow_without_a_gap() {
        let buffer = Buffer::default();
        (0..4).for_each(|n| buffer.push(Instant::now(), &rows(n)));
        while next(&buffer).is_some() {}
        buffer.refuse(2);
        assert_eq!([next(&buffer), next(&buffer), next(&buffer)], [Some((5, 0)), Some((6, 2)), Some((7, 3))]);
        assert_eq!(buffer.lost().refused, 1);
    }

    #[test]
    fn too_many_rows_become_several_batches() {
        let buffer = Buffer::default();
        let observation = |n| Observation { unit: Unit::V4(n), sockets: 1, retransmits: 1 };
        let hit = |n| Hit { unit: Unit::V4(n), tier: Tier::Suppress, packets: 1 };
        let completed = |n| Completed { unit: Unit::V4(n), connections: 1 };
        let rows = Rows {
            observations: (0..12_000).map(observation).collect(),
            hits: (0..9_000).map(hit).collect(),
            completed: (0..4_000).map(completed).collect(),
            totals: Totals::default(),
        };
        buffer.push(Instant::now(), &rows);
        assert_eq!(buffer.len(), 4);
        let mut sent = Rows::default();
        while let Some(Outgoing { rows, .. }) = buffer.lock().next(Instant::now()) {
            assert!(rows.observations.len() + rows.hits.len() + rows.completed.len() <= MAX_BATCH_ROWS);
            sent.observations.extend(rows.observations);
            sent.hits.extend(rows.hits);
            sent.completed.extend(rows.completed);
        }
        assert_eq!(sent, rows);
    }

    proptest! {
        /// Whatever happens to streams: every batch that is not lost by count is acknowledged exactly
        /// once or still here, and each stream's numbers have no gap.
        #[test]
        fn nothing_is_lost_uncounted(steps in vec(0u8..5, 1..200)) {
            let one = Batch { seen: Instant::now(), rows: rows(0) }.bytes();
            let buffer = Buffer::with_limit(30 * one);
            let (mut pushed, mut acknowledged, mut last) = (0u64, 0u64, None);
            for step in steps {
                match step {
                    0 | 1 => { buffer.push(Instant::now(), &rows(0)); pushed += 1; }
                    2 => if let Some((sequence, _)) = next(&buffer) {
                        prop_assert!(last.is_none_or(|last| sequence == last + 1));
                        last = Some(sequence);
                    },
                    3 => if let Some(last) = last {
                        let before = buffer.len() as u64;
                        buffer.acknowledge(last);
                        acknowledged += before - buffer.len() as u64;
                    },
                    _ => { buffer.rewind(); last = None; }
                }
                prop_assert_eq!(pushed, acknowledged + buffer.len() as u64 + buffer.lost().overflowed);
                prop_assert!(buffer.lock().bytes <= 30 * one + STREAM_BATCHES_IN_FLIGHT * one);
            }
        }
    }
}
