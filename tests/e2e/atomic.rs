//! Promise 3: one revision is one nf_tables transaction, however large it is.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
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
        let seen = std::thread::scope(|scope| -> Result<BTreeSet<usize>> {
            // The third host makes the quorum for all of them in one revision.
            let third = scope.spawn(|| report(fleet, "z", &victims));
            let seen = read_until_whole(fleet)?;
            third.join().map_err(|_| anyhow::anyhow!("the third reporter panicked"))??;
            Ok(seen)
        })?;
        let between: Vec<_> = seen.iter().filter(|count| ![0, VICTIMS as usize].contains(count)).collect();
        ensure!(between.is_empty(), "seen between before and after: {between:?} elements");
        Ok(())
    });
}

/// Reads the set in a tight loop until everything is there, and returns every size that was seen.
fn read_until_whole(fleet: &Fleet) -> Result<BTreeSet<usize>> {
    let namespace = &fleet.world.hosts[0].namespace;
    let start = Instant::now();
    let mut seen = BTreeSet::new();
    while !seen.contains(&(VICTIMS as usize)) {
        ensure!(start.elapsed() < SOON, "only {seen:?} elements were seen");
        seen.insert(nft::blocks(namespace)?.len());
    }
    // Nothing follows that would belong to it.
    std::thread::sleep(Duration::from_millis(200));
    seen.insert(nft::blocks(namespace)?.len());
    Ok(seen)
}

fn report(fleet: &Fleet, host: &str, victims: &[IpAddr]) -> Result<()> {
    fleet.call_as(&fleet.certs.agent(host)?, async |channel| {
        let mut reporter = Reporter::open(channel, 1).await?;
        reporter.send(reporter::batch(1, victims)?).await?;
        reporter.durable(1).await
    })
}
