//! Certificates for one run: an authority, the aggregator's, one for each agent and each operator.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::world::AGGREGATOR;

/// The trust domain of the laboratory.
pub const TRUST_DOMAIN: &str = "lab";

/// The authority, and the directory in which the files are.
pub struct Certs {
    directory: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// The files that one program needs.
#[derive(Clone, Debug)]
pub struct Files {
    /// Its certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority that signs its peers.
    pub ca: PathBuf,
}

impl Certs {
    /// Makes an authority whose files go to `directory`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn new(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "sekisho laboratory");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let made = Self { directory: directory.to_owned(), authority };
        fs::write(made.ca(), made.authority.pem())?;
        Ok(made)
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Files for the aggregator: it is known by its address, and as `localhost`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn aggregator(&self) -> Result<Files> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "aggregator".to_owned()])?;
        for address in [AGGREGATOR, Ipv4Addr::LOCALHOST] {
            params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(address)));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign("aggregator", params)
    }

    /// Files for the agent of a host.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn agent(&self, host: &str) -> Result<Files> {
        self.caller(&format!("agent-{host}"), &format!("spiffe://{TRUST_DOMAIN}/agent/{host}"))
    }

    /// Files for an operator.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn operator(&self, name: &str) -> Result<Files> {
        self.caller(&format!("operator-{name}"), &format!("spiffe://{TRUST_DOMAIN}/operator/{name}"))
    }

    /// Files for a caller whose certificate carries any `uri`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn caller(&self, file: &str, uri: &str) -> Result<Files> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.subject_alt_names.push(SanType::URI(uri.try_into().context("the URI is not ASCII")?));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(file, params)
    }

    fn sign(&self, file: &str, mut params: CertificateParams) -> Result<Files> {
        params.distinguished_name.push(DnType::CommonName, file);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &self.authority)?;
        let path = |ending: &str| self.directory.join(format!("{file}{ending}"));
        let files = Files { cert: path(".pem"), key: path(".key"), ca: self.ca() };
        fs::write(&files.cert, cert.pem())?;
        fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }
}
