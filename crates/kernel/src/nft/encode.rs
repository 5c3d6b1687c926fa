//! A transaction as the bytes of one nf_tables batch.

use std::net::IpAddr;

use sekisho_ruleset::{Kind, Op, Range, Removal, SetName, Transaction, range, scaffold::TABLE};

use super::constants::{
    BATCH_BEGIN, BATCH_END, DATA_VALUE, DELETE_ELEMENT, DESTROY_ELEMENT, ELEMENT_FLAGS, ELEMENT_KEY,
    ELEMENT_TIMEOUT, FLAG_INTERVAL_END, INET, LIST_ELEMENTS, LIST_ITEM, LIST_SET, LIST_TABLE, NEW_ELEMENT,
    SUBSYSTEM,
};
use crate::message::{ACK, CREATE, Writer};

/// Most steps in one message. An attribute ends at 64 KiB; an IPv6 interval takes 76 bytes.
const STEPS: usize = 800;
/// The timeout of an element that is added only to be deleted, in milliseconds.
const PASSING: u64 = 60_000;

/// The bytes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What is to be sent in one go.
    pub bytes: Vec<u8>,
    /// The sequence number of the last message with elements, which alone is acknowledged.
    pub acknowledged: u32,
    /// How many messages there are, and so sequence numbers, from the first one on.
    pub messages: u32,
}

/// Writes `transaction` as one batch whose messages are numbered from `first` on.
pub fn encode(transaction: &Transaction, removal: Removal, first: u32) -> Batch {
    let mut encoder = Encoder { writer: Writer::default(), next: first, last: None };
    encoder.frame(BATCH_BEGIN);
    let together = |a: &Op, b: &Op| kind(a) == kind(b);
    for run in transaction.ops().chunk_by(together).flat_map(|run| run.chunks(STEPS)) {
        encoder.run(run, removal);
    }
    let acknowledged = encoder.next.wrapping_sub(1);
    if let Some(start) = encoder.last {
        encoder.writer.add_flags(start, ACK);
    }
    encoder.frame(BATCH_END);
    Batch { bytes: encoder.writer.bytes, acknowledged, messages: encoder.next.wrapping_sub(first) }
}

/// What steps must have in common to go into one message.
fn kind(op: &Op) -> (SetName, bool) {
    (op.set(), matches!(op, Op::Add { .. }))
}

struct Encoder {
    writer: Writer,
    next: u32,
    last: Option<usize>,
}

impl Encoder {
    fn sequence(&mut self) -> u32 {
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        sequence
    }

    /// Begins or ends the batch: `struct nfgenmsg` with the subsystem as its resource.
    fn frame(&mut self, kind: u16) {
        let sequence = self.sequence();
        self.writer.message(kind, 0, sequence, |body| {
            body.bytes.extend([0, 0]);
            body.bytes.extend(SUBSYSTEM.to_be_bytes());
        });
    }

    /// Steps of one kind on one set.
    fn run(&mut self, ops: &[Op], removal: Removal) {
        let Some(first) = ops.first() else { return };
        match (first, removal) {
            (Op::Add { .. }, _) => self.elements(NEW_ELEMENT, CREATE, ops),
            (Op::Remove { .. }, Removal::Destroy) => self.elements(DESTROY_ELEMENT, 0, ops),
            (Op::Remove { .. }, Removal::AddThenDelete) => {
                self.elements(NEW_ELEMENT, CREATE, ops);
                self.elements(DELETE_ELEMENT, 0, ops);
            }
        }
    }

    fn elements(&mut self, message: u16, flags: u16, ops: &[Op]) {
        let Some(set) = ops.first().map(Op::set) else { return };
        let sequence = self.sequence();
        let start = self.writer.message(message, flags, sequence, |body| {
            body.bytes.extend([INET, 0, 0, 0]);
            body.text(LIST_TABLE, TABLE);
            body.text(LIST_SET, set.as_str());
            body.nest(LIST_ELEMENTS, |list| {
                for op in ops {
                    element(list, op, message == NEW_ELEMENT);
                }
            });
        });
        self.last = Some(start);
    }
}

/// Writes the element of a step; of an interval also its end, if any address comes after it.
fn element(list: &mut Writer, op: &Op, with_timeout: bool) {
    let range: Range = op.range();
    let timeout = with_timeout.then(|| match op {
        Op::Add { timeout, .. } => u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        Op::Remove { .. } => PASSING,
    });
    list.nest(LIST_ITEM, |item| {
        key(item, range.first());
        if let Some(millis) = timeout {
            item.attribute(ELEMENT_TIMEOUT, &[&millis.to_be_bytes()]);
        }
    });
    if op.set().kind() != Kind::Interval {
        return;
    }
    // An end has no timeout of its own: the kernel refuses one.
    if let Some(after) = range::next(range.last()) {
        list.nest(LIST_ITEM, |item| {
            key(item, after);
            item.attribute(ELEMENT_FLAGS, &[&FLAG_INTERVAL_END.to_be_bytes()]);
        });
    }
}

/// Writes an address as an element's key.
pub(super) fn key(item: &mut Writer, address: IpAddr) {
    item.nest(ELEMENT_KEY, |data| match address {
        IpAddr::V4(four) => data.attribute(DATA_VALUE, &[&four.octets()]),
        IpAddr::V6(six) => data.attribute(DATA_VALUE, &[&six.octets()]),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Messages, REQUEST};

    fn kinds(text: &str, removal: Removal) -> Vec<(u16, u16, u32)> {
        let batch = encode(&text.parse().unwrap(), removal, 10);
        Messages(&batch.bytes)
            .map(|message| (message.kind, message.flags & !REQUEST, message.sequence))
            .collect()
    }

    const CHANGE: &str = "remove element drop4 203.0.113.7\nadd element drop4 203.0.113.7 timeout 60s";

    #[test]
    fn one_batch_has_one_acknowledgement() {
        assert_eq!(
            kinds(CHANGE, Removal::Destroy),
            [
                (BATCH_BEGIN, 0, 10),
                (DESTROY_ELEMENT, 0, 11),
                (NEW_ELEMENT, CREATE | ACK, 12),
                (BATCH_END, 0, 13)
            ]
        );
    }

    #[test]
    fn older_kernels_get_an_addition_before_each_deletion() {
        let kinds: Vec<u16> =
            kinds(CHANGE, Removal::AddThenDelete).into_iter().map(|(kind, ..)| kind).collect();
        assert_eq!(kinds, [BATCH_BEGIN, NEW_ELEMENT, DELETE_ELEMENT, NEW_ELEMENT, BATCH_END]);
    }

    #[test]
    fn an_address_costs_28_bytes_and_messages_stay_under_64_kib() {
        let timeout = std::time::Duration::from_secs(60);
        let ops = (0..10_000u32).map(|low| {
            let range = Range::single(IpAddr::V4(low.into()));
            Op::Add { set: SetName::Drop4, range, timeout }
        });
        let batch = encode(&Transaction::new(ops.collect()).unwrap(), Removal::Destroy, 1);
        assert!(batch.bytes.len() < 10_000 * 28 + 15 * 80, "{}", batch.bytes.len());
        assert_eq!(batch.messages, 13 + 2);
        assert_eq!(batch.acknowledged, 14);
        let ops = (0..10_000u128).map(|low| {
            let range = Range::single(IpAddr::V6((low << 64).into()));
            Op::Add { set: SetName::DropNet6, range, timeout }
        });
        let batch = encode(&Transaction::new(ops.collect()).unwrap(), Removal::Destroy, 1);
        assert!(Messages(&batch.bytes).all(|message| message.payload.len() < 1 << 16));
    }
}
