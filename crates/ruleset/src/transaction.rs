//! One nf_tables transaction as a value: what changes in the sets, in order, all of it or nothing.

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr, time::Duration};

use crate::{Element, Kind, Range, RulesetError, SetName};

/// Shortest timeout: the kernel counts in milliseconds, and takes zero as "for ever".
pub const MIN_TIMEOUT: Duration = Duration::from_millis(1);

/// How elements are removed, which depends on the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Removal {
    /// By `NFT_MSG_DESTROYSETELEM` (Linux 6.3), which takes a missing element as removed.
    Destroy,
    /// By adding the element first and deleting it then: a deletion of a missing one would void the
    /// whole transaction.
    AddThenDelete,
}

/// How a kernel has elements changed: what it was found to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ways {
    /// How elements are removed.
    pub removal: Removal,
    /// Whether adding an element of a hash set that is there gives it a new timeout (Linux 6.12).
    pub renews: bool,
}

impl Ways {
    /// What every kernel takes.
    pub const ANY: Self = Self { removal: Removal::AddThenDelete, renews: false };
    /// What kernels from Linux 6.3 on take.
    pub const DESTROY: Self = Self { removal: Removal::Destroy, renews: false };
    /// What kernels from Linux 6.12 on take.
    pub const RENEW: Self = Self { removal: Removal::Destroy, renews: true };
}

/// One step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// The element is there, until the timeout. It must not be there before, or be removed by an
    /// earlier step: kernels before 6.12 would keep the old timeout.
    Add {
        /// Where.
        set: SetName,
        /// What.
        range: Range,
        /// For how long, in whole milliseconds.
        timeout: Duration,
    },
    /// The element of a hash set is there, until the timeout, whether it was before or not.
    Renew {
        /// Where.
        set: SetName,
        /// What.
        range: Range,
        /// For how long from now on, in whole milliseconds.
        timeout: Duration,
    },
    /// The element is not there, whether it was before or not.
    Remove {
        /// Where.
        set: SetName,
        /// What: exactly as it was added.
        range: Range,
    },
    /// The set is empty.
    Clear {
        /// Which.
        set: SetName,
    },
}

impl Op {
    /// The set that it changes.
    pub fn set(&self) -> SetName {
        match self {
            Self::Add { set, .. }
            | Self::Renew { set, .. }
            | Self::Remove { set, .. }
            | Self::Clear { set } => *set,
        }
    }

    /// The element that it changes; none if that is all of them.
    pub fn range(&self) -> Option<Range> {
        match self {
            Self::Add { range, .. } | Self::Renew { range, .. } | Self::Remove { range, .. } => Some(*range),
            Self::Clear { .. } => None,
        }
    }

    /// How long the element stays after it.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Add { timeout, .. } | Self::Renew { timeout, .. } => Some(*timeout),
            Self::Remove { .. } | Self::Clear { .. } => None,
        }
    }

    fn check(&self) -> Result<(), RulesetError> {
        let set = self.set();
        if matches!(set.kind(), Kind::Dynamic | Kind::Handshakes) {
            return Err(RulesetError::Dynamic(set));
        }
        let Some(range) = self.range() else { return Ok(()) };
        if set.family() != range.family() {
            return Err(RulesetError::Family { set, range });
        }
        match (set.kind(), self) {
            (Kind::Hash, _) if !range.is_single() => Err(RulesetError::NotAnAddress { set, range }),
            (Kind::Interval, Self::Renew { .. }) => Err(RulesetError::NotAHash(set)),
            _ if self.timeout().is_some_and(|timeout| timeout < MIN_TIMEOUT) => {
                Err(RulesetError::Timeout { set, range })
            }
            _ => Ok(()),
        }
    }
}

/// Steps that the kernel takes all at once or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction(Vec<Op>);

impl Transaction {
    /// The transaction of these steps.
    ///
    /// # Errors
    /// When a step cannot be right whatever the sets hold: the wrong family, a range for a hash set,
    /// no proper timeout, a set that is not for us to fill.
    pub fn new(ops: Vec<Op>) -> Result<Self, RulesetError> {
        ops.iter().try_for_each(Op::check)?;
        Ok(Self(ops))
    }

    /// The transaction of steps that were built right.
    pub(crate) fn trusted(ops: Vec<Op>) -> Self {
        debug_assert!(ops.iter().all(|op| op.check().is_ok()), "a step is malformed");
        Self(ops)
    }

    /// The transaction after which `sets` hold just `elements`, whatever they held.
    pub fn refill(sets: &[SetName], elements: impl Iterator<Item = Element>) -> Self {
        let clear = sets.iter().map(|set| Op::Clear { set: *set });
        let mut ops: Vec<Op> = clear.collect();
        ops.extend(elements.map(|element| element.add()));
        // Steps of one kind on one set share a message.
        if let Some(adds) = ops.get_mut(sets.len()..) {
            adds.sort_by_key(Op::set);
        }
        Self::trusted(ops)
    }

