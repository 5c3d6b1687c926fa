//! Whether the lists stay such that a kernel takes them: blocked prefixes pairwise disjoint, and none
//! of them meeting the allowlist.
//!
//! What was there before is known to be so, hence only what is put needs looking at, and of what was
//! there only the neighbours. Entries that have ended already are judged like the others: the lists
//! are what they are until the aggregator says otherwise.

use alloc::collections::BTreeMap;

use sekisho_model::Prefix;

use crate::{
    RulesetError,
    cover::Piece,
    overlay::{Held, Overlay},
    range::Range,
};

type Blocks = BTreeMap<Prefix, Held>;

/// The blocked prefixes that share an address with `prefix`, given that `blocks` are disjoint.
pub(crate) fn meeting<'a>(blocks: &'a Blocks, prefix: &Prefix) -> impl Iterator<Item = Prefix> + 'a {
    let prefix = *prefix;
    let before = blocks.range(..prefix).next_back();
    let within = blocks.range(prefix..=Prefix::host(prefix.last()));
    before.into_iter().chain(within).map(|(other, _)| *other).filter(move |other| other.overlaps(&prefix))
}

/// The piece of the allowlist that shares an address with `prefix`.
fn allowed<'a>(cover: &'a [Piece], prefix: &Prefix) -> Option<&'a Piece> {
    let range = Range::from(*prefix);
    let from = cover.partition_point(|piece| piece.range.last() < range.first());
    cover.get(from).filter(|piece| piece.range.overlaps(&range))
}

/// The entries of `blocks` that are put do not overlap each other.
fn puts_are_disjoint(overlay: &Overlay) -> Result<(), RulesetError> {
    let mut last: Option<Prefix> = None;
    for new in overlay.puts() {
        if let Some(old) = last.filter(|old| old.overlaps(&new)) {
            return Err(RulesetError::Overlap { new, old });
        }
        last = Some(new);
    }
    Ok(())
}

/// Blocked prefixes, in their order, are disjoint in themselves and with the allowlist whose pieces `cover` are.
pub(crate) fn sorted(blocks: impl Iterator<Item = Prefix>, cover: &[Piece]) -> Result<(), RulesetError> {
    let mut last: Option<Prefix> = None;
    for new in blocks {
        // What lies in another comes right after it, or after something else that does.
        if let Some(old) = last.filter(|old| old.overlaps(&new)) {
            return Err(RulesetError::Overlap { new, old });
        }
        if let Some(piece) = allowed(cover, &new) {
            return Err(RulesetError::Allowlisted { block: new, allow: piece.range });
        }
        last = Some(new);
    }
    Ok(())
}

/// The blocklist after the changes is disjoint in itself and with the allowlist after the changes,
/// whose pieces `cover` are.
pub(crate) fn blocks(before: &Blocks, overlay: &Overlay, cover: &[Piece]) -> Result<(), RulesetError> {
    puts_are_disjoint(overlay)?;
    for new in overlay.puts() {
        if let Some(old) = meeting(before, &new).find(|old| !overlay.blocks.contains_key(old)) {
            return Err(RulesetError::Overlap { new, old });
        }
        if let Some(piece) = allowed(cover, &new) {
            return Err(RulesetError::Allowlisted { block: new, allow: piece.range });
        }
    }
    Ok(())
}

/// What is newly allowlisted meets nothing that stays on the blocklist.
pub(crate) fn allows(before: &Blocks, overlay: &Overlay) -> Result<(), RulesetError> {
    let puts = overlay.allows.iter().filter(|(_, state)| state.is_some());
    for (allow, _) in puts {
        if let Some(block) = meeting(before, allow).find(|old| !overlay.blocks.contains_key(old)) {
            return Err(RulesetError::Allowlisted { block, allow: Range::from(*allow) });
        }
    }
    Ok(())
}
