//! A transaction as the bytes of one nf_tables batch.

use std::net::{IpAddr, Ipv4Addr};

use sekisho_ruleset::{
    Element, Kind, Op, Removal, SetName, Sides, Transaction, Ways, range, scaffold::TABLE,
};

use super::{
    batch::{Batch, BatchWriter},
    constants::{
        DATA_VALUE, DELETE_ELEMENT, DESTROY_ELEMENT, ELEMENT_EXPIRATION, ELEMENT_FLAGS, ELEMENT_KEY,
        ELEMENT_TIMEOUT, FLAG_INTERVAL_END, LIST_ELEMENTS, LIST_ITEM, LIST_SET, LIST_TABLE, NEW_ELEMENT,
    },
};
use crate::{
    attributes::NESTED,
    message::{CREATE, Writer},
};

/// Most steps in one message. An attribute ends at 64 KiB; an IPv6 interval takes 76 bytes.
pub(crate) const STEPS: usize = 800;
/// The timeout of an element that is added only to be deleted, in milliseconds.
const PASSING: u64 = 60_000;

/// Writes `transaction` as one batch whose messages are numbered from `first` on. The hash sets are those on
/// these sides.
pub fn encode(transaction: &Transaction, ways: Ways, sides: Sides, first: u32) -> Batch {
    let mut batch = BatchWriter::new(first);
    steps(&mut batch, transaction, ways, sides);
    batch.done()
}

/// Writes the steps of `transaction`.
pub(crate) fn steps(batch: &mut BatchWriter, transaction: &Transaction, ways: Ways, sides: Sides) {
    let together = |a: &Op, b: &Op| kind(a) == kind(b);
    for run in transaction.ops().chunk_by(together).flat_map(|run| run.chunks(STEPS)) {
        write_run(batch, run, ways, sides);
    }
}

/// What steps must have in common to go into one message.
fn kind(op: &Op) -> (SetName, core::mem::Discriminant<Op>) {
    (op.set(), core::mem::discriminant(op))
}

/// Steps of one kind on one set.
fn write_run(batch: &mut BatchWriter, ops: &[Op], ways: Ways, sides: Sides) {
    let Some(first) = ops.first() else { return };
    let set = sides.name(first.set());
    let mut put = |message, time| elements(batch, message, set, ops, time);
    match (first, ways) {
        (Op::Clear { .. }, _) => clear(batch, set),
        (Op::Add { .. }, _) => put(NEW_ELEMENT, Time::Given),
        (Op::Renew { .. }, Ways { renews: true, .. }) => put(NEW_ELEMENT, Time::Anew),
        (Op::Renew { .. } | Op::Remove { .. }, Ways { removal, .. }) => {
            match removal {
                Removal::Destroy => put(DESTROY_ELEMENT, Time::None),
                Removal::AddThenDelete => {
                    put(NEW_ELEMENT, Time::Passing);
                    put(DELETE_ELEMENT, Time::None);
                }
            }
            if matches!(first, Op::Renew { .. }) {
                put(NEW_ELEMENT, Time::Given);
            }
        }
    }
}

/// Takes all elements out of a set.
fn clear(batch: &mut BatchWriter, set: &str) {
    batch.message(DELETE_ELEMENT, 0, |body| {
        body.text(LIST_TABLE, TABLE);
        body.text(LIST_SET, set);
    });
}

/// Writes one message about the elements of `ops`.
fn elements(batch: &mut BatchWriter, message: u16, set: &str, ops: &[Op], time: Time) {
    let flags = if message == NEW_ELEMENT { CREATE } else { 0 };
    batch.message(message, flags, |body| {
        body.text(LIST_TABLE, TABLE);
        body.text(LIST_SET, set);
        body.nest(LIST_ELEMENTS, |list| {
            for op in ops {
                element(list, op, time);
            }
        });
    });
}

/// Writes one message that adds elements to a hash set, under the name that it has aside.
pub(crate) fn additions(batch: &mut BatchWriter, name: &str, elements: &[Element]) {
    batch.message(NEW_ELEMENT, CREATE, |body| {
        body.text(LIST_TABLE, TABLE);
        body.text(LIST_SET, name);
        body.nest(LIST_ELEMENTS, |list| {
            for each in elements {
                let millis = u64::try_from(each.remaining.as_millis()).unwrap_or(u64::MAX);
                match each.range.first() {
                    IpAddr::V4(four) => list.bytes.extend_from_slice(&addition4(four, millis)),
                    six => list.nest(LIST_ITEM, |item| {
                        key(item, six);
                        item.attribute(ELEMENT_TIMEOUT, &[&millis.to_be_bytes()]);
                    }),
                }
            }
        });
    });
}

/// An element of a set of IPv4 addresses, at once: there may be a million.
fn addition4(address: Ipv4Addr, millis: u64) -> [u8; 28] {
    let head = |length: u16, kind: u16| {
        let ([l0, l1], [k0, k1]) = (length.to_ne_bytes(), kind.to_ne_bytes());
        [l0, l1, k0, k1]
    };
    let mut bytes = [0; 28];
    let parts = [
        head(28, NESTED | LIST_ITEM),
        head(12, NESTED | ELEMENT_KEY),
        head(8, DATA_VALUE),
        address.octets(),
        head(12, ELEMENT_TIMEOUT),
    ];
    for (place, part) in bytes.chunks_exact_mut(4).zip(parts) {
        place.copy_from_slice(&part);
    }
    if let Some(place) = bytes.last_chunk_mut() {
        *place = millis.to_be_bytes();
    }
    bytes
}

