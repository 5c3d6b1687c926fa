//! Network namespaces: which one this thread is in, and going through those of other processes.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::MetadataExt,
    },
    thread,
};

use rustix::{
    net::{AddressFamily, SocketType, socket},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};
use sekisho_model::limits::{MAX_NAMESPACES, MAX_PROCESSES};

use crate::KernelError;

/// The namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// Names a network namespace: no other has its name until the machine boots, where the kernel numbers them
/// (Linux 5.14); before that, the number of one that is gone may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceId(pub u64);

/// What a walk through the namespaces of other processes came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visited {
    /// Namespaces that were entered.
    pub entered: usize,
    /// Namespaces that may not be entered.
    pub refused: usize,
    /// Whether some may have been left out: there are more than [`MAX_NAMESPACES`] or [`MAX_PROCESSES`].
    pub truncated: bool,
}

/// The namespace of the calling thread.
///
/// # Errors
/// When procfs is not mounted, or no socket can be opened.
pub fn own() -> Result<NamespaceId, KernelError> {
    let doing = "finding this network namespace's number";
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(|e| KernelError::os(doing, e))?;
    if let Some(cookie) = cookie(&any) {
        return Ok(NamespaceId(cookie));
    }
    Ok(NamespaceId(fs::metadata(OWN).map_err(|error| KernelError::os(doing, error))?.ino()))
}

/// Calls `each` in every network namespace besides the caller's that a process of this machine is in, as far as
/// `/proc` shows it, on a thread of its own. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// When procfs is not mounted.
pub fn visit_others(mut each: impl FnMut(NamespaceId) + Send) -> Result<Visited, KernelError> {
    let (others, truncated) = others()?;
    let mut visited = Visited { truncated, ..Visited::default() };
    let walk = || {
        for namespace in others {
            match enter(&namespace) {
                Some(id) => {
                    visited.entered += 1;
                    each(id);
                }
                None => visited.refused += 1,
            }
        }
    };
    // This thread ends in another namespace than it began in: nobody else may use it.
    let ended = thread::scope(|scope| scope.spawn(walk).join());
    ended.map_err(|_| KernelError::Answer("the walk through the network namespaces panicked"))?;
    Ok(visited)
}

/// Runs `work` in a fresh network namespace with nothing in it, on a thread of its own; both go with it. Needs
/// CAP_SYS_ADMIN.
///
/// # Errors
/// When no namespace can be made.
pub fn in_fresh<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, KernelError> {
    let run = || {
        // SAFETY: only the network namespace of this fresh thread changes, which owns no socket yet; file
        // descriptors, memory and every other thread stay as they are.
        #[expect(unsafe_code, reason = "there is no safe call for it")]
        let made = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) };
        made.map_err(|errno| KernelError::os("making a network namespace to try things in", errno))?;
        Ok(work())
    };
    let ended = thread::scope(|scope| scope.spawn(run).join());
    ended.map_err(|_| KernelError::Answer("what was tried in a network namespace panicked"))?
}

/// Moves this thread there.
fn enter(namespace: &File) -> Option<NamespaceId> {
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
    own().ok()
}

/// The other namespaces, each once, and whether some may have been left out.
fn others() -> Result<(Vec<File>, bool), KernelError> {
    let doing = "looking for network namespaces in /proc";
    let own = fs::metadata(OWN).map_err(|error| KernelError::os(doing, error))?;
    let mut known = BTreeSet::from([(own.dev(), own.ino())]);
    let mut found = Vec::new();
    let processes = fs::read_dir("/proc").map_err(|error| KernelError::os(doing, error))?;
    let numbered = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let names = processes.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    for (count, process) in names.filter(|name| numbered(name)).enumerate() {
        if count >= MAX_PROCESSES {
            return Ok((found, true));
        }
        // It may have ended meanwhile, or not be for us to look at.
        let path = format!("/proc/{process}/ns/net");
        let Ok(at) = fs::metadata(&path) else { continue };
        if known.contains(&(at.dev(), at.ino())) {
            continue;
        }
        if found.len() >= MAX_NAMESPACES {
            return Ok((found, true));
        }
        if let Ok(file) = File::open(&path) {
            known.insert((at.dev(), at.ino()));
            found.push(file);
        }
    }
    Ok((found, false))
}

/// `SO_NETNS_COOKIE`; none before Linux 5.14.
fn cookie(socket: &impl AsRawFd) -> Option<u64> {
    let mut cookie = 0u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).ok()?;
    // SAFETY: the descriptor is open, and both pointers are to values that outlive the call; the length is the
    // value's.
    #[expect(unsafe_code, reason = "rustix has no call for this option")]
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    (got == 0 && length as usize == size_of::<u64>()).then_some(cookie)
}
