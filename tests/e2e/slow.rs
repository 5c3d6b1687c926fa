//! Promise 6: a slow subscriber costs nobody else anything.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::mpsc,
};

use anyhow::{Result, ensure};
use sekisho_lab::{
    Attack, Fleet, nft,
    reporter::{self, Reporter},
    wait,
};
use sekisho_wire::pb::v1::{
    WatchRequest, WatchStart, blocklist_service_client::BlocklistServiceClient, watch_request::Kind,
};
use tokio_stream::StreamExt;

use crate::support::{BLOCKED_WITHIN, SOON, hosts, ip, silent, with_fleet};

/// Subscribers that read nothing.
const STUCK: usize = 20;
/// Batches of this many victims: more bytes than the windows and buffers of a stuck stream take.
const BATCHES: u32 = 30;
const VICTIMS: u32 = 10_000;
/// What the aggregator may take in all, stuck subscribers included.
const MEMORY_KIB: u64 = 1 << 20;

#[test]
fn never_waits() {
    with_fleet(&hosts(3), |fleet| {
        let fleet = &*fleet;
        std::thread::scope(|scope| {
            let (open, opened) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            let stuck = scope.spawn(move || stay_stuck(fleet, open, ended));
            opened.recv()?;
            for host in ["x", "y", "z"] {
                report_many(fleet, host)?;
            }
            wait::until_true(SOON, "every host has everything in force", || {
                let status = fleet.status()?;
                let done = status.entries == i64::from(BATCHES * VICTIMS);
                Ok(done
                    && fleet
                        .hosts()?
                        .iter()
                        .filter(|host| host.watching)
                        .all(|host| host.applied == status.position))
            })?;
            let victim = ip("203.0.113.111");
            Attack::on(victim, 3).start(fleet)?.0.finish()?;
            wait::until_true(BLOCKED_WITHIN, "the victim is blocked on every host", || {
                Ok(fleet.world.hosts.iter().all(|host| nft::holds(&host.namespace, "drop4", victim)))
            })?;
            silent(fleet, victim)?;
            let memory = resident_kib(fleet)?;
            ensure!(memory < MEMORY_KIB, "the aggregator takes {memory} KiB");
            drop(end);
            stuck.join().map_err(|_| anyhow::anyhow!("the stuck subscribers panicked"))?
        })
    });
}

/// Opens streams, reads the first message of each, and then nothing at all until told to end: the thread
/// is the only one that could.
fn stay_stuck(fleet: &Fleet, open: mpsc::Sender<()>, ended: mpsc::Receiver<()>) -> Result<()> {
    fleet.call(async move |channel| {
        let mut streams = Vec::new();
        for _ in 0..STUCK {
            let start = WatchRequest { kind: Some(Kind::Start(WatchStart::default())) };
            let requests = tokio_stream::once(start).chain(tokio_stream::pending());
            let mut stream = BlocklistServiceClient::new(channel.clone()).watch(requests).await?.into_inner();
            ensure!(stream.message().await?.is_some(), "a subscriber was not welcomed");
            streams.push(stream);
        }
        open.send(())?;
        let _gone = ended.recv(); // The other side says nothing: it ends.
        Ok(())
    })
}

fn report_many(fleet: &Fleet, host: &str) -> Result<()> {
    let base = Ipv4Addr::new(20, 0, 0, 0).to_bits();
    fleet.call_as(&fleet.certs.agent(host)?, async |channel| {
        let mut reporter = Reporter::open(channel, 1).await?;
        for batch in 0..BATCHES {
            // Spread, so that each takes some bytes.
            let victim = |at: u32| IpAddr::V4(Ipv4Addr::from_bits(base + (batch * VICTIMS + at) * 701));
            let victims: Vec<IpAddr> = (0..VICTIMS).map(victim).collect();
            let sequence = i64::from(batch) + 1;
            reporter.send(reporter::batch(u64::from(batch) + 1, &victims)?).await?;
            reporter.durable(sequence).await?;
        }
        Ok(())
    })
}

fn resident_kib(fleet: &Fleet) -> Result<u64> {
    let pid = fleet.aggregator.as_ref().map(sekisho_lab::process::Program::pid);
    let pid = pid.ok_or_else(|| anyhow::anyhow!("no aggregator runs"))?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| anyhow::anyhow!("no VmRSS in {status}"))
}
