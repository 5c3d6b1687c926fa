//! Processes that are killed while they write, and two processes on one directory.

use std::path::Path;

use sekisho_model::{Moment, Revision};
use sekisho_store::{Log, StoreError};

use crate::{
    child::{Running, say},
    work,
};

/// Appends until it is killed, with deltas, events and checkpoints between, and tells each durable index.
pub(crate) fn append(dir: &Path) {
    let mut store = work::open(dir).unwrap();
    let from = store.newest_checkpoint().unwrap().map_or(0, |found| found.at.0);
    for index in from + 1..=store.last().0 {
        work::put_delta(&mut store, index).unwrap();
        work::put_events(&mut store, index).unwrap();
    }
    loop {
        let index = work::append(&mut store).unwrap();
        say(&format!("acked {index}"));
        work::put_delta(&mut store, index).unwrap();
        work::put_events(&mut store, index).unwrap();
        if index % 40 == 0 {
            store.put_checkpoint(Revision(index), Moment::from_millis(index), pieces(index)).unwrap();
        }
    }
}

fn pieces(index: i64) -> Vec<Vec<u8>> {
    (0..20).map(|piece| work::payload(index + piece)).collect()
}

fn acked(line: Option<String>) -> Option<i64> {
    line?.strip_prefix("acked ").map(|index| index.parse().unwrap())
}

/// Judges what a killed writer left, `acked` being the last index that it was sure of.
fn judge(dir: &Path, acked: i64) {
    let mut store = work::open(dir).unwrap();
    let last = work::verify(&store).unwrap();
    assert!(last >= acked, "{acked} was acknowledged, {last} is there");
    let deltas = store.reader().deltas_after(Revision(0), usize::MAX).unwrap();
    let mut newest = 0;
    for delta in deltas.unwrap_or_default() {
        assert_eq!((delta.previous.0, delta.bytes), (newest, work::payload(newest + 1)));
        newest = delta.revision.0;
    }
    assert!((acked - 1..=last).contains(&newest), "an append makes the deltas before it durable");
    let events = work::verify_events(&store.reader());
    // Two of three entries have events.
    assert!((acked - 2..=last).contains(&events), "an append makes the events before it durable");
    let checkpoint = store.newest_checkpoint().unwrap();
    if let Some(found) = &checkpoint {
        assert_eq!((&found.bytes, found.passed_over.len()), (&pieces(found.at.0).concat(), 0));
        assert_eq!(found.time.as_millis(), found.at.0);
    }
    let at = checkpoint.map_or(0, |found| found.at.0);
    assert!(at % 40 == 0 && at + 80 > acked, "the newest checkpoint is {at}, {acked} was acknowledged");
}

#[test]
fn nothing_acknowledged_is_lost_when_the_writer_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut sure = 0;
    for round in 0..16 {
        let mut writer = Running::start("append", dir.path());
        // Somewhere in a write, each time somewhere else; what it still said counts as well.
        for _ in 0..=(round * 37 % 101) {
            sure = acked(writer.line()).unwrap().max(sure);
        }
        writer.child.kill().unwrap();
        while let Some(index) = acked(writer.line()) {
            sure = sure.max(index);
        }
        writer.child.wait().unwrap();
        judge(dir.path(), sure);
    }
}

#[test]
fn a_second_process_is_refused_until_the_first_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = Running::start("hold", dir.path());
    while holder.line().unwrap() != "held" {}
    match work::open(dir.path()).map(|_| ()) {
        Err(error @ StoreError::InUse { .. }) => {
            assert!(error.to_string().contains(&*dir.path().to_string_lossy()), "{error}");
        }
        other => panic!("{other:?}"),
    }
    drop(holder.child.stdin.take());
    assert!(holder.child.wait().unwrap().success());
    work::open(dir.path()).unwrap();
}
