//! Transactions against the real kernel: it must judge them as the fake one does.

use std::{net::IpAddr, sync::mpsc, thread, time::Duration};

use crate::lab::{address, in_namespace, run, wait_for};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sekisho_kernel::{
    KernelError, Nft,
    error::Place,
    nft::Features,
    table::{Found, Owner},
};
use sekisho_model::{Change, Key, List, Member, Moment, Prefix, Tier, limits::MAX_ALLOW_TTL};
use sekisho_ruleset::{Element, Fake, Mirror, Op, Range, SetName, Transaction, Ways, element::dump};

/// What two kernels hold is compared without times: the real one's clock runs on.
fn without_times(elements: impl IntoIterator<Item = Element>) -> String {
    dump(elements.into_iter().map(|element| Element { remaining: Duration::ZERO, ..element }))
}

fn held(nft: &mut Nft) -> Vec<Element> {
    SetName::FILLED.iter().flat_map(|set| nft.read_set(*set).unwrap()).collect()
}

fn commit(nft: &mut Nft, text: &str) -> Result<(), KernelError> {
    nft.commit(&text.parse().unwrap(), Ways::DESTROY)
}

fn fresh() -> Nft {
    let mut nft = Nft::open().unwrap();
    nft.remove().unwrap();
    nft.install(Owner::Anybody, &Transaction::default()).unwrap();
    nft
}

/// Prefixes that nest and touch, at both ends of both families and in the middle.
fn prefix() -> impl Strategy<Value = Prefix> {
    (any::<bool>(), 0u8..3, 0u8..16, 0u8..=4).prop_map(|(six, place, low, wider)| {
        let (four_base, six_base) = match place {
            0 => (0, 0),
            1 => (0xcb00_7100, 0x2001_0db8 << 96),
            _ => (u32::MAX - 15, u128::MAX - 15),
        };
        let address = if six {
            IpAddr::V6((six_base + u128::from(low)).into())
        } else {
            IpAddr::V4((four_base + u32::from(low)).into())
        };
        let host = Prefix::host(address);
        host.widened(host.length() - wider)
    })
}

fn change() -> impl Strategy<Value = Change> {
    (prefix(), 0u8..5, any::<bool>(), 50i64..5_000).prop_map(|(prefix, list, put, seconds)| {
        let allow = list == 0;
        let expires = Moment::from_millis(seconds * 1_000);
        let list = match list {
            0 => List::Allow,
            1 | 2 => List::Block(Tier::Suppress),
            _ => List::Block(Tier::Drop),
        };
        if put {
            Change::Put(Member { prefix, list, expires })
        } else {
            Change::Remove(Key { allow, prefix })
        }
    })
}

/// Plays the same deltas to the fake and to the real kernel, and compares them after each.
fn play(nft: &mut Nft, deltas: &[Vec<Change>], ways: Ways) {
    let (mut mirror, mut fake, now) = (Mirror::new(), Fake::installed(), Moment::from_millis(0));
    for changes in deltas {
        let taken: Vec<Change> =
            changes.iter().filter(|change| mirror.plan(&[**change], now).is_ok()).copied().collect();
        let Ok(transaction) = mirror.plan(&taken, now) else { continue };
        fake.commit(&transaction, now).unwrap();
        nft.commit(&transaction, ways).unwrap_or_else(|error| panic!("{error}:\n{transaction}"));
        mirror.apply(&taken);
        let real = held(nft);
        assert_eq!(without_times(real.iter().copied()), without_times(fake.elements(now)), "{transaction}");
        let wanted = fake.elements(now);
        for element in &real {
            let want =
                wanted.iter().find(|want| (want.set, want.range) == (element.set, element.range)).unwrap();
            assert!(element.remaining <= want.remaining, "{element} but {want}");
            assert!(want.remaining - element.remaining < Duration::from_secs(30), "{element} but {want}");
        }
    }
}

