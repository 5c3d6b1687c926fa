//! Deltas in any order, through transactions, leave the kernel as if it had been filled afresh.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use proptest::prelude::*;
use sekisho_model::{Change, Digest, Key, List, Member, Moment, Prefix, Tier};
use sekisho_ruleset::{Fake, Mirror, Op, Range, RulesetError, SetName, Snapshot, Transaction, diff};

const START: i64 = 1_700_000_000_000;

fn now() -> Moment {
    Moment::from_millis(START)
}

fn member(text: &str, allow: bool, seconds: i64) -> Member {
    let list = if allow { List::Allow } else { List::Block(Tier::Drop) };
    Member { prefix: text.parse().unwrap(), list, expires: Moment::from_millis(START + seconds * 1000) }
}

fn block(text: &str, seconds: i64) -> Change {
    Change::Put(member(text, false, seconds))
}

fn allow(text: &str, seconds: i64) -> Change {
    Change::Put(member(text, true, seconds))
}

/// Blocks live in 203.0.113.0/25 and 2001:db8:0::/48, allowances in the other halves, as the engine
/// keeps them apart; both families' prefixes nest at will.
fn prefix() -> impl Strategy<Value = (Prefix, bool)> {
    (any::<bool>(), any::<bool>(), 0u8..16, 0u8..=3).prop_map(|(six, allow, low, wider)| {
        let address = match (six, allow) {
            (false, _) => IpAddr::V4([203, 0, 113, low + 128 * u8::from(allow)].into()),
            (true, _) => IpAddr::V6([0x2001, 0xdb8, u16::from(allow), 0, 0, 0, 0, u16::from(low)].into()),
        };
        let host = Prefix::host(address);
        (host.widened(host.length() - wider), allow)
    })
}

fn tier() -> impl Strategy<Value = Tier> {
    prop_oneof![Just(Tier::Suppress), Just(Tier::Drop)]
}

fn change() -> impl Strategy<Value = Change> {
    (prefix(), tier(), any::<bool>(), -2i64..40).prop_map(|((prefix, allow), tier, put, seconds)| {
        let list = if allow { List::Allow } else { List::Block(tier) };
        let member = Member { prefix, list, expires: Moment::from_millis(START + seconds * 500) };
        if put { Change::Put(member) } else { Change::Remove(member.key()) }
    })
}

/// Changes about single addresses on the blocklist.
fn single() -> impl Strategy<Value = Change> {
    change().prop_filter("a block", |change| !change.key().allow).prop_map(|change| {
        let prefix = Prefix::host(change.key().prefix.address());
        match change {
            Change::Put(member) => Change::Put(Member { prefix, ..member }),
            Change::Remove(key) => Change::Remove(Key { prefix, ..key }),
        }
    })
}

/// What a mirror takes of these changes.
fn taken(changes: Vec<Change>) -> Mirror {
    let mut mirror = Mirror::new();
    for change in changes {
        if mirror.plan(&[change], now()).is_ok() {
            mirror.apply(&[change]);
        }
    }
    mirror
}

fn snapshot(mirror: &Mirror) -> Snapshot {
    Snapshot::of(mirror.members().collect(), mirror.digest()).unwrap()
}

fn filled(mirror: &Mirror, now: Moment) -> String {
    let mut fake = Fake::installed();
    fake.commit(&mirror.fill(now), now).unwrap();
    fake.dump(now)
}

