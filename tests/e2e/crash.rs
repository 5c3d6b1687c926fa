//! `kill -9`, at any time: blocks stay, agents resume by position, nothing acknowledged is lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use sekisho_lab::{
    Attack, Fleet, attack,
    nft::is_blocked,
    programs::Mode,
    reporter::{self, Reporter},
    spoof::Flood,
};

use crate::support::{BLOCKED_WITHIN, SOON, answered_probes, hosts, ip, silent, with_fleet};

const SNAPSHOTS: &str = "sekisho_feed_snapshots_total";
const DELTAS: &str = "sekisho_feed_deltas_total";

/// SYNs of a listed victim, all the time while things die and come back.
fn unrest(fleet: &Fleet, victim: &str) -> Result<Flood> {
    attack::probe(fleet, ip(victim), 600, Duration::from_millis(50))
}

/// Checks that not one of them was answered.
fn end_unrest(fleet: &Fleet, flood: Flood, victim: &str) -> Result<()> {
    let sent = flood.stop()?;
    let answered = answered_probes(fleet, ip(victim))?;
    ensure!(answered == 0 && sent > 0, "{answered} SYN-ACKs for {sent} SYNs of {victim}, which was listed");
    Ok(())
}

#[test]
fn a_killed_agent_leaves_its_blocks_and_resumes_by_position() {
    with_fleet(&hosts(4), |fleet| {
        let (old, new) = ("203.0.113.51", "203.0.113.52");
        Attack::on(ip(old), 4).measure(fleet, BLOCKED_WITHIN)?;
        let unrest = unrest(fleet, old)?;
        fleet.take_agent("h4")?.kill()?;
        // While it is dead the list goes on.
        Attack::on(ip(new), 3).start(fleet)?.0.finish()?;
        fleet.blocked_on(&["h1", "h2", "h3"], ip(new), BLOCKED_WITHIN)?;
        let last = &fleet.world.host("h4")?.namespace;
        ensure!(is_blocked(last, ip(old))? && !is_blocked(last, ip(new))?, "a dead agent's kernel changed");
        fleet.start_agent("h4", Mode::Enforce, &[])?;
        fleet.blocked_on(&["h4"], ip(new), SOON)?;
        fleet.all_ready()?;
        resumed(fleet, "h4", 0.0)?;
        end_unrest(fleet, unrest, old)
    });
}

#[test]
fn a_killed_aggregator_comes_back_with_everything_it_acknowledged() {
    with_fleet(&hosts(3), |fleet| {
        let (old, new) = ("203.0.113.53", "203.0.113.54");
        Attack::on(ip(old), 3).measure(fleet, BLOCKED_WITHIN)?;
        let before = fleet.agent_metric("h1", SNAPSHOTS)?;
        let unrest = unrest(fleet, old)?;
        // In the middle of the next attack, before it is proven.
        let (flood, _) = Attack::on(ip(new), 3).start(fleet)?;
        fleet.take_aggregator()?.kill()?;
        fleet.start_aggregator()?;
        fleet.blocked_everywhere(ip(new), BLOCKED_WITHIN * 2)?;
        flood.finish()?;
        fleet.all_ready()?;
        ensure!(fleet.entry_of(ip(old))?.is_some(), "{old} was forgotten");
        resumed(fleet, "h1", before)?;
        end_unrest(fleet, unrest, old)
    });
}

#[test]
fn everything_killed_at_once_leaves_the_blocks_and_resumes_by_position() {
    with_fleet(&hosts(3), |fleet| {
        let (old, new) = ("203.0.113.55", "203.0.113.56");
        Attack::on(ip(old), 3).measure(fleet, BLOCKED_WITHIN)?;
        let unrest = unrest(fleet, old)?;
        fleet.take_aggregator()?.kill()?;
        for host in fleet.host_names() {
            fleet.take_agent(&host)?.kill()?;
        }
        fleet.blocked_everywhere(ip(old), Duration::ZERO)?;
        for host in fleet.host_names() {
            fleet.start_agent(&host, Mode::Enforce, &[])?;
        }
        fleet.start_aggregator()?;
        fleet.all_ready()?;
        Attack::on(ip(new), 3).measure(fleet, BLOCKED_WITHIN)?;
        for host in fleet.host_names() {
            resumed(fleet, &host, 0.0)?;
        }
        end_unrest(fleet, unrest, old)?;
        silent(fleet, ip(new))
    });
}

/// Checks that an agent took deltas, and no more snapshots than before.
fn resumed(fleet: &Fleet, host: &str, snapshots_before: f64) -> Result<()> {
    let (snapshots, deltas) = (fleet.agent_metric(host, SNAPSHOTS)?, fleet.agent_metric(host, DELTAS)?);
    ensure!(
        snapshots <= snapshots_before && deltas > 0.0,
        "{host} took {snapshots} snapshots and {deltas} deltas, where a delta served"
    );
    Ok(())
}

/// Promise 1: no ack shows what a crash could take back.
#[test]
fn durable_before_visible() {
    with_fleet(&hosts(0), |fleet| {
        let victims = [ip("203.0.113.57"), ip("2001:db8:bad:57::1")];
        for host in ["a", "b"] {
            report(fleet, host, 1, &victims)?;
        }
        fleet.take_aggregator()?.kill()?;
        fleet.start_aggregator()?;
        ensure!(fleet.entries()?.is_empty(), "two hosts are no quorum");
        // A repeated batch counts once, also across the crash.
        report(fleet, "a", 1, &victims)?;
        ensure!(fleet.entries()?.is_empty(), "two hosts are no quorum, however often they say it");
        report(fleet, "c", 1, &victims)?;
        for victim in victims {
            ensure!(fleet.entry_of(victim)?.is_some(), "what two hosts had said of {victim} was lost");
        }
        fleet.take_aggregator()?.kill()?;
        fleet.start_aggregator()?;
        ensure!(fleet.entries()?.len() == 2, "an entry was lost");
        Ok(())
    });
}

/// Reports as a host's agent, and waits for the acknowledgement.
fn report(fleet: &Fleet, host: &str, session: u64, victims: &[std::net::IpAddr]) -> Result<()> {
    let files = fleet.certs.agent(host)?;
    fleet.call_as(&files, async |channel| {
        let mut reporter = Reporter::open(channel, session).await?;
        reporter.send(reporter::batch(1, victims)?).await?;
        reporter.durable(1).await
    })
}
