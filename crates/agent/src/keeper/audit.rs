//! Whether the kernel's sets hold what the mirror says, by their counts and by samples: a listing of a big set would
//! take time with the square of its size.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use sekisho_kernel::KernelError;
use sekisho_model::Moment;
use sekisho_ruleset::{Kind, Mirror, SetName};

use super::door::Door;

/// Difference of two timeouts that is only the time between two readings.
pub(super) const TOLERANCE: Duration = Duration::from_secs(2);
/// How long an element may still be counted after its end: the kernel sweeps now and then.
const SWEPT_WITHIN: Duration = Duration::from_secs(60);

/// How a set differs from what the mirror says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Something is missing.
    pub(super) lacks: bool,
    /// Something is there that should not be.
    pub(super) exceeds: bool,
}

/// The sets that differ, and how, by their counts and by so many `samples` of each.
pub(super) fn differences(
    door: &mut Door,
    mirror: &Mirror,
    now: Moment,
    samples: usize,
) -> Result<Vec<(SetName, Difference)>, KernelError> {
    let early = Moment::from_millis(now.as_millis().saturating_sub(millis(SWEPT_WITHIN)));
    let (least, most) = (counts(mirror, now + TOLERANCE), counts(mirror, early));
    let mut differ = Vec::new();
    for (set, (least, most)) in SetName::FILLED.into_iter().zip(least.into_iter().zip(most)) {
        let mut difference = by_count(door, set, least, most)?;
        difference.lacks = difference.lacks || lacks_a_sample(door, mirror, (set, least), now, samples)?;
        if difference != Difference::default() {
            differ.push((set, difference));
        }
    }
    Ok(differ)
}

fn by_count(door: &mut Door, set: SetName, least: usize, most: usize) -> Result<Difference, KernelError> {
    let Some(held) = door.count(set)? else { return Ok(Difference::default()) };
    Ok(match set.kind() {
        // The kernel counts both ends of an interval; one that ends with the last address has one end. Ended ones are
        // swept when the set is changed, so that there may be any number of them.
        Kind::Interval => Difference { lacks: held < (2 * least).saturating_sub(1), exceeds: false },
        _ => Difference { lacks: held < least, exceeds: held > most },
    })
}

/// How many elements of each set the mirror has that end after `now`.
fn counts(mirror: &Mirror, now: Moment) -> [usize; SetName::FILLED.len()] {
    let mut counted = [0; SetName::FILLED.len()];
    for element in mirror.elements(now) {
        if let Some(place) = SetName::FILLED.iter().position(|set| *set == element.set) {
            counted[place] += 1;
        }
    }
    counted
}

/// Looks some elements up, from all over the set and other ones each time.
fn lacks_a_sample(
    door: &mut Door,
    mirror: &Mirror,
    (set, count): (SetName, usize),
    now: Moment,
    samples: usize,
) -> Result<bool, KernelError> {
    if count == 0 {
        return Ok(false);
    }
    let stride = count.div_ceil(samples);
    let begin = usize::try_from(RandomState::new().hash_one(now.as_millis())).unwrap_or(0) % stride;
    for element in mirror.elements_of(set, now + TOLERANCE).skip(begin).step_by(stride) {
        if door.nft.contains(set, element.range.first())?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
