//! An instance of tracefs: buffers and switches that belong to us alone, whatever else is traced on the machine.

use std::os::fd::{AsFd, OwnedFd};

use rustix::{
    fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, flock, mkdirat, openat, unlinkat},
    io::Errno,
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen},
};
use sekisho_model::limits::TRACE_BUFFER_KIB;

use crate::KernelError;

/// Where tracefs usually is.
const HOMES: [&str; 2] = ["/sys/kernel/tracing/instances", "/sys/kernel/debug/tracing/instances"];
/// How the names of our instances begin; a process id and a number follow.
const PREFIX: &str = "sekisho-";
/// Instances that one process may have, and that process namespaces with the same numbers may have together.
const MOST: u32 = 64;
/// The switch.
const ENABLE: &str = "events/tcp/tcp_retransmit_synack/enable";
/// Longest of the files that are read whole.
const TEXT_BYTES: usize = 64 << 10;

/// One instance, locked by us as long as the process lives: an instance without a lock is one of a dead agent.
pub(super) struct Instance {
    home: OwnedFd,
    name: String,
    directory: OwnedFd,
}

impl Instance {
    /// Makes one, and removes those of dead agents.
    pub(super) fn new() -> Result<Self, KernelError> {
        let home = home()?;
        for name in ours(&home)? {
            // A live one is locked; one that is read cannot be removed; and somebody else may remove it first.
            if let Ok(directory) = locked(&home, &name) {
                let _ = unlinkat(&home, &name, AtFlags::REMOVEDIR);
                drop(directory);
            }
        }
        let pid = rustix::process::getpid();
        for number in 0..MOST {
            let name = format!("{PREFIX}{pid}-{number}");
            match mkdirat(&home, &name, Mode::from_raw_mode(0o750)) {
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(KernelError::os("making an instance of tracefs", errno)),
                Ok(()) => {
                    let directory = locked(&home, &name)
                        .map_err(|errno| KernelError::os("locking our instance of tracefs", errno))?;
                    return Ok(Self { home, name, directory });
                }
            }
        }
        Err(KernelError::Answer("too many instances of tracefs are ours"))
    }

    /// A whole file.
    pub(super) fn read(&self, path: &str) -> Result<String, KernelError> {
        let failed =
            |errno| KernelError::os("reading a file of tracefs; is tcp:tcp_retransmit_synack there?", errno);
        let file =
            openat(&self.directory, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
        let (mut text, mut filled) = (vec![0; TEXT_BYTES], 0);
        loop {
            let space = text.get_mut(filled..).unwrap_or(&mut []);
            match rustix::io::read(&file, space) {
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
        text.truncate(filled);
        String::from_utf8(text).map_err(|_| KernelError::Answer("a file of tracefs is no text"))
    }

    fn write(&self, path: &str, text: &str) -> Result<(), KernelError> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let file = openat(&self.directory, path, flags, Mode::empty());
        file.and_then(|file| rustix::io::write(file, text.as_bytes()))
            .map(drop)
            .map_err(|errno| KernelError::os("writing a file of tracefs", errno))
    }

    /// Gives the buffers their size, and switches the tracepoint on.
    pub(super) fn switch_on(&self) -> Result<(), KernelError> {
        self.write("buffer_size_kb", &TRACE_BUFFER_KIB.to_string())?;
        self.write(ENABLE, "1")
    }

    /// The raw buffer of each processor.
    pub(super) fn readers(&self) -> Result<Vec<OwnedFd>, KernelError> {
        let failed = |errno| KernelError::os("opening the buffers of tracefs", errno);
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let processors = names(&self.directory, "per_cpu").map_err(failed)?;
        let readers = processors.into_iter().filter(|name| name.starts_with("cpu")).map(|name| {
            openat(&self.directory, format!("per_cpu/{name}/trace_pipe_raw"), flags, Mode::empty())
        });
        readers.collect::<Result<_, _>>().map_err(failed)
    }

    /// Bytes of a page of the buffers: what the kernel says, or a page of the machine for those before 6.8.
    pub(super) fn page_bytes(&self) -> usize {
        let told = self.read("buffer_subbuf_size_kb").ok().and_then(|text| text.trim().parse::<usize>().ok());
        told.map_or_else(rustix::param::page_size, |kib| kib << 10)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // What cannot be done here is done by the next agent that starts.
        let _ = self.write(ENABLE, "0");
        let _ = unlinkat(&self.home, &self.name, AtFlags::REMOVEDIR);
    }
}

/// The directory of instances: where tracefs is mounted, or in a mount of our own that nobody else sees.
fn home() -> Result<OwnedFd, KernelError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mounted = HOMES.iter().find_map(|path| rustix::fs::open(*path, flags, Mode::empty()).ok());
    let detached = || {
        let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let root = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        openat(&root, "instances", flags, Mode::empty())
    };
    mounted.map_or_else(detached, Ok).map_err(|errno| {
        KernelError::os(
            "finding tracefs; it must be mounted at /sys/kernel/tracing and open to this process, or the process have CAP_SYS_ADMIN",
            errno,
        )
    })
}

fn ours(home: &OwnedFd) -> Result<Vec<String>, KernelError> {
    let all = names(home, ".").map_err(|errno| KernelError::os("listing the instances of tracefs", errno))?;
    Ok(all.into_iter().filter(|name| name.starts_with(PREFIX)).collect())
}

fn names(directory: &OwnedFd, path: &str) -> Result<Vec<String>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let entries = Dir::new(openat(directory, path, flags, Mode::empty())?)?;
    let name = |entry: Result<rustix::fs::DirEntry, Errno>| {
        entry.map(|entry| entry.file_name().to_str().unwrap_or_default().to_owned())
    };
    entries.map(name).collect()
}

/// Opens an instance and locks it; the lock goes with the descriptor.
fn locked(home: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(home, name, flags, Mode::empty())?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    Ok(directory)
}
