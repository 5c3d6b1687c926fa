//! Promise 3: one revision comes into force at once, however large it is: by one nf_tables transaction into the set, or
//! by one that turns the rules to a set filled aside.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use anyhow::{Result, ensure};
use sekisho_lab::{
    Fleet, nft,
    reporter::{self, Reporter},
};

use crate::support::{SOON, hosts, with_fleet};

#[test]
fn a_delta_of_eight_thousand_is_in_the_kernel_as_a_whole_or_not_at_all() {
    is_there_as_a_whole_or_not_at_all(8_000, "drop4");
}

#[test]
fn a_delta_of_ten_thousand_is_filled_aside_and_comes_into_force_as_a_whole() {
    is_there_as_a_whole_or_not_at_all(10_000, "drop4-b");
}

fn is_there_as_a_whole_or_not_at_all(victims: u32, set: &str) {
    with_fleet(&hosts(1), |fleet| {
        let base = Ipv4Addr::new(198, 18, 0, 0).to_bits();
        let victims: Vec<IpAddr> = (1..=victims).map(|at| Ipv4Addr::from_bits(base + at).into()).collect();
        for host in ["x", "y"] {
            report(fleet, host, &victims)?;
        }
        let fleet = &*fleet;
        std::thread::scope(|scope| {
            // The third host makes the quorum for all of them in one revision.
            let third = scope.spawn(|| report(fleet, "z", &victims));
            look_until_there(fleet, set, &samples(&victims))?;
            third.join().map_err(|_| anyhow::anyhow!("the third reporter panicked"))?
        })
    });
}

/// A few of the victims from all over the list, the last first: it was added last.
fn samples(victims: &[IpAddr]) -> Vec<IpAddr> {
    victims.iter().rev().step_by(victims.len() / 10).chain(victims.first()).copied().collect()
}

/// Looks in a tight loop for one victim after the other in the set `name`, once the rules look at that one. Once one is
/// there, all must be: what a listing of the whole set shows is no proof, since the kernel may change the set while it is
/// listed.
fn look_until_there(fleet: &Fleet, name: &str, samples: &[IpAddr]) -> Result<()> {
    let namespace = &fleet.world.hosts[0].namespace;
    let start = Instant::now();
    for first in samples.iter().cycle() {
        ensure!(start.elapsed() < SOON, "none of the victims is there");
        let is_in_force =
            || anyhow::Ok(namespace.nft("list chain inet sekisho syn")?.contains(&format!("@{name} ")));
        if nft::holds(namespace, name, *first) && is_in_force()? {
            let missing: Vec<_> =
                samples.iter().filter(|other| !nft::holds(namespace, name, **other)).collect();
            ensure!(missing.is_empty(), "{first} is blocked, and {missing:?} are not");
            break;
        }
    }
    Ok(())
}

fn report(fleet: &Fleet, host: &str, victims: &[IpAddr]) -> Result<()> {
    fleet.call_as(&fleet.certs.agent(host)?, async |channel| {
        let mut reporter = Reporter::open(channel, 1).await?;
        reporter.send(reporter::batch(1, victims)?).await?;
        reporter.durable(1).await
    })
}
