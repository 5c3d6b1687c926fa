//! What an agent leaves behind, and what it never touches.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sekisho_lab::{Attack, Setup, fleet::policy, nft, programs::Mode, wait};

use crate::support::{BLOCKED_WITHIN, SOON, hosts, ip, silent, with_fleet};

#[test]
fn observing_agents_report_and_change_nothing() {
    with_fleet(&Setup { mode: Mode::Observe, ..hosts(3) }, |fleet| {
        let victim = ip("203.0.113.71");
        Attack::on(victim, 3).start(fleet)?.0.finish()?;
        wait::until_true(SOON, "it is listed", || Ok(fleet.entry_of(victim)?.is_some()))?;
        for host in &fleet.world.hosts {
            let ruleset = host.namespace.nft("list ruleset")?;
            ensure!(ruleset.trim().is_empty(), "{} changed its kernel:\n{ruleset}", host.name);
        }
        ensure!(
            fleet.hosts()?.iter().all(|host| host.mode == "observe"),
            "the aggregator was told otherwise"
        );
        Ok(())
    });
}

#[test]
fn a_clean_stop_leaves_the_blocks_unless_told_to_flush() {
    with_fleet(&hosts(3), |fleet| {
        let victim = ip("203.0.113.72");
        fleet.take_agent("h3")?.stop()?;
        fleet.start_agent("h3", Mode::Enforce, &["--flush-on-exit"])?;
        fleet.all_ready()?;
        Attack::on(victim, 3).measure(fleet, BLOCKED_WITHIN)?;
        for host in fleet.host_names() {
            let status = fleet.take_agent(&host)?.stop()?;
            ensure!(status.success(), "a stopped agent ended with {status}");
        }
        fleet.blocked_on(&["h1", "h2"], victim, Duration::ZERO)?;
        let flushed = nft::blocks(&fleet.world.host("h3")?.namespace)?;
        ensure!(flushed.is_empty(), "left after --flush-on-exit: {flushed:?}");
        Ok(())
    });
}

/// Promise 7: agent dead, aggregator dead; blocks end by themselves at their expiry, and not before.
#[test]
fn fails_safe() {
    let ttl = Duration::from_secs(12);
    with_fleet(&Setup { policy: policy("2s", "12s"), ..hosts(3) }, |fleet| {
        let victim = ip("203.0.113.73");
        Attack::on(victim, 3).measure(fleet, BLOCKED_WITHIN)?;
        let entry = fleet.entry_of(victim)?.context("it is not listed")?;
        fleet.take_aggregator()?.kill()?;
        for host in fleet.host_names() {
            fleet.take_agent(&host)?.kill()?;
        }
        let killed = Instant::now();
        ensure!(entry.expire_time.is_some(), "an entry without an end");
        silent(fleet, victim)?;
        wait::until_true(ttl * 3, "the blocks end by themselves", || {
            let left = fleet.world.hosts.iter().map(|host| nft::is_blocked(&host.namespace, victim));
            Ok(!left.collect::<anyhow::Result<Vec<_>>>()?.contains(&true))
        })?;
        // The attack itself took some seconds of the entry's life.
        ensure!(killed.elapsed() > ttl / 2, "the blocks ended early, after {:?}", killed.elapsed());
        Ok(())
    });
}
