//! Which values of `tcp_synack_retries` are ours, over a crash: a small file in the state directory, on the disk
//! before a value is lowered, and gone when all are the operators' again.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};
use sekisho_kernel::namespace::NamespaceId;

/// The file.
const FILE: &str = "retries.state";
/// What becomes the file.
const NEW: &str = "retries.state.new";
/// Its lock.
const LOCK: &str = "retries.lock";
/// The file's first word.
const TITLE: &str = "sekisho-retries-1";
/// The life of this machine: a value that was lowered before it booted is the operator's again.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Largest file that is read.
const MAX_BYTES: u64 = 64 << 10;

/// One lowered value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lowered {
    /// The operator's.
    pub operator: u8,
    /// Ours.
    pub ours: u8,
}

/// What is lowered, in which network namespace.
pub type Entries = BTreeMap<NamespaceId, Lowered>;

/// The file, for writing.
#[derive(Debug)]
pub struct Book {
    dir: PathBuf,
    boot: String,
    entries: Entries,
    _lock: File,
}

impl Book {
    /// Whether there may be something to put right.
    pub fn is_there(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Opens it; [`Self::entries`] then tells what an earlier life of the agent left lowered.
    ///
    /// # Errors
    /// When the directory cannot be used, or another agent does.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let lock = OpenOptions::new().create(true).append(true).open(dir.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let boot = fs::read_to_string(BOOT).unwrap_or_default().trim().to_owned();
        let path = dir.join(FILE);
        let entries = match fs::metadata(&path) {
            Err(_) => Entries::new(),
            Ok(about) if about.len() > MAX_BYTES => unreadable(&path),
            Ok(_) => parse(&fs::read_to_string(&path)?, &boot).unwrap_or_else(|| unreadable(&path)),
        };
        Ok(Self { dir: dir.to_owned(), boot, entries, _lock: lock })
    }

    /// What is lowered.
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// Remembers exactly these; when it returns they are on the disk.
    ///
    /// # Errors
    /// The disk's. What was remembered before still is.
    pub fn remember(&mut self, entries: Entries) -> io::Result<()> {
        if entries == self.entries && self.dir.join(FILE).exists() != entries.is_empty() {
            return Ok(());
        }
        if entries.is_empty() {
            match fs::remove_file(self.dir.join(FILE)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        } else {
            let mut new = File::create(self.dir.join(NEW))?;
            new.write_all(text(&entries, &self.boot).as_bytes())?;
            new.sync_all()?;
            fs::rename(self.dir.join(NEW), self.dir.join(FILE))?;
        }
        File::open(&self.dir)?.sync_all()?;
        self.entries = entries;
        Ok(())
    }
}

fn unreadable(path: &Path) -> Entries {
    tracing::error!(
        file = %path.display(),
        "this file cannot be read, so net.ipv4.tcp_synack_retries may still be lowered; compare it with what you set"
    );
    Entries::new()
}

fn text(entries: &Entries, boot: &str) -> String {
    let mut text = format!("{TITLE} {boot}\n");
    for (id, Lowered { operator, ours }) in entries {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{} {operator} {ours}", id.0);
    }
    text
}

/// None if it is no such text; nothing of another life of the machine.
fn parse(text: &str, boot: &str) -> Option<Entries> {
    let (head, rest) = text.split_once('\n')?;
    let written = head.strip_prefix(TITLE)?.trim();
    let entry = |line: &str| {
        let mut words = line.split(' ');
        let id = NamespaceId(words.next()?.parse().ok()?);
        let lowered = Lowered { operator: words.next()?.parse().ok()?, ours: words.next()?.parse().ok()? };
        words.next().is_none().then_some((id, lowered))
    };
    let entries: Entries = rest.lines().map(entry).collect::<Option<_>>()?;
    Some(if written == boot { entries } else { Entries::new() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(all: &[(u64, u8, u8)]) -> Entries {
        let entry = |(id, operator, ours): &(u64, u8, u8)| {
            (NamespaceId(*id), Lowered { operator: *operator, ours: *ours })
        };
        all.iter().map(entry).collect()
    }

    #[test]
    fn what_is_lowered_is_remembered_until_it_is_put_right() {
        let dir = tempfile::tempdir().unwrap();
        let mut book = Book::open(dir.path()).unwrap();
        assert!(book.entries().is_empty() && !Book::is_there(dir.path()));
        let lowered = entries(&[(1, 5, 2), (4_026_531_840, 7, 2)]);
        book.remember(lowered.clone()).unwrap();
        assert!(Book::open(dir.path()).is_err(), "another agent uses it");
        drop(book);
        assert!(Book::is_there(dir.path()));
        let mut book = Book::open(dir.path()).unwrap();
        assert_eq!(*book.entries(), lowered);
        book.remember(Entries::new()).unwrap();
        assert!(!Book::is_there(dir.path()));
    }

    #[test]
    fn what_was_lowered_before_the_machine_booted_is_not_ours_any_more() {
        let lowered = entries(&[(1, 5, 2)]);
        let text = text(&lowered, "one-life");
        assert_eq!(parse(&text, "one-life"), Some(lowered));
        assert_eq!(parse(&text, "another"), Some(Entries::new()));
        for damaged in ["", "sekisho", &text[..text.len() - 3], &format!("{text}x y z\n")] {
            assert_eq!(parse(damaged, "one-life"), None, "{damaged}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken(rest in ".*") {
            parse(&rest, "");
            parse(&format!("{TITLE} \n{rest}"), "");
        }
    }
}
