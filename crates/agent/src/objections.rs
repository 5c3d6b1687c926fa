//! The entries that are enforced here though this host has connections with honest clients there: what is looked
//! at in which order, and what was said.

use std::collections::BTreeSet;

use sekisho_model::{Change, Completed, List, Prefix};
use sekisho_observe::Turns;
use sekisho_ruleset::Mirror;

/// Of one agent's list.
#[derive(Debug, Default)]
pub struct Objections {
    turns: Turns<Prefix>,
    /// Entries of the list that the log has named already.
    said: BTreeSet<Prefix>,
}

impl Objections {
    /// Takes in what is about to change in `mirror`.
    pub fn before(&mut self, changes: impl IntoIterator<Item = Change>, mirror: &Mirror) {
        for change in changes.into_iter().filter(|change| !change.key().allow) {
            let key = change.key();
            let Change::Put(member) = change else {
                self.said.remove(&key.prefix);
                continue;
            };
            let same = |old: sekisho_model::Member| old.list == member.list;
            if member.list != List::Allow && !mirror.get(&key).is_some_and(same) {
                self.turns.came(key.prefix);
            }
        }
    }

    /// Takes in that `mirror` has become another list.
    pub fn after(&mut self, mirror: &Mirror) {
        self.said.retain(|prefix| mirror.block_at(prefix).is_some_and(|(entry, _)| entry == *prefix));
    }

    /// The next `limit` entries of the blocklist to look at: new ones and those with a new tier first, then one
    /// after the other.
    pub fn next(&mut self, limit: usize, mirror: &Mirror) -> Vec<Prefix> {
        let holds = |prefix: &Prefix| mirror.block_at(prefix).is_some_and(|(entry, _)| entry == *prefix);
        self.turns.next(limit, holds, |after| mirror.blocks_after(after))
    }

    /// Says once for each entry that this host knows better.
    pub fn object(&mut self, found: &[Completed], mirror: &Mirror) {
        for Completed { unit, connections } in found {
            let Some((entry, tier)) = mirror.block_at(&unit.prefix()) else { continue };
            if self.said.insert(entry) {
                tracing::warn!(
                    %entry, %tier, unit = %unit.prefix(), connections,
                    "this host has completed connections with what is listed; the aggregator is told"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sekisho_model::{Key, Member, Moment, Tier, Unit};

    use super::*;

    fn put(text: &str, tier: Tier) -> Change {
        let (prefix, list) = (text.parse().unwrap(), List::Block(tier));
        Change::Put(Member { prefix, list, expires: Moment::MAX })
    }

    fn apply(objections: &mut Objections, mirror: &mut Mirror, changes: &[Change]) {
        objections.before(changes.iter().copied(), mirror);
        mirror.apply(changes);
    }

    fn next(objections: &mut Objections, mirror: &Mirror, limit: usize) -> Vec<String> {
        objections.next(limit, mirror).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn new_entries_and_new_tiers_are_looked_at_first() {
        let (mut objections, mut mirror) = (Objections::default(), Mirror::new());
        let old: Vec<Change> = (0..20).map(|n| put(&format!("203.0.113.{n}"), Tier::Drop)).collect();
        apply(&mut objections, &mut mirror, &old);
        assert_eq!(next(&mut objections, &mirror, 100).len(), 20);
        let news = [put("198.51.100.0/24", Tier::Suppress), put("203.0.113.9", Tier::Suppress)];
        apply(&mut objections, &mut mirror, &news);
        // The same again, only later: nothing new.
        apply(&mut objections, &mut mirror, &[put("203.0.113.4", Tier::Drop)]);
        assert_eq!(next(&mut objections, &mirror, 2), ["203.0.113.9", "198.51.100.0/24"]);
        assert_eq!(next(&mut objections, &mirror, 2), ["198.51.100.0/24", "203.0.113.0"]);
    }

    #[test]
    fn an_entry_is_named_once_for_as_long_as_it_is_listed() {
        let (mut objections, mut mirror) = (Objections::default(), Mirror::new());
        let listed = [put("203.0.113.0/24", Tier::Suppress)];
        apply(&mut objections, &mut mirror, &listed);
        let found = |text: &str| [Completed { unit: Unit::of(text.parse().unwrap()), connections: 2 }];
        objections.object(&found("192.0.2.1"), &mirror);
        assert!(objections.said.is_empty());
        objections.object(&found("203.0.113.7"), &mirror);
        objections.object(&found("203.0.113.8"), &mirror);
        assert_eq!(objections.said.len(), 1);
        let gone = Key { allow: false, prefix: "203.0.113.0/24".parse().unwrap() };
        apply(&mut objections, &mut mirror, &[Change::Remove(gone)]);
        assert!(objections.said.is_empty());
    }
}