    /// Only the steps about sets of which this is true.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(SetName) -> bool) -> Self {
        self.0.retain(|op| keep(op.set()));
        self
    }

    /// Both, one after the other.
    #[must_use]
    pub fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The steps, in order.
    pub fn ops(&self) -> &[Op] {
        &self.0
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Writes a time as `599s`, or as `599500ms` where it is not whole seconds.
pub(crate) fn write_span(out: &mut fmt::Formatter<'_>, span: Duration) -> fmt::Result {
    if span.subsec_millis() == 0 {
        write!(out, "{}s", span.as_secs())
    } else {
        write!(out, "{}ms", span.as_millis())
    }
}

fn read_span(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

impl fmt::Display for Op {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { set, range, timeout } => {
                write!(out, "add element {set} {range} timeout ")?;
                write_span(out, *timeout)
            }
            Self::Renew { set, range, timeout } => {
                write!(out, "renew element {set} {range} timeout ")?;
                write_span(out, *timeout)
            }
            Self::Remove { set, range } => write!(out, "remove element {set} {range}"),
            Self::Clear { set } => write!(out, "clear set {set}"),
        }
    }
}

impl FromStr for Op {
    type Err = RulesetError;

    fn from_str(line: &str) -> Result<Self, RulesetError> {
        let unreadable = || RulesetError::Unreadable(String::from(line));
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["add", "element", set, range, "timeout", span] => Ok(Self::Add {
                set: set.parse()?,
                range: range.parse()?,
                timeout: read_span(span).ok_or_else(unreadable)?,
            }),
            ["renew", "element", set, range, "timeout", span] => Ok(Self::Renew {
                set: set.parse()?,
                range: range.parse()?,
                timeout: read_span(span).ok_or_else(unreadable)?,
            }),
            ["remove", "element", set, range] => {
                Ok(Self::Remove { set: set.parse()?, range: range.parse()? })
            }
            ["clear", "set", set] => Ok(Self::Clear { set: set.parse()? }),
            _ => Err(unreadable()),
        }
    }
}

impl fmt::Display for Transaction {
    /// One step a line.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|op| writeln!(out, "{op}"))
    }
}

impl FromStr for Transaction {
    type Err = RulesetError;

    /// Reads what `Display` writes; empty lines are skipped.
    fn from_str(text: &str) -> Result<Self, RulesetError> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        Self::new(lines.map(str::parse).collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString};

    use super::*;

    #[test]
    fn the_text_form_is_fixed() {
        let text = "clear set allow4\n\
                    remove element dropnet4 203.0.113.0/24\n\
                    renew element drop4 203.0.113.9 timeout 599s\n\
                    add element suppressnet4 203.0.113.0/24 timeout 599s\n\
                    add element drop4 203.0.113.7 timeout 599s\n\
                    add element allow6 2001:db8::-2001:db8::2 timeout 1500ms\n";
        let transaction: Transaction = text.parse().unwrap();
        assert_eq!(transaction.len(), 6);
        assert_eq!(transaction.to_string(), text);
    }

    #[test]
    fn what_no_kernel_would_take_is_refused() {
        let refuse = |text: &str| text.parse::<Transaction>().unwrap_err();
        assert!(matches!(refuse("add element drop4 2001:db8::1 timeout 5s"), RulesetError::Family { .. }));
        assert!(matches!(
            refuse("add element drop4 203.0.113.0/24 timeout 5s"),
            RulesetError::NotAnAddress { .. }
        ));
        for verb in ["add", "renew"] {
            let text = format!("{verb} element drop4 203.0.113.7 timeout 0s");
            assert!(matches!(refuse(&text), RulesetError::Timeout { .. }));
        }
        assert_eq!(
            refuse("renew element dropnet4 203.0.113.0/24 timeout 5s"),
            RulesetError::NotAHash(SetName::DropNet4)
        );
        assert_eq!(refuse("clear set hit4"), RulesetError::Dynamic(SetName::Hit4));
        for (set, text) in
            [(SetName::Hit4, "hit4"), (SetName::SupHit4, "sup-hit4"), (SetName::Answered4, "answered4")]
        {
            assert_eq!(refuse(&format!("remove element {text} 203.0.113.7")), RulesetError::Dynamic(set));
        }
        for text in [
            "add element drop4 203.0.113.7",
            "clear drop4",
            "add element nosuch 1.2.3.4 timeout 5s",
            "flush ruleset",
        ] {
            assert!(matches!(refuse(text), RulesetError::Unreadable(_)), "{text}");
        }
    }
}
