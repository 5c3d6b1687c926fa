//! Files that are not as they were written.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use sekisho_store::StoreError;

use crate::work;

const RECORDS: i64 = 300;

/// A closed store: `settled` has its records in tables, else they are in the write-ahead log.
fn filled(settled: bool) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut store = work::open(dir.path()).unwrap();
    for _ in 0..RECORDS {
        work::append(&mut store).unwrap();
    }
    if settled {
        store.reopen().unwrap();
    }
    drop(store);
    dir
}

/// The biggest file of a kind; for the write-ahead log that is the one with the records.
fn biggest(dir: &Path, kind: &str) -> PathBuf {
    let files = fs::read_dir(dir.join("db")).unwrap().map(|file| file.unwrap().path());
    let of_kind = files.filter(|path| path.extension() == Some(OsStr::new(kind)));
    of_kind.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

fn opened_and_read(dir: &Path) -> Result<i64, StoreError> {
    work::verify(&work::open(dir)?)
}

fn tells_what_to_do(error: &StoreError) {
    let known = matches!(error, StoreError::Damaged { .. } | StoreError::Corrupt { .. });
    let text = error.to_string();
    assert!(known && text.contains("backup") && text.contains("new epoch"), "{text}");
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_is_told() {
    let dir = filled(false);
    let wal = biggest(dir.path(), "log");
    flip(&wal, fs::read(&wal).unwrap().len() / 2);
    tells_what_to_do(&opened_and_read(dir.path()).unwrap_err());
}

#[test]
fn a_flipped_bit_anywhere_in_it_never_gives_wrong_records() {
    let dir = filled(false);
    let wal = biggest(dir.path(), "log");
    let whole = fs::read(&wal).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let mut told = 0;
    for (round, at) in (0..whole.len()).step_by(whole.len() / 40).enumerate() {
        let place = copy.path().join(round.to_string());
        fs::create_dir_all(place.join("db")).unwrap();
        fs::copy(dir.path().join("FORMAT"), place.join("FORMAT")).unwrap();
        for file in fs::read_dir(dir.path().join("db")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), place.join("db").join(file.file_name())).unwrap();
        }
        flip(&place.join("db").join(wal.file_name().unwrap()), at);
        match opened_and_read(&place) {
            Ok(last) => assert!(last <= RECORDS, "a prefix, if anything"),
            Err(error) => {
                tells_what_to_do(&error);
                told += 1;
            }
        }
    }
    assert!(told >= 35, "{told} of about 40 were told");
}

#[test]
fn a_flipped_bit_in_a_table_is_told() {
    let dir = filled(true);
    let table = biggest(dir.path(), "sst");
    flip(&table, fs::read(&table).unwrap().len() / 3);
    tells_what_to_do(&opened_and_read(dir.path()).unwrap_err());
}

#[test]
fn a_missing_table_is_told() {
    let dir = filled(true);
    fs::remove_file(biggest(dir.path(), "sst")).unwrap();
    let error = opened_and_read(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. } | StoreError::Io { .. }), "{error}");
}

#[test]
fn a_torn_tail_is_cut_off_and_the_log_goes_on() {
    for cut in [1, 3, 7, 100, 900, 5_000] {
        let dir = filled(false);
        let wal = biggest(dir.path(), "log");
        let whole = fs::read(&wal).unwrap();
        fs::write(&wal, &whole[..whole.len() - cut]).unwrap();
        let mut store = work::open(dir.path()).unwrap();
        let last = work::verify(&store).unwrap();
        assert!((RECORDS - 60..RECORDS).contains(&last), "{cut} bytes less leave {last}");
        assert_eq!(work::append(&mut store).unwrap(), last + 1);
        store.reopen().unwrap();
        assert_eq!(work::verify(&store).unwrap(), last + 1);
    }
}
