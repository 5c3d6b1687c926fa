//! Counter-evidence: who has completed connections with an address says so, and the address is not dropped.

use sekisho_lab::{Attack, Fleet, client::Connection, counter, nft, programs::Mode, wait};
use sekisho_model::Tier;

use crate::support::{BLOCKED_WITHIN, SOON, hosts, ip, with_fleet};

/// Units that the agent of a host told to have honest clients.
fn told(fleet: &Fleet, host: &str) -> anyhow::Result<f64> {
    fleet.agent_metric(host, "sekisho_completed_units_total")
}

/// An agent finds it by itself, without a list, an aggregator or a privilege over the firewall.
#[test]
fn an_observing_agent_speaks_for_its_clients() {
    let mut fleet = Fleet::lay(&hosts(1)).unwrap();
    let (honest, other) = (ip("203.0.113.99"), ip("203.0.113.98"));
    let service = fleet.world.hosts[0].service(honest);
    counter::set_awake(&fleet.world.internet, honest, true).unwrap();
    let mut connection = Connection::open(&fleet.world.victim, service, SOON).unwrap();
    connection.echo().unwrap();
    counter::set_awake(&fleet.world.internet, honest, false).unwrap();
    fleet.start_agent("h1", Mode::Observe, &[]).unwrap();
    let passes = |fleet: &Fleet| fleet.agent_metric("h1", "sekisho_sensor_passes_total");
    wait::until_true(SOON, "the agent watches", || Ok(passes(&fleet)? > 0.0)).unwrap();
    // Both get stuck; one of them has a connection.
    let attack = Attack { victims: vec![honest, other], ..Attack::on(honest, 1) };
    attack.start(&fleet).unwrap().0.finish().unwrap();
    wait::until_true(SOON, "it tells of one unit", || Ok(told(&fleet, "h1")? > 0.0)).unwrap();
    let sought = |fleet: &Fleet| fleet.agent_metric("h1", "sekisho_completed_passes_total");
    let before = sought(&fleet).unwrap();
    wait::until_true(SOON, "it looks again", || Ok(sought(&fleet)? > before + 1.0)).unwrap();
    assert!((told(&fleet, "h1").unwrap() - 1.0).abs() < 0.5, "one unit, once a minute");
    connection.echo().unwrap();
}

#[test]
fn a_host_with_honest_clients_of_an_address_keeps_it_from_being_dropped() {
    with_fleet(&hosts(4), |fleet| {
        let victim = ip("203.0.113.99");
        // The fourth host has a connection with the victim's machine; three others see it stuck.
        counter::set_awake(&fleet.world.internet, victim, true)?;
        let knows = &fleet.world.hosts[3];
        let mut honest = Connection::open(&fleet.world.victim, knows.service(victim), SOON)?;
        honest.echo()?;
        counter::set_awake(&fleet.world.internet, victim, false)?;
        let (flood, _) = Attack::on(victim, 3).start(fleet)?;
        fleet.listed_everywhere(Tier::Suppress, victim, BLOCKED_WITHIN)?;
        flood.finish()?;
        wait::until_true(SOON, "the host tells of its client", || Ok(told(fleet, "h4")? > 0.0))?;
        // Whatever came in between: with the objection it is suppressed, and stays so.
        fleet.listed_everywhere(Tier::Suppress, victim, SOON)?;
        Attack::on(victim, 3).start(fleet)?.0.finish()?;
        wait::holds(SOON / 4, "it is not dropped", || Ok(!nft::is_blocked(&knows.namespace, victim)?))?;
        honest.echo()
    });
}
