//! Whether the kernel's sets hold what the mirror says, by their counts and by samples: a listing of a big set would
//! take time with the square of its size.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
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

/// How many sets there are.
const SETS: usize = SetName::FILLED.len();
/// A number for each of them.
type Counts = [usize; SETS];

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
    let (least, most) = counts(mirror, now);
    let samples = drawn(mirror, &least, now, samples);
    let mut differ = Vec::new();
    for (place, (least, most)) in least.into_iter().zip(most).enumerate() {
        let (Some(set), Some(drawn)) = (SetName::FILLED.get(place).copied(), samples.get(place)) else {
            continue;
        };
        let mut difference = by_count(door, set, least, most)?;
        difference.lacks = difference.lacks || lacks_one(door, set, drawn)?;
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

/// How many elements each set must hold at `now`, and how many it may: one walk over the list.
fn counts(mirror: &Mirror, now: Moment) -> (Counts, Counts) {
    let early = Moment::from_millis(now.as_millis().saturating_sub(millis(SWEPT_WITHIN)));
    let stays = (now + TOLERANCE).since(early);
    let (mut least, mut most) = (Counts::default(), Counts::default());
    for element in mirror.elements(early) {
        let Some(place) = place(element.set) else { continue };
        most[place] += 1;
        least[place] += usize::from(element.remaining > stays);
    }
    (least, most)
}

/// So many elements of each set, from all over it and other ones each time: one walk over the list.
fn drawn(mirror: &Mirror, counts: &Counts, now: Moment, samples: usize) -> [Vec<IpAddr>; SETS] {
    let strides = counts.map(|count| count.div_ceil(samples).max(1));
    let seed = usize::try_from(RandomState::new().hash_one(now.as_millis())).unwrap_or(0);
    let mut next = strides.map(|stride| seed % stride);
    let mut drawn: [Vec<IpAddr>; SETS] = Default::default();
    for element in mirror.elements(now + TOLERANCE) {
        let Some(place) = place(element.set) else { continue };
        if next[place] == 0 {
            drawn[place].push(element.range.first());
            next[place] = strides[place];
        }
        next[place] -= 1;
    }
    drawn
}

fn place(set: SetName) -> Option<usize> {
    SetName::FILLED.iter().position(|each| *each == set)
}

/// Whether one of these is not there.
fn lacks_one(door: &mut Door, set: SetName, drawn: &[IpAddr]) -> Result<bool, KernelError> {
    for address in drawn {
        if door.nft.contains(set, *address)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
