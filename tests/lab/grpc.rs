//! gRPC from inside a namespace: the generated clients over a channel with a certificate of the run.

use std::sync::Arc;

use anyhow::Result;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use sekisho_daemon::{client, tls::TlsArgs};
use sekisho_wire::pb::v1::{
    Entry, GetStatusRequest, GetStatusResponse, Host, ListEntriesRequest, ListHostsRequest,
    blocklist_service_client::BlocklistServiceClient, fleet_service_client::FleetServiceClient,
};
use tonic::transport::Channel;

use crate::{certs::Files, namespace::Namespace, programs};

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

/// A channel to the aggregator with these files.
///
/// # Errors
/// Nobody listens, or it refuses.
pub async fn channel(files: &Files) -> Result<Channel> {
    let tls = TlsArgs {
        tls_cert: Some(files.cert.clone()),
        tls_key: Some(files.key.clone()),
        tls_ca: Some(files.ca.clone()),
        insecure: false,
    };
    client::connect(&programs::url().parse()?, tls.client()?).await
}

/// A channel of somebody who knows the authority in these files, and shows no certificate.
///
/// # Errors
/// Nobody listens, or it refuses.
pub async fn nameless_channel(files: &Files) -> Result<Channel> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(&files.ca)? {
        roots.add(root?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    client::connect(&programs::url().parse()?, Some(Arc::new(config))).await
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
