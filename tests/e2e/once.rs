//! Victims whose address comes only once to each host, where half-open handshakes are seen for a short time, or leave
//! no socket at all.

use std::net::IpAddr;

use anyhow::{Result, ensure};
use sekisho_lab::{
    Attack, Fleet, Setup,
    client::{AT_ONCE, Connection},
    programs::Mode,
    wait,
};

use crate::support::{SOON, ip};

/// The victims of one run, and how many of them must be caught.
const VICTIMS: u8 = 100;
const MUST: usize = 99;

/// What the hosts' kernels do.
struct Kernels {
    /// `tcp_synack_retries`.
    retries: &'static str,
    /// `tcp_syncookies`: 2 answers every SYN by a cookie.
    cookies: &'static str,
    /// Whether a firewall has connections tracked.
    tracked: bool,
}

/// One SYN of each victim to each of five hosts: nearly all of them are dropped everywhere in the end.
fn nearly_all_are_caught(kernels: &Kernels) {
    let mut fleet = Fleet::lay(&Setup::default()).unwrap();
    if let Err(error) = attack(&mut fleet, kernels) {
        panic!("{error:?}");
    }
}

fn attack(fleet: &mut Fleet, kernels: &Kernels) -> Result<()> {
    for host in &fleet.world.hosts {
        host.namespace.sysctl("net/ipv4/tcp_synack_retries", kernels.retries)?;
        host.namespace.sysctl("net/ipv4/tcp_syncookies", kernels.cookies)?;
        if kernels.tracked {
            host.namespace.nft("add table inet firewall")?;
            host.namespace.nft("add chain inet firewall input { type filter hook input priority 0; }")?;
            host.namespace.nft("add rule inet firewall input ct state established accept")?;
            // A first connection, by which the agent knows that they are tracked.
            Connection::open(&fleet.world.client, host.service(ip("203.0.113.1")), AT_ONCE)?.echo()?;
        }
    }
    fleet.start_aggregator()?;
    for host in fleet.host_names() {
        fleet.start_agent(&host, Mode::Enforce, &[])?;
    }
    fleet.all_ready()?;
    if kernels.tracked {
        wait::until_true(SOON, "conntrack is looked at on every host", || {
            let hosts = fleet.host_names();
            let using = hosts.iter().map(|host| fleet.agent_metric(host, "sekisho_sensor_working"));
            Ok(using.collect::<Result<Vec<_>>>()?.iter().all(|sensors| *sensors >= 2.0))
        })?;
    }
    let victims: Vec<IpAddr> = (1..=VICTIMS).map(|number| IpAddr::from([198, 18, number, 7])).collect();
    let once = Attack { victims, rounds: 1, ..Attack::on(ip("198.18.0.7"), 5) };
    once.start(fleet)?.0.finish()?;
    // Not every host sees every victim stuck: where others were first, its half-open sockets are ended.
    wait::until_true(SOON, "nearly all victims are listed", || Ok(fleet.entries()?.len() >= MUST))?;
    let listed: Vec<String> = fleet.entries()?.into_iter().map(|entry| entry.prefix).collect();
    let strangers: Vec<&String> = listed.iter().filter(|prefix| !prefix.starts_with("198.18.")).collect();
    ensure!(strangers.is_empty(), "listed though nobody spoofed them: {strangers:?}");
    Ok(())
}

#[test]
fn one_syn_a_host_is_enough_at_five_retries() {
    nearly_all_are_caught(&Kernels { retries: "5", cookies: "1", tracked: false });
}

#[test]
fn one_syn_a_host_is_enough_at_two_retries() {
    nearly_all_are_caught(&Kernels { retries: "2", cookies: "1", tracked: false });
}

#[test]
fn one_syn_a_host_is_enough_at_one_retry() {
    nearly_all_are_caught(&Kernels { retries: "1", cookies: "1", tracked: false });
}

#[test]
fn one_syn_a_host_is_enough_at_no_retry_where_connections_are_tracked() {
    nearly_all_are_caught(&Kernels { retries: "0", cookies: "1", tracked: true });
}

#[test]
fn one_syn_a_host_is_enough_under_syn_cookies_where_connections_are_tracked() {
    nearly_all_are_caught(&Kernels { retries: "5", cookies: "2", tracked: true });
}
