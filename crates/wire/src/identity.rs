//! Who calls, as text in certificates: `spiffe://<trust-domain>/agent/<host>` and
//! `spiffe://<trust-domain>/operator/<name>` (SPIFFE-ID, URI SAN of RFC 5280).

use sekisho_model::{HostId, OperatorId};

/// Who a certificate says that the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// An agent: may report for its host and follow the list.
    Agent(HostId),
    /// An operator: may read everything, follow the list, and give orders.
    Operator(OperatorId),
}

/// Why a certificate names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" names no caller; the certificate needs one URI SAN spiffe://<trust-domain>/agent/<host> or spiffe://<trust-domain>/operator/<name>"
)]
pub struct UnknownCaller(pub String);

/// Reads the one `spiffe://` URI of a certificate.
///
/// # Errors
/// [`UnknownCaller`] for none, several, or one of another form.
pub fn caller(uris: &[String]) -> Result<Caller, UnknownCaller> {
    let unknown = || UnknownCaller(uris.join(", "));
    let mut paths = uris.iter().filter_map(|uri| uri.strip_prefix("spiffe://"));
    let (Some(path), None) = (paths.next(), paths.next()) else { return Err(unknown()) };
    let mut parts = path.split('/');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(domain), Some("agent"), Some(name), None) if !domain.is_empty() => {
            name.parse().map(Caller::Agent).map_err(|_| unknown())
        }
        (Some(domain), Some("operator"), Some(name), None) if !domain.is_empty() => {
            name.parse().map(Caller::Operator).map_err(|_| unknown())
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(uris: &[&str]) -> Result<Caller, UnknownCaller> {
        caller(&uris.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn only_the_two_forms_name_a_caller() {
        assert_eq!(read(&["spiffe://lab/agent/edge-1"]), Ok(Caller::Agent("edge-1".parse().unwrap())));
        assert_eq!(read(&["spiffe://lab/operator/ana"]), Ok(Caller::Operator("ana".parse().unwrap())));
        for bad in [
            &[][..],
            &["https://lab/agent/x"],
            &["spiffe:///agent/x"],
            &["spiffe://lab/agent/"],
            &["spiffe://lab/agent/x/y"],
            &["spiffe://lab/admin/x"],
            &["spiffe://lab/agent/x", "spiffe://lab/operator/x"],
        ] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
