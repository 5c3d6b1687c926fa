//! The TCP counters that say how much of an attack a pass over the sockets cannot see.

use std::fs;

use crate::KernelError;

/// The counters of this thread's network namespace; `/proc/net` would be those of the process.
const PATH: &str = "/proc/thread-self/net/netstat";

/// Counters of `TcpExt` since boot, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Netstat {
    /// `TCPReqQFullDoCookies`: SYNs that were answered by cookie since the queue was full.
    pub queue_full_cookies: u64,
    /// `SyncookiesSent`: SYNs that were answered by cookie.
    pub cookies_sent: u64,
}

impl Netstat {
    /// Reads the counters.
    ///
    /// # Errors
    /// When procfs is not mounted or not readable.
    pub fn read() -> Result<Self, KernelError> {
        let text = fs::read_to_string(PATH).map_err(|e| KernelError::os("reading /proc/net/netstat", e))?;
        Ok(Self::parse(&text))
    }

    /// Takes the counters out of the file's text: pairs of lines, names and values, under one title.
    /// A counter that is not there is 0.
    pub fn parse(text: &str) -> Self {
        let value = |name| find(text, "TcpExt:", name).unwrap_or(0);
        Self { queue_full_cookies: value("TCPReqQFullDoCookies"), cookies_sent: value("SyncookiesSent") }
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
        let text = "TcpExt: SyncookiesSent SyncookiesRecv TCPReqQFullDoCookies\nTcpExt: 3 4 5\n\
                    IpExt: SyncookiesSent InOctets\nIpExt: 8 9\n";
        assert_eq!(Netstat::parse(text), Netstat { queue_full_cookies: 5, cookies_sent: 3 });
        assert_eq!(Netstat::parse("TcpExt: SyncookiesSent\nTcpExt: none\n"), Netstat::default());
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in ".*") {
            Netstat::parse(&text);
            Netstat::parse(&format!("TcpExt: {text}\nTcpExt: {text}"));
        }
    }
}