/// What an element's message says of time.
#[derive(Clone, Copy)]
enum Time {
    /// Nothing.
    None,
    /// It is only there to be deleted.
    Passing,
    /// For how long a new one stays.
    Given,
    /// For how long one that may be there stays from now on.
    Anew,
}

/// Writes the element of a step; of an interval also its end, if any address comes after it.
fn element(list: &mut Writer, op: &Op, time: Time) {
    let Some(range) = op.range() else { return };
    let given =
        |op: &Op| op.timeout().map_or(PASSING, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let timeout = match time {
        Time::None => None,
        Time::Passing => Some(PASSING),
        Time::Given | Time::Anew => Some(given(op)),
    };
    list.nest(LIST_ITEM, |item| {
        key(item, range.first());
        if let Some(millis) = timeout {
            item.attribute(ELEMENT_TIMEOUT, &[&millis.to_be_bytes()]);
            if matches!(time, Time::Anew) {
                // Without it, a timeout that is just the old one would change nothing.
                item.attribute(ELEMENT_EXPIRATION, &[&millis.to_be_bytes()]);
            }
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

    use std::time::Duration;

    use sekisho_ruleset::Range;

    use crate::{
        message::ACK,
        nft::constants::{BATCH_BEGIN, BATCH_END},
    };

    fn kinds(text: &str, ways: Ways) -> Vec<(u16, u16, u32)> {
        let batch = encode(&text.parse().unwrap(), ways, Sides::default(), 10);
        Messages(&batch.bytes)
            .map(|message| (message.kind, message.flags & !REQUEST, message.sequence))
            .collect()
    }

    const CHANGE: &str = "remove element drop4 203.0.113.7\nadd element drop4 203.0.113.7 timeout 60s";

    #[test]
    fn one_batch_has_one_acknowledgement() {
        assert_eq!(
            kinds(CHANGE, Ways::DESTROY),
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
        let kinds: Vec<u16> = kinds(CHANGE, Ways::ANY).into_iter().map(|(kind, ..)| kind).collect();
        assert_eq!(kinds, [BATCH_BEGIN, NEW_ELEMENT, DELETE_ELEMENT, NEW_ELEMENT, BATCH_END]);
    }

    #[test]
    fn what_is_written_at_once_is_what_is_written_by_parts() {
        let timeout = Duration::from_millis(61_234);
        for address in ["203.0.113.7", "2001:db8::7"] {
            let range = Range::single(address.parse().unwrap());
            let set = if range.first().is_ipv4() { SetName::Drop4 } else { SetName::Drop6 };
            let transaction = Transaction::new(vec![Op::Add { set, range, timeout }]).unwrap();
            let mut batch = BatchWriter::new(5);
            additions(&mut batch, set.as_str(), &[Element { set, range, remaining: timeout }]);
            assert_eq!(batch.done(), encode(&transaction, Ways::ANY, Sides::default(), 5));
        }
    }

    #[test]
    fn a_renewal_is_an_addition_where_the_kernel_takes_it_so() {
        let kinds = |ways| -> Vec<u16> {
            let text = "renew element drop4 203.0.113.7 timeout 60s";
            kinds(text, ways).into_iter().map(|(kind, ..)| kind).collect()
        };
        assert_eq!(kinds(Ways::RENEW), [BATCH_BEGIN, NEW_ELEMENT, BATCH_END]);
        assert_eq!(kinds(Ways::DESTROY), [BATCH_BEGIN, DESTROY_ELEMENT, NEW_ELEMENT, BATCH_END]);
        assert_eq!(kinds(Ways::ANY), [BATCH_BEGIN, NEW_ELEMENT, DELETE_ELEMENT, NEW_ELEMENT, BATCH_END]);
    }

    #[test]
    fn an_address_costs_28_bytes_and_messages_stay_under_64_kib() {
        let timeout = Duration::from_secs(60);
        let ops = (0..10_000u32).map(|low| {
            let range = Range::single(IpAddr::V4(low.into()));
            Op::Add { set: SetName::Drop4, range, timeout }
        });
        let batch = encode(&Transaction::new(ops.collect()).unwrap(), Ways::DESTROY, Sides::default(), 1);
        assert!(batch.bytes.len() < 10_000 * 28 + 15 * 80, "{}", batch.bytes.len());
        assert_eq!(batch.messages, 13 + 2);
        assert_eq!(batch.acknowledged, 14);
        let ops = (0..10_000u128).map(|low| {
            let range = Range::single(IpAddr::V6((low << 64).into()));
            Op::Add { set: SetName::DropNet6, range, timeout }
        });
        let batch = encode(&Transaction::new(ops.collect()).unwrap(), Ways::DESTROY, Sides::default(), 1);
        assert!(Messages(&batch.bytes).all(|message| message.payload.len() < 1 << 16));
    }
}
