//! The tracepoint `tcp:tcp_retransmit_synack`: whether it is there and may be read.

use std::{fs, io, path::Path};

/// Where tracefs is mounted, now and on older systems.
const MOUNTS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// What there is of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tracepoint {
    /// It is there and may be read.
    Readable,
    /// tracefs is not mounted here.
    NotMounted,
    /// It may not be read.
    Refused,
    /// tracefs is there, the tracepoint is not.
    Absent,
}

/// What there is of it.
pub fn tracepoint() -> Tracepoint {
    let Some(mount) = MOUNTS.iter().map(Path::new).find(|mount| is_mounted(mount)) else {
        return Tracepoint::NotMounted;
    };
    match fs::read_to_string(mount.join("events/tcp/tcp_retransmit_synack/id")) {
        Ok(_) => Tracepoint::Readable,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Tracepoint::Refused,
        Err(_) => Tracepoint::Absent,
    }
}

/// An empty directory is there also where nothing is mounted; one that may not be entered is mounted.
fn is_mounted(mount: &Path) -> bool {
    match fs::metadata(mount.join("events")) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}
