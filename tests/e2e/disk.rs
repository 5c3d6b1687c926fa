//! A full disk: what cannot be kept is not acknowledged, the aggregator says so, and it recovers.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use sekisho_lab::{
    Fleet, Setup,
    leftovers::SmallDisk,
    reporter::{self, Reporter},
    wait,
};

use crate::support::SOON;

const DISK_MEBIBYTES: u32 = 64;
const ROWS: u32 = 10_000;
/// More than fits into what the log had reserved when the disk became full.
const BATCHES: u32 = 1_000;
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_full_disk_stops_the_acks_and_nothing_else() {
    let mut fleet = Fleet::lay(&Setup { hosts: 0, ..Setup::default() }).unwrap();
    let data = fleet.path("data");
    let disk = SmallDisk::mount(&data, DISK_MEBIBYTES).unwrap();
    fleet.start_aggregator().unwrap();
    if let Err(error) = fill_and_free(&fleet, &disk) {
        panic!("{error:?}");
    }
    // The programs go before the disk.
    fleet.take_aggregator().unwrap().stop().unwrap();
    drop(disk);
}

fn fill_and_free(fleet: &Fleet, disk: &SmallDisk) -> Result<()> {
    // An IPv6 one: that many addresses of the filling raise what chance asks for of IPv4 addresses.
    let victim: IpAddr = "2001:db8:bad:111::1".parse()?;
    report(fleet, "a", victim)?;
    let filler = disk.fill()?;
    let acked = report_until_refused(fleet)?;

    let status = fleet.status()?;
    ensure!(!status.log_writable && !status.log_problem.is_empty(), "it does not say so: {status:?}");
    wait::until_true(SOON, "/readyz says so", || Ok(!fleet.aggregator_ready()?))?;

    fs::remove_file(filler)?;
    wait::until_true(RECOVERED_WITHIN, "the log is written again", || {
        Ok(fleet.status()?.log_writable && fleet.aggregator_ready()?)
    })?;
    // What was acknowledged before counts; two more hosts make the quorum.
    report(fleet, "b", victim)?;
    report(fleet, "c", victim)?;
    let why = fleet.ctl(&["explain", &victim.to_string()])?;
    ensure!(fleet.entry_of(victim)?.is_some(), "what was acknowledged before {acked} batches is gone: {why}");
    Ok(())
}

/// Sends large batches until one is not acknowledged, and returns how many were.
fn report_until_refused(fleet: &Fleet) -> Result<u32> {
    let files = fleet.certs.agent("flood")?;
    fleet.call_as(&files, async |channel| {
        let mut reporter = Reporter::open(channel, 1).await?;
        for round in 0..BATCHES {
            // Fresh addresses each time: what the log implies already is not written. No packet is sent.
            let first = Ipv4Addr::new(1, 0, 0, 0).to_bits() + round * ROWS;
            let victims = (first..first + ROWS).map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
            let batch = reporter::batch(u64::from(round) + 1, &victims.collect::<Vec<_>>())?;
            let sequence = batch.sequence;
            if reporter.send(batch).await.is_err() || reporter.durable(sequence).await.is_err() {
                return Ok(round);
            }
        }
        bail!("{BATCHES} batches were acknowledged on a full disk")
    })
}

fn report(fleet: &Fleet, host: &str, victim: IpAddr) -> Result<()> {
    let files = fleet.certs.agent(host)?;
    fleet.call_as(&files, async |channel| {
        let mut reporter = Reporter::open(channel, 1).await?;
        reporter.send(reporter::batch(1, &[victim])?).await?;
        reporter.durable(1).await
    })
}
