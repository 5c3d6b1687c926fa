//! `net.ipv4.tcp_synack_retries` of the network namespace that the calling thread is in, which holds for IPv6
//! too, and whether it forwards.

use std::fs;

use crate::KernelError;

/// Under `/proc/sys/net` everybody sees the values of the namespace of his own thread.
const RETRIES: &str = "/proc/sys/net/ipv4/tcp_synack_retries";

/// Whether packets of others go through this host.
const FORWARDING: [&str; 2] = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];

/// How often a SYN-ACK is sent again, unless a listener says otherwise (`TCP_SYNCNT`).
///
/// # Errors
/// When procfs is not mounted or not readable.
pub fn synack_retries() -> Result<u8, KernelError> {
    let doing = "reading net.ipv4.tcp_synack_retries";
    let text = fs::read_to_string(RETRIES).map_err(|error| KernelError::os(doing, error))?;
    text.trim().parse().map_err(|_| KernelError::Answer("net.ipv4.tcp_synack_retries is no number"))
}

/// Sets it; handshakes that are half-open already go by it from their next timer on.
///
/// # Errors
/// Without CAP_NET_ADMIN, or where `/proc/sys` may only be read, as in many containers.
pub fn set_synack_retries(retries: u8) -> Result<(), KernelError> {
    let doing = "setting net.ipv4.tcp_synack_retries";
    fs::write(RETRIES, retries.to_string()).map_err(|error| KernelError::os(doing, error))
}

/// Whether it may be set, without setting it.
///
/// # Errors
/// Why not.
pub fn synack_retries_writable() -> Result<(), KernelError> {
    let opened = fs::OpenOptions::new().write(true).open(RETRIES);
    opened.map(drop).map_err(|error| KernelError::os("opening net.ipv4.tcp_synack_retries to set it", error))
}

/// Whether this host forwards packets, as one with pods does.
pub fn forwards() -> bool {
    let on = |path: &&str| fs::read_to_string(path).is_ok_and(|text| text.trim() != "0");
    FORWARDING.iter().any(on)
}
