//! What goes wrong in the middle: nothing half-applied stays, what cannot be done is said, and the keeper goes on.

use std::{
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use sekisho_agent::keeper::Verdict;
use sekisho_kernel::{Found, KernelError, Nft};
use sekisho_model::{Change, List, Prefix, Tier};
use sekisho_ruleset::{Op, Range, SetName, Transaction, Ways};

use crate::{
    feed::{AT_ONCE, Feed, agree, block, keeper, kernel, put, taken, unblock},
    place::{Stop, again, in_namespace, in_poor_namespace, run, told, try_run, wait_for},
};

/// More than one transaction takes.
const MANY: u32 = 2 * AT_ONCE;

#[test]
fn flushes_between_and_amid_deltas_are_got_over() {
    in_namespace("faults::flushes_between_and_amid_deltas_are_got_over", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
        feed.change(&block(0..1_000));
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        let (stop, flushes) = (Stop::default(), AtomicU32::new(0));
        thread::scope(|scope| {
            let end = stop.at_the_end();
            scope.spawn(|| {
                while !stop.is_set() {
                    flushes.fetch_add(u32::from(try_run("nft", "flush ruleset").0), Ordering::Relaxed);
                }
            });
            let mut n = 0;
            wait_for("many deltas and many flushes", || {
                let mut changes = block(1_000 + 20 * n..1_020 + 20 * n);
                changes.extend(unblock(20 * n..20 * n + 20));
                let mut verdict = feed.send(&mut keeper, &changes);
                n += 1;
                wait_for("it to be in force", || {
                    if matches!(verdict, Verdict::Going(_)) {
                        return Some(());
                    }
                    feed.welcome(&mut keeper);
                    verdict = feed.snapshot(&mut keeper);
                    None
                });
                (n > 300 && flushes.load(Ordering::Relaxed) > 50).then_some(())
            });
            drop(end);
        });
        keeper.check().unwrap();
        agree(&feed);
        assert!(keeper.counts().repairs > 0);
    });
}

/// Makes the table anew with a set that takes fewer elements, as nobody but a test does.
fn shrink(dir: &Path, set: &str, size: u32) {
    let table = run("nft", "list table inet sekisho");
    let (before, after) = table.split_once(&format!("set {set} {{")).expect("the set");
    let whole = format!("size {}", SetName::Drop4.size().expect("a size"));
    let text = format!("{before}set {set} {{{}", after.replacen(&whole, &format!("size {size}"), 1));
    let path = dir.join("shrunk.nft");
    std::fs::write(&path, format!("delete table inet sekisho\n{text}")).unwrap();
    run("nft", &format!("-f {}", path.display()));
}

#[test]
fn a_full_set_is_said_and_leaves_everything_as_it_was() {
    in_namespace("faults::a_full_set_is_said_and_leaves_everything_as_it_was", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
        feed.change(&block(0..50));
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        shrink(dir.path(), "drop4", 100);
        let held = || {
            let mut nft = Nft::open().unwrap();
            let mut held: Vec<String> =
                nft.read_set(SetName::Drop4).unwrap().iter().map(|each| each.range.to_string()).collect();
            held.sort();
            (held, nft.read_set(SetName::DropNet4).unwrap().len())
        };
        let before = held();
        assert_eq!(before.0.len(), 50);
        // Ranges go first: they must not stay alone.
        let mut changes = block(50..250);
        changes.extend(put(["203.0.113.0/24".parse().unwrap()], List::Block(Tier::Drop)));
        changes.extend(unblock(0..5));
        let Verdict::Over(answer) = feed.send(&mut keeper, &changes) else { panic!("it was taken") };
        let answer = format!("{answer:?}");
        assert!(answer.contains("is full") && answer.contains("set drop4"), "{answer}");
        assert_eq!(held(), before);
        assert_eq!(keeper.counts().refusals, 1);
        // A set of the wrong size is an edit, which the next look undoes; then all of it fits.
        keeper.check().unwrap();
        assert_eq!(held(), before);
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        agree(&feed);
    });
}

