//! What a kernel holds, element by element, and how to get from there to what is wanted.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::{fmt, fmt::Write, time::Duration};

use sekisho_model::Moment;

use crate::{Mirror, Op, Range, SetName, Transaction, transaction::write_span};

/// One element of one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// Where.
    pub set: SetName,
    /// What.
    pub range: Range,
    /// How long it still stays, in whole milliseconds.
    pub remaining: Duration,
}

impl Element {
    pub(crate) fn add(&self) -> Op {
        Op::Add { set: self.set, range: self.range, timeout: self.remaining }
    }
}

impl fmt::Display for Element {
    /// `drop4 203.0.113.7 expires 599s`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} expires ", self.set, self.range)?;
        write_span(out, self.remaining)
    }
}

/// The text of all `elements`, sorted, one a line: by it two kernels, real or fake, are compared.
pub fn dump(elements: impl IntoIterator<Item = Element>) -> String {
    let mut sorted: Vec<Element> = elements.into_iter().collect();
    sorted.sort_unstable();
    let mut text = String::new();
    for element in sorted {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{element}");
    }
    text
}

/// The transaction after which a kernel that holds `held` holds what `wanted` says.
///
/// An element that is there and whose remaining time is within `tolerance` of what is wanted stays as
/// it is: the times of a table that was found were set by a clock that need not be ours.
pub fn diff(held: &[Element], wanted: &Mirror, now: Moment, tolerance: Duration) -> Transaction {
    let mut missing: BTreeMap<(SetName, Range), Element> =
        wanted.elements(now).map(|element| ((element.set, element.range), element)).collect();
    let mut ops = Vec::new();
    for element in held.iter().filter(|element| SetName::FILLED.contains(&element.set)) {
        let key = (element.set, element.range);
        match missing.get(&key) {
            Some(want) if want.remaining.abs_diff(element.remaining) <= tolerance => {
                missing.remove(&key);
            }
            _ => ops.push(Op::Remove { set: element.set, range: element.range }),
        }
    }
    ops.extend(missing.values().map(Element::add));
    Transaction::trusted(ops)
}