fn play_random(ways: Ways) {
    let deltas = prop::collection::vec(prop::collection::vec(change(), 1..12), 1..12);
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let played = runner.run(&deltas, |deltas| {
        play(&mut fresh(), &deltas, ways);
        Ok(())
    });
    played.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn the_real_kernel_holds_what_the_fake_one_holds() {
    in_namespace(|| play_random(Ways::DESTROY));
}

#[test]
fn adding_then_deleting_equals_destroying() {
    in_namespace(|| play_random(Ways::ANY));
}

/// The features of this kernel.
fn features() -> Features {
    Nft::open().unwrap().probe().unwrap()
}

#[test]
fn renewing_equals_removing_and_adding() {
    in_namespace(|| {
        let ways = features().ways;
        play_random(Ways { renews: false, ..ways });
        play_random(ways);
    });
}

#[test]
fn the_probe_tells_what_works_and_changes_nothing() {
    in_namespace(|| {
        let mut nft = fresh();
        let before = run("nft", "list ruleset");
        let found = nft.probe().unwrap();
        assert_eq!(run("nft", "list ruleset"), before);
        assert_eq!(nft.probe().unwrap(), found);
        // What it says holds: a renewal that is the old timeout again counts from now on, too.
        commit(&mut nft, "add element drop4 203.0.113.7 timeout 10s").unwrap();
        let at = address("203.0.113.7");
        wait_for("some time to pass", || {
            (nft.contains(SetName::Drop4, at).unwrap()? < Duration::from_millis(9_800)).then_some(())
        });
        let again = "renew element drop4 203.0.113.7 timeout 10s".parse().unwrap();
        nft.commit(&again, found.ways).unwrap();
        assert!(nft.contains(SetName::Drop4, at).unwrap().unwrap() > Duration::from_millis(9_900));
        assert_eq!(nft.count(SetName::Drop4).unwrap().is_some(), found.counts);
    });
}

#[test]
fn nft_itself_lists_what_we_put() {
    in_namespace(|| {
        let mut nft = fresh();
        let text = "add element drop6 2001:db8::7 timeout 600s\n\
                    add element dropnet4 203.0.113.0/24 timeout 600s\n\
                    add element dropnet4 203.0.114.0-203.0.114.6 timeout 600s\n\
                    add element allow4 0.0.0.0/1 timeout 600s\n\
                    add element allow4 255.255.255.0/24 timeout 600s";
        commit(&mut nft, text).unwrap();
        let list = |set: &str| run("nft", &format!("list set inet sekisho {set}"));
        for (set, wanted) in [
            ("drop6", "2001:db8::7"),
            ("dropnet4", "203.0.113.0/24"),
            ("dropnet4", "203.0.114.0-203.0.114.6"),
            ("allow4", "0.0.0.0/1"),
            ("allow4", "255.255.255.0/24"),
        ] {
            let listed = list(set);
            assert!(listed.contains(&format!("{wanted} timeout 10m expires")), "{wanted} in {listed}");
        }
    });
}

#[test]
fn what_the_kernel_refuses_leaves_everything_as_it_was() {
    in_namespace(|| {
        let mut nft = fresh();
        commit(&mut nft, "add element dropnet4 203.0.113.0/24 timeout 600s").unwrap();
        let before = without_times(held(&mut nft));
        let overlap = "add element drop4 198.51.100.1 timeout 60s\n\
                       add element dropnet4 203.0.113.128-203.0.114.9 timeout 60s\n\
                       add element drop4 198.51.100.2 timeout 60s";
        let refused = commit(&mut nft, overlap).unwrap_err();
        let KernelError::Overlap(Place(Some((set, first)))) = &refused else { panic!("{refused}") };
        assert_eq!((set.as_str(), *first), ("dropnet4", address("203.0.113.128")));
        assert_eq!(without_times(held(&mut nft)), before);
        // The socket is in order afterwards.
        commit(&mut nft, "remove element dropnet4 203.0.113.0/24").unwrap();
        assert_eq!(held(&mut nft), []);
    });
}

#[test]
fn a_missing_table_is_told_and_an_empty_transaction_is_nothing() {
    in_namespace(|| {
        let mut nft = Nft::open().unwrap();
        nft.commit(&Transaction::default(), Ways::DESTROY).unwrap();
        let text = "add element drop4 203.0.113.7 timeout 60s";
        assert!(matches!(commit(&mut nft, text), Err(KernelError::Missing)));
        assert!(matches!(nft.read_set(SetName::Drop4), Err(KernelError::Missing)));
        assert!(matches!(nft.count(SetName::Drop4), Err(KernelError::Missing)));
        assert!(matches!(nft.counters(), Err(KernelError::Missing)));
        assert!(matches!(nft.owner(), Err(KernelError::Missing)));
    });
}

#[test]
fn a_full_set_is_told() {
    in_namespace(|| {
        run("nft", "add table inet sekisho");
        run("nft", "add set inet sekisho drop4 { type ipv4_addr; flags timeout; size 2; }");
        let mut nft = Nft::open().unwrap();
        let ops = addresses(1, 3)
            .map(|range| Op::Add { set: SetName::Drop4, range, timeout: Duration::from_secs(60) })
            .collect();
        let three = Transaction::new(ops).unwrap();
        assert!(matches!(nft.commit(&three, Ways::DESTROY), Err(KernelError::Full(_))));
        assert_eq!(nft.read_set(SetName::Drop4).unwrap(), []);
    });
}

#[test]
fn elements_end_by_themselves() {
    in_namespace(|| {
        let mut nft = fresh();
        let text = "add element drop4 203.0.113.7 timeout 200ms\n\
                    add element dropnet4 203.0.113.0/28 timeout 200ms\n\
                    add element dropnet4 198.51.100.0/24 timeout 600s";
        commit(&mut nft, text).unwrap();
        assert!(nft.contains(SetName::Drop4, address("203.0.113.7")).unwrap().is_some());
        let left = wait_for("two elements to end", || {
            let held = held(&mut nft);
            (held.len() == 1).then_some(held)
        });
        assert_eq!(left[0].range.to_string(), "198.51.100.0/24");
        assert_eq!(nft.contains(SetName::Drop4, address("203.0.113.7")).unwrap(), None);
        // What has ended is out of the way of what overlaps it.
        commit(&mut nft, "add element dropnet4 203.0.113.8/29 timeout 60s").unwrap();
    });
}

#[test]
fn the_shortest_timeout_is_no_timeout_for_ever() {
    in_namespace(|| {
        let mut nft = fresh();
        commit(&mut nft, "add element drop4 203.0.113.7 timeout 1ms").unwrap();
        wait_for("the element to end", || held(&mut nft).is_empty().then_some(()));
    });
}

#[test]
fn the_longest_timeout_is_taken() {
    in_namespace(|| {
        let mut nft = fresh();
        commit(&mut nft, "add element allow4 203.0.113.7 timeout 315360000s").unwrap();
        let left = nft.read_set(SetName::Allow4).unwrap()[0].remaining;
        assert!(left > MAX_ALLOW_TTL - Duration::from_secs(60) && left <= MAX_ALLOW_TTL, "{left:?}");
    });
}

#[test]
fn single_addresses_are_looked_up() {
    in_namespace(|| {
        let mut nft = fresh();
        let text =
            "add element drop6 2001:db8::7 timeout 60s\nadd element dropnet4 203.0.113.0/24 timeout 60s";
        commit(&mut nft, text).unwrap();
        let mut look = |set, text: &str| nft.contains(set, address(text)).unwrap();
        assert!(look(SetName::Drop6, "2001:db8::7").is_some_and(|left| left > Duration::from_secs(30)));
        assert_eq!(look(SetName::Drop6, "2001:db8::8"), None);
        assert!(look(SetName::DropNet4, "203.0.113.0").is_some());
        assert!(look(SetName::DropNet4, "203.0.113.255").is_some());
        assert_eq!(look(SetName::DropNet4, "203.0.114.0"), None);
    });
}

/// `count` addresses from `base` on.
fn addresses(base: u32, count: u32) -> impl Iterator<Item = Range> {
    (base..base + count).map(|bits| Range::single(IpAddr::V4(bits.into())))
}

/// The `index`th of the addresses from `base` on.
fn nth(base: u32, index: u32) -> IpAddr {
    IpAddr::V4((base + index).into())
}

/// Looks at single addresses while a delta swaps all from `OLD` on for all from `NEW` on, and counts
/// the looks before and after it.
fn watch_swap(count: u32, seen: &mpsc::Sender<()>) -> (u32, u32) {
    let mut nft = Nft::open().unwrap();
    let mut has = |base, index| nft.contains(SetName::Drop4, nth(base, index % count)).unwrap().is_some();
    let (mut before, mut after) = (0, 0);
    for step in (0..u32::MAX).map(|step| step.wrapping_mul(7_919)) {
        // The looks come one after the other: once anything is new, nothing may be old any more; and
        // once anything old is gone, everything new must be there.
        let new = has(NEW, step);
        let old = has(OLD, step / 3);
        let new_after = has(NEW, step / 5);
        assert!(!(new && old), "an old one beside a new one");
        assert!(old || new_after, "neither an old one nor a new one");
        assert!(!new || new_after, "a new one is gone again");
        before += u32::from(old);
        after += u32::from(new);
        let _ = seen.send(());
        if after > 1_000 {
            break;
        }
    }
    (before, after)
}

const OLD: u32 = 0x0a00_0000;
const NEW: u32 = 0x0b00_0000;

#[test]
fn a_big_delta_is_seen_as_a_whole_or_not_at_all() {
    const COUNT: u32 = 10_000;
    in_namespace(|| {
        let (set, timeout) = (SetName::Drop4, Duration::from_secs(600));
        let mut nft = fresh();
        let old = addresses(OLD, COUNT).map(|range| Op::Add { set, range, timeout }).collect();
        nft.commit(&Transaction::new(old).unwrap(), Ways::DESTROY).unwrap();
        assert!(matches!(nft.count(set).unwrap(), None | Some(COUNT)));
        let (seen, started) = mpsc::channel();
        // A thread inherits the namespace of the one that starts it.
        let watcher = thread::spawn(move || watch_swap(COUNT, &seen));
        started.recv_timeout(Duration::from_secs(20)).expect("a first look");
        let gone = addresses(OLD, COUNT).map(|range| Op::Remove { set, range });
        let new = addresses(NEW, COUNT).map(|range| Op::Add { set, range, timeout });
        let delta = Transaction::new(gone.chain(new).collect()).unwrap();
        nft.commit(&delta, Ways::DESTROY).unwrap();
        let (before, after) = watcher.join().expect("the watcher");
        assert!(before > 0 && after > 0, "{before} before, {after} after");
    });
}

#[test]
fn a_hundred_thousand_elements_fit_into_one_transaction() {
    in_namespace(|| {
        let (set, timeout) = (SetName::Drop4, Duration::from_secs(600));
        let mut nft = fresh();
        let ops = addresses(0x0a00_0000, 100_000).map(|range| Op::Add { set, range, timeout }).collect();
        nft.commit(&Transaction::new(ops).unwrap(), Ways::DESTROY).unwrap();
        assert!(matches!(nft.count(set).unwrap(), None | Some(100_000)));
        assert!(nft.contains(set, address("10.1.134.159")).unwrap().is_some());
        // The judgement of the table does not list its elements.
        assert_eq!(nft.inspect().unwrap(), (Found::Ours, Vec::new()));
    });
}
