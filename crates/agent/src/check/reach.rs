//! The way to the aggregators: whether they answer, and know us by our certificate.

use std::sync::Arc;

use rustls::ClientConfig;
use sekisho_daemon::client;

use super::{Finding, State};
use crate::settings::Settings;

const NAME: &str = "aggregator";

/// One finding for each aggregator that is given. That one is away hinders no enforcing: what is in force stays.
pub async fn look(settings: &Settings) -> Vec<Finding> {
    if settings.aggregator.is_empty() {
        return vec![
            Finding::new(NAME, State::Unknown, "none is given").advise("give --aggregator https://HOST:PORT"),
        ];
    }
    let tls = match settings.tls.client() {
        Ok(tls) => tls,
        Err(error) => return vec![Finding::fails("TLS files", &format!("{error:#}"))],
    };
    let mut findings = Vec::new();
    for url in &settings.aggregator {
        findings.push(reach(url, tls.clone()).await);
    }
    findings
}

async fn reach(url: &str, tls: Option<Arc<ClientConfig>>) -> Finding {
    let how = if tls.is_some() { "by TLS, and its certificate is good" } else { "in plaintext" };
    let uri = match client::url(url, tls.is_some()) {
        Ok(uri) => uri,
        Err(error) => return Finding::fails(NAME, &format!("{error:#}")),
    };
    match client::connect(&uri, tls).await {
        Ok(_) => Finding::works(NAME, format!("{url} answers {how}")),
        Err(error) => Finding::new(NAME, State::Suspicious, format!("{error:#}")).advise(
            "see that the name, the port, the firewall between and the certificates on both sides are right",
        ),
    }
}
