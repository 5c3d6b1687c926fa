//! One half-open socket, as the kernel told it.

use core::{net::IpAddr, time::Duration};

/// A handshake that this host has answered and not heard of since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The other end, as the kernel said it: a listener for both families gives IPv4 peers as
    /// IPv4-mapped IPv6 addresses (RFC 4291, section 2.5.5.2).
    pub peer: IpAddr,
    /// Names the same socket in every pass; unique on the host until it boots.
    pub cookie: u64,
    /// How often the SYN-ACK was sent again: `idiag_retrans` of `linux/inet_diag.h`.
    pub retransmits: u8,
    /// Time until the kernel sends it again or gives up.
    pub expires: Duration,
}