#[test]
fn a_writer_every_millisecond_is_no_obstacle() {
    in_namespace("faults::a_writer_every_millisecond_is_no_obstacle", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
        feed.welcome(&mut keeper);
        let (stop, wrote) = (Stop::default(), AtomicU32::new(0));
        thread::scope(|scope| {
            let end = stop.at_the_end();
            scope.spawn(|| {
                let mut other = Nft::open().unwrap();
                while !stop.is_set() {
                    // A table of another name, with sets and elements: six transactions.
                    other.probe().unwrap();
                    wrote.fetch_add(6, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(1));
                }
            });
            feed.change(&block(0..MANY));
            taken(&feed.snapshot(&mut keeper));
            let mut n = MANY;
            wait_for("the other one to have written much", || {
                taken(&feed.send(&mut keeper, &block(n..n + 3)));
                keeper.check().unwrap();
                n += 3;
                (n > MANY + 600 && wrote.load(Ordering::Relaxed) > 1_000).then_some(())
            });
            drop(end);
        });
        assert_eq!((keeper.counts().repairs, keeper.counts().refusals), (0, 0));
        agree(&feed);
    });
}

/// IPv6 hosts, which take the most room.
fn six(numbers: std::ops::Range<u128>) -> Vec<Change> {
    let host = |n: u128| Prefix::host(std::net::IpAddr::V6(((0x2001_0db8 << 96) + n).into()));
    put(numbers.map(host), List::Block(Tier::Drop))
}

/// In a user namespace the send buffer cannot be made larger than the host allows everybody.
#[test]
fn a_small_send_buffer_is_made_do_with() {
    in_poor_namespace("faults::a_small_send_buffer_is_made_do_with", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
        let most: u32 =
            std::fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap().trim().parse().unwrap();
        let ops = (0..most / 8).map(|n| Op::Add {
            set: SetName::Drop4,
            range: Range::single(std::net::IpAddr::V4(n.into())),
            timeout: Duration::from_secs(60),
        });
        let refused = kernel().commit(&Transaction::new(ops.collect()).unwrap(), Ways::ANY).unwrap_err();
        assert!(matches!(refused, KernelError::TooLarge(_)), "{refused}");
        assert_eq!(kernel().read_set(SetName::Drop4).unwrap(), []);
        feed.change(&[block(0..MANY), six(0..20_000)].concat());
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        agree(&feed);
        // As much as a delta may have without being filled aside.
        taken(&feed.send(&mut keeper, &six(20_000..20_000 + u128::from(AT_ONCE))));
        agree(&feed);
        assert_eq!(keeper.counts().refusals, 0);
    });
}

/// Puts a little in force in `dir`, and then more than can be in it before this process is killed.
fn fill_until_killed(dir: &Path) {
    let (mut feed, mut keeper) = (Feed::default(), keeper(dir, true));
    feed.change(&block(0..100));
    feed.welcome(&mut keeper);
    taken(&feed.snapshot(&mut keeper));
    feed.change(&block(100..1_000_000));
    feed.welcome(&mut keeper);
    taken(&feed.snapshot(&mut keeper));
}

#[test]
fn a_kill_amid_a_filling_leaves_what_was_in_force() {
    let name = "faults::a_kill_amid_a_filling_leaves_what_was_in_force";
    in_namespace(name, || {
        if let Some(dir) = told() {
            fill_until_killed(&dir);
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut child = again(name, dir.path());
        let mut nft = Nft::open().unwrap();
        wait_for("a set to be filled aside", || {
            let (_, asides) = nft.inspect().ok()?;
            (!asides.is_empty()).then_some(())
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let (found, asides) = nft.inspect().unwrap();
        assert_eq!((found, asides), (Found::Ours, vec![SetName::Drop4]));
        let mut feed = Feed::default();
        feed.change(&block(0..100));
        agree(&feed);
        let started = keeper(dir.path(), true);
        assert_eq!(nft.inspect().unwrap(), (Found::Ours, Vec::new()));
        agree(&feed);
        assert_eq!(started.counts().repairs, 0);
    });
}
