//! What can go wrong with the disk, and what the operator should do about it.

use std::{io, path::PathBuf};

use sekisho_model::Revision;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process, or this one, has the directory open.
    #[error("{} is in use by another aggregator; stop that one, or give this one a directory of its own", path.display())]
    InUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// The directory holds something else than a store.
    #[error("{} is no store but holds \"{found}\"; name an empty or a new directory", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What was found in it.
        found: String,
    },
    /// There is no store to read.
    #[error("{} holds no store; name the data directory of an aggregator, or a copy of it", path.display())]
    NoStore {
        /// The directory.
        path: PathBuf,
    },
    /// The directory was written by a newer release.
    #[error("{} has format {found}, this release knows up to {known}; run the release that wrote it, or a newer one", path.display())]
    Newer {
        /// The store's directory.
        path: PathBuf,
        /// The format that it has.
        found: u32,
        /// The newest format that this release reads.
        known: u32,
    },
    /// A stored record, checkpoint or delta is not what was written.
    #[error(
        "index {index} is damaged: {what}; check the disk, then restore the directory from a backup and start \
         with a new epoch, or move it away to begin an empty log"
    )]
    Corrupt {
        /// The log index that is concerned.
        index: Revision,
        /// What is wrong with it.
        what: String,
    },
    /// The database as a whole is damaged.
    #[error(
        "{} is damaged: {what}; check the disk, then restore the directory from a backup and start with a new \
         epoch, or move it away to begin an empty log", path.display()
    )]
    Damaged {
        /// The store's directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// There is no space left; nothing that was acknowledged is lost.
    #[error("no space left for {}: {what}; free or add space, the log goes on by itself then", path.display())]
    Full {
        /// The store's directory.
        path: PathBuf,
        /// The system's words.
        what: String,
    },
    /// Another failure of the disk or the file system.
    #[error("the disk under {} failed: {what}; check the system's log and the file system", path.display())]
    Io {
        /// The store's directory.
        path: PathBuf,
        /// The system's words.
        what: String,
    },
    /// A write failed before, so it is unknown what is on the disk until the store is opened again.
    #[error(
        "a write failed earlier and the store takes no more until it is reopened; look at the first error"
    )]
    Failed,
    /// The store was closed, or its last reopening failed.
    #[error("the store is closed; it serves again once it could be opened")]
    Closed,
    /// The index is not in the log: not yet, or not any more.
    #[error("index {index} is outside of the log ({first} to {last}); replay from a checkpoint instead")]
    Outside {
        /// The index that was asked for.
        index: Revision,
        /// The log's first index.
        first: Revision,
        /// The log's last index.
        last: Revision,
    },
    /// A delta's ends are in the wrong order.
    #[error(
        "a delta from {previous} to {revision} goes back; this is a fault of the program, please report it"
    )]
    Backwards {
        /// Where it begins.
        previous: Revision,
        /// Where it ends.
        revision: Revision,
    },
}

/// The texts that RocksDB gives for `ENOSPC` and `EDQUOT`; it hands out no error numbers.
const FULL: [&str; 2] = ["No space left on device", "Disk quota exceeded"];
/// The texts that RocksDB gives when its `LOCK` is taken, by another process or by this one.
const TAKEN: [&str; 2] = ["While lock file", "lock hold by current process"];

impl StoreError {
    /// From RocksDB's status.
    pub(crate) fn status(path: PathBuf, status: &rocksdb::Error) -> Self {
        let what = status.as_ref().to_owned();
        let says = |texts: &[&str]| texts.iter().any(|text| what.contains(text));
        match status.kind() {
            _ if says(&FULL) => Self::Full { path, what },
            _ if says(&TAKEN) => Self::InUse { path },
            rocksdb::ErrorKind::Corruption => Self::Damaged { path, what },
            _ => Self::Io { path, what },
        }
    }

    /// From the standard library's error.
    pub(crate) fn file(path: PathBuf, error: &io::Error) -> Self {
        let what = error.to_string();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, what },
            _ => Self::Io { path, what },
        }
    }

    /// Damage at `index`.
    pub(crate) fn corrupt(index: i64, what: impl Into<String>) -> Self {
        Self::Corrupt { index: Revision(index), what: what.into() }
    }

    /// The same error, with the index that was being read where it is damage.
    pub(crate) fn at(self, index: i64) -> Self {
        match self {
            Self::Damaged { what, .. } => Self::corrupt(index, what),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_names_what_to_do() {
        for error in [
            StoreError::corrupt(7, "checksum"),
            StoreError::Damaged { path: "/x".into(), what: "checksum".into() },
        ] {
            let text = error.to_string();
            assert!(text.contains("backup") && text.contains("new epoch"), "{text}");
        }
    }

    #[test]
    fn the_kinds_of_input_output_errors_are_told_apart() {
        let full = StoreError::file("/x".into(), &io::ErrorKind::StorageFull.into());
        assert!(matches!(full, StoreError::Full { .. }));
        let denied = StoreError::file("/x".into(), &io::ErrorKind::PermissionDenied.into());
        assert!(matches!(denied, StoreError::Io { .. }));
    }
}
