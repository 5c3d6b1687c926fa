//! How many tracked units each block (an IPv4 /24, an IPv6 /56) has, and which blocks are to be looked at.
//!
//! The counts only spare a look where there can be nothing: they may hold units that are not fresh.

use alloc::{
    boxed::Box,
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use sekisho_model::{Prefix, Unit};

/// The length of an IPv4 block.
pub(crate) const BLOCK_V4: u8 = 24;
/// The length of an IPv6 block.
pub(crate) const BLOCK_V6: u8 = 56;
/// Blocks in a page: a /16.
const PAGE: usize = 256;

/// The length of the block of an address of this family.
pub(crate) fn block_length(is_ipv4: bool) -> u8 {
    if is_ipv4 { BLOCK_V4 } else { BLOCK_V6 }
}

/// The block of `unit`.
pub(crate) fn block_of(unit: Unit) -> Prefix {
    let prefix = unit.prefix();
    prefix.widened(block_length(prefix.is_ipv4()))
}

/// The counts, and the line of blocks to look at.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// By the upper 16 bits, then the next 8.
    v4: Vec<Option<Box<[u16; PAGE]>>>,
    /// By the upper 56 bits. Only looked into, never walked, as the next.
    v6: HashMap<u64, u32, FixedState>,
    /// By the upper 48 bits.
    wide: HashMap<u64, u32, FixedState>,
    line: VecDeque<Prefix>,
    /// Those in line.
    waiting: BTreeSet<Prefix>,
}

impl Blocks {
    /// `unit` is tracked from here on.
    pub(crate) fn add(&mut self, unit: Unit) {
        match unit {
            Unit::V4(bits) => {
                if let Some(count) = self.count_v4(bits) {
                    *count = count.saturating_add(1);
                }
            }
            Unit::V6(bits) => {
                *self.v6.entry(bits >> 8).or_default() += 1;
                *self.wide.entry(bits >> 16).or_default() += 1;
            }
        }
    }

    /// `unit` is not tracked any more.
    pub(crate) fn remove(&mut self, unit: Unit) {
        match unit {
            Unit::V4(bits) => {
                if let Some(count) = self.count_v4(bits) {
                    *count = count.saturating_sub(1);
                }
            }
            Unit::V6(bits) => {
                less(&mut self.v6, bits >> 8);
                less(&mut self.wide, bits >> 16);
            }
        }
    }

    /// Whether at least `enough` units of `prefix`, a block or wider by at most 8 bits, are tracked.
    pub(crate) fn at_least(&self, prefix: &Prefix, enough: u32) -> bool {
        let length = prefix.length();
        match Unit::of(prefix.address()) {
            Unit::V4(bits) => {
                let Some(Some(page)) = self.v4.get((bits >> 16) as usize) else { return enough == 0 };
                let first = (bits >> 8 & 0xff) as usize;
                let blocks = 1usize << BLOCK_V4.saturating_sub(length).min(8);
                let counts = page.iter().skip(first).take(blocks);
                counts.map(|count| u32::from(*count)).sum::<u32>() >= enough
            }
            Unit::V6(bits) => {
                let wide = self.wide.get(&(bits >> 16)).copied().unwrap_or(0);
                if wide < enough || length <= 48 {
                    return wide >= enough;
                }
                let blocks = 1u64 << BLOCK_V6.saturating_sub(length).min(8);
                let first = bits >> 8;
                let counts = (first..first + blocks).filter_map(|block| self.v6.get(&block));
                counts.sum::<u32>() >= enough
            }
        }
    }

    /// Puts `block` in line, if it does not stand there.
    pub(crate) fn enqueue(&mut self, block: Prefix) {
        if self.waiting.insert(block) {
            self.line.push_back(block);
        }
    }

    /// Takes the first block out of the line.
    pub(crate) fn next(&mut self) -> Option<Prefix> {
        let first = self.line.pop_front()?;
        self.waiting.remove(&first);
        Some(first)
    }

    /// The blocks in line, the first one first.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = Prefix> {
        self.line.iter().copied()
    }

    fn count_v4(&mut self, bits: u32) -> Option<&mut u16> {
        if self.v4.is_empty() {
            self.v4.resize_with(1 << 16, || None);
        }
        let page = self.v4.get_mut((bits >> 16) as usize)?;
        let page = page.get_or_insert_with(|| Box::new([0; PAGE]));
        page.get_mut((bits >> 8 & 0xff) as usize)
    }
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
