//! The agent's manners towards its host: half-open handshakes end with the block, the operator's retries come back
//! whatever happens to the agent, and what the host was spared is told.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sekisho_lab::{Attack, Fleet, counter, programs::Mode, wait};

use crate::support::{BLOCKED_WITHIN, SOON, hosts, ip, silent, with_fleet};

const ENDED: &str = "sekisho_endings_sockets_total";
const RETRIES: &str = "/proc/sys/net/ipv4/tcp_synack_retries";

fn half_open(fleet: &Fleet, host: &str, victim: &str) -> Result<usize> {
    let sockets = fleet.world.host(host)?.namespace.command("ss", &["-Hnt", "state", "syn-recv"])?;
    Ok(sockets.lines().filter(|line| line.contains(victim)).count())
}

fn retries(fleet: &Fleet, host: &str) -> Result<u8> {
    let value = fleet.world.host(host)?.namespace.command("cat", &[RETRIES])?;
    value.trim().parse().context("tcp_synack_retries is no number")
}

#[test]
fn half_open_handshakes_end_with_the_block_and_nothing_more_goes_out() {
    with_fleet(&hosts(3), |fleet| {
        let victim = "203.0.113.61";
        let (flood, _) = Attack::on(ip(victim), 3).start(fleet)?;
        fleet.blocked_everywhere(ip(victim), BLOCKED_WITHIN)?;
        flood.stop()?;
        for host in fleet.host_names() {
            let what = "the half-open handshakes of the victim to be ended";
            wait::until_true(SOON, what, || Ok(half_open(fleet, &host, victim)? == 0))?;
            ensure!(fleet.agent_metric(&host, ENDED)? > 0.0, "{host} ended no socket");
        }
        silent(fleet, ip(victim))?;
        // Longer than the first two timers of any handshake that might be left.
        let before = counter::to_victim(&counter::all(&fleet.world.internet)?, ip(victim));
        wait::holds(Duration::from_secs(4), "not one SYN-ACK goes to the victim", || {
            Ok(counter::to_victim(&counter::all(&fleet.world.internet)?, ip(victim)) == before)
        })
    });
}

#[test]
fn the_operators_retries_come_back_after_a_stop_and_after_a_kill() {
    with_fleet(&hosts(1), |fleet| {
        let operators = retries(fleet, "h1")?;
        ensure!(operators > 2, "the laboratory's hosts have {operators} retries");
        let lowered = ["--synack-retries", "2"];
        for killed in [false, true] {
            fleet.take_agent("h1")?.stop()?;
            ensure!(retries(fleet, "h1")? == operators, "an agent that was told nothing changed it");
            fleet.start_agent("h1", Mode::Enforce, &lowered)?;
            fleet.all_ready()?;
            wait::until_true(SOON, "the retries to be lowered", || Ok(retries(fleet, "h1")? == 2))?;
            let agent = fleet.take_agent("h1")?;
            if killed {
                agent.kill()?;
                ensure!(retries(fleet, "h1")? == 2, "nobody was there to give it back");
            } else {
                agent.stop()?;
                ensure!(retries(fleet, "h1")? == operators, "it was not given back at the end");
            }
            fleet.start_agent("h1", Mode::Enforce, &[])?;
            fleet.all_ready()?;
            ensure!(retries(fleet, "h1")? == operators, "the next agent did not give it back");
        }
        Ok(())
    });
}

#[test]
fn what_the_hosts_were_spared_is_told() {
    with_fleet(&hosts(3), |fleet| {
        let victim = ip("203.0.113.62");
        Attack::on(victim, 3).measure(fleet, BLOCKED_WITHIN)?;
        silent(fleet, victim)?;
        wait::until_true(SOON, "the aggregator to know what was spared", || {
            let status = fleet.status()?;
            Ok(status.syn_acks_reflected > 0 && status.syn_acks_withheld > 0)
        })?;
        for host in fleet.hosts()? {
            let answers = host.totals.and_then(|totals| totals.answers).context("no answers were told")?;
            ensure!(answers.retries > 0 && !answers.retries_lowered && !answers.bypassed, "{answers:?}");
        }
        Ok(())
    });
}
