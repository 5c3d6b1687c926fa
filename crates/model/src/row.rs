//! One half-open handshake, as the kernel told it.

use core::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::Flag;

/// A handshake that was answered, here or behind this host, and not completed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Whom the answer goes to in the end: behind address translation the true client, not the translator.
    /// As the kernel said it: a listener for both families gives IPv4 peers as IPv4-mapped IPv6 addresses
    /// (RFC 4291, section 2.5.5.2).
    pub victim: IpAddr,
    /// Which handshake it is: the same for every sensor.
    pub handshake: Handshake,
    /// Who tells of it, and how it stands.
    pub sign: Sign,
}

/// The two ends of a handshake, as the socket that answers has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handshake {
    /// The other end: behind a masquerade, the translator.
    pub peer: SocketAddr,
    /// Our end: behind a translated destination, where the connection really ends.
    pub local: SocketAddr,
}

impl Handshake {
    /// The handshake between these ends; IPv4-mapped addresses become IPv4, since sensors differ in that.
    pub fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        Self { peer: canonical(peer), local: canonical(local) }
    }
}

/// What one sensor says of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// sock_diag: it has a half-open socket.
    Socket {
        /// Names the same socket in every pass; unique in its network namespace until the host boots.
        cookie: u64,
        /// How often the SYN-ACK was sent again: `idiag_retrans` of `linux/inet_diag.h`.
        retransmits: u8,
        /// Time until the kernel sends it again or gives up.
        expires: Duration,
    },
    /// conntrack: it was answered, and the answer's answer was not seen (state SYN_RECV).
    Tracked {
        /// Names the same entry in every dump, as long as it lives.
        id: u32,
    },
    /// The tracepoint: its SYN-ACK was sent again just now.
    Resent,
}

/// Who tells of handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensor {
    /// Half-open sockets of one network namespace.
    SockDiag,
    /// Connection tracking of one network namespace.
    Conntrack,
    /// Retransmits of SYN-ACKs in all network namespaces.
    Tracepoint,
}

impl Sensor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::SockDiag, Self::Conntrack, Self::Tracepoint];

    /// As operators read and write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SockDiag => "sock_diag",
            Self::Conntrack => "conntrack",
            Self::Tracepoint => "tracepoint",
        }
    }
}

impl Flag for Sensor {
    const ALL: &'static [Self] = &Self::ALL;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_listeners_name_the_same_handshake() {
        let mapped = Handshake::new(
            "[::ffff:203.0.113.7]:40000".parse().unwrap(),
            "[::ffff:192.0.2.1]:443".parse().unwrap(),
        );
        let plain = Handshake::new("203.0.113.7:40000".parse().unwrap(), "192.0.2.1:443".parse().unwrap());
        assert_eq!(mapped, plain);
        assert_ne!(plain, Handshake::new(plain.local, plain.peer));
    }
}
