//! gRPC from inside a namespace: the generated clients over a channel with a certificate of the run.

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use sekisho_wire::pb::v1::{
    Entry, GetStatusRequest, GetStatusResponse, Host, ListEntriesRequest, ListHostsRequest,
    blocklist_service_client::BlocklistServiceClient, fleet_service_client::FleetServiceClient,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::{certs::Files, namespace::Namespace, programs};

const TIMEOUT: Duration = Duration::from_secs(5);

/// Runs `work` on a runtime of its own whose sockets are in `namespace`.
///
/// # Errors
/// The namespace cannot be entered, or what `work` says.
pub fn block_on<T: Send>(namespace: &Namespace, work: impl AsyncFnOnce() -> Result<T> + Send) -> Result<T> {
    namespace.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(work())
    })?
}

/// How to reach the aggregator with these files; without a certificate if `identity` is false.
///
/// # Errors
/// The files are unreadable.
pub fn endpoint(files: &Files, identity: bool) -> Result<Endpoint> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(fs::read(&files.ca)?));
    if identity {
        tls = tls.identity(Identity::from_pem(fs::read(&files.cert)?, fs::read(&files.key)?));
    }
    Ok(Endpoint::from_shared(programs::url())?.tls_config(tls)?.connect_timeout(TIMEOUT))
}

/// A channel to the aggregator with these files.
///
/// # Errors
/// Nobody listens, or it refuses.
pub async fn channel(files: &Files) -> Result<Channel> {
    endpoint(files, true)?.connect().await.context("cannot connect to the aggregator")
}

/// Every entry, page by page.
///
/// # Errors
/// What the aggregator said.
pub async fn entries(channel: Channel) -> Result<Vec<Entry>> {
    let mut client = BlocklistServiceClient::new(channel).max_decoding_message_size(16 << 20);
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListEntriesRequest { page_size: 1_000, page_token };
        let page = client.list_entries(request).await?.into_inner();
        all.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// Every host.
///
/// # Errors
/// What the aggregator said.
pub async fn hosts(channel: Channel) -> Result<Vec<Host>> {
    let request = ListHostsRequest { page_size: 1_000, page_token: String::new() };
    Ok(FleetServiceClient::new(channel).list_hosts(request).await?.into_inner().hosts)
}

/// How the aggregator is.
///
/// # Errors
/// What it said.
pub async fn status(channel: Channel) -> Result<GetStatusResponse> {
    Ok(BlocklistServiceClient::new(channel).get_status(GetStatusRequest {}).await?.into_inner())
}
