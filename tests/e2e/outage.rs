//! The aggregator away: agents go on enforcing, keep what they see, and come back.

use std::time::Duration;

use anyhow::ensure;
use sekisho_lab::{Attack, wait};

use crate::support::{BLOCKED_WITHIN, hosts, ip, silent, with_fleet};

/// Long enough for several attempts to reconnect.
const AWAY: Duration = Duration::from_secs(60);
/// The longest wait between two attempts is 15 s.
const BACK_WITHIN: Duration = Duration::from_secs(45);

#[test]
fn an_aggregator_that_was_away_hears_what_was_seen_meanwhile() {
    with_fleet(&hosts(3), |fleet| {
        let (old, new) = (ip("203.0.113.61"), ip("203.0.113.62"));
        Attack::on(old, 3).measure(fleet, BLOCKED_WITHIN)?;
        let status = fleet.take_aggregator()?.stop()?;
        ensure!(status.success(), "a stopped aggregator ended with {status}");
        Attack::on(new, 3).start(fleet)?.0.finish()?;
        let fleet_runs = |fleet: &mut sekisho_lab::Fleet| -> anyhow::Result<bool> {
            let mut running = true;
            for agent in fleet.agents.values_mut() {
                running &= agent.is_running()?;
            }
            Ok(running)
        };
        wait::holds(AWAY, "agents run on without an aggregator", || fleet_runs(fleet))?;
        silent(fleet, old)?;
        fleet.start_aggregator()?;
        fleet.blocked_everywhere(new, BACK_WITHIN)?;
        silent(fleet, new)
    });
}
