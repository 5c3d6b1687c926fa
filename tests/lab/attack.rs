//! One attack, measured: from the first spoofed SYN to the block on the last host.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    fleet::Fleet,
    monitor::Monitor,
    spoof::{Flood, Plan, Purpose, Spread},
    wait,
};

/// What to do.
#[derive(Clone, Debug)]
pub struct Attack {
    /// Whose address is spoofed.
    pub victims: Vec<IpAddr>,
    /// How many of the hosts get SYNs: the first ones.
    pub hosts: usize,
    /// SYNs to each host for each victim.
    pub rounds: u32,
    /// Time between two of them.
    pub pace: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// From the first spoofed SYN to the block on the last host.
    pub took: Duration,
    /// SYNs that were sent in that time.
    pub sent: u64,
}

impl Attack {
    /// Five SYNs, a fifth of a second apart, to each of the first `hosts` hosts.
    pub fn on(victim: IpAddr, hosts: usize) -> Self {
        Self { victims: vec![victim], hosts, rounds: 5, pace: Duration::from_millis(200) }
    }

    /// The sending of it.
    pub fn plan(&self, fleet: &Fleet) -> Plan {
        plan(fleet, &self.victims, self.hosts, Purpose::Attack, self.rounds, self.pace)
    }

    /// Starts it, without measuring.
    ///
    /// # Errors
    /// There are no raw sockets.
    pub fn start(&self, fleet: &Fleet) -> Result<(Flood, Instant)> {
        Flood::start(&fleet.world.internet, self.plan(fleet))
    }

    /// Carries it out, and measures until every victim is blocked on every host of the fleet.
    ///
    /// # Errors
    /// It is not, at the deadline.
    pub fn measure(&self, fleet: &Fleet, deadline: Duration) -> Result<Outcome> {
        let monitors = fleet.world.hosts.iter().map(|host| Monitor::start(&host.namespace));
        let monitors = monitors.collect::<Result<Vec<_>>>()?;
        let (flood, first) = self.start(fleet)?;
        let last = wait::until(deadline, "the victims are blocked on every host", || {
            Ok(last_block(&monitors, &self.victims))
        })?;
        let sent = flood.stop()?;
        Ok(Outcome { took: last.saturating_duration_since(first), sent })
    }
}

/// A few SYNs of `victim` to every host, to see whether they are answered.
///
/// # Errors
/// There are no raw sockets.
pub fn probe(fleet: &Fleet, victim: IpAddr, rounds: u32, pace: Duration) -> Result<Flood> {
    let hosts = fleet.world.hosts.len();
    let plan = plan(fleet, &[victim], hosts, Purpose::Probe, rounds, pace);
    Ok(Flood::start(&fleet.world.internet, plan)?.0)
}

fn plan(
    fleet: &Fleet,
    victims: &[IpAddr],
    hosts: usize,
    purpose: Purpose,
    rounds: u32,
    pace: Duration,
) -> Plan {
    let of = |victim: &IpAddr| -> Vec<SocketAddr> {
        fleet.world.hosts.iter().take(hosts).map(|host| host.service(*victim)).collect()
    };
    let mut targets: Vec<SocketAddr> = victims.iter().flat_map(of).collect();
    targets.sort_unstable();
    targets.dedup();
    Plan { victims: victims.to_vec(), targets, spread: Spread::All, rounds, pace, purpose }
}

/// When the last host blocked the last victim; none while one is missing.
fn last_block(monitors: &[Monitor], victims: &[IpAddr]) -> Option<Instant> {
    let mut last = None;
    for victim in victims {
        for monitor in monitors {
            last = last.max(Some(monitor.blocked_at(*victim)?));
        }
    }
    last
}
