//! What a delta puts at drop that was not at drop before: its half-open sockets are left over.

use sekisho_model::{Change, Key, List, Member, Prefix, Tier};

use crate::Mirror;

/// The prefixes that are at drop after `changes`, each of another key, and were not in `mirror`.
pub fn newly_dropped(
    mirror: &Mirror,
    changes: impl IntoIterator<Item = Change>,
) -> impl Iterator<Item = Prefix> {
    let is_drop = |member: &Member| member.list == List::Block(Tier::Drop);
    let before = move |prefix| mirror.get(&Key { allow: false, prefix }).as_ref().is_some_and(is_drop);
    changes.into_iter().filter_map(move |change| match change {
        Change::Put(member) if is_drop(&member) && !before(member.prefix) => Some(member.prefix),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use alloc::vec::Vec;

    use sekisho_model::Moment;

    use super::*;

    fn put(prefix: &str, tier: Tier, expires: i64) -> Change {
        let (prefix, list) = (prefix.parse().unwrap(), List::Block(tier));
        Change::Put(Member { prefix, list, expires: Moment::from_millis(expires) })
    }

    #[test]
    fn only_what_was_not_at_drop_is_new() {
        let mut mirror = Mirror::new();
        mirror.apply(&[
            put("203.0.113.1", Tier::Drop, 5),
            put("203.0.113.2", Tier::Suppress, 5),
            put("203.0.113.3", Tier::Drop, 5),
        ]);
        let gone = Key { allow: false, prefix: "203.0.113.5".parse().unwrap() };
        let changes = [
            put("203.0.113.1", Tier::Drop, 9),
            put("203.0.113.2", Tier::Drop, 9),
            put("203.0.113.3", Tier::Suppress, 9),
            put("198.51.100.0/24", Tier::Drop, 9),
            put("198.51.101.0/24", Tier::Suppress, 9),
            Change::Remove(gone),
            Change::Put(Member {
                prefix: "192.0.2.0/24".parse().unwrap(),
                list: List::Allow,
                expires: Moment::from_millis(9),
            }),
        ];
        let new: Vec<_> = newly_dropped(&mirror, changes).map(|new| new.to_string()).collect();
        assert_eq!(new, ["203.0.113.2", "198.51.100.0/24"].map(|text| text.to_string()));
    }
}
