//! What programs refuse to start with: one line that names the file, the line and the remedy.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use sekisho_lab::{
    Fleet, Setup, command, http, process,
    programs::{self, AGGREGATOR_METRICS, Mode},
};

use crate::support::{hosts, with_fleet};

/// Told something wrong (`EX_USAGE` of sysexits.h).
const USAGE: i32 = 64;

fn lay(test: impl FnOnce(&Fleet) -> Result<()>) {
    let fleet = Fleet::lay(&Setup { hosts: 1, ..Setup::default() }).unwrap();
    test(&fleet).unwrap();
}

/// Runs a program that must refuse, within the fleet, and returns its exit code and what it said.
fn refusal(fleet: &Fleet, command: &Command) -> Result<(Option<i32>, String)> {
    let shown = programs::shown(command);
    // What does not refuse would run for ever.
    let mut bounded = Command::new("timeout");
    bounded.args(["--kill-after", "1", "15"]).arg(command.get_program()).args(command.get_args());
    bounded.env_clear();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            bounded.env(key, value);
        }
    }
    let output = fleet.world.hosts[0].namespace.run(move || command::output(&mut bounded))??;
    ensure!(!output.status.success(), "it takes {shown}");
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Checks that `command` is refused as a usage error, in one line that holds all of `told`.
fn refused(fleet: &Fleet, command: &Command, told: &[&str]) -> Result<()> {
    let shown = programs::shown(command);
    let (code, line) = refusal(fleet, command)?;
    ensure!(code == Some(USAGE), "{shown} ended with {code:?}: {line}");
    ensure!(line.lines().count() == 1, "{shown} says more than a line:\n{line}");
    for part in told {
        ensure!(line.contains(part), "{shown} does not say {part:?}: {line}");
    }
    Ok(())
}

#[test]
fn wrong_flags_are_refused() {
    lay(|fleet| {
        for program in ["sekisho-aggregator", "sekisho-agent"] {
            let mut unknown = process::command(program)?;
            unknown.arg("--no-such-flag");
            refused(fleet, &unknown, &["--no-such-flag"])?;
            // Neither certificates nor --insecure: say what to do.
            let mut bare = process::command(program)?;
            bare.arg(if program == "sekisho-agent" { "--state-dir" } else { "--data-dir" });
            bare.arg(fleet.path("nowhere"));
            if program == "sekisho-agent" {
                bare.args(["--aggregator", "https://198.51.100.250:7440"]);
            }
            refused(fleet, &bare, &["--tls-cert", "--insecure"])?;
        }
        let mut listen = process::command("sekisho-aggregator")?;
        listen.args(["--insecure", "--listen", "nowhere", "--data-dir"]).arg(fleet.path("data"));
        refused(fleet, &listen, &["--listen", "nowhere"])?;
        let state = fleet.path("state");
        let mode = ["--mode", "attack"];
        let mut agent = process::command("sekisho-agent")?;
        agent.args(["--insecure", "--aggregator", "http://127.0.0.1:7440"]).args(mode);
        agent.arg("--state-dir").arg(state);
        refused(fleet, &agent, &["attack", "observe", "enforce"])
    });
}

#[test]
fn wrong_policies_are_refused_with_file_line_and_remedy() {
    lay(|fleet| {
        for (text, told) in [
            ("window: 5m\nno_such_key: 1\n", &[":2", "no_such_key"][..]),
            ("window: 5m\nquorum: { drop: 0 }\n", &[":2", "quorum.drop", "1 to 64"]),
            ("window: 2h\n", &[":1", "window", "1h"]),
            ("quorum: { drop: 2, suppress: 3 }\n", &[":1", "quorum.suppress", "from 1 to quorum.drop"]),
            ("window: [\n", &["policy.yaml"]),
        ] {
            policy_refused(fleet, text, told)?;
        }
        let missing = fleet.second_aggregator(&fleet.path("no-policy.yaml"))?;
        refused(fleet, &missing, &["no-policy.yaml"])
    });
}

