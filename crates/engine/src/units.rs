//! The units of a prefix.

use sekisho_model::{Prefix, Unit};

/// Units in a prefix up to which they are looked up one by one instead of searching through all.
const LOOKED_UP: u64 = 65_536;

/// The units that overlap `prefix`, in order, or `None` when they are too many to look at each of them.
pub(crate) fn units_within(prefix: &Prefix) -> Option<impl Iterator<Item = Unit> + use<>> {
    let (first, last) = (Unit::of(prefix.address()), Unit::of(prefix.last()));
    let bits = |unit| match unit {
        Unit::V4(bits) => u64::from(bits),
        Unit::V6(bits) => bits,
    };
    let (four, first, last) = (matches!(first, Unit::V4(_)), bits(first), bits(last));
    (last - first < LOOKED_UP).then(|| {
        (first..=last).map(move |bits| match u32::try_from(bits) {
            Ok(bits) if four => Unit::V4(bits),
            _ => Unit::V6(bits),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_a_prefix_are_all_there() {
        let count = |text: &str| units_within(&text.parse().unwrap()).map(Iterator::count);
        assert_eq!(
            [count("203.0.113.0/24"), count("203.0.113.7"), count("2001:db8::/56")],
            [Some(256), Some(1), Some(256)]
        );
        assert_eq!(
            [count("2001:db8::1"), count("2001:db8::/48"), count("203.0.0.0/15")],
            [Some(1), Some(65_536), None]
        );
    }
}
