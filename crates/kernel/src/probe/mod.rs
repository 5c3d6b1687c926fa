//! What this kernel can do and lets us do, found out by trying, not by its version: distributions carry things
//! back. Nothing that is tried is seen by a packet, and nothing of it stays.

mod ruleset;
mod suspects;

pub use ruleset::rehearse;
pub use suspects::{Suspect, suspects};

use rustix::{
    system::uname,
    thread::{CapabilitySet, capabilities},
};

use crate::{KernelError, Nft, link::Link, namespace, nft::Features};

/// Bytes of a transaction with a million elements.
const BIG: usize = 64 << 20;
/// `NETLINK_NETFILTER`.
const NETFILTER: isize = 12;

/// The kernel's release, as `uname -r` says it.
pub fn release() -> String {
    uname().release().to_string_lossy().into_owned()
}

/// What this thread may do, of what matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// CAP_NET_ADMIN: change the firewall, end sockets, set sysctls of the network.
    pub net_admin: bool,
    /// CAP_SYS_ADMIN: enter and make network namespaces.
    pub sys_admin: bool,
}

/// What this thread may do.
///
/// # Errors
/// The kernel's.
pub fn rights() -> Result<Rights, KernelError> {
    let held = capabilities(None).map_err(|errno| KernelError::os("reading the capabilities", errno))?;
    let has = |capability| held.effective.contains(capability);
    Ok(Rights { net_admin: has(CapabilitySet::NET_ADMIN), sys_admin: has(CapabilitySet::SYS_ADMIN) })
}

/// Whether nf_tables is there and lets us in.
///
/// # Errors
/// [`KernelError::NoNfTables`], [`KernelError::NotPermitted`].
pub fn nf_tables() -> Result<(), KernelError> {
    Nft::open()?.usable()
}

/// What nf_tables can do, tried in a fresh network namespace where one can be made, and else in this one.
///
/// # Errors
/// When nf_tables cannot be asked at all.
pub fn features() -> Result<Features, KernelError> {
    let try_out = || Nft::open()?.probe();
    namespace::in_fresh(try_out).unwrap_or_else(|_| try_out())
}

/// Whether a socket's send buffer may be made as big as a transaction with a million elements
/// (`SO_SNDBUFFORCE`): about so many bytes fit into it.
///
/// # Errors
/// When no netlink socket can be opened.
pub fn send_buffer() -> Result<(bool, usize), KernelError> {
    let bytes = Link::open(NETFILTER)?.grown_send_buffer(BIG);
    Ok((bytes >= BIG, bytes))
}
