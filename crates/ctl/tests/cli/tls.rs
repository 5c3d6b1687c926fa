//! By certificates: the flags before and after the verb, and what is said when they do not fit.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use sekisho_daemon::tls::TlsArgs;
use sekisho_wire::pb::v1 as pb;

use crate::fake::{Fake, World, program, ran};

/// A CA in `folder`, with which `issue` makes `NAME.pem` and `NAME.key`.
fn authority(folder: &Path, name: &str) -> Issuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    fs::write(folder.join(name), params.self_signed(&key).unwrap().pem()).unwrap();
    Issuer::new(params, key)
}

fn issue(folder: &Path, by: &Issuer<'static, KeyPair>, name: &str, san: SanType) -> TlsArgs {
    let mut params = CertificateParams::default();
    params.subject_alt_names.push(san);
    let key = KeyPair::generate().unwrap();
    let (cert, secret) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    fs::write(&cert, params.signed_by(&key, by).unwrap().pem()).unwrap();
    fs::write(&secret, key.serialize_pem()).unwrap();
    let ca = folder.join("ca.pem");
    TlsArgs { tls_cert: Some(cert), tls_key: Some(secret), tls_ca: Some(ca), insecure: false }
}

#[test]
fn certificates_work_before_and_after_the_verb() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ca = authority(folder, "ca.pem");
    authority(folder, "other.pem");
    let server = issue(folder, &ca, "server", SanType::IpAddress([127, 0, 0, 1].into()));
    issue(folder, &ca, "ana", SanType::URI("spiffe://lab/operator/ana".try_into().unwrap()));
    let status = pb::GetStatusResponse { version: "0.1.0".into(), ..pb::GetStatusResponse::default() };
    let fake = Fake::start(World { status, ..World::default() }, server);

    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let flags = |ca: &str| -> Vec<String> {
        let (cert, key, ca) = (at("ana.pem"), at("ana.key"), at(ca));
        let url = format!("https://{}", fake.address);
        ["--aggregator", &url, "--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca]
            .map(str::to_owned)
            .to_vec()
    };
    for good in [
        ran(program().args(flags("ca.pem")).arg("status")),
        ran(program().arg("status").args(flags("ca.pem"))),
    ] {
        assert_eq!((good.code, good.err.as_str()), (Some(0), ""));
        assert!(good.out.contains("Version:          0.1.0"), "{}", good.out);
    }
    let stranger = ran(program().arg("status").args(flags("other.pem")));
    assert_eq!((stranger.code, stranger.out.as_str()), (Some(1), ""));
    assert!(stranger.err.contains("--tls-ca"), "{}", stranger.err);
    let both = ran(program().arg("status").args(flags("ca.pem")).arg("--insecure"));
    assert_eq!(both.code, Some(2), "{both:?}");
    let half = ran(program().args(["status", "--tls-cert", &at("ana.pem")]));
    assert_eq!(half.code, Some(2), "{half:?}");
}
