//! Who calls, and whether they may: by certificate, or in laboratories as claimed.

use sekisho_daemon::listener::Peer;
use sekisho_model::{HostId, OperatorId};
use sekisho_wire::{
    Malformed, Reason,
    identity::{Caller, caller},
};
use tonic::{Request, Status};

/// The operator's name where there are no certificates.
const LABORATORY: &str = "insecure";

/// Who is at the other end. None without certificates.
///
/// # Errors
/// `NOT_PERMITTED` for a certificate that names nobody.
pub fn identify<T>(request: &Request<T>) -> Result<Option<Caller>, Status> {
    let uris = request.extensions().get::<Peer>().and_then(|peer| peer.uris.as_ref());
    uris.map(|uris| caller(uris).map_err(|error| Reason::NotPermitted.status(error.to_string()))).transpose()
}

/// The operator who calls.
///
/// # Errors
/// `NOT_PERMITTED` for anybody else.
pub fn operator<T>(request: &Request<T>) -> Result<OperatorId, Status> {
    match identify(request)? {
        Some(Caller::Operator(name)) => Ok(name),
        Some(Caller::Agent(host)) => Err(Reason::NotPermitted.status(format!(
            "{host} is an agent: it may report and follow the list; call this with an operator's certificate"
        ))),
        None => LABORATORY.parse().map_err(|error| Status::internal(format!("{error}"))),
    }
}

/// The agent's host: by certificate, and what is claimed must then be the same or nothing.
///
/// # Errors
/// `NOT_PERMITTED` for an operator, `HOST_MISMATCH` for another host's name, `MALFORMED_FIELD` for a name
/// that is none.
pub fn agent(caller: Option<&Caller>, claimed: &str) -> Result<HostId, Status> {
    match caller {
        Some(Caller::Agent(host)) if claimed.is_empty() || claimed == host.as_str() => Ok(host.clone()),
        Some(Caller::Agent(host)) => Err(Reason::HostMismatch.status_about(
            format!("the certificate is {host}'s, not {claimed}'s; leave host_id empty or give the host its own certificate"),
            Some("hello.host_id"),
            [],
        )),
        Some(Caller::Operator(name)) => Err(Reason::NotPermitted.status(format!("{name} is an operator; only agents report"))),
        None => claimed.parse().map_err(|error| Malformed::field("hello.host_id", format!("{error}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_the_host_and_a_claim_cannot() {
        let edge = Caller::Agent("edge-1".parse().unwrap());
        assert_eq!(agent(Some(&edge), "").unwrap().as_str(), "edge-1");
        assert_eq!(agent(Some(&edge), "edge-1").unwrap().as_str(), "edge-1");
        assert!(Reason::HostMismatch.is_in(&agent(Some(&edge), "edge-2").unwrap_err()));
        let ana = Caller::Operator("ana".parse().unwrap());
        assert!(Reason::NotPermitted.is_in(&agent(Some(&ana), "").unwrap_err()));
        assert_eq!(agent(None, "edge-3").unwrap().as_str(), "edge-3");
        assert!(Reason::MalformedField.is_in(&agent(None, "").unwrap_err()));
    }
}
