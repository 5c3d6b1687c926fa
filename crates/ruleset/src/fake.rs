//! A kernel for tests, stricter than the real one: it judges transactions as nf_tables would, and
//! refuses what only some kernels take.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use sekisho_model::Moment;

use crate::{Element, Kind, Op, Range, SetName, Transaction, element::dump};

type Elements = BTreeMap<Range, Moment>;

/// Why the fake kernel refuses a transaction. Nothing of it was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FakeError {
    /// ENOENT: there is no such set, since there is no table.
    #[error("no set {0}")]
    NoSet(SetName),
    /// EEXIST or ENOTEMPTY: it overlaps another element of its interval set.
    #[error("{new} overlaps {old} in {set}")]
    Overlap {
        /// The set.
        set: SetName,
        /// What was to be added.
        new: Range,
        /// What is there.
        old: Range,
    },
    /// It is there already: kernels differ in whether its timeout then changes.
    #[error("{range} is in {set} already")]
    Present {
        /// The set.
        set: SetName,
        /// What was to be added.
        range: Range,
    },
    /// ENFILE: the set has its size.
    #[error("set {0} is full")]
    Full(SetName),
    /// It is not there, but begins or ends as another one does: kernels that remove what may be missing would take
    /// that end away, and leave the other one's other end.
    #[error("removing {range} would tear {old} in {set}")]
    Torn {
        /// The set.
        set: SetName,
        /// What was to be removed.
        range: Range,
        /// What is there.
        old: Range,
    },
    /// EMSGSIZE: more steps than can be sent in one go; the kernel sees none of them.
    #[error("{0} steps are too many for one message")]
    TooLarge(usize),
}

/// A table in no kernel.
#[derive(Clone, Debug, Default)]
pub struct Fake {
    sets: BTreeMap<SetName, Elements>,
    /// Sets with another size than [`SetName::size`].
    sizes: BTreeMap<SetName, usize>,
    /// The most steps that can be sent in one go, if there is such a number.
    steps: Option<usize>,
}

impl Fake {
    /// A kernel without our table.
    pub fn bare() -> Self {
        Self::default()
    }

    /// A kernel with our table and empty sets.
    pub fn installed() -> Self {
        let sets = SetName::FILLED.into_iter().map(|set| (set, Elements::new())).collect();
        Self { sets, ..Self::default() }
    }

    /// The same with a size for `set`.
    #[must_use]
    pub fn with_size(mut self, set: SetName, size: usize) -> Self {
        self.sizes.insert(set, size);
        self
    }

    /// The same behind a socket that takes so many steps in one go.
    #[must_use]
    pub fn with_steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Carries out all of `transaction` at `now`, or nothing of it.
    ///
    /// # Errors
    /// What the kernel would refuse, or what only some kernels take.
    pub fn commit(&mut self, transaction: &Transaction, now: Moment) -> Result<(), FakeError> {
        if self.steps.is_some_and(|steps| transaction.len() > steps) {
            return Err(FakeError::TooLarge(transaction.len()));
        }
        let mut after = self.clone();
        after.expire(now);
        transaction.ops().iter().try_for_each(|op| after.step(op, now))?;
        *self = after;
        Ok(())
    }

    /// What is there at `now`, sorted.
    pub fn elements(&self, now: Moment) -> Vec<Element> {
        let all = self.sets.iter().flat_map(|(set, elements)| elements.iter().map(|each| (*set, each)));
        all.map(|(set, (range, expires))| Element { set, range: *range, remaining: expires.since(now) })
            .filter(|element| !element.remaining.is_zero())
            .collect()
    }

    /// The same as text, in the form of [`dump`].
    pub fn dump(&self, now: Moment) -> String {
        dump(self.elements(now))
    }

    fn expire(&mut self, now: Moment) {
        for elements in self.sets.values_mut() {
            elements.retain(|_, expires| *expires > now);
        }
    }

    fn step(&mut self, op: &Op, now: Moment) -> Result<(), FakeError> {
        let set = op.set();
        let size = self.sizes.get(&set).copied().or_else(|| set.size().map(|size| size as usize));
        let elements = self.sets.get_mut(&set).ok_or(FakeError::NoSet(set))?;
        let (range, timeout) = match op {
            Op::Clear { .. } => {
                elements.clear();
                return Ok(());
            }
            Op::Remove { range, .. } => return remove(elements, set, range),
            Op::Renew { range, timeout, .. } => {
                remove(elements, set, range)?;
                (*range, *timeout)
            }
            Op::Add { range, timeout, .. } => (*range, *timeout),
        };
        may_add(elements, set, range)?;
        if size.is_some_and(|size| elements.len() >= size) {
            return Err(FakeError::Full(set));
        }
        elements.insert(range, now + timeout);
        Ok(())
    }
}

