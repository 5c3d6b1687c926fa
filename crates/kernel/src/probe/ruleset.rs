//! The whole table, rehearsed: made, filled and read in a fresh network namespace, where no packet is.

use std::net::{IpAddr, Ipv4Addr};

use sekisho_ruleset::{SetName, Transaction};

use crate::{KernelError, Nft, namespace, nft::Features, table::Owner};

/// Puts up the table, blocks and frees an address, and reads the counters, in a fresh network namespace that then
/// goes; tells what was found out about nf_tables for that. Needs CAP_SYS_ADMIN.
///
/// # Errors
/// What stands in the way, as it would when enforcing.
pub fn rehearse() -> Result<Features, KernelError> {
    namespace::in_fresh(play)?
}

fn play() -> Result<Features, KernelError> {
    let malformed = |_| KernelError::Answer("the rehearsal is malformed");
    let mut nft = Nft::open()?;
    let features = nft.probe()?;
    let owner = if features.owner { Owner::Socket } else { Owner::Anybody };
    nft.install(owner, &Transaction::default())?;
    let commit = |nft: &mut Nft, text: &str| {
        let transaction: Transaction = text.parse().map_err(malformed)?;
        nft.commit(&transaction, features.ways)
    };
    commit(
        &mut nft,
        "add element drop4 203.0.113.7 timeout 600s\nadd element suppressnet6 2001:db8::/48 timeout 600s",
    )?;
    if nft.contains(SetName::Drop4, IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7)))?.is_none() {
        return Err(KernelError::Answer("an element that was added is not there"));
    }
    commit(&mut nft, "remove element drop4 203.0.113.7\nremove element suppressnet6 2001:db8::/48")?;
    nft.counters()?;
    Ok(features)
}
