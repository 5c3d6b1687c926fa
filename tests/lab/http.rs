//! As much HTTP/1.1 as it takes to read `/readyz` and `/metrics` inside a namespace.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::namespace::Namespace;

const TIMEOUT: Duration = Duration::from_secs(2);

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// 200, 503…
    pub status: u16,
    /// What it says.
    pub body: String,
}

/// Gets `path` from a server in `namespace`.
///
/// # Errors
/// Nobody listens, or what answers is no HTTP.
pub fn get(namespace: &Namespace, server: SocketAddr, path: &str) -> Result<Answer> {
    let text = namespace.run(|| -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    })??;
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(Answer { status: status.context("no HTTP status")?, body: body.to_owned() })
}

/// The sum of a metric's series in a Prometheus exposition; none if it has no series.
pub fn metric(exposition: &str, name: &str) -> Option<f64> {
    let series = exposition.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
    });
    let values = series.filter_map(|line| {
        let value = line.rsplit_once('}').map_or_else(|| line.split_once(' '), |(_, rest)| Some(("", rest)));
        value?.1.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_their_series() {
        let text = "# HELP a_total x\na_total{k=\"1\"} 2\na_total{k=\"2\"} 3\na_total_more 9\nb 4\n";
        assert_eq!(metric(text, "a_total"), Some(5.0));
        assert_eq!(metric(text, "b"), Some(4.0));
        assert_eq!(metric(text, "c"), None);
    }
}
