//! The guard beside a running keeper: whatever others do to a table without an owner, it is right again within a second.

use std::time::{Duration, Instant};

use sekisho_agent::{desk::Desk, guard};
use sekisho_daemon::readiness::Readiness;
use sekisho_kernel::{Found, Nft};
use sekisho_ruleset::SetName;
use tokio_util::sync::CancellationToken;

use crate::{
    feed::{AT_ONCE, Feed, agree, block, blocked, keeper, kernel, taken},
    place::{in_namespace, run, wait_for},
};

/// How long a disturbance may last.
const WITHIN: Duration = Duration::from_secs(1);
/// More than one transaction takes.
const MANY: u32 = 2 * AT_ONCE;

/// Whether the table is ours and blocks the address that was taken out.
fn right() -> bool {
    let mut nft = Nft::open().unwrap();
    matches!(nft.inspect(), Ok((Found::Ours, _))) && blocked(&mut nft, 9)
}

#[test]
fn a_disturbed_table_is_right_within_a_second() {
    in_namespace("guarded::a_disturbed_table_is_right_within_a_second", || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), false));
        feed.change(&block(0..MANY));
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        let (desk, stop) = (Desk::open(keeper).unwrap(), CancellationToken::new());
        let guard = runtime.spawn(guard::run(desk.clone(), Readiness::default(), stop.clone()));
        let edits = [
            "flush ruleset",
            "delete element inet sekisho NAME { 10.0.0.9 }",
            "insert rule inet sekisho syn accept",
            "flush chain inet sekisho syn",
            "flush set inet sekisho NAME",
            "delete table inet sekisho",
        ];
        for (n, edit) in edits.into_iter().enumerate() {
            let name = kernel().sides().name(SetName::Drop4);
            let begun = Instant::now();
            run("nft", &edit.replace("NAME", name));
            wait_for("the table to be right again", || right().then_some(()));
            assert!(begun.elapsed() < WITHIN, "{edit}: {:?}", begun.elapsed());
            wait_for("it to be counted", || (desk.counts().repairs == n as u64 + 1).then_some(()));
            agree(&feed);
        }
        stop.cancel();
        runtime.block_on(guard).unwrap();
    });
}

#[test]
fn others_at_work_elsewhere_are_nothing_to_an_owned_table() {
    in_namespace("guarded::others_at_work_elsewhere_are_nothing_to_an_owned_table", || {
        let dir = tempfile::tempdir().unwrap();
        let (mut feed, mut keeper) = (Feed::default(), keeper(dir.path(), true));
        feed.change(&block(0..MANY));
        feed.welcome(&mut keeper);
        taken(&feed.snapshot(&mut keeper));
        for edit in
            ["add table inet other", "flush ruleset", "add table inet other", "delete table inet other"]
        {
            run("nft", edit);
            keeper.check().unwrap();
            agree(&feed);
        }
        let owned = kernel().owner().unwrap().is_some();
        assert!(!owned || keeper.counts().repairs == 0);
        // Where it is lost all the same, it is made again: here the socket that it belongs to does it itself.
        keeper.flush().unwrap();
        run("nft", "add table inet other");
        keeper.check().unwrap();
        agree(&feed);
        assert_eq!(kernel().owner().unwrap().is_some(), owned);
    });
}
