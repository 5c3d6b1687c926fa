//! The benchmark: attacks on a fresh victim each, from the first spoofed SYN to the drop on every host.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;
use sekisho_lab::{Attack, Fleet, Setup};

/// What the median must not exceed. The first proof that there can be, a retransmit, comes after 1 s.
const TARGET: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(30);

/// Carries out `attacks` and prints the figures; fails when the median misses the target.
pub(crate) fn run(hosts: u8, attacks: u8) -> Result<ExitCode> {
    println!("starting {hosts} hosts with agents in enforce mode, quorum 3, TLS");
    let fleet = Fleet::start(&Setup { hosts, ..Setup::default() })?;
    let mut times = Vec::new();
    for number in 1..=attacks {
        let victim = IpAddr::V4(Ipv4Addr::new(198, 18, 0, number));
        let outcome = Attack::on(victim, usize::from(hosts)).measure(&fleet, DEADLINE)?;
        println!("attack {number:>3}: {victim} dropped on every host after {}", seconds(outcome.took));
        times.push(outcome.took);
    }
    times.sort_unstable();
    let median = median(&times);
    let (min, max) = (times.first().copied().unwrap_or_default(), times.last().copied().unwrap_or_default());
    println!();
    println!("from the first spoofed SYN to the drop on the last of {hosts} hosts, {attacks} attacks:");
    println!("median {}   min {}   max {}", seconds(median), seconds(min), seconds(max));
    if median > TARGET {
        println!("the median is over the target of {}", seconds(TARGET));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// A time as people read it.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

fn median(sorted: &[Duration]) -> Duration {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => Duration::ZERO,
        odd if odd % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let times = |list: &[u64]| list.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        assert_eq!(median(&times(&[1, 2, 9])), Duration::from_millis(2));
        assert_eq!(median(&times(&[1, 2, 4, 9])), Duration::from_millis(3));
        assert_eq!(median(&[]), Duration::ZERO);
    }
}