proptest! {
    #[test]
    fn steps_equal_the_whole(deltas in prop::collection::vec((prop::collection::vec(change(), 1..8), 0u64..900), 1..20)) {
        let (mut mirror, mut fake, mut now) = (Mirror::new(), Fake::installed(), now());
        let mut members: BTreeMap<Key, Member> = BTreeMap::new();
        for (changes, wait) in deltas {
            now = now + Duration::from_millis(wait);
            // What the mirror refuses, it must refuse for a reason, and be as it was.
            let transaction = match mirror.plan(&changes, now) {
                Ok(transaction) => transaction,
                Err(refused) => {
                    prop_assert!(matches!(refused, RulesetError::Overlap { .. }), "{refused}");
                    continue;
                }
            };
            fake.commit(&transaction, now).unwrap();
            mirror.apply(&changes);
            for change in &changes {
                match change {
                    Change::Put(member) => members.insert(member.key(), *member),
                    Change::Remove(key) => members.remove(key),
                };
            }
            prop_assert_eq!(fake.dump(now), filled(&mirror, now));
            prop_assert!(mirror.members().eq(members.values().copied()));
            prop_assert_eq!(mirror.digest(), Digest::of(members.values()));
            prop_assert_eq!(transaction.to_string().parse::<Transaction>().unwrap(), transaction);
        }
    }

    #[test]
    fn a_found_table_is_brought_to_what_is_wanted(
        found in prop::collection::vec(change(), 0..20), wanted in prop::collection::vec(change(), 0..20)
    ) {
        let (mut held, mirror) = (taken(found), taken(wanted));
        let mut fake = Fake::installed();
        fake.commit(&held.fill(now()), now()).unwrap();
        let transaction = diff(&fake.elements(now()), &mirror, now(), Duration::ZERO);
        fake.commit(&transaction, now()).unwrap();
        prop_assert_eq!(fake.dump(now()), filled(&mirror, now()));
        prop_assert!(diff(&fake.elements(now()), &mirror, now(), Duration::ZERO).is_empty());
        // A snapshot comes down to the same.
        let wanted = snapshot(&mirror);
        let changes: Vec<Change> = held.changes_to(&wanted).collect();
        prop_assert!(changes.is_sorted_by_key(Change::key));
        held.plan(&changes, now()).unwrap();
        let undo = held.undo(&changes);
        let before = held.digest();
        held.apply(&changes);
        prop_assert_eq!(held.digest(), mirror.digest());
        prop_assert_eq!(held.changes_to(&wanted).next(), None);
        held.apply(&undo);
        prop_assert_eq!(held.digest(), before);
        held.become_of(wanted);
        prop_assert!(held.members().eq(mirror.members()));
        prop_assert_eq!(held.digest(), mirror.digest());
        prop_assert_eq!(filled(&held, now()), filled(&mirror, now()));
    }

    #[test]
    fn a_snapshot_in_fresh_hash_sets_equals_the_whole(
        found in prop::collection::vec(change(), 0..20), wanted in prop::collection::vec(change(), 0..20)
    ) {
        let (held, mirror) = (taken(found), taken(wanted));
        let mut fake = Fake::installed();
        fake.commit(&held.fill(now()), now()).unwrap();
        let snapshot = snapshot(&mirror);
        let fresh = SetName::HASHED;
        let elements = fresh.iter().flat_map(|set| snapshot.elements(*set, now()));
        let whole = Transaction::refill(&fresh, elements).then(held.plan_ranges(&snapshot, now()));
        fake.commit(&whole, now()).unwrap();
        prop_assert_eq!(fake.dump(now()), filled(&mirror, now()));
        for set in SetName::FILLED {
            prop_assert!(snapshot.elements(set, now()).eq(mirror.elements_of(set, now())));
        }
    }

    #[test]
    fn a_kernel_that_is_ahead_is_brought_in_line_by_the_net_effect(
        deltas in prop::collection::vec(prop::collection::vec(single(), 1..8), 1..6), ahead in 0usize..5
    ) {
        let mut remembered = Mirror::new();
        let (mut mirror, mut fake) = (Mirror::new(), Fake::installed());
        let mut since: BTreeMap<Key, Change> = BTreeMap::new();
        let kept = deltas.len().saturating_sub(ahead);
        for (n, changes) in deltas.into_iter().enumerate() {
            fake.commit(&mirror.plan(&changes, now()).unwrap(), now()).unwrap();
            mirror.apply(&changes);
            if n < kept {
                remembered.apply(&changes);
            } else {
                since.extend(changes.iter().map(|change| (change.key(), *change)));
            }
        }
        let net: Vec<Change> = since.into_values().collect();
        fake.commit(&remembered.plan_ahead(&net, now()).unwrap(), now()).unwrap();
        prop_assert_eq!(fake.dump(now()), filled(&mirror, now()));
    }
}

/// Whether lists are such that a kernel takes them, by comparing each with each.
fn sound(members: &BTreeMap<Key, Member>) -> bool {
    let pairs = members.values().flat_map(|a| members.values().map(move |b| (a, b)));
    pairs.filter(|(a, b)| a.key() < b.key()).all(|(a, b)| {
        let both_allowed = a.list == List::Allow && b.list == List::Allow;
        both_allowed || !a.prefix.overlaps(&b.prefix)
    })
}

/// Changes to lists that share all their addresses, so that nearly everything is in the way of
/// something.
fn crowded() -> impl Strategy<Value = Change> {
    (change(), tier(), 0u8..4).prop_map(|(change, tier, list)| {
        let key = Key { allow: list == 0, prefix: change.key().prefix };
        match change {
            Change::Put(member) if key.allow => Change::Put(Member { list: List::Allow, ..member }),
            Change::Put(member) => Change::Put(Member { list: List::Block(tier), ..member }),
            Change::Remove(_) => Change::Remove(key),
        }
    })
}

