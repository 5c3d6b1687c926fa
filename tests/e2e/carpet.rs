//! Carpet bombing, and the gentle tier that answers it: an honest client in the middle of it still connects.

use anyhow::{Context, Result, ensure};
use sekisho_lab::{
    Carpet, Fleet,
    client::{AT_ONCE, Connection},
    counter, nft,
    spoof::Purpose,
    wait,
};
use sekisho_model::Tier;
use sekisho_wire::pb::v1 as pb;

use crate::support::{BLOCKED_WITHIN, SOON, by_default, ip, with_fleet};

#[test]
fn a_bombed_network_is_suppressed_as_a_whole_while_an_honest_client_in_it_connects() {
    with_fleet(&by_default(3), |fleet| {
        let honest = ip("203.0.113.99");
        counter::set_awake(&fleet.world.internet, honest, true)?;
        let carpet = Carpet::over("203.0.113.0/24", &[honest])?;
        // Each address comes once, to one host: no address has a quorum, and no host sees one again.
        carpet.start(&fleet.world, 3, Purpose::Attack)?.finish()?;
        wait::until_true(BLOCKED_WITHIN, "the network is listed", || {
            let entry = fleet.entry_of(honest)?;
            Ok(entry.is_some_and(|entry| entry.prefix == carpet.net().to_string()))
        })?;
        let entry = fleet.entry_of(honest)?.context("it is gone again")?;
        ensure!(entry.tier() == pb::Tier::Suppress, "{entry:?}");
        fleet.listed_everywhere(Tier::Suppress, honest, SOON)?;
        one_answer_for_each_syn(fleet, &carpet)?;
        for host in &fleet.world.hosts {
            Connection::open(&fleet.world.victim, host.service(honest), AT_ONCE)?.echo()?;
        }
        Ok(())
    });
}

/// Bombs the network once more, and checks that every SYN is worth one SYN-ACK and not one more.
fn one_answer_for_each_syn(fleet: &Fleet, carpet: &Carpet) -> Result<()> {
    let before = suppressed(fleet)?;
    let sent = carpet.start(&fleet.world, 3, Purpose::Probe)?.finish()?;
    wait::until_true(SOON, "the retransmits are suppressed", || Ok(suppressed(fleet)? >= before + sent))?;
    let answers = carpet.answers(&counter::probes(&fleet.world.internet)?);
    let wrong: Vec<_> = answers.iter().filter(|(_, count)| **count != 1).collect();
    ensure!(wrong.is_empty(), "not one SYN-ACK for one SYN: {wrong:?}");
    Ok(())
}

/// Retransmits that the hosts suppressed so far.
fn suppressed(fleet: &Fleet) -> Result<u64> {
    fleet.world.hosts.iter().map(|host| nft::counter(&host.namespace, "suppressed")).sum()
}
