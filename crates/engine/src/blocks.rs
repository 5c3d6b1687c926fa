//! How many tracked units each block (an IPv4 /24, an IPv6 /56) has, and which blocks are to be looked at.
//!
//! The counts only spare a look where there can be nothing: they may hold units that are not fresh.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use sekisho_model::{Prefix, Unit};

/// The length of an IPv4 block.
pub(crate) const BLOCK_V4: u8 = 24;
/// The length of an IPv6 block.
pub(crate) const BLOCK_V6: u8 = 56;
/// Blocks in a page: a /16.
const PAGE: usize = 256;
/// Blocks in a group: a /20.
const GROUP: usize = 16;
/// The bit of a count that says that the block stands in line; no block has so many units.
const WAITS: u16 = 1 << 15;

/// The length of the block of an address of this family.
pub(crate) fn block_length(is_ipv4: bool) -> u8 {
    if is_ipv4 { BLOCK_V4 } else { BLOCK_V6 }
}

/// The block of `unit`.
pub(crate) fn block_of(unit: Unit) -> Prefix {
    let prefix = unit.prefix();
    prefix.widened(block_length(prefix.is_ipv4()))
}

/// The counts of the 256 blocks of an IPv4 /16, each with the bit [`WAITS`], and of its 16 groups.
#[derive(Debug)]
struct Page {
    groups: [u16; PAGE / GROUP],
    blocks: [u16; PAGE],
}

impl Page {
    /// Units of the blocks from `first` on.
    fn sum(&self, first: usize, blocks: usize) -> u32 {
        let sum = |counts: &[u16]| counts.iter().map(|count| u32::from(count & !WAITS)).sum();
        if blocks < GROUP {
            sum(&self.blocks[first..first + blocks])
        } else {
            sum(&self.groups[first / GROUP..(first + blocks) / GROUP])
        }
    }
}

/// The counts, and the line of blocks to look at.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// By the upper 16 bits.
    v4: Vec<Option<Box<Page>>>,
    /// By the upper 56 bits. Only looked into, never walked, as the next two.
    v6: HashMap<u64, u32, FixedState>,
    /// By the upper 48 bits.
    wide: HashMap<u64, u32, FixedState>,
    /// IPv6 blocks in line, by the upper 56 bits.
    waiting: HashSet<u64, FixedState>,
    line: VecDeque<Prefix>,
}

impl Blocks {
    /// `unit` is tracked from here on.
    pub(crate) fn add(&mut self, unit: Unit) {
        match unit {
            Unit::V4(bits) => {
                if let Some(page) = self.page_mut(bits) {
                    page.blocks[block_in_page(bits)] += 1;
                    page.groups[block_in_page(bits) / GROUP] += 1;
                }
            }
            Unit::V6(bits) => {
                *self.v6.entry(bits >> 8).or_default() += 1;
                *self.wide.entry(bits >> 16).or_default() += 1;
            }
        }
    }

    /// `unit`, which was added, is not tracked any more.
    pub(crate) fn remove(&mut self, unit: Unit) {
        match unit {
            Unit::V4(bits) => {
                if let Some(page) = self.page_mut(bits) {
                    page.blocks[block_in_page(bits)] -= 1;
                    page.groups[block_in_page(bits) / GROUP] -= 1;
                }
            }
            Unit::V6(bits) => {
                less(&mut self.v6, bits >> 8);
                less(&mut self.wide, bits >> 16);
            }
        }
    }

    /// Reads what is counted where `unit` is, so that it is near the processor afterwards. What is returned means
    /// nothing.
    pub(crate) fn touch(&self, unit: Unit) -> u16 {
        let Unit::V4(bits) = unit else { return 0 };
        let Some(Some(page)) = self.v4.get((bits >> 16) as usize) else { return 0 };
        page.groups[0] ^ page.blocks[block_in_page(bits)]
    }

    /// Whether at least `enough` units of `prefix`, a block or wider by at most 8 bits, are tracked.
    pub(crate) fn at_least(&self, prefix: &Prefix, enough: u32) -> bool {
        self.is_full(Unit::of(prefix.address()), prefix.length(), enough)
    }

