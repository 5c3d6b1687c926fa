//! Everything that can go wrong between us and the kernel, and what an operator can do about it.

use std::{fmt, io, net::IpAddr};

use rustix::io::Errno;

/// The element that an error is about, where the kernel says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place(pub Option<(String, IpAddr)>);

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some((set, first)) => write!(out, "the element of set {set} that begins with {first}"),
            None => out.write_str("an element"),
        }
    }
}

/// Why a call to the kernel failed. Nothing of a failed transaction was applied.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// nfnetlink does not know nf_tables.
    #[error(
        "this kernel has no nf_tables; load the module nf_tables or use a kernel with CONFIG_NF_TABLES_INET"
    )]
    NoNfTables,
    /// ENOENT of sock_diag.
    #[error(
        "this kernel does not list TCP sockets; load the modules inet_diag and tcp_diag (CONFIG_INET_TCP_DIAG)"
    )]
    NoSockDiag,
    /// EPERM.
    #[error(
        "not permitted: changing the firewall needs CAP_NET_ADMIN; run as root, or give the service \
         AmbientCapabilities=CAP_NET_ADMIN, or use mode observe"
    )]
    NotPermitted,
    /// The table has the owner flag, and its owner is not us.
    #[error("table inet sekisho belongs to another process (netlink port {0}); is a second agent running?")]
    Owned(u32),
    /// The table is there, and is not as we make it.
    #[error(
        "table inet sekisho is there, but not as this program makes it: {0}; delete it if it is not needed"
    )]
    Foreign(String),
    /// The table is there already.
    #[error("table inet sekisho is there already")]
    Exists,
    /// ENOENT: the table, or a set of it, is not there.
    #[error("table inet sekisho or a set of it is missing; something flushed or deleted it")]
    Missing,
    /// ENFILE or ENOSPC: a set has its size.
    #[error("{0} finds no room: its set in table inet sekisho is full")]
    Full(Place),
    /// EEXIST or ENOTEMPTY: an element overlaps one that is there.
    #[error("{0} overlaps what the kernel holds; the sets are not what this program left there")]
    Overlap(Place),
    /// ERESTART or EAGAIN: another transaction came between.
    #[error("another nf_tables transaction came between; the same one may succeed now")]
    Raced,
    /// EMSGSIZE or ENOBUFS on sending: the transaction does not fit into the socket's buffer.
    #[error(
        "a transaction of {0} bytes does not fit into the socket's send buffer; it needs CAP_NET_ADMIN to grow it"
    )]
    TooLarge(usize),
    /// ENOMEM.
    #[error("the kernel has no memory for this; the transaction was not applied")]
    NoMemory,
    /// `NLM_F_DUMP_INTR`: what was read is a mixture of before and after.
    #[error("the set changed while it was read; read it again")]
    Inconsistent,
    /// The kernel's answer is not what its headers promise.
    #[error("the kernel's answer cannot be understood: {0}")]
    Answer(&'static str),
    /// Any other failure.
    #[error("{doing}: {source}")]
    Os {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl KernelError {
    /// The error of a failed system call.
    pub(crate) fn os(doing: &'static str, source: impl Into<io::Error>) -> Self {
        Self::Os { doing, source: source.into() }
    }

    /// The error that nf_tables means by `errno`.
    pub(crate) fn of_nf_tables(doing: &'static str, errno: Errno) -> Self {
        Self::of_element(doing, errno, Place::default())
    }

    /// The error that nf_tables means by `errno` about an element.
    pub(crate) fn of_element(doing: &'static str, errno: Errno, place: Place) -> Self {
        match errno {
            Errno::PERM => Self::NotPermitted,
            Errno::NOENT => Self::Missing,
            Errno::NFILE | Errno::NOSPC => Self::Full(place),
            Errno::EXIST | Errno::NOTEMPTY => Self::Overlap(place),
            Errno::AGAIN => Self::Raced,
            Errno::NOMEM => Self::NoMemory,
            // ERESTART never reaches user space from a system call, so that rustix does not name it.
            other if other.raw_os_error() == libc::ERESTART => Self::Raced,
            other => Self::os(doing, other),
        }
    }
}
