//! Promise 3: one revision is one nf_tables transaction, however large it is.

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

/// One batch's worth.
const VICTIMS: u32 = 10_000;

#[test]
fn a_delta_of_ten_thousand_is_in_the_kernel_as_a_whole_or_not_at_all() {
    with_fleet(&hosts(1), |fleet| {
        let base = Ipv4Addr::new(198, 18, 0, 0).to_bits();
        let victims: Vec<IpAddr> = (1..=VICTIMS).map(|at| Ipv4Addr::from_bits(base + at).into()).collect();
        for host in ["x", "y"] {
            report(fleet, host, &victims)?;
        }
        let fleet = &*fleet;
        std::thread::scope(|scope| {
            // The third host makes the quorum for all of them in one revision.
            let third = scope.spawn(|| report(fleet, "z", &victims));
            look_until_there(fleet, &samples(&victims))?;
            third.join().map_err(|_| anyhow::anyhow!("the third reporter panicked"))?
        })
    });
}

/// A few of the victims from all over the list, the last first: it was added last.
fn samples(victims: &[IpAddr]) -> Vec<IpAddr> {
    victims.iter().rev().step_by(victims.len() / 10).chain(victims.first()).copied().collect()
}

/// Looks in a tight loop for one victim after the other. Once one is there, all must be: what a listing of
/// the whole set shows is no proof, since the kernel may change the set while it is listed.
fn look_until_there(fleet: &Fleet, samples: &[IpAddr]) -> Result<()> {
    let namespace = &fleet.world.hosts[0].namespace;
    let start = Instant::now();
    for first in samples.iter().cycle() {
        ensure!(start.elapsed() < SOON, "none of the victims is there");
        if nft::holds(namespace, "drop4", *first) {
            let missing: Vec<_> =
                samples.iter().filter(|other| !nft::holds(namespace, "drop4", **other)).collect();
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
