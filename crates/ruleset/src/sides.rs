//! The two names of each hash set: one that the rules look at, and one to fill aside.

use crate::SetName;

/// Which of its two names each hash set goes by. The other sets have one name each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sides(u8);

impl Sides {
    /// The name that the rules look at.
    pub fn name(self, set: SetName) -> &'static str {
        self.names(set).0
    }

    /// The name of the one aside; none if `set` has only one name.
    pub fn aside(self, set: SetName) -> Option<&'static str> {
        self.names(set).1
    }

    /// After the rules were turned to the `set` aside.
    #[must_use]
    pub fn turned(self, set: SetName) -> Self {
        Self(self.0 ^ bit(set))
    }

    fn names(self, set: SetName) -> (&'static str, Option<&'static str>) {
        let (first, second) = (set.as_str(), second(set));
        match second {
            Some(second) if self.0 & bit(set) != 0 => (second, Some(first)),
            _ => (first, second),
        }
    }
}

const fn second(set: SetName) -> Option<&'static str> {
    match set {
        SetName::Drop4 => Some("drop4-b"),
        SetName::Drop6 => Some("drop6-b"),
        SetName::Suppress4 => Some("suppress4-b"),
        SetName::Suppress6 => Some("suppress6-b"),
        _ => None,
    }
}

const fn bit(set: SetName) -> u8 {
    match set {
        SetName::Drop4 => 1,
        SetName::Drop6 => 2,
        SetName::Suppress4 => 4,
        SetName::Suppress6 => 8,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use crate::Kind;

    use super::*;

    #[test]
    fn just_the_hash_sets_have_a_side_to_fill() {
        for set in SetName::ALL {
            assert_eq!(Sides::default().name(set), set.as_str());
            assert_eq!(Sides::default().aside(set).is_some(), set.kind() == Kind::Hash, "{set}");
            assert_eq!(bit(set) != 0, set.kind() == Kind::Hash, "{set}");
        }
    }

    #[test]
    fn turning_one_set_turns_no_other_and_turning_twice_leads_back() {
        for set in SetName::HASHED {
            let turned = Sides::default().turned(set);
            assert_eq!(Some(turned.name(set)), Sides::default().aside(set));
            assert_eq!(turned.aside(set), Some(set.as_str()));
            for other in SetName::ALL.into_iter().filter(|other| *other != set) {
                assert_eq!(turned.name(other), other.as_str());
            }
            assert_eq!(turned.turned(set), Sides::default());
        }
    }
}
