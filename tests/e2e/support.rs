//! What the tests share.

use std::{net::IpAddr, time::Duration};

use anyhow::{Result, ensure};
use sekisho_lab::{
    Fleet, Setup, attack,
    client::{AT_ONCE, Connection},
    counter,
};

/// Longest from an attack's first SYN to the block on every host, on a busy machine. The benchmark holds
/// the real target.
pub(crate) const BLOCKED_WITHIN: Duration = Duration::from_secs(20);
/// Longest for anything else that takes a few messages.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Runs a test on a fleet; a failed one panics while the fleet is there, which keeps its logs.
pub(crate) fn with_fleet(setup: &Setup, test: impl FnOnce(&mut Fleet) -> Result<()>) {
    let mut fleet = Fleet::start(setup).unwrap();
    if let Err(error) = test(&mut fleet) {
        panic!("{error:?}");
    }
}

/// A fleet as usual, with this many hosts.
pub(crate) fn hosts(hosts: u8) -> Setup {
    Setup { hosts, ..Setup::default() }
}

/// A fleet of this many hosts under the default policy.
pub(crate) fn by_default(hosts: u8) -> Setup {
    Setup { hosts, policy: String::new(), ..Setup::default() }
}

/// An address from text that is one.
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Checks that no host answers a SYN of `victim`.
pub(crate) fn silent(fleet: &Fleet, victim: IpAddr) -> Result<()> {
    let sent = attack::probe(fleet, victim, 10, Duration::from_millis(10))?.finish()?;
    // What a host answers it answers at once: when it has answered a later connection, it is done.
    for host in &fleet.world.hosts {
        Connection::open(&fleet.world.client, host.service(victim), AT_ONCE)?.echo()?;
    }
    let answered = answered_probes(fleet, victim)?;
    ensure!(answered == 0, "{answered} SYN-ACKs for {sent} SYNs of {victim}, which is listed");
    Ok(())
}

/// The SYN-ACKs so far that answered probes of `victim`.
pub(crate) fn answered_probes(fleet: &Fleet, victim: IpAddr) -> Result<u64> {
    Ok(counter::to_victim(&counter::probes(&fleet.world.internet)?, victim))
}