fn policy_refused(fleet: &Fleet, text: &str, told: &[&str]) -> Result<()> {
    fs::write(fleet.path("policy.yaml"), text)?;
    let mut all = vec!["policy.yaml"];
    all.extend(told);
    refused(fleet, &fleet.second_aggregator(&fleet.path("policy.yaml"))?, &all)
        .with_context(|| text.to_owned())
}

#[test]
fn wrong_configurations_are_refused_with_file_line_and_remedy() {
    lay(|fleet| {
        let config = fleet.path("agent.toml");
        for (text, told) in [
            ("mode = \"observe\"\nno_such_key = 1\n", &[":2", "no_such_key"][..]),
            ("mode = \"attack\"\n", &["attack"]),
            ("mode = \n", &[":1"]),
        ] {
            fs::write(&config, text)?;
            let mut agent = process::command("sekisho-agent")?;
            agent.args(["--insecure", "--aggregator", "http://127.0.0.1:7440", "--config"]).arg(&config);
            agent.arg("--state-dir").arg(fleet.path("state"));
            let mut all = vec!["agent.toml"];
            all.extend(told);
            refused(fleet, &agent, &all).with_context(|| text.to_owned())?;
        }
        Ok(())
    });
}

#[test]
fn a_data_directory_in_use_is_refused() {
    with_fleet(&hosts(1), |fleet| {
        let (code, line) = refusal(fleet, &fleet.second_aggregator(&fleet.path("policy.yaml"))?)?;
        ensure!(code.is_some_and(|code| code != 124), "it neither runs nor ends: {line}");
        let data = fleet.path("data").to_string_lossy().into_owned();
        ensure!(line.contains(&data) && line.contains("in use"), "{line}");
        let ready = http::get(&fleet.world.aggregator, AGGREGATOR_METRICS, "/readyz")?;
        ensure!(ready.status == 200, "the first one was disturbed");
        Ok(())
    });
}

#[test]
fn enforcing_without_the_capability_is_refused() {
    lay(|fleet| {
        let state = fleet.path("state");
        let agent = programs::agent(Mode::Enforce, &state, &fleet.certs.agent("h1")?, &[])?;
        let mut bare = Command::new("setpriv");
        bare.args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
        bare.arg(agent.get_program()).args(agent.get_args());
        bare.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        let (_, line) = refusal(fleet, &bare)?;
        ensure!(line.contains("CAP_NET_ADMIN"), "{line}");
        Ok(())
    });
}

#[test]
fn a_table_of_somebody_else_is_not_taken_over() {
    lay(|fleet| {
        let host = &fleet.world.hosts[0].namespace;
        host.nft("add table inet sekisho")?;
        host.nft("add chain inet sekisho theirs")?;
        let agent = programs::agent(Mode::Enforce, &fleet.path("state"), &fleet.certs.agent("h1")?, &[])?;
        let (_, line) = refusal(fleet, &agent)?;
        ensure!(line.contains("inet sekisho"), "{line}");
        ensure!(host.nft("list table inet sekisho")?.contains("theirs"), "their chain is gone");
        Ok(())
    });
}

#[test]
fn a_corrupt_log_is_not_opened() {
    let mut fleet = Fleet::lay(&Setup { hosts: 1, ..Setup::default() }).unwrap();
    fleet.start_aggregator().unwrap();
    fleet.take_aggregator().unwrap().stop().unwrap();
    damage(&fleet.path("data")).unwrap();
    let (_, line) = refusal(&fleet, &fleet.second_aggregator(&fleet.path("policy.yaml")).unwrap()).unwrap();
    assert!(line.contains(&*fleet.path("data").to_string_lossy()), "{line}");
}

/// Overwrites the start of every file that says where the others are.
fn damage(directory: &Path) -> Result<()> {
    let mut damaged = 0;
    let mut left = vec![directory.to_owned()];
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(at)? {
            let path = entry?.path();
            if path.is_dir() {
                left.push(path);
            } else if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("MANIFEST")) {
                fs::write(&path, [0x5a; 4096])?;
                damaged += 1;
            }
        }
    }
    if damaged == 0 {
        bail!("nothing to damage in {}", directory.display());
    }
    Ok(())
}
