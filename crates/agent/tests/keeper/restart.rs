//! A restart: the journal is believed where the kernel bears it out, and nothing that is blocked is let go.

use sekisho_kernel::KernelError;
use sekisho_ruleset::{SetName, Ways};

use crate::{
    feed::{AT_ONCE, Feed, agree, block, blocked, keeper, kernel, taken, unblock},
    place::{in_namespace, run},
};

/// More than one transaction takes.
const MANY: u32 = 2 * AT_ONCE;

/// A keeper's directory after it has put `MANY` addresses in force and has ended.
fn after_a_run(feed: &mut Feed, own: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = keeper(dir.path(), own);
    feed.change(&block(0..MANY));
    feed.welcome(&mut keeper);
    taken(&feed.snapshot(&mut keeper));
    dir
}

#[test]
fn only_the_difference_is_written() {
    in_namespace("restart::only_the_difference_is_written", || {
        let mut feed = Feed::default();
        let dir = after_a_run(&mut feed, true);
        let at = feed.revision();
        let mut changes = block(MANY..MANY + 100);
        changes.extend(unblock(0..100));
        feed.change(&changes);
        let mut keeper = keeper(dir.path(), true);
        feed.welcome(&mut keeper);
        taken(&keeper.handle(feed.delta(at, &changes)));
        assert_eq!(keeper.counts().door.filled_aside, 0);
        assert_eq!(keeper.counts().repairs, 0);
        agree(&feed);
    });
}

#[test]
fn a_kernel_that_is_ahead_keeps_what_it_has_until_the_feed_speaks() {
    in_namespace("restart::a_kernel_that_is_ahead_keeps_what_it_has_until_the_feed_speaks", || {
        let mut feed = Feed::default();
        let dir = after_a_run(&mut feed, false);
        // As if the last step had reached the kernel, and not the journal.
        let text = "add element drop4 10.1.0.1 timeout 600s\nadd element suppress4 10.1.0.2 timeout 600s\n\
                    add element dropnet4 10.2.0.0/24 timeout 600s\nremove element drop4 10.0.0.5";
        kernel().commit(&text.parse().unwrap(), Ways::ANY).unwrap();
        let (at, gone) = (feed.revision(), unblock([0x1_0001, 0x1_0002]));
        let mut started = keeper(dir.path(), false);
        assert!(blocked(&mut kernel(), 0x1_0001));
        let mut changes = block([7]);
        changes.extend(gone);
        changes.extend(unblock([5]));
        feed.change(&changes);
        feed.welcome(&mut started);
        taken(&started.handle(feed.delta(at, &changes)));
        agree(&feed);
        drop(started);
        // A snapshot as the first word leaves nothing of it either.
        kernel().commit(&text.parse().unwrap(), Ways::ANY).unwrap();
        let mut started = keeper(dir.path(), false);
        feed.welcome(&mut started);
        taken(&feed.snapshot(&mut started));
        agree(&feed);
    });
}

#[test]
fn what_is_missing_is_added_at_the_start() {
    in_namespace("restart::what_is_missing_is_added_at_the_start", || {
        let mut feed = Feed::default();
        let dir = after_a_run(&mut feed, false);
        let name = kernel().sides().name(SetName::Drop4);
        run("nft", &format!("flush set inet sekisho {name}"));
        assert!(!blocked(&mut kernel(), 3));
        let started = keeper(dir.path(), false);
        agree(&feed);
        drop(started);
        run("nft", "delete table inet sekisho");
        let _started = keeper(dir.path(), false);
        agree(&feed);
    });
}

#[test]
fn an_owned_table_outlives_its_agent_and_finds_its_next_one() {
    in_namespace("restart::an_owned_table_outlives_its_agent_and_finds_its_next_one", || {
        let mut feed = Feed::default();
        let dir = tempfile::tempdir().unwrap();
        if !sekisho_kernel::Nft::open().unwrap().probe().unwrap().owner {
            // Nothing can be owned here: the agent says the same.
            let _keeper = keeper(dir.path(), true);
            assert_eq!(kernel().owner().unwrap(), None);
            return;
        }
        let mut first = keeper(dir.path(), true);
        feed.change(&block(0..100));
        feed.welcome(&mut first);
        taken(&feed.snapshot(&mut first));
        let port = kernel().owner().unwrap().expect("an owner");
        // Nobody else changes it, and a flush of everything leaves it alone.
        run("nft", "flush ruleset");
        agree(&feed);
        let strange = "add element drop4 192.0.2.1 timeout 60s".parse().unwrap();
        let refused = kernel().commit(&strange, Ways::ANY).unwrap_err();
        assert!(matches!(refused, KernelError::Owned(other) if other == port), "{refused}");
        assert!(matches!(kernel().check(), Err(KernelError::Owned(_))));
        drop(first);
        assert_eq!(kernel().owner().unwrap(), None);
        agree(&feed);
        let mut second = keeper(dir.path(), true);
        assert!(kernel().owner().unwrap().is_some());
        taken(&{
            feed.welcome(&mut second);
            feed.send(&mut second, &block(100..200))
        });
        agree(&feed);
        second.flush().unwrap();
        assert!(matches!(kernel().owner(), Err(KernelError::Missing)));
    });
}

#[test]
fn a_table_without_an_owner_is_taken_as_it_is() {
    in_namespace("restart::a_table_without_an_owner_is_taken_as_it_is", || {
        let mut feed = Feed::default();
        let dir = after_a_run(&mut feed, false);
        assert_eq!(kernel().owner().unwrap(), None);
        let mut started = keeper(dir.path(), true);
        agree(&feed);
        feed.welcome(&mut started);
        taken(&feed.send(&mut started, &block(MANY..MANY + 5)));
        agree(&feed);
        assert_eq!(started.counts().repairs, 0);
    });
}
