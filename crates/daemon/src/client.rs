//! The client's way to a server: one gRPC channel, by TLS or plain, with keepalive.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::exit::usage;

/// Longest that a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it lives.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A server's URL, checked against the TLS files that there are.
///
/// # Errors
/// When `text` is no `https://host:port` (or `http://` with `--insecure`), with the remedy.
pub fn url(text: &str, tls: bool) -> anyhow::Result<Uri> {
    let scheme = if tls { "https" } else { "http" };
    let wrong = || usage(format!("--aggregator {text}: write {scheme}://HOST:PORT"));
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let whole = uri.scheme_str() == Some(scheme) && uri.host().is_some() && uri.port_u16().is_some();
    if whole && uri.path() == "/" { Ok(uri) } else { Err(wrong()) }
}

/// Connects to `uri`.
///
/// # Errors
/// When no connection comes up within 5 s, or the certificate is not good.
pub async fn connect(uri: &Uri, tls: Option<Arc<ClientConfig>>) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from(uri.clone())
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    let channel = match tls {
        None => {
            endpoint
                .connect_with_connector(service_fn(|uri| async move { open(&uri).await.map(TokioIo::new) }))
                .await
        }
        Some(config) => {
            let connector = TlsConnector::from(config);
            let dial = move |uri: Uri| {
                let connector = connector.clone();
                async move {
                    let stream = open(&uri).await?;
                    let name = ServerName::try_from(host(&uri).to_owned()).map_err(std::io::Error::other)?;
                    connector.connect(name, stream).await.map(TokioIo::new)
                }
            };
            endpoint.connect_with_connector(service_fn(dial)).await
        }
    };
    channel.with_context(|| format!("cannot reach {uri}"))
}

async fn open(uri: &Uri) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((host(uri), uri.port_u16().unwrap_or(443))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The host without the brackets that IPv6 literals have in URLs.
fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_fit_the_certificates() {
        assert!(url("https://198.51.100.250:7440", true).is_ok());
        assert!(url("http://[::1]:7440", false).is_ok());
        for (text, tls) in [
            ("http://a:1", true),
            ("https://a:1", false),
            ("https://a", true),
            ("a:1", true),
            ("https://a:1/x", true),
        ] {
            assert!(url(text, tls).unwrap_err().to_string().contains("HOST:PORT"), "{text}");
        }
    }
}
