//! The directory of a store: `FORMAT` says whose it is and since when, `db/` is RocksDB's.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, ErrorKind, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::StoreError;

/// The newest format of the directory that this release reads, and the one that it writes. 1 had no events.
const FORMAT: u32 = 2;
/// What `FORMAT` begins with.
const MARK: &str = "sekisho-store ";
/// What may lie in a new directory: the root of a file system, or what a crash left of our start.
const HARMLESS: [&str; 2] = ["lost+found", "FORMAT.new"];

/// Makes or checks the directory, and gives the place of the database in it.
pub(crate) fn prepare(dir: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error: io::Error| StoreError::file(dir.into(), &error);
    private(dir).map_err(failed)?;
    match fs::read_to_string(dir.join("FORMAT")) {
        // What an older release wrote is this release's from now on: the older one would not understand it.
        Ok(text) if check(dir, &text)? < FORMAT => mark(dir).map_err(failed)?,
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            refuse_foreign(dir)?;
            mark(dir).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
    }
    let db = dir.join("db");
    private(&db).map_err(failed)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(db)
}

/// Checks a directory that is only read, and gives the place of the database in it. Nothing is changed.
pub(crate) fn existing(dir: &Path) -> Result<PathBuf, StoreError> {
    match fs::read_to_string(dir.join("FORMAT")) {
        Ok(text) => check(dir, &text).map(|_| dir.join("db")),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(StoreError::NoStore { path: dir.into() }),
        Err(error) => Err(StoreError::file(dir.into(), &error)),
    }
}

/// A directory that only its owner reads. One that is there keeps the mode that the operator chose.
fn private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// The format that the directory has.
fn check(dir: &Path, text: &str) -> Result<u32, StoreError> {
    let number = text.strip_prefix(MARK).and_then(|rest| rest.trim_end().parse().ok());
    match number {
        Some(found @ 1..=FORMAT) => Ok(found),
        Some(found) if found > FORMAT => Err(StoreError::Newer { path: dir.into(), found, known: FORMAT }),
        _ => Err(StoreError::Foreign { path: dir.into(), found: "a FORMAT file of something else".into() }),
    }
}

fn refuse_foreign(dir: &Path) -> Result<(), StoreError> {
    let failed = |error: io::Error| StoreError::file(dir.into(), &error);
    for item in fs::read_dir(dir).map_err(failed)? {
        let found = item.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if !HARMLESS.contains(&found.as_str()) {
            return Err(StoreError::Foreign { path: dir.into(), found });
        }
    }
    Ok(())
}

/// Writes `FORMAT` whole or not at all.
fn mark(dir: &Path) -> io::Result<()> {
    let new = dir.join("FORMAT.new");
    let mut file = File::create(&new)?;
    writeln!(file, "{MARK}{FORMAT}")?;
    file.sync_all()?;
    fs::rename(new, dir.join("FORMAT"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_new_directory_is_private_and_stays_ours() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        prepare(&dir).unwrap();
        prepare(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_fresh_file_system_or_an_interrupted_start_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lost+found")).unwrap();
        fs::write(dir.path().join("FORMAT.new"), "sekis").unwrap();
        prepare(dir.path()).unwrap();
    }

    #[test]
    fn foreign_files_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "x").unwrap();
        assert!(prepare(dir.path()).unwrap_err().to_string().contains("thesis.tex"));
        assert!(!dir.path().join("FORMAT").exists());
    }

    #[test]
    fn a_newer_format_is_refused_and_nonsense_is_foreign() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("FORMAT"), "sekisho-store 3\n").unwrap();
        assert!(matches!(prepare(dir.path()), Err(StoreError::Newer { found: 3, known: 2, .. })));
        assert!(matches!(existing(dir.path()), Err(StoreError::Newer { .. })));
        for text in ["", "sekisho-store x", "sekisho-store 0", "other 1"] {
            fs::write(dir.path().join("FORMAT"), text).unwrap();
            assert!(matches!(prepare(dir.path()), Err(StoreError::Foreign { .. })), "{text}");
            assert!(matches!(existing(dir.path()), Err(StoreError::Foreign { .. })), "{text}");
        }
    }

    #[test]
    fn an_older_format_is_taken_over_unless_it_is_only_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(existing(dir.path()), Err(StoreError::NoStore { .. })));
        let format = dir.path().join("FORMAT");
        fs::write(&format, "sekisho-store 1\n").unwrap();
        existing(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&format).unwrap(), "sekisho-store 1\n");
        prepare(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&format).unwrap(), "sekisho-store 2\n");
    }
}
