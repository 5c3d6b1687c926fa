//! mTLS by files: TLS 1.3 only, one CA, and certificates on both sides. The caller's identity is the
//! URI SANs of its certificate (SPIFFE-ID).

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, crypto::ring, server::WebPkiClientVerifier, version::TLS13,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::exit::usage;

/// The TLS flags that all programs share.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsArgs {
    /// This program's certificate chain, PEM
    #[arg(long, global = true, env = "SEKISHO_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert, PEM
    #[arg(long, global = true, env = "SEKISHO_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// The CA certificates by which the other side is judged, PEM
    #[arg(long, global = true, env = "SEKISHO_TLS_CA", value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Plaintext, and names as claimed: for laboratories only
    #[arg(long, global = true, env = "SEKISHO_INSECURE",
          value_parser = clap::builder::BoolishValueParser::new(), num_args = 0..=1, require_equals = true,
          default_missing_value = "true", default_value = "false")]
    pub insecure: bool,
}

struct Files {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
}

impl TlsArgs {
    /// The server's side; none with `--insecure`.
    ///
    /// # Errors
    /// Missing or unreadable files, with the remedy.
    pub fn server(&self) -> anyhow::Result<Option<Arc<ServerConfig>>> {
        let Some(files) = self.files()? else { return Ok(None) };
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(files.roots, provider.clone())
            .build()
            .map_err(|error| usage(format!("--tls-ca {}: {error}", shown(self.tls_ca.as_ref()))))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_single_cert(files.chain, files.key)
            .map_err(|error| self.mismatch(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Arc::new(config)))
    }

    /// The client's side; none with `--insecure`.
    ///
    /// # Errors
    /// Missing or unreadable files, with the remedy.
    pub fn client(&self) -> anyhow::Result<Option<Arc<ClientConfig>>> {
        let Some(files) = self.files()? else { return Ok(None) };
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(files.roots)
            .with_client_auth_cert(files.chain, files.key)
            .map_err(|error| self.mismatch(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Some(Arc::new(config)))
    }

    /// The URI SANs of this program's own certificate; none with `--insecure`.
    ///
    /// # Errors
    /// As [`TlsArgs::client`].
    pub fn own_uris(&self) -> anyhow::Result<Option<Vec<String>>> {
        Ok(self.files()?.and_then(|files| files.chain.first().map(uris)))
    }

    fn files(&self) -> anyhow::Result<Option<Files>> {
        match (&self.tls_cert, &self.tls_key, &self.tls_ca, self.insecure) {
            (None, None, None, true) => Ok(None),
            (Some(cert), Some(key), Some(ca), false) => Ok(Some(read(cert, key, ca)?)),
            (_, _, _, true) => Err(usage(
                "--insecure excludes --tls-cert, --tls-key and --tls-ca; leave one or the other out",
            )),
            _ => Err(usage(
                "no certificates: give --tls-cert, --tls-key and --tls-ca (all three), or --insecure in a laboratory",
            )),
        }
    }

    fn mismatch(&self, error: &rustls::Error) -> anyhow::Error {
        let (cert, key) = (shown(self.tls_cert.as_ref()), shown(self.tls_key.as_ref()));
        usage(format!(
            "--tls-cert {cert} with --tls-key {key}: {error}; give the key that belongs to the certificate"
        ))
    }
}

fn shown(path: Option<&PathBuf>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

fn read(cert: &PathBuf, key: &PathBuf, ca: &PathBuf) -> anyhow::Result<Files> {
    let chain = certificates("--tls-cert", cert)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        usage(format!("--tls-key {}: {error}; give a PEM file with a private key", key.display()))
    })?;
    let mut roots = RootCertStore::empty();
    for root in certificates("--tls-ca", ca)? {
        roots.add(root).map_err(|error| usage(format!("--tls-ca {}: {error}", ca.display())))?;
    }
    Ok(Files { chain, key, roots: Arc::new(roots) })
}

fn certificates(flag: &str, path: &PathBuf) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let wrong = |problem: String| {
        usage(format!("{flag} {}: {problem}; give a PEM file with certificates", path.display()))
    };
    let list = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let list = list.map_err(|error| wrong(error.to_string()))?;
    if list.is_empty() { Err(wrong("it holds no certificate".into())) } else { Ok(list) }
}

/// The URI SANs of a certificate (RFC 5280, section 4.2.1.6); none for one that cannot be read.
pub fn uris(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = parsed.subject_alternative_name() else { return Vec::new() };
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(uri).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_certificates_it_says_what_to_do() {
        let none = TlsArgs::default().server().unwrap_err();
        assert!(none.to_string().contains("--insecure"), "{none}");
        assert!(TlsArgs { insecure: true, ..TlsArgs::default() }.server().unwrap().is_none());
        let both = TlsArgs { insecure: true, tls_ca: Some("ca.pem".into()), ..TlsArgs::default() };
        assert!(both.client().unwrap_err().to_string().contains("excludes"));
        let absent = TlsArgs {
            tls_cert: Some("/nonexistent/cert.pem".into()),
            tls_key: Some("/nonexistent/key.pem".into()),
            tls_ca: Some("/nonexistent/ca.pem".into()),
            insecure: false,
        };
        assert!(absent.client().unwrap_err().to_string().contains("--tls-cert /nonexistent/cert.pem"));
    }

    #[test]
    fn the_identity_is_the_uri_san() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["edge-1.example".to_owned()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::URI("spiffe://lab/agent/edge-1".try_into().unwrap()));
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(uris(certificate.der()), ["spiffe://lab/agent/edge-1"]);
        assert!(uris(&CertificateDer::from(vec![1, 2, 3])).is_empty());
    }
}
