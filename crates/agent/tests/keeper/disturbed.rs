//! Others at work on the firewall: what is listed is in force again, whatever they did and whenever.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use sekisho_kernel::Nft;
use sekisho_ruleset::{SetName, Ways};

use crate::{
    feed::{AT_ONCE, Feed, agree, block, keeper, kernel, taken, unblock},
    place::{Stop, in_namespace, run, try_run, wait_for},
};

/// More than one transaction takes.
const MANY: u32 = 2 * AT_ONCE;

#[test]
fn whatever_is_done_to_the_table_is_undone() {
    in_namespace("disturbed::whatever_is_done_to_the_table_is_undone", || {
        for size in [100, MANY] {
            let dir = tempfile::tempdir().unwrap();
            let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
            feed.change(&block(0..size));
            feed.welcome(&mut keeper);
            taken(&feed.snapshot(&mut keeper));
            let edits = [
                "flush ruleset",
                "delete table inet sekisho",
                "flush set inet sekisho NAME",
                "flush chain inet sekisho syn",
                "flush table inet sekisho",
                "add chain inet sekisho theirs",
                "add element inet sekisho NAME { 192.0.2.9 timeout 1h }",
                "delete element inet sekisho NAME { 10.0.0.9 }",
                "insert rule inet sekisho syn accept",
            ];
            for (n, edit) in edits.into_iter().enumerate() {
                // In big sets single elements are noticed only by their number.
                let name = kernel().sides().name(SetName::Drop4);
                run("nft", &edit.replace("NAME", name));
                keeper.check().unwrap();
                agree(&feed);
                assert_eq!(keeper.counts().repairs, n as u64 + 1, "{edit} at {size}");
                keeper.check().unwrap();
            }
            keeper.flush().unwrap();
        }
    });
}

#[test]
fn a_delta_onto_a_flushed_table_puts_all_back() {
    in_namespace("disturbed::a_delta_onto_a_flushed_table_puts_all_back", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
        feed.change(&block(0..MANY));
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        run("nft", "flush ruleset");
        taken(&feed.send(&mut keeper, &block(MANY..MANY + 3)));
        agree(&feed);
        run("nft", "flush ruleset");
        taken(&feed.send(&mut keeper, &unblock(0..MANY - 5)));
        agree(&feed);
        assert_eq!(keeper.counts().repairs, 2);
        // A stranger's range is in the way of one of ours.
        run("nft", "add element inet sekisho dropnet4 { 20.1.0.0/25 timeout 1h }");
        let wider = crate::feed::put(
            ["20.1.0.0/24".parse().unwrap()],
            sekisho_model::List::Block(sekisho_model::Tier::Drop),
        );
        taken(&feed.send(&mut keeper, &wider));
        agree(&feed);
        assert_eq!(keeper.counts().repairs, 3);
    });
}

#[test]
fn flushes_in_the_middle_of_fillings_are_got_over() {
    in_namespace("disturbed::flushes_in_the_middle_of_fillings_are_got_over", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
        feed.welcome(&mut keeper);
        let (stop, flushes) = (Stop::default(), AtomicU32::new(0));
        thread::scope(|scope| {
            let end = stop.at_the_end();
            scope.spawn(|| {
                while !stop.is_set() {
                    flushes.fetch_add(u32::from(try_run("nft", "flush ruleset").0), Ordering::Relaxed);
                    // A filling takes some 20 ms here: now it is hit, now it is not.
                    thread::sleep(Duration::from_millis(61));
                }
            });
            let mut refusals = 0;
            for from in (0..60 * MANY).step_by(MANY as usize) {
                feed.change(&unblock(from.saturating_sub(MANY)..from));
                feed.change(&block(from..from + MANY));
                // What is refused is as if it had not been sent: a snapshot comes again.
                wait_for("a snapshot to be in force", || {
                    feed.welcome(&mut keeper);
                    let taken =
                        matches!(feed.snapshot(&mut keeper), sekisho_agent::keeper::Verdict::Going(_));
                    refusals += u32::from(!taken);
                    taken.then_some(())
                });
            }
            drop(end);
            assert!(refusals < 600, "{refusals}");
        });
        assert!(flushes.load(Ordering::Relaxed) > 3);
        keeper.check().unwrap();
        agree(&feed);
    });
}

#[test]
fn another_writer_all_the_time_keeps_nothing_from_being_put_in_force() {
    in_namespace("disturbed::another_writer_all_the_time_keeps_nothing_from_being_put_in_force", || {
        let dir = tempfile::tempdir().unwrap();
        run("nft", "add table inet other");
        run("nft", "add set inet other things { type ipv4_addr; }");
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
        feed.welcome(&mut keeper);
        let (stop, wrote) = (Stop::default(), AtomicU32::new(0));
        thread::scope(|scope| {
            let end = stop.at_the_end();
            scope.spawn(|| {
                while !stop.is_set() {
                    run("nft", "add element inet other things { 192.0.2.1 }");
                    run("nft", "delete element inet other things { 192.0.2.1 }");
                    wrote.fetch_add(2, Ordering::Relaxed);
                }
            });
            feed.change(&block(0..MANY));
            taken(&feed.snapshot(&mut keeper));
            for n in 0..300u32 {
                taken(&feed.send(&mut keeper, &block(MANY + n..MANY + n + 1)));
                keeper.check().unwrap();
            }
            let mut n = 300;
            wait_for("the other one to have written much", || {
                n += 1;
                taken(&feed.send(&mut keeper, &block(MANY + n..MANY + n + 1)));
                keeper.check().unwrap();
                (wrote.load(Ordering::Relaxed) > 50).then_some(())
            });
            drop(end);
        });
        assert_eq!(keeper.counts().repairs, 0);
        agree(&feed);
    });
}

#[test]
fn an_audit_finds_what_is_missing_although_nobody_was_seen() {
    in_namespace("disturbed::an_audit_finds_what_is_missing_although_nobody_was_seen", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
        feed.change(&block(0..MANY));
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        keeper.audit().unwrap();
        assert_eq!(keeper.counts().repairs, 0);
        let mut nft: Nft = kernel();
        nft.commit(&"remove element drop4 10.0.0.77".parse().unwrap(), Ways::ANY).unwrap();
        keeper.audit().unwrap();
        assert_eq!(keeper.counts().repairs, 1);
        agree(&feed);
    });
}
