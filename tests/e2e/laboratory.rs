//! The laboratory itself: without any agent, the kernels do what the whole project is about.

use std::time::Duration;

use sekisho_lab::{
    Carpet, World,
    client::{AT_ONCE, Connection},
    counter,
    monitor::Monitor,
    spoof::{Flood, Plan, Purpose, Spread},
    wait,
};

use crate::support::ip;

#[test]
fn a_spoofed_syn_is_answered_again_and_again() {
    let world = World::new(2).unwrap();
    let victims = vec![ip("203.0.113.7"), ip("2001:db8:bad:1::7"), ip("198.18.3.4")];
    let targets = world.hosts.iter().flat_map(|host| [host.service(ip("0.0.0.0")), host.service(ip("::"))]);
    let plan = Plan {
        victims: victims.clone(),
        targets: targets.collect(),
        spread: Spread::All,
        rounds: 10,
        pace: Duration::from_millis(5),
        purpose: Purpose::Attack,
    };
    let (flood, first) = Flood::start(&world.internet, plan).unwrap();
    assert_eq!(flood.finish().unwrap(), 60);
    let seen = |least: u64| {
        wait::until_true(Duration::from_secs(6), "SYN-ACKs arrive", || {
            let counts = counter::all(&world.internet)?;
            Ok(victims.iter().all(|victim| counter::to_victim(&counts, *victim) >= least))
        })
    };
    seen(20).unwrap();
    // Nobody answers them with a RST, so that the kernel sends every one of them again after 1 s.
    seen(40).unwrap();
    assert!(first.elapsed() >= Duration::from_secs(1));
    let half_open = world.hosts[0].namespace.command("ss", &["-Hnt", "state", "syn-recv"]).unwrap();
    assert_eq!(half_open.lines().count(), 30);
    assert!(counter::probes(&world.internet).unwrap().is_empty());
}

#[test]
fn a_carpet_comes_to_each_address_once_and_from_one_host_alone() {
    let world = World::new(3).unwrap();
    let honest = ip("203.0.113.99");
    counter::set_awake(&world.internet, honest, true).unwrap();
    let carpet = Carpet::over("203.0.113.0/24", &[honest]).unwrap();
    assert_eq!(carpet.start(&world, 3, Purpose::Attack).unwrap().finish().unwrap(), 255);
    wait::until_true(Duration::from_secs(6), "every address is answered", || {
        Ok(carpet.answers(&counter::all(&world.internet)?).values().all(|count| *count > 0))
    })
    .unwrap();
    let counts = counter::all(&world.internet).unwrap();
    assert_eq!(counts.len(), 255, "one host for each address");
    for host in &world.hosts {
        assert_eq!(counts.keys().filter(|(from, _)| *from == host.v4).count(), 85);
        Connection::open(&world.victim, host.service(honest), AT_ONCE * 3).unwrap().echo().unwrap();
    }
}

#[test]
fn honest_clients_connect_over_both_families_also_from_a_victims_machine() {
    let world = World::new(1).unwrap();
    let host = &world.hosts[0];
    for family in ["0.0.0.0", "::"] {
        Connection::open(&world.client, host.service(ip(family)), AT_ONCE).unwrap().echo().unwrap();
    }
    let machine = ip("203.0.113.99");
    assert!(Connection::open(&world.victim, host.service(machine), AT_ONCE).is_err());
    counter::set_awake(&world.internet, machine, true).unwrap();
    let mut established = Connection::open(&world.victim, host.service(machine), AT_ONCE * 3).unwrap();
    counter::set_awake(&world.internet, machine, false).unwrap();
    established.echo().unwrap();
}

#[test]
fn the_monitor_sees_a_block_come_into_force() {
    let world = World::new(1).unwrap();
    let namespace = &world.hosts[0].namespace;
    let monitor = Monitor::start(namespace).unwrap();
    for command in [
        "add table inet sekisho",
        "add set inet sekisho drop4 { type ipv4_addr; flags timeout; }",
        "add element inet sekisho drop4 { 203.0.113.7 timeout 10m }",
    ] {
        namespace.nft(command).unwrap();
    }
    let victim = ip("203.0.113.7");
    let blocked = || Ok(monitor.blocked_at(victim).is_some());
    wait::until_true(Duration::from_secs(2), "the monitor tells", blocked).unwrap();
    assert!(sekisho_lab::nft::is_blocked(namespace, victim).unwrap());
    assert!(!sekisho_lab::nft::is_blocked(namespace, ip("203.0.113.8")).unwrap());
}
