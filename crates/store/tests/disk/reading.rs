//! Reading a directory without writing to it: a copy, a read-only file system, and while another process
//! writes.

use std::{fs, path::Path};

use sekisho_model::{Moment, Revision};
use sekisho_store::{Log, NewEvent, Reader, StoreError};

use crate::{
    child::{self, Running},
    work,
};

/// A closed store with records, a checkpoint, a delta and an event.
fn filled(dir: &Path) -> i64 {
    let mut store = work::open(dir).unwrap();
    for _ in 0..50 {
        let index = work::append(&mut store).unwrap();
        work::put_delta(&mut store, index).unwrap();
    }
    store.put_checkpoint(Revision(40), Moment::from_millis(40), [b"state"]).unwrap();
    let event = NewEvent { about: vec!["203.0.113.7".parse().unwrap()], bytes: b"listed".to_vec() };
    store.put_events(Revision(50), Moment::from_millis(50), &[event]).unwrap();
    store.last().0
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let to = to.join(item.file_name());
        if item.file_type().unwrap().is_dir() {
            copy(&item.path(), &to);
        } else {
            fs::copy(item.path(), to).unwrap();
        }
    }
}

/// Reads all that there is, and gives the last index.
fn read_all(reader: &Reader) -> i64 {
    let ends = reader.ends().unwrap();
    let mut next = ends.first;
    while next <= ends.last {
        for record in reader.records(next, 4_096).unwrap() {
            assert_eq!((record.index, record.payload), (next, work::payload(next.0)));
            next = Revision(next.0 + 1);
        }
    }
    next.0 - 1
}

fn files(dir: &Path) -> Vec<(std::ffi::OsString, u64)> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|item| item.unwrap())
        .map(|item| (item.file_name(), item.metadata().unwrap().len()))
        .collect();
    files.sort();
    files
}

#[test]
fn a_copy_is_read_and_not_changed() {
    let (dir, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let last = filled(dir.path());
    let to = place.path().join("copy");
    copy(dir.path(), &to);
    let before = files(&to.join("db"));
    let reader = Reader::open(&to).unwrap();
    assert_eq!(read_all(&reader), last);
    assert_eq!(reader.checkpoints().unwrap(), [(Revision(40), Moment::from_millis(40))]);
    assert_eq!(reader.checkpoint(Revision(40)).unwrap().unwrap().bytes, b"state");
    assert_eq!(reader.deltas_after(Revision(48), 1 << 20).unwrap().unwrap().len(), 2);
    assert_eq!(reader.events(&Default::default(), 10).unwrap().events[0].bytes, b"listed");
    drop(reader);
    assert_eq!(files(&to.join("db")), before);
}

#[test]
fn a_directory_that_is_open_is_read_as_it_is_now() {
    let dir = tempfile::tempdir().unwrap();
    let last = filled(dir.path());
    let mut store = work::open(dir.path()).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(work::append(&mut store).unwrap(), last + 1);
    assert_eq!(read_all(&reader), last, "a moment, not a window");
    assert_eq!(read_all(&Reader::open(dir.path()).unwrap()), last + 1);
}

#[test]
fn a_directory_that_another_process_writes_to_is_read_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let writer = Running::start("append", dir.path());
    let (mut seen, mut acked) = (0, 0);
    while seen < 2_000 {
        // What was acknowledged before it is opened is there.
        while acked < seen + 100 {
            acked =
                writer.line().unwrap().strip_prefix("acked ").map_or(acked, |index| index.parse().unwrap());
        }
        seen = read_all(&Reader::open(dir.path()).unwrap());
        assert!(seen >= acked, "{acked} was acknowledged, {seen} is there");
    }
}

/// Reads a directory on a file system that takes no writes.
pub(crate) fn read_only(mounted: &Path) {
    assert!(fs::write(mounted.join("x"), "x").is_err(), "it takes writes");
    assert_eq!(read_all(&Reader::open(mounted).unwrap()), 50);
    child::say("read it all");
}

const MOUNT: &str = "mount --bind \"$SEKISHO_STORE_TEST_DIR\" \"$SEKISHO_STORE_TEST_DIR\" && \
                     mount -o remount,bind,ro \"$SEKISHO_STORE_TEST_DIR\" && exec \"$0\" \"$@\"";

#[test]
fn a_read_only_file_system_is_read() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let wrapper = ["unshare", "--mount", "sh", "-c", MOUNT];
    let done = child::command(&wrapper, "read", dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success() && said.contains("read it all"), "run this as root: {said}");
}

#[test]
fn what_is_no_store_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for place in [dir.path().to_owned(), dir.path().join("nowhere")] {
        match Reader::open(&place).map(|_| ()) {
            Err(error @ StoreError::NoStore { .. }) => assert!(error.to_string().contains("data directory")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
}