fn remove(elements: &mut Elements, set: SetName, range: &Range) -> Result<(), FakeError> {
    if elements.remove(range).is_some() {
        return Ok(());
    }
    let shares = |old: &&Range| old.first() == range.first() || old.last() == range.last();
    match elements.keys().find(shares).filter(|_| set.kind() == Kind::Interval) {
        Some(old) => Err(FakeError::Torn { set, range: *range, old: *old }),
        None => Ok(()),
    }
}

fn may_add(elements: &Elements, set: SetName, range: Range) -> Result<(), FakeError> {
    if elements.contains_key(&range) {
        return Err(FakeError::Present { set, range });
    }
    let before = elements.range(..range).next_back();
    let after = elements.range(range..).next();
    let overlapping = before.into_iter().chain(after).find(|(old, _)| old.overlaps(&range));
    match overlapping {
        Some((old, _)) if set.kind() == Kind::Interval => {
            Err(FakeError::Overlap { set, new: range, old: *old })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use core::time::Duration;

    use super::*;

    const NOW: Moment = Moment::from_millis(1_000_000);

    fn commit(fake: &mut Fake, text: &str) -> Result<(), FakeError> {
        fake.commit(&text.parse().unwrap(), NOW)
    }

    #[test]
    fn a_transaction_is_applied_as_a_whole_or_not_at_all() {
        let mut fake = Fake::installed();
        let text = "add element drop4 203.0.113.7 timeout 60s\n\
                    add element dropnet4 198.51.100.0/24 timeout 60s\n\
                    add element dropnet4 198.51.100.128/25 timeout 60s";
        assert!(matches!(commit(&mut fake, text), Err(FakeError::Overlap { .. })));
        assert_eq!(fake.dump(NOW), "");
        commit(&mut fake, "add element drop4 203.0.113.7 timeout 60s").unwrap();
        assert_eq!(fake.dump(NOW), "drop4 203.0.113.7 expires 60s\n");
    }

    #[test]
    fn removing_what_is_missing_is_fine_and_adding_what_is_there_is_not() {
        let mut fake = Fake::installed();
        commit(&mut fake, "remove element drop4 203.0.113.7").unwrap();
        commit(&mut fake, "add element drop4 203.0.113.7 timeout 60s").unwrap();
        let again = commit(&mut fake, "add element drop4 203.0.113.7 timeout 90s");
        assert!(matches!(again, Err(FakeError::Present { .. })));
        commit(&mut fake, "remove element drop4 203.0.113.7\nadd element drop4 203.0.113.7 timeout 90s")
            .unwrap();
        assert_eq!(fake.dump(NOW), "drop4 203.0.113.7 expires 90s\n");
    }

    #[test]
    fn elements_end_by_themselves() {
        let mut fake = Fake::installed();
        commit(&mut fake, "add element dropnet4 198.51.100.0/24 timeout 60s").unwrap();
        let later = NOW + Duration::from_secs(60);
        assert_eq!(fake.dump(later), "");
        let wider = "add element dropnet4 198.51.0.0/16 timeout 60s".parse().unwrap();
        assert!(fake.commit(&wider, NOW).is_err());
        fake.commit(&wider, later).unwrap();
    }

    #[test]
    fn without_a_table_everything_is_refused() {
        let text = "add element drop4 203.0.113.7 timeout 60s";
        assert_eq!(commit(&mut Fake::bare(), text), Err(FakeError::NoSet(SetName::Drop4)));
    }

    #[test]
    fn a_full_set_takes_what_something_is_removed_for() {
        let mut fake = Fake::installed().with_size(SetName::Drop4, 1);
        commit(&mut fake, "add element drop4 203.0.113.7 timeout 60s").unwrap();
        let more = "add element drop4 203.0.113.8 timeout 60s";
        assert_eq!(commit(&mut fake, more), Err(FakeError::Full(SetName::Drop4)));
        commit(&mut fake, &format!("remove element drop4 203.0.113.7\n{more}")).unwrap();
        assert_eq!(fake.dump(NOW), "drop4 203.0.113.8 expires 60s\n");
    }

    #[test]
    fn no_range_is_torn() {
        let mut fake = Fake::installed();
        commit(&mut fake, "add element dropnet4 203.0.113.0/24 timeout 60s").unwrap();
        for other in ["203.0.113.0/25", "203.0.113.128/25"] {
            let torn = commit(&mut fake, &format!("remove element dropnet4 {other}"));
            assert!(matches!(torn, Err(FakeError::Torn { .. })), "{other}");
        }
        commit(&mut fake, "remove element dropnet4 198.51.100.0/24").unwrap();
    }

    #[test]
    fn what_cannot_be_sent_is_not_even_looked_at() {
        let two = "add element drop4 203.0.113.7 timeout 60s\nadd element drop4 203.0.113.8 timeout 60s";
        assert_eq!(commit(&mut Fake::bare().with_steps(1), two), Err(FakeError::TooLarge(2)));
        commit(&mut Fake::installed().with_steps(2), two).unwrap();
    }
}