proptest! {
    #[test]
    fn just_what_a_kernel_would_refuse_is_refused(
        deltas in prop::collection::vec(prop::collection::vec(crowded(), 1..6), 1..20)
    ) {
        let mut mirror = Mirror::new();
        let mut members: BTreeMap<Key, Member> = BTreeMap::new();
        for changes in deltas {
            let mut after = members.clone();
            for change in &changes {
                match change {
                    Change::Put(member) => after.insert(member.key(), *member),
                    Change::Remove(key) => after.remove(key),
                };
            }
            prop_assert_eq!(mirror.plan(&changes, now()).is_ok(), sound(&after), "{:?} onto {:?}", changes, members);
            prop_assert_eq!(Mirror::of(after.values().copied()).is_ok(), sound(&after));
            if sound(&after) {
                mirror.apply(&changes);
                members = after;
            }
        }
    }

    #[test]
    fn any_text_is_taken(text in ".*", words in "(add|remove) element [a-z0-9]{1,8} [0-9a-f:./-]{1,20}( timeout [0-9]{1,20}m?s)?") {
        let _ = text.parse::<Transaction>();
        let _ = words.parse::<Transaction>();
    }
}

#[test]
fn for_ever_is_as_long_as_anything_may_last() {
    let member = Member { expires: Moment::MAX, ..member("203.0.113.7", true, 0) };
    let transaction = Mirror::of([member]).unwrap().fill(now());
    assert_eq!(transaction.to_string(), "add element allow4 203.0.113.7 timeout 315360000s\n");
}

#[test]
fn a_delta_has_the_expected_text() {
    let mut mirror = Mirror::new();
    let changes = [block("203.0.113.7", 600), block("198.51.100.0/24", 60), block("2001:db8::1", 5)];
    let text = mirror.plan(&changes, now()).unwrap().to_string();
    assert_eq!(
        text,
        "add element drop4 203.0.113.7 timeout 600s\n\
         add element drop6 2001:db8::1 timeout 5s\n\
         add element dropnet4 198.51.100.0/24 timeout 60s\n"
    );
    mirror.apply(&changes);
    let later = now() + Duration::from_millis(1_500);
    let again = [block("203.0.113.7", 700), Change::Remove(changes[1].key()), block("2001:db8::1", 5)];
    assert_eq!(
        mirror.plan(&again, later).unwrap().to_string(),
        "remove element dropnet4 198.51.100.0/24\n\
         renew element drop4 203.0.113.7 timeout 698500ms\n"
    );
}

fn at(tier: Tier, change: Change) -> Change {
    match change {
        Change::Put(member) => Change::Put(Member { list: List::Block(tier), ..member }),
        removed @ Change::Remove(_) => removed,
    }
}

#[test]
fn an_entry_moves_between_the_tiers_in_one_transaction() {
    let both = [block("203.0.113.7", 600), block("198.51.100.0/24", 600), block("2001:db8:1::/64", 600)];
    let gentle = both.map(|change| at(Tier::Suppress, change));
    let mut mirror = Mirror::new();
    mirror.apply(&both);
    assert_eq!(
        mirror.plan(&gentle, now()).unwrap().to_string(),
        "remove element drop4 203.0.113.7\n\
         remove element dropnet4 198.51.100.0/24\n\
         remove element dropnet6 2001:db8:1::/64\n\
         add element suppress4 203.0.113.7 timeout 600s\n\
         add element suppressnet4 198.51.100.0/24 timeout 600s\n\
         add element suppressnet6 2001:db8:1::/64 timeout 600s\n"
    );
    mirror.apply(&gentle);
    assert_eq!(mirror.len(), 3);
    assert_eq!(
        mirror.block_at(&"198.51.100.9".parse().unwrap()),
        Some(("198.51.100.0/24".parse().unwrap(), Tier::Suppress))
    );
    // The two tiers share one list: what one holds is in the way of the other.
    let inside = at(Tier::Drop, block("198.51.100.9", 60));
    assert!(matches!(mirror.plan(&[inside], now()).unwrap_err(), RulesetError::Overlap { .. }));
    // Wherever an address is that this mirror may lack, it goes.
    let gone = mirror.plan(&[Change::Remove(both[0].key())], now()).unwrap();
    assert_eq!(gone.to_string(), "remove element drop4 203.0.113.7\nremove element suppress4 203.0.113.7\n");
}

