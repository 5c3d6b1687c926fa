//! A file system without space left: a small tmpfs in a mount namespace of the child's own.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use sekisho_model::{Moment, Revision};
use sekisho_store::{Log, Record, Store, StoreError};

use crate::{child, work};

const MOUNT: &str = "mount -t tmpfs -o size=48m tmpfs \"$SEKISHO_STORE_TEST_DIR\" && exec \"$0\" \"$@\"";
const BALLAST: usize = 20 << 20;
const PAYLOAD: usize = 64 << 10;

/// Bytes that no compression makes smaller, else the tables give back what the log takes.
fn payload(index: i64) -> Vec<u8> {
    let mut state = u64::try_from(index).unwrap();
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state ^ (state >> 29)).to_le_bytes()
    });
    words.take(PAYLOAD / 8).flatten().collect()
}

fn append(store: &mut Store) -> Result<i64, StoreError> {
    let payload = payload(store.last().0 + 1);
    let record = Record { format: 1, writer: 1, sequence: 1, time: Moment::EPOCH, payload: &payload };
    store.append(record).map(|index| index.0)
}

/// Appends until an error, and gives the last index that was acknowledged.
fn append_until_full(store: &mut Store) -> (i64, StoreError) {
    let mut acked = store.last().0;
    loop {
        match append(store) {
            Ok(index) => acked = index,
            Err(error) => return (acked, error),
        }
    }
}

fn check(store: &Store, acked: i64) {
    let mut last = 0;
    for record in store.read(Revision(1)).unwrap() {
        let record = record.unwrap();
        last += 1;
        assert!(record.index.0 == last && record.payload == payload(last), "at {last}");
    }
    assert!(last >= acked && last <= acked + 1, "{acked} acknowledged, {last} there");
}

/// Fills the file system, and goes on once there is space.
pub(crate) fn fill(mounted: &Path) {
    let ballast = mounted.join("ballast");
    fs::write(&ballast, vec![0; BALLAST]).unwrap();
    let dir = mounted.join("store");
    let mut store = work::open(&dir).unwrap();
    let (acked, error) = append_until_full(&mut store);
    assert!(matches!(error, StoreError::Full { .. }) && error.to_string().contains("space"), "{error}");
    assert!(acked > 10, "{acked}");
    assert!(matches!(append(&mut store), Err(StoreError::Failed)));
    check(&store, acked);
    let acked = match store.reopen() {
        Ok(()) => append_until_full(&mut store),
        Err(error) => (acked, error),
    };
    assert!(matches!(acked.1, StoreError::Full { .. }), "{}", acked.1);
    fs::remove_file(ballast).unwrap();
    store.reopen().unwrap();
    check(&store, acked.0);
    for _ in 0..20 {
        append(&mut store).unwrap();
    }
    let last = store.last().0;
    drop(store);
    check(&work::open(&dir).unwrap(), last);
    child::say("filled and freed");
}

#[test]
fn a_full_disk_stops_the_log_and_loses_nothing() {
    assert_eq!(fs::metadata("/proc/self").unwrap().uid(), 0, "this test mounts a tmpfs: run it as root");
    let dir = tempfile::tempdir().unwrap();
    let wrapper = ["unshare", "--mount", "sh", "-c", MOUNT];
    let done = child::command(&wrapper, "fill", dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success() && said.contains("filled and freed"), "{said}");
}
