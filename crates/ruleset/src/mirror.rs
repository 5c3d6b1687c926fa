//! What an agent believes is in its kernel, and the transaction that a delta makes of it.

use alloc::{borrow::Cow, collections::BTreeMap, vec::Vec};
use core::{iter, ops::Bound};

use sekisho_model::{Change, Digest, Key, List, Member, Moment, Prefix, Tier, limits::MAX_ALLOW_TTL};

use crate::{
    Element, Kind, MIN_TIMEOUT, Op, RulesetError, SetName, Snapshot, Transaction, check,
    cover::{Piece, cover},
    overlay::{Held, Overlay},
    range::Range,
    snapshot::pieces,
};

/// The members of both lists as the feed gave them, with their digest.
///
/// Blocked prefixes are pairwise disjoint and never meet the allowlist; allowlisted ones may lie in
/// each other. A member stays here until the feed removes it, though the kernel lets it go at its end.
#[derive(Clone, Debug, Default)]
pub struct Mirror {
    blocks: BTreeMap<Prefix, Held>,
    allows: BTreeMap<Prefix, Moment>,
    /// The allowlist as the kernel has it.
    cover: Vec<Piece>,
    digest: Digest,
}

impl Mirror {
    /// A mirror of empty sets.
    pub fn new() -> Self {
        Self::default()
    }

    /// A mirror of exactly these members.
    ///
    /// # Errors
    /// When entries of the blocklist overlap each other or the allowlist.
    pub fn of(members: impl IntoIterator<Item = Member>) -> Result<Self, RulesetError> {
        let mut mirror = Self::new();
        let changes: Vec<Change> = members.into_iter().map(Change::Put).collect();
        mirror.check(&changes)?;
        mirror.apply(&changes);
        Ok(mirror)
    }

    /// How many members there are, on both lists.
    pub fn len(&self) -> usize {
        self.blocks.len() + self.allows.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of all members.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The member of this key.
    pub fn get(&self, key: &Key) -> Option<Member> {
        if key.allow {
            return self.allows.get(&key.prefix).map(|expires| allow(key.prefix, *expires));
        }
        self.blocks.get(&key.prefix).map(|held| block(key.prefix, *held))
    }

    /// All members, sorted by key.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        let blocks = self.blocks.iter().map(|(prefix, held)| block(*prefix, *held));
        blocks.chain(self.allows.iter().map(|(prefix, expires)| allow(*prefix, *expires)))
    }

    /// The entries of the blocklist behind `prefix` in their order; from the first one on without it.
    pub fn blocks_after(&self, prefix: Option<Prefix>) -> impl Iterator<Item = Prefix> {
        let from = prefix.map_or(Bound::Unbounded, Bound::Excluded);
        self.blocks.range((from, Bound::Unbounded)).map(|(prefix, _)| *prefix)
    }

    /// The entry of the blocklist that shares an address with `prefix`, and its tier; the first one, where
    /// several lie inside it.
    pub fn block_at(&self, prefix: &Prefix) -> Option<(Prefix, Tier)> {
        let met = check::meeting(&self.blocks, prefix).next()?;
        self.blocks.get(&met).map(|held| (met, held.tier))
    }

    /// The elements that the kernel should hold at `now`: those that have ended are left out.
    pub fn elements(&self, now: Moment) -> impl Iterator<Item = Element> {
        let blocks = self.blocks.iter().filter_map(move |(prefix, held)| {
            element(SetName::for_block(prefix, held.tier), Range::from(*prefix), held.expires, now)
        });
        blocks.chain(self.cover.iter().filter_map(move |piece| piece_element(piece, now)))
    }

    /// The elements of `set` among them.
    pub fn elements_of(&self, set: SetName, now: Moment) -> impl Iterator<Item = Element> {
        let blocks = self.blocks.iter().filter_map(move |(prefix, held)| {
            let there = SetName::for_block(prefix, held.tier) == set;
            there.then(|| element(set, Range::from(*prefix), held.expires, now))?
        });
        blocks.chain(pieces(&self.cover, set, now))
    }

    /// The transaction that fills empty sets with everything.
    pub fn fill(&self, now: Moment) -> Transaction {
        Transaction::trusted(self.elements(now).map(|element| element.add()).collect())
    }

