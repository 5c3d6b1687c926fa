//! A whole list as the feed brought it: judged, and ready to be put into a kernel without a second copy of it.

use alloc::{collections::BTreeMap, vec::Vec};

use sekisho_model::{Digest, List, Member, Moment, Prefix};

use crate::{
    Element, RulesetError, SetName, check,
    cover::{Piece, cover},
    mirror::{element, piece_element},
    overlay::Held,
    range::Range,
};

/// All members of both lists at one position.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Sorted by key: the blocklist, then the allowlist.
    members: Vec<Member>,
    blocks: usize,
    cover: Vec<Piece>,
    digest: Digest,
}

impl Snapshot {
    /// Of these members, each key once, whose digest is known.
    ///
    /// # Errors
    /// When entries of the blocklist overlap each other or the allowlist.
    pub fn of(mut members: Vec<Member>, digest: Digest) -> Result<Self, RulesetError> {
        if !members.is_sorted_by_key(Member::key) {
            members.sort_unstable_by_key(Member::key);
        }
        let blocks = members.partition_point(|member| member.list != List::Allow);
        let (listed, allowed) = members.split_at(blocks);
        let allows: BTreeMap<Prefix, Moment> =
            allowed.iter().map(|member| (member.prefix, member.expires)).collect();
        let cover = cover(&allows);
        check::sorted(listed.iter().map(|member| member.prefix), &cover)?;
        Ok(Self { members, blocks, cover, digest })
    }

    /// All members, sorted by key.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The elements of `set` that the kernel should hold at `now`, those that have ended left out.
    pub fn elements(&self, set: SetName, now: Moment) -> impl Iterator<Item = Element> {
        let listed = self.members.iter().take(self.blocks).filter_map(move |member| {
            let List::Block(tier) = member.list else { return None };
            let there = SetName::for_block(&member.prefix, tier) == set;
            there.then(|| element(set, Range::from(member.prefix), member.expires, now))?
        });
        listed.chain(pieces(&self.cover, set, now))
    }

    /// The elements of all sets.
    pub fn all_elements(&self, now: Moment) -> impl Iterator<Item = Element> {
        let listed = self.members.iter().take(self.blocks).filter_map(move |member| {
            let List::Block(tier) = member.list else { return None };
            element(SetName::for_block(&member.prefix, tier), Range::from(member.prefix), member.expires, now)
        });
        listed.chain(self.cover.iter().filter_map(move |piece| piece_element(piece, now)))
    }

    pub(crate) fn cover(&self) -> &[Piece] {
        &self.cover
    }

    /// The parts of a mirror of it.
    pub(crate) fn parts(mut self) -> (BTreeMap<Prefix, Held>, BTreeMap<Prefix, Moment>, Vec<Piece>, Digest) {
        let allows =
            self.members.iter().skip(self.blocks).map(|member| (member.prefix, member.expires)).collect();
        let held = |member: Member| match member.list {
            List::Block(tier) => Some((member.prefix, Held { tier, expires: member.expires })),
            List::Allow => None,
        };
        // A map is made over a list of its own: by halves, so that there is never a whole one beside the members.
        let second = self.members.split_off(self.members.len() / 2);
        self.members.shrink_to_fit();
        let mut blocks: BTreeMap<Prefix, Held> = self.members.into_iter().filter_map(held).collect();
        blocks.append(&mut second.into_iter().filter_map(held).collect());
        (blocks, allows, self.cover, self.digest)
    }
}

/// The elements of an allowlist that belong into `set`.
pub(crate) fn pieces(cover: &[Piece], set: SetName, now: Moment) -> impl Iterator<Item = Element> {
    cover.iter().filter_map(move |piece| piece_element(piece, now).filter(|element| element.set == set))
}
