//! The demonstration: the same attack twice, without and with protection, and what each cost the victim.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Result;
use sekisho_lab::{
    Attack, Fleet, Setup, attack,
    client::{AT_ONCE, Connection},
    counter,
    monitor::Monitor,
    programs::Mode,
    world::Host,
};

use crate::{Options, bench::seconds, keep, table::Table};

/// SYNs to each host for each victim, and the time between two of them: 10 s of attack.
const ROUNDS: u32 = 50;
const PACE: Duration = Duration::from_millis(200);
/// How long SYN-ACKs are counted with `--quick`.
const QUICK: Duration = Duration::from_secs(15);
/// A little over the 63 s that the last half-open handshake lives at `tcp_synack_retries` = 5.
const HANDSHAKES_END: Duration = Duration::from_secs(75);

/// Figures of one phase.
struct Figures {
    sent: u64,
    answers: u64,
    blocked: Option<Duration>,
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "counts of a laboratory are small")]
    fn answers_per_syn(&self) -> f64 {
        self.answers as f64 / self.sent.max(1) as f64
    }
}

/// Runs the demonstration.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let hosts = options.hosts;
    println!("Laying {hosts} hosts, an aggregator and a world between them, in network namespaces.");
    let setup = Setup { hosts, mode: Mode::Observe, ..Setup::default() };
    let mut fleet = Fleet::start(&setup)?;
    let mut table = Table::new(&fleet)?;

    println!("\n1. Without protection: the agents only observe. Two victims are spoofed for 10 s.\n");
    let without = phase(&fleet, &mut table, &victims(1)?, options.quick, false)?;

    println!("2. With protection: the same agents in enforce mode, two fresh victims.\n");
    for host in fleet.host_names() {
        fleet.take_agent(&host)?.stop()?;
        fleet.start_agent(&host, Mode::Enforce, &[])?;
    }
    fleet.all_ready()?;
    let fresh = victims(2)?;
    let with = phase(&fleet, &mut table, &fresh, options.quick, true)?;

    let (probes, answered) = probe(&fleet, &fresh)?;
    let honest = honest_client(&fleet)?;
    close(options, &without, &with);
    println!("SYN-ACKs for {probes} further SYNs of the listed victims: {answered}");
    println!("an honest client elsewhere connected to every host, the slowest in {}", seconds(honest));
    if options.keep {
        keep::until_interrupted(&fleet)?;
    }
    Ok(if answered == 0 && with.blocked.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An IPv4 and an IPv6 victim of their own for each phase.
fn victims(phase: u8) -> Result<Vec<IpAddr>> {
    let v6 = format!("2001:db8:bad:{phase}::7").parse()?;
    Ok(vec![IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7 * phase)), v6])
}

/// One attack from its first SYN to the end of its last handshake.
fn phase(
    fleet: &Fleet,
    table: &mut Table,
    victims: &[IpAddr],
    quick: bool,
    protected: bool,
) -> Result<Figures> {
    let monitors = fleet.world.hosts.iter().map(|host| Monitor::start(&host.namespace));
    let monitors = monitors.collect::<Result<Vec<_>>>()?;
    let hosts = fleet.world.hosts.len();
    let attack = Attack { victims: victims.to_vec(), hosts, rounds: ROUNDS, pace: PACE };
    let (flood, first) = attack.start(fleet)?;
    let longest = if quick { QUICK } else { HANDSHAKES_END + PACE * ROUNDS };
    table.show_until(fleet, longest, || Ok(!quick && flood.is_done() && no_handshake_left(fleet)?))?;
    table.settle();
    let sent = flood.finish()?;
    let counts = counter::all(&fleet.world.internet)?;
    let answers = victims.iter().map(|victim| counter::to_victim(&counts, *victim)).sum();
    let blocked = if protected { last_block(&monitors, victims, first) } else { None };
    Ok(Figures { sent, answers, blocked })
}

/// Whether no host has a half-open handshake left, as its own kernel tells.
fn no_handshake_left(fleet: &Fleet) -> Result<bool> {
    let none = |host: &Host| -> Result<bool> {
        let sockets = host.namespace.command("ss", &["-Hnt", "state", "syn-recv"])?;
        Ok(sockets.trim().is_empty())
    };
    for host in &fleet.world.hosts {
        if !none(host)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn last_block(monitors: &[Monitor], victims: &[IpAddr], first: Instant) -> Option<Duration> {
    let mut last = first;
    for monitor in monitors {
        for victim in victims {
            last = last.max(monitor.blocked_at(*victim)?);
        }
    }
    Some(last.duration_since(first))
}

/// Sends the listed victims' SYNs on, and counts what is answered.
fn probe(fleet: &Fleet, victims: &[IpAddr]) -> Result<(u64, u64)> {
    let mut sent = 0;
    for victim in victims {
        sent += attack::probe(fleet, *victim, 20, Duration::from_millis(20))?.finish()?;
    }
    // When a host has answered a later connection, it has answered what it answers of the earlier ones.
    honest_client(fleet)?;
    let counts = counter::probes(&fleet.world.internet)?;
    Ok((sent, victims.iter().map(|victim| counter::to_victim(&counts, *victim)).sum()))
}

/// The slowest handshake of an honest client with any host.
fn honest_client(fleet: &Fleet) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for host in &fleet.world.hosts {
        let to = host.service(host.v4.into());
        let mut connection = Connection::open(&fleet.world.client, to, AT_ONCE)?;
        connection.echo()?;
        slowest = slowest.max(connection.took);
    }
    Ok(slowest)
}

fn close(options: &Options, without: &Figures, with: &Figures) {
    let span = if options.quick { ", counted for 15 s" } else { ", counted to the last handshake's end" };
    println!("SYN-ACKs per spoofed SYN{span}:");
    for (name, figures) in [("without protection", without), ("with protection", with)] {
        let Figures { sent, answers, .. } = figures;
        println!("  {name:<20} {:>5.2}   ({answers} for {sent} SYNs)", figures.answers_per_syn());
    }
    match with.blocked {
        Some(took) => println!("from the first spoofed SYN to the last host's block: {}", seconds(took)),
        None => println!("the victims were NOT blocked on every host"),
    }
}
