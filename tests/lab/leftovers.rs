//! Cleaning up what no destructor could: on Ctrl-C, and after runs that were killed.
//!
//! Namespaces are named `sk<pid>-…` and directories `sekisho-lab-<pid>-…`, so that whose they are can be
//! read from their names.

use std::{
    fs,
    path::{Path, PathBuf},
    process, str,
    sync::{
        Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::{
    mount::{UnmountFlags, unmount},
    process::{Pid, Signal, geteuid, kill_process},
};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::command::run;

const NAMESPACE_MARK: &str = "sk";
const DIRECTORY_MARK: &str = "sekisho-lab-";

static START: Once = Once::new();
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Checks that this run may make a laboratory, sweeps what dead runs left, and sees to it that Ctrl-C
/// cleans up. Called by whatever makes a namespace or a directory; only the first call does something.
///
/// # Errors
/// Not root: namespaces and raw sockets need it.
pub fn prepare() -> Result<()> {
    ensure!(
        geteuid().is_root(),
        "the laboratory makes network namespaces and raw sockets: run it as root (sudo -E make …)"
    );
    ensure!(!interrupted(), "interrupted");
    START.call_once(|| {
        sweep(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        thread::spawn(on_interrupt);
    });
    Ok(())
}

/// Whether Ctrl-C was pressed; the clean-up is then already under way.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// The name of a namespace of this run.
pub fn namespace_name(name: &str) -> String {
    format!("{NAMESPACE_MARK}{}-{name}", process::id())
}

/// A directory that goes away with this run.
///
/// # Errors
/// It cannot be made.
pub fn directory() -> Result<TempDir> {
    prepare()?;
    let prefix = format!("{DIRECTORY_MARK}{}-", process::id());
    tempfile::Builder::new().prefix(&prefix).tempdir().context("cannot make a directory for the laboratory")
}

fn on_interrupt() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let (Ok(mut int), Ok(mut term)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
        }
    });
    INTERRUPTED.store(true, Ordering::Relaxed);
    let own = process::id();
    sweep(|pid| pid == own);
    // What another thread was making at that very moment.
    thread::sleep(Duration::from_millis(100));
    sweep(|pid| pid == own);
    process::exit(130);
}

/// Removes namespaces (with the processes in them), mounts and directories whose maker `whose` says yes to.
fn sweep(whose: impl Fn(u32) -> bool) {
    for name in names("/run/netns") {
        if owner(&name, NAMESPACE_MARK).is_some_and(&whose) {
            remove_namespace(&name);
        }
    }
    let temp = std::env::temp_dir();
    for name in names(&temp) {
        if owner(&name, DIRECTORY_MARK).is_some_and(&whose) {
            remove_directory(&temp.join(name));
        }
    }
}

/// Ends every process in a namespace of ours, and removes it.
pub fn remove_namespace(name: &str) {
    // Programs that are about to start more (none do today) need the second look.
    for _ in 0..2 {
        let pids = run("ip", &format!("netns pids {name}")).unwrap_or_default();
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            // Threads of this very run enter namespaces too; they end with the values that hold them.
            if pid != process::id().cast_signed()
                && let Some(pid) = Pid::from_raw(pid)
            {
                let _gone_already = kill_process(pid, Signal::KILL);
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    let _gone_already = run("ip", &format!("netns del {name}"));
}

fn remove_directory(path: &Path) {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let under =
        mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| Path::new(at).starts_with(path));
    for at in under {
        let _gone_already = unmount(at, UnmountFlags::DETACH);
    }
    let _gone_already = fs::remove_dir_all(path);
}

fn names(directory: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(directory).map(|entries| entries.flatten().collect::<Vec<_>>());
    entries.unwrap_or_default().iter().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// The process number in a name that starts with `mark`.
fn owner(name: &str, mark: &str) -> Option<u32> {
    name.strip_prefix(mark)?.split_once('-')?.0.parse().ok()
}

/// Takes a lock whether or not a panicking thread held it: what it guards here is never half-written.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A small file system of its own, to be filled up; unmounted when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of `mebibytes` at `path`, which must be an empty directory.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn mount(path: &Path, mebibytes: u32) -> Result<Self> {
        prepare()?;
        run("mount", &format!("-t tmpfs -o size={mebibytes}m sekisho-lab {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes one file until nothing fits any more, and returns its path.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn fill(&self) -> Result<PathBuf> {
        use std::io::Write;
        let path = self.0.join("filler");
        let mut file = fs::File::create(&path)?;
        for size in [1 << 16, 1 << 12, 1] {
            let block = vec![0x5a; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone_already = unmount(&self.0, UnmountFlags::DETACH);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_maker() {
        assert_eq!(owner("sk123-1-h1", NAMESPACE_MARK), Some(123));
        assert_eq!(owner("sekisho-lab-7-abc", DIRECTORY_MARK), Some(7));
        assert_eq!(owner("skh1", NAMESPACE_MARK), None);
        assert_eq!(owner("other-5-x", NAMESPACE_MARK), None);
        assert_eq!(owner(&namespace_name("x"), NAMESPACE_MARK), Some(process::id()));
    }
}
