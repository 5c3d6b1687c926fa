//! Whose handshakes get stuck: addresses one by one, or many at once by a rule.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sekisho_model::{Prefix, Unit, never};

use crate::words::{self, Wrong};

/// The units of a statement, for one host after the other.
#[derive(Clone, Debug)]
pub enum Targets {
    /// These, for each host.
    These(Vec<Unit>),
    /// The first so many of a prefix, for each host.
    First(u64, Prefix),
    /// One of a prefix for each host: the next one each time.
    OneEach(Prefix),
    /// So many out of all that are not private, others each time.
    Random(u64),
    /// So many out of a prefix, others each time.
    RandomOf(u64, Prefix),
}

/// What goes on from one use of [`Targets`] to the next.
#[derive(Debug)]
pub struct Progress {
    next: u64,
    random: u64,
}

impl Progress {
    pub fn new() -> Self {
        Self { next: 0, random: 1 }
    }

    /// SplitMix64: every story draws the same numbers each time that it is told.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// `203.0.113.7 203.0.113.8`, `first 97 of PREFIX`, `one each of PREFIX`, `1000 at random [of PREFIX]`.
pub fn read(words: &[&str]) -> Result<Targets, Wrong> {
    match words {
        [] => Err("a unit is missing".to_owned()),
        ["first", count, "of", prefix] => Ok(Targets::First(words::number(count)?, words::prefix(prefix)?)),
        ["one", "each", "of", prefix] => Ok(Targets::OneEach(words::prefix(prefix)?)),
        [count, "at", "random"] => Ok(Targets::Random(words::number(count)?)),
        [count, "at", "random", "of", prefix] => {
            Ok(Targets::RandomOf(words::number(count)?, words::prefix(prefix)?))
        }
        these => these
            .iter()
            .map(|one| words::address(one).map(Unit::of))
            .collect::<Result<_, _>>()
            .map(Targets::These),
    }
}

impl Targets {
    /// The units for the next host.
    pub fn next(&self, progress: &mut Progress) -> Vec<Unit> {
        match self {
            Self::These(units) => units.clone(),
            Self::First(count, prefix) => (1..=*count).map(|number| nth(prefix, number)).collect(),
            Self::OneEach(prefix) => {
                // An odd step meets every address of the prefix once, all over it.
                progress.next += 421;
                vec![nth(prefix, progress.next)]
            }
            Self::Random(count) => (0..*count).map(|_| random_unit(progress)).collect(),
            Self::RandomOf(count, prefix) => (0..*count).map(|_| nth(prefix, progress.draw())).collect(),
        }
    }
}

/// The unit at `number` in `prefix`, counted round and round.
fn nth(prefix: &Prefix, number: u64) -> Unit {
    match prefix.address() {
        IpAddr::V4(first) => {
            let within = u32::MAX.checked_shr(u32::from(prefix.length())).unwrap_or(0);
            let [.., a, b, c, d] = number.to_be_bytes();
            Unit::V4(first.to_bits() | u32::from_be_bytes([a, b, c, d]) & within)
        }
        IpAddr::V6(first) => {
            let size = 1u64 << (64 - prefix.length().min(64)).min(63);
            let bits = first.to_bits() + (u128::from(number % size) << 64);
            Unit::of(IpAddr::V6(Ipv6Addr::from_bits(bits)))
        }
    }
}

/// An IPv4 address that somebody could have, each as likely as the others.
fn random_unit(progress: &mut Progress) -> Unit {
    loop {
        let [a, b, c, d, ..] = progress.draw().to_be_bytes();
        let address = Ipv4Addr::new(a, b, c, d);
        let prefix = Prefix::host(IpAddr::V4(address));
        if !never::is_unlistable(&prefix) && !never::is_private(&prefix) {
            return Unit::V4(address.to_bits());
        }
    }
}
