//! The main job: what enough hosts saw is blocked on all of them, and nobody else feels it.

use anyhow::{Result, ensure};
use sekisho_lab::{
    Attack, Fleet,
    client::{AT_ONCE, Connection},
    counter, nft,
    server::Server,
    wait,
    world::SERVICE_PORT,
};

use crate::support::{BLOCKED_WITHIN, SOON, hosts, ip, silent, with_fleet};

#[test]
fn three_hosts_see_it_and_five_block_it_while_honest_peers_live_on() {
    with_fleet(&hosts(5), |fleet| {
        // The victim is a real machine with connections of its own, both ways.
        let victim = ip("203.0.113.99");
        let _service = Server::start(&fleet.world.victim, SERVICE_PORT)?;
        counter::set_awake(&fleet.world.internet, victim, true)?;
        let first = &fleet.world.hosts[0];
        let mut inbound = Connection::open(&fleet.world.victim, first.service(victim), SOON)?;
        let mut outbound = Connection::open(&first.namespace, (victim, SERVICE_PORT).into(), SOON)?;
        inbound.echo()?;
        outbound.echo()?;
        counter::set_awake(&fleet.world.internet, victim, false)?;

        let outcome = Attack::on(victim, 3).measure(fleet, BLOCKED_WITHIN)?;
        ensure!(outcome.sent > 0, "nothing was sent");
        silent(fleet, victim)?;

        for host in &fleet.world.hosts {
            let to = host.service(host.v4.into());
            Connection::open(&fleet.world.client, to, AT_ONCE)?.echo()?;
            // Our own outbound connections to the victim go on, also new ones from every host.
            Connection::open(&host.namespace, (victim, SERVICE_PORT).into(), SOON)?.echo()?;
        }
        inbound.echo()?;
        outbound.echo()?;
        elements_end_by_themselves(fleet)?;
        every_host_says_so(fleet)
    });
}

/// *Fails safe*: every element in the kernel has a timeout.
fn elements_end_by_themselves(fleet: &Fleet) -> Result<()> {
    for host in &fleet.world.hosts {
        for element in nft::elements(&host.namespace)? {
            ensure!(element.timeout.is_some(), "{element:?} on {} would stay for ever", host.name);
        }
    }
    Ok(())
}

fn every_host_says_so(fleet: &Fleet) -> Result<()> {
    wait::until_true(SOON, "the aggregator knows what is in force on every host", || {
        let at = fleet.status()?.position;
        Ok(fleet.hosts()?.iter().all(|host| host.applied == at && host.refusal.is_empty()))
    })
}