    /// The same for the prefix of `length` that `unit` is in.
    pub(crate) fn is_full(&self, unit: Unit, length: u8, enough: u32) -> bool {
        match unit {
            Unit::V4(bits) => {
                let Some(Some(page)) = self.v4.get((bits >> 16) as usize) else { return enough == 0 };
                let blocks = 1usize << BLOCK_V4.saturating_sub(length).min(8);
                page.sum(block_in_page(bits) & !(blocks - 1), blocks) >= enough
            }
            Unit::V6(bits) => {
                let wide = self.wide.get(&(bits >> 16)).copied().unwrap_or(0);
                if wide < enough || length <= 48 {
                    return wide >= enough;
                }
                let blocks = 1u64 << BLOCK_V6.saturating_sub(length).min(8);
                let first = (bits >> 8) & !(blocks - 1);
                let counts = (first..first + blocks).filter_map(|block| self.v6.get(&block));
                counts.sum::<u32>() >= enough
            }
        }
    }

    /// Puts `block` in line, if it does not stand there.
    pub(crate) fn enqueue(&mut self, block: Prefix) {
        if self.set_waiting(&block, true) {
            self.line.push_back(block);
        }
    }

    /// Takes the first block out of the line.
    pub(crate) fn next(&mut self) -> Option<Prefix> {
        let first = self.line.pop_front()?;
        self.set_waiting(&first, false);
        Some(first)
    }

    /// The blocks in line, the first one first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Prefix> {
        self.line.iter().copied()
    }

    /// Whether that changed anything.
    fn set_waiting(&mut self, block: &Prefix, waits: bool) -> bool {
        match Unit::of(block.address()) {
            Unit::V4(bits) => self.page_mut(bits).is_some_and(|page| {
                let count = &mut page.blocks[block_in_page(bits)];
                let before = *count & WAITS != 0;
                *count = (*count & !WAITS) | if waits { WAITS } else { 0 };
                before != waits
            }),
            Unit::V6(bits) if waits => self.waiting.insert(bits >> 8),
            Unit::V6(bits) => self.waiting.remove(&(bits >> 8)),
        }
    }

    fn page_mut(&mut self, bits: u32) -> Option<&mut Page> {
        if self.v4.is_empty() {
            self.v4.resize_with(1 << 16, || None);
        }
        let page = self.v4.get_mut((bits >> 16) as usize)?;
        Some(page.get_or_insert_with(|| Box::new(Page { groups: [0; PAGE / GROUP], blocks: [0; PAGE] })))
    }
}

/// The place of a unit's block in its page.
fn block_in_page(bits: u32) -> usize {
    (bits >> 8 & 0xff) as usize
}

fn less(counts: &mut HashMap<u64, u32, FixedState>, key: u64) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn unit(is_ipv4: bool, bits: u32) -> Unit {
        if is_ipv4 { Unit::V4(0xcb00_0000 | bits) } else { Unit::V6(0x2001_0db8_0000_0000 | u64::from(bits)) }
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_list(
            steps in vec((any::<bool>(), 0u32..0x2_0000, any::<bool>()), 0..60),
            four: bool, at in 0u32..0x2_0000, wider in 0u8..=8, enough in 0u32..6
        ) {
            let (mut blocks, mut list) = (Blocks::default(), Vec::new());
            for (is_ipv4, bits, is_in) in steps {
                let unit = unit(is_ipv4, bits & 0x1_03ff);
                let known = list.iter().position(|one| *one == unit);
                match known {
                    None if is_in => { list.push(unit); blocks.add(unit); }
                    Some(at) if !is_in => { list.swap_remove(at); blocks.remove(unit); }
                    _ => {}
                }
            }
            let block = block_of(unit(four, at & 0x1_03ff));
            let prefix = block.widened(block.length() - wider);
            let inside = list.iter().filter(|one| prefix.covers(&one.prefix())).count();
            prop_assert_eq!(blocks.at_least(&prefix, enough), inside >= enough as usize);
        }
    }

    #[test]
    fn a_block_stands_in_line_once() {
        let mut blocks = Blocks::default();
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        for text in ["203.0.113.0/24", "198.51.100.0/24", "203.0.113.0/24"] {
            blocks.enqueue(prefix(text));
        }
        assert_eq!(blocks.waiting().count(), 2);
        assert_eq!(blocks.next(), Some(prefix("203.0.113.0/24")));
        blocks.enqueue(prefix("203.0.113.0/24"));
        assert_eq!(
            [blocks.next(), blocks.next(), blocks.next()],
            [Some(prefix("198.51.100.0/24")), Some(prefix("203.0.113.0/24")), None]
        );
    }
}
