//! The TCP counters that say how much of an attack a pass over the sockets cannot see, and how many honest
//! clients there are.

use std::fs;

use crate::KernelError;

/// The counters of this thread's network namespace; `/proc/net` would be those of the process.
const EXTENSIONS: &str = "/proc/thread-self/net/netstat";
/// Those of the standard MIBs.
const STANDARD: &str = "/proc/thread-self/net/snmp";

/// Counters of TCP since boot, of one network namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Netstat {
    /// `TcpExt: TCPReqQFullDoCookies`: SYNs that were answered by cookie since the queue was full.
    pub queue_full_cookies: u64,
    /// `TcpExt: SyncookiesSent`: SYNs that were answered by cookie.
    pub cookies_sent: u64,
    /// `TcpExt: TCPSynRetrans`: SYN-ACKs that were sent again, and SYNs of connections that this host opens.
    pub syn_retransmits: u64,
    /// `TcpExt: SyncookiesRecv`: cookies that came back, each by an honest client.
    pub cookies_received: u64,
    /// `Tcp: PassiveOpens`: inbound handshakes that were completed.
    pub passive_opens: u64,
    /// `Tcp: AttemptFails`: handshakes that failed, in both directions.
    pub attempts_failed: u64,
    /// `Tcp: CurrEstab`: connections that are established now.
    pub established: u64,
}

impl Netstat {
    /// Reads the counters.
    ///
    /// # Errors
    /// When procfs is not mounted or not readable.
    pub fn read() -> Result<Self, KernelError> {
        let read = |path, doing| fs::read_to_string(path).map_err(|e| KernelError::os(doing, e));
        let extensions = read(EXTENSIONS, "reading /proc/net/netstat")?;
        Ok(Self::parse(&extensions, &read(STANDARD, "reading /proc/net/snmp")?))
    }

    /// Takes the counters out of the files' texts: pairs of lines, names and values, under one title.
    /// A counter that is not there is 0.
    pub fn parse(extensions: &str, standard: &str) -> Self {
        let extension = |name| find(extensions, "TcpExt:", name).unwrap_or(0);
        let one = |name| find(standard, "Tcp:", name).unwrap_or(0);
        Self {
            queue_full_cookies: extension("TCPReqQFullDoCookies"),
            cookies_sent: extension("SyncookiesSent"),
            cookies_received: extension("SyncookiesRecv"),
            syn_retransmits: extension("TCPSynRetrans"),
            passive_opens: one("PassiveOpens"),
            attempts_failed: one("AttemptFails"),
            established: one("CurrEstab"),
        }
    }
}

fn find(text: &str, title: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(title));
    let (names, values) = (lines.next()?, lines.next()?);
    let column = names.split_whitespace().position(|each| each == name)?;
    values.split_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent TCPSynRetrans TCPReqQFullDoCookies SyncookiesRecv\nTcpExt: 3 4 5 6\n\
                    IpExt: SyncookiesSent InOctets\nIpExt: 8 9\n";
        let standard = "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens \
                        AttemptFails CurrEstab\nTcp: 1 -1 5 7 2 9\n";
        let wanted = Netstat {
            queue_full_cookies: 5,
            cookies_sent: 3,
            cookies_received: 6,
            syn_retransmits: 4,
            passive_opens: 7,
            attempts_failed: 2,
            established: 9,
        };
        assert_eq!(Netstat::parse(text, standard), wanted);
        assert_eq!(Netstat::parse("TcpExt: SyncookiesSent\nTcpExt: none\n", "Tcp:"), Netstat::default());
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in ".*") {
            Netstat::parse(&text, &text);
            let twice = |title: &str| format!("{title} {text}\n{title} {text}");
            Netstat::parse(&twice("TcpExt:"), &twice("Tcp:"));
        }
    }
}
