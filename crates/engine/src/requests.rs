//! Orders that were carried out, by their callers' ids: the same one twice is done once.

use alloc::collections::{BTreeMap, VecDeque};

use sekisho_model::{Moment, Order, RequestId, limits::REQUEST_MEMORY};

use crate::checkpoint::DoneRequest;

/// The remembered requests: bounded, the oldest are forgotten first.
#[derive(Debug)]
pub(crate) struct Requests {
    done: BTreeMap<RequestId, DoneRequest>,
    line: VecDeque<RequestId>,
    bound: usize,
}

impl Requests {
    pub(crate) fn new(bound: usize) -> Self {
        Self { done: BTreeMap::new(), line: VecDeque::new(), bound }
    }

    /// What became of an order with the same request id that is not forgotten at `now`.
    pub(crate) fn of(&self, order: &Order, now: Moment) -> Option<&DoneRequest> {
        let done = self.done.get(order.request.as_ref()?)?;
        (done.at + REQUEST_MEMORY > now).then_some(done)
    }

    /// Remembers what was done.
    pub(crate) fn remember(&mut self, done: DoneRequest) {
        let Some(id) = done.order.request.clone() else { return };
        while let Some(oldest) = self.line.front()
            && (self.line.len() >= self.bound
                || self.done.get(oldest).is_none_or(|old| old.at + REQUEST_MEMORY <= done.at))
        {
            self.done.remove(oldest);
            self.line.pop_front();
        }
        if self.done.insert(id.clone(), done).is_none() {
            self.line.push_back(id);
        }
    }

    /// All of them, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &DoneRequest> {
        self.line.iter().filter_map(|id| self.done.get(id))
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};
    use core::time::Duration;

    use sekisho_model::{OrderKind, Revision};

    use super::*;

    fn done(id: u32, seconds: i64) -> DoneRequest {
        let kind = OrderKind::Disallow { prefix: "203.0.113.7".parse().unwrap() };
        let order = Order {
            operator: "ana".parse().unwrap(),
            text: String::from("a test"),
            request: format!("r{id}").parse().ok(),
            kind,
        };
        let at = Moment::from_millis(seconds * 1_000);
        DoneRequest { at, revision: Revision(i64::from(id)), order, changes: Vec::new() }
    }

    #[test]
    fn the_oldest_are_forgotten_first_and_all_after_a_day() {
        let mut requests = Requests::new(2);
        (1..=3).for_each(|id| requests.remember(done(id, i64::from(id))));
        let known = |requests: &Requests, id: u32, at: Moment| {
            requests.of(&done(id, 0).order, at).map(|one| one.revision.0)
        };
        let at = Moment::from_millis(5_000);
        assert_eq!([1, 2, 3].map(|id| known(&requests, id, at)), [None, Some(2), Some(3)]);
        let later = at + Duration::from_secs(86_400 - 2);
        assert_eq!([2, 3].map(|id| known(&requests, id, later)), [None, None]);
        requests.remember(done(4, 86_402));
        assert_eq!(requests.iter().map(|one| one.revision.0).collect::<Vec<_>>(), [3, 4]);
    }
}
