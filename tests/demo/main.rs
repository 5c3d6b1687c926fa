//! `sekisho-demo`: the whole product at work, live: spoofed SYNs on real kernels, blocked fleet-wide.
#![expect(clippy::print_stdout, reason = "a demonstration speaks on standard output")]

mod bench;
mod keep;
mod phases;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use sekisho_lab::leftovers;

/// Shows a fleet that keeps itself from being used as SYN-ACK reflectors, in a laboratory of network
/// namespaces that it makes and removes again. Needs root.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Hosts in the fleet.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(3..=20))]
    hosts: u8,
    /// Count SYN-ACKs for the first 15 s of each attack only, instead of until the last handshake ends.
    #[arg(long)]
    quick: bool,
    /// Leave everything running at the end and say how to look around, until Ctrl-C.
    #[arg(long, env = "KEEP", value_parser = clap::builder::FalseyValueParser::new())]
    keep: bool,
    /// Measure instead of showing: this many attacks, and the time to the block on the last host.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=200))]
    attacks: Option<u8>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(_) if leftovers::interrupted() => wait_for_clean_up(),
        Err(error) => {
            eprintln!("sekisho-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    match options.attacks {
        Some(attacks) => bench::run(options.hosts, attacks),
        None => phases::run(options),
    }
}

/// After Ctrl-C commands fail since the world is being removed under them; the remover ends the process.
fn wait_for_clean_up() -> ! {
    loop {
        std::thread::park();
    }
}