    /// The transaction that carries `changes` into the kernel at `now`, a moment by the clock that
    /// the members' ends are in.
    ///
    /// Removals come before additions. A member that has ended is not added; one that is held with
    /// another end or at another tier is removed and added; one that is held as it is costs nothing.
    ///
    /// # Errors
    /// When the lists would be such that the kernel must refuse them, or would block something
    /// allowlisted: [`RulesetError::Overlap`], [`RulesetError::Allowlisted`].
    pub fn plan(&self, changes: &[Change], now: Moment) -> Result<Transaction, RulesetError> {
        self.planned(changes, now, false)
    }

    /// The same for a kernel that may be some steps ahead of this mirror, where `changes` name everything that these
    /// steps touched: its hash sets are right afterwards whatever they held of it.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub fn plan_ahead(&self, changes: &[Change], now: Moment) -> Result<Transaction, RulesetError> {
        self.planned(changes, now, true)
    }

    fn planned(&self, changes: &[Change], now: Moment, ahead: bool) -> Result<Transaction, RulesetError> {
        let overlay = Overlay::of(changes);
        let cover = self.checked_cover(&overlay)?;
        let mut steps = Steps::default();
        for (prefix, state) in &overlay.blocks {
            self.step_block(&mut steps, prefix, *state, now, ahead);
        }
        if !overlay.allows.is_empty() {
            self.step_allows(&mut steps, &cover, now);
        }
        Ok(steps.done())
    }

    /// Takes `changes` in. To be called after the kernel has taken the transaction planned for them.
    pub fn apply(&mut self, changes: &[Change]) {
        let mut allows = false;
        for change in changes {
            let key = change.key();
            allows |= key.allow;
            if let Some(old) = self.get(&key) {
                self.digest = self.digest.without(&old);
            }
            self.set(key, change);
        }
        if allows {
            self.cover = cover(&self.allows);
        }
    }

    /// The changes that make this mirror into one of exactly `wanted`, in the order of their keys: how a snapshot
    /// comes down to what differs.
    pub fn changes_to<'a>(&'a self, wanted: &'a Snapshot) -> impl Iterator<Item = Change> + 'a {
        changes_between(self.members(), wanted.members().iter().copied())
    }

    /// The transaction that brings the sets of ranges to what `wanted` says; nothing about the hash sets.
    pub fn plan_ranges(&self, wanted: &Snapshot, now: Moment) -> Transaction {
        let (mut steps, mut allows) = (Steps::default(), false);
        let ranged = |member: &Member| member.list == List::Allow || !member.prefix.is_host();
        let wanted_ranges = wanted.members().iter().copied().filter(ranged);
        for change in changes_between(self.members().filter(ranged), wanted_ranges) {
            let key = change.key();
            allows |= key.allow;
            if key.allow {
                continue;
            }
            let state = match change {
                Change::Put(Member { list: List::Block(tier), expires, .. }) => Some(Held { tier, expires }),
                _ => None,
            };
            self.step_block(&mut steps, &key.prefix, state, now, false);
        }
        if allows {
            self.step_allows(&mut steps, wanted.cover(), now);
        }
        steps.done()
    }

    /// Becomes a mirror of exactly `wanted`.
    pub fn become_of(&mut self, wanted: Snapshot) {
        // What was held goes first, so that there are never three copies.
        *self = Self::default();
        let (blocks, allows, cover, digest) = wanted.parts();
        *self = Self { blocks, allows, cover, digest };
    }

    /// The changes that take `changes` back.
    pub fn undo(&self, changes: &[Change]) -> Vec<Change> {
        let before = |key: Key| self.get(&key).map_or(Change::Remove(key), Change::Put);
        changes.iter().map(|change| before(change.key())).collect()
    }

    fn check(&self, changes: &[Change]) -> Result<(), RulesetError> {
        self.checked_cover(&Overlay::of(changes)).map(drop)
    }

    /// The cover of the allowlist after the changes, if they may be made.
    fn checked_cover(&self, overlay: &Overlay) -> Result<Cow<'_, [Piece]>, RulesetError> {
        let after = if overlay.allows.is_empty() {
            Cow::Borrowed(self.cover.as_slice())
        } else {
            Cow::Owned(cover(&overlay.allows_over(&self.allows)))
        };
        check::blocks(&self.blocks, overlay, &after)?;
        check::allows(&self.blocks, overlay)?;
        Ok(after)
    }

    fn step_block(&self, steps: &mut Steps, prefix: &Prefix, state: Option<Held>, now: Moment, ahead: bool) {
        let before = self.blocks.get(prefix);
        if before == state.as_ref() && state.is_some() && !ahead {
            return;
        }
        let range = Range::from(*prefix);
        let set_of = |tier| SetName::for_block(prefix, tier);
        let after = state.and_then(|held| element(set_of(held.tier), range, held.expires, now));
        let hash = set_of(Tier::Drop).kind() == Kind::Hash;
        for tier in [Tier::Suppress, Tier::Drop] {
            let set = set_of(tier);
            let held = before.is_some_and(|held| held.tier == tier);
            // Also an address that this mirror lacks: the kernel may be a step ahead of it, after a restart. Not
            // so an interval, whose removal would take another that begins at the same address with it.
            let stray = hash && (state.is_none() || ahead);
            match after.filter(|after| after.set == set) {
                Some(after) if hash && (held || ahead) => {
                    steps.renewals.push(Op::Renew { set, range, timeout: after.remaining });
                }
                None if held || stray => steps.removes.push(Op::Remove { set, range }),
                Some(after) => {
                    steps.removes.extend(held.then_some(Op::Remove { set, range }));
                    steps.adds.push(after.add());
                }
                None => {}
            }
        }
    }

    fn step_allows(&self, steps: &mut Steps, after: &[Piece], now: Moment) {
        let gone = self.cover.iter().filter(|piece| after.binary_search(piece).is_err());
        steps.removes.extend(gone.map(|piece| Op::Remove { set: set_of(piece), range: piece.range }));
        let new = after.iter().filter(|piece| self.cover.binary_search(piece).is_err());
        steps.adds.extend(new.filter_map(|piece| piece_element(piece, now)).map(|element| element.add()));
    }

    fn set(&mut self, key: Key, change: &Change) {
        let Change::Put(member) = change else {
            if key.allow {
                self.allows.remove(&key.prefix);
            } else {
                self.blocks.remove(&key.prefix);
            }
            return;
        };
        self.digest = self.digest.with(member);
        match member.list {
            List::Allow => {
                self.allows.insert(key.prefix, member.expires);
            }
            List::Block(tier) => {
                self.blocks.insert(key.prefix, Held { tier, expires: member.expires });
            }
        }
    }
}