#[test]
fn entries_are_walked_in_order_from_anywhere() {
    let changes = [block("203.0.113.7", 60), block("198.51.100.0/24", 60), block("2001:db8::/64", 60)];
    let mut mirror = Mirror::new();
    mirror.apply(&changes);
    let names = |from: Option<&str>| -> Vec<String> {
        mirror.blocks_after(from.map(|text| text.parse().unwrap())).map(|prefix| prefix.to_string()).collect()
    };
    assert_eq!(names(None), ["198.51.100.0/24", "203.0.113.7", "2001:db8::/64"]);
    assert_eq!(names(Some("198.51.100.0/24")), ["203.0.113.7", "2001:db8::/64"]);
    assert_eq!(names(Some("203.0.113.0/24")), ["203.0.113.7", "2001:db8::/64"]);
    assert!(names(Some("2001:db8::/64")).is_empty());
    assert_eq!(mirror.block_at(&"192.0.2.1".parse().unwrap()), None);
}

#[test]
fn nothing_ended_is_added_and_nothing_stays_for_ever() {
    let mirror = Mirror::of([member("203.0.113.7", false, 1)]).unwrap();
    assert!(mirror.fill(now() + Duration::from_secs(1)).is_empty());
    let transaction = mirror.fill(now() + Duration::from_millis(999));
    assert_eq!(transaction.to_string(), "add element drop4 203.0.113.7 timeout 1ms\n");
}

#[test]
fn what_overlaps_is_refused() {
    let mut mirror =
        Mirror::of([member("203.0.113.0/28", false, 60), member("198.51.100.0/24", true, 60)]).unwrap();
    let refuse = |mirror: &Mirror, change| mirror.plan(&[change], now()).unwrap_err();
    for text in ["203.0.113.7", "203.0.113.0/24", "203.0.113.0/29"] {
        assert!(matches!(refuse(&mirror, block(text, 60)), RulesetError::Overlap { .. }), "{text}");
    }
    for text in ["198.51.100.7", "198.51.0.0/16", "198.51.100.0/24"] {
        assert!(matches!(refuse(&mirror, block(text, 60)), RulesetError::Allowlisted { .. }), "{text}");
    }
    for text in ["203.0.113.7", "203.0.0.0/16", "203.0.113.0/28"] {
        assert!(matches!(refuse(&mirror, allow(text, 60)), RulesetError::Allowlisted { .. }), "{text}");
    }
    // In one delta with the removal of what is in the way all of it is fine.
    let removed = Change::Remove(Key { allow: false, prefix: "203.0.113.0/28".parse().unwrap() });
    let changes = [removed, block("203.0.113.7", 60), allow("203.0.113.8/29", 60)];
    mirror.plan(&changes, now()).unwrap();
    mirror.apply(&changes);
    assert_eq!(mirror.len(), 3);
}

#[test]
fn an_allowance_outlives_the_wider_one_around_it() {
    let wide = [allow("203.0.113.0/24", 60), allow("203.0.113.7", 30)];
    let mut mirror = Mirror::new();
    let mut fake = Fake::installed();
    fake.commit(&mirror.plan(&wide, now()).unwrap(), now()).unwrap();
    mirror.apply(&wide);
    assert_eq!(fake.dump(now()), "allow4 203.0.113.0/24 expires 60s\n");
    let removed = [Change::Remove(wide[0].key())];
    fake.commit(&mirror.plan(&removed, now()).unwrap(), now()).unwrap();
    mirror.apply(&removed);
    assert_eq!(fake.dump(now()), "allow4 203.0.113.7 expires 30s\n");
}

#[test]
fn a_wider_allowance_that_ends_leaves_the_longer_one_inside() {
    let both = [allow("203.0.113.0/30", 30), allow("203.0.113.1", 60)];
    let mirror = Mirror::of(both.map(|change| match change {
        Change::Put(member) => member,
        Change::Remove(_) => unreachable!("both are put"),
    }))
    .unwrap();
    let mut fake = Fake::installed();
    fake.commit(&mirror.fill(now()), now()).unwrap();
    assert_eq!(fake.dump(now() + Duration::from_secs(30)), "allow4 203.0.113.1 expires 30s\n");
}

#[test]
fn a_table_found_with_times_close_by_is_left_alone() {
    let mirror = Mirror::of([member("203.0.113.7", false, 60)]).unwrap();
    let mut held: Vec<_> = mirror.elements(now() + Duration::from_millis(400)).collect();
    assert!(diff(&held, &mirror, now(), Duration::from_secs(1)).is_empty());
    let stray = Range::single("203.0.113.9".parse().unwrap());
    held.push(sekisho_ruleset::Element {
        set: SetName::Drop4,
        range: stray,
        remaining: Duration::from_secs(5),
    });
    let transaction = diff(&held, &mirror, now(), Duration::from_secs(1));
    assert_eq!(transaction.ops(), [Op::Remove { set: SetName::Drop4, range: stray }]);
}
