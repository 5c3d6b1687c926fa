//! An honest TCP client.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::namespace::Namespace;

/// Shorter than the first SYN retransmit (1 s): who connects within it lost no SYN.
pub const AT_ONCE: Duration = Duration::from_millis(900);

/// A connection that was established.
pub struct Connection {
    stream: TcpStream,
    /// How long the handshake took.
    pub took: Duration,
}

impl Connection {
    /// Connects from `namespace` to `to`.
    ///
    /// # Errors
    /// No handshake within `deadline`.
    pub fn open(namespace: &Namespace, to: SocketAddr, deadline: Duration) -> Result<Self> {
        namespace.run(move || {
            let start = Instant::now();
            let stream = TcpStream::connect_timeout(&to, deadline);
            let stream = stream.with_context(|| format!("cannot connect to {to} within {deadline:?}"))?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            Ok(Self { stream, took: start.elapsed() })
        })?
    }

    /// Sends something and waits for it to come back.
    ///
    /// # Errors
    /// The connection is dead, or something else came back.
    pub fn echo(&mut self) -> Result<()> {
        let said = b"are you there?";
        self.stream.write_all(said).context("the connection is dead")?;
        let mut heard = vec![0; said.len()];
        self.stream.read_exact(&mut heard).context("no answer on an established connection")?;
        ensure!(heard == said, "the service says back something else");
        Ok(())
    }
}