/// The changes that lead from `held` to `wanted`, both sorted by key.
fn changes_between(
    held: impl Iterator<Item = Member>,
    wanted: impl Iterator<Item = Member>,
) -> impl Iterator<Item = Change> {
    let (mut held, mut wanted) = (held.peekable(), wanted.peekable());
    iter::from_fn(move || {
        loop {
            match (held.peek().map(Member::key), wanted.peek().map(Member::key)) {
                (None, None) => return None,
                (Some(old), Some(new)) if old == new => {
                    let (old, new) = (held.next(), wanted.next());
                    if old != new {
                        return new.map(Change::Put);
                    }
                }
                (Some(old), new) if new.is_none_or(|new| old < new) => {
                    held.next();
                    return Some(Change::Remove(old));
                }
                _ => return wanted.next().map(Change::Put),
            }
        }
    })
}

#[derive(Default)]
struct Steps {
    removes: Vec<Op>,
    renewals: Vec<Op>,
    adds: Vec<Op>,
}

impl Steps {
    fn done(self) -> Transaction {
        let mut ops = Vec::with_capacity(self.removes.len() + self.renewals.len() + self.adds.len());
        for mut some in [self.removes, self.renewals, self.adds] {
            // Steps of one kind on one set share a message.
            some.sort_by_key(Op::set);
            ops.extend(some);
        }
        Transaction::trusted(ops)
    }
}

fn block(prefix: Prefix, held: Held) -> Member {
    Member { prefix, list: List::Block(held.tier), expires: held.expires }
}

fn allow(prefix: Prefix, expires: Moment) -> Member {
    Member { prefix, list: List::Allow, expires }
}

fn set_of(piece: &Piece) -> SetName {
    SetName::for_allow(piece.range.family())
}

/// The element of something that ends at `expires`; none if that is past. What is written as "for
/// ever" is held to the longest time that anything may last: the kernel refuses times over 584 years.
pub(crate) fn element(set: SetName, range: Range, expires: Moment, now: Moment) -> Option<Element> {
    let remaining = expires.since(now).min(MAX_ALLOW_TTL);
    (remaining >= MIN_TIMEOUT).then_some(Element { set, range, remaining })
}

pub(crate) fn piece_element(piece: &Piece, now: Moment) -> Option<Element> {
    element(set_of(piece), piece.range, piece.expires, now)
}
