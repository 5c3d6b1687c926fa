//! What is too much for one transaction is still seen as a whole.

use std::thread;

use sekisho_kernel::{Found, table::Owner};
use sekisho_model::{Change, List, Tier};
use sekisho_ruleset::{SetName, Transaction};

use crate::{
    feed::{AT_ONCE, Feed, agree, block, blocked, keeper, kernel, look, put, taken, unblock},
    place::{Stop, in_namespace},
};

/// More than one transaction takes.
const MANY: u32 = 3 * AT_ONCE;

fn mixed() -> Vec<Change> {
    let mut changes = block(0..MANY);
    changes.extend(put(
        ["203.0.113.0/24", "2001:db8::/64"].map(|p| p.parse().unwrap()),
        List::Block(Tier::Suppress),
    ));
    changes.extend(put(["198.51.100.0/24", "198.51.100.7"].map(|p| p.parse().unwrap()), List::Allow));
    changes
}

#[test]
fn a_big_snapshot_is_filled_aside_and_then_small_steps_go_on() {
    in_namespace("whole::a_big_snapshot_is_filled_aside_and_then_small_steps_go_on", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), true));
        feed.change(&mixed());
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        assert_eq!(keeper.counts().door.filled_aside, 1);
        agree(&feed);
        // Some are renewed, some go, some come: no set is filled for that.
        let mut changes = block(0..500);
        changes.extend(unblock(500..1_000));
        changes.extend(block(MANY..MANY + 500));
        taken(&feed.send(&mut keeper, &changes));
        agree(&feed);
        // So much that it is filled aside again, and the table is as at first.
        taken(&feed.send(&mut keeper, &unblock(1_000..MANY)));
        assert_eq!(keeper.counts().door.filled_aside, 2);
        agree(&feed);
        // A second snapshot is a difference.
        feed.change(&block(2_000..2_010));
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        assert_eq!(keeper.counts().door.filled_aside, 2);
        agree(&feed);
        assert_eq!(kernel().inspect().unwrap(), (Found::Ours, Vec::new()));
        assert_eq!(keeper.counts().repairs, 0);
    });
}

#[test]
fn nobody_sees_a_part_of_a_snapshot() {
    in_namespace("whole::nobody_sees_a_part_of_a_snapshot", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), true));
        feed.change(&block(0..MANY));
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        let done = Stop::default();
        thread::scope(|scope| {
            let end = done.at_the_end();
            let looking = scope.spawn(|| {
                let (mut before, mut after) = (0u32, 0u32);
                for step in (0..MANY).map(|step| step.wrapping_mul(7_919) % MANY).cycle() {
                    let mut nft = kernel();
                    // Only while the rules look at one and the same set can two looks be compared.
                    let sides = nft.sides();
                    let (old, new) = (blocked(&mut nft, step), blocked(&mut nft, MANY + step));
                    look(&mut nft);
                    if nft.sides() == sides {
                        assert!(old != new, "{step}: old {old}, new {new}");
                        before += u32::from(old);
                        after += u32::from(new);
                    }
                    if done.is_set() && after > 0 {
                        break;
                    }
                }
                (before, after)
            });
            feed.change(&unblock(0..MANY));
            feed.change(&block(MANY..2 * MANY));
            feed.welcome(&mut keeper);
            taken(&feed.snapshot(&mut keeper));
            drop(end);
            let (before, after) = looking.join().expect("the watcher");
            assert!(before > 0 && after > 0, "{before} before, {after} after");
        });
        agree(&feed);
    });
}

#[test]
fn what_a_killed_filling_left_is_taken_away() {
    in_namespace("whole::what_a_killed_filling_left_is_taken_away", || {
        let mut nft = sekisho_kernel::Nft::open().unwrap();
        nft.install(Owner::Anybody, &Transaction::default()).unwrap();
        nft.begin_aside(SetName::Drop4).unwrap();
        let element = |n: u8| sekisho_ruleset::Element {
            set: SetName::Drop4,
            range: sekisho_ruleset::Range::single([10, 0, 0, n].into()),
            remaining: std::time::Duration::from_secs(60),
        };
        nft.fill_aside(SetName::Drop4, &[element(1), element(2)]).unwrap();
        assert_eq!(nft.inspect().unwrap(), (Found::Ours, vec![SetName::Drop4]));
        let dir = tempfile::tempdir().unwrap();
        let keeper = keeper(dir.path(), true);
        assert_eq!(nft.inspect().unwrap(), (Found::Ours, Vec::new()));
        drop(keeper);
    });
}
