//! How the laboratory calls the three programs: the flags, in one place.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Command,
};

use anyhow::Result;

use crate::{certs::Files, process, world::AGGREGATOR};

/// The aggregator's port.
pub const PORT: u16 = 7440;
/// Where an aggregator tells how it is, within its namespace.
pub const AGGREGATOR_METRICS: SocketAddr = loopback(7441);
/// Where an agent tells how it is, within its namespace.
pub const AGENT_METRICS: SocketAddr = loopback(7442);

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
}

/// What an agent does with the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Reports, changes nothing.
    Observe,
    /// Blocks.
    Enforce,
}

impl Mode {
    /// As the flag has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

/// The aggregator's URL.
pub fn url() -> String {
    format!("https://{AGGREGATOR}:{PORT}")
}

/// `sekisho-aggregator`, where every agent looks for it.
///
/// # Errors
/// It is not built.
pub fn aggregator(data: &Path, policy: &Path, tls: &Files) -> Result<Command> {
    aggregator_at((AGGREGATOR, PORT).into(), AGGREGATOR_METRICS, data, policy, tls)
}

/// `sekisho-aggregator` on ports of its own on the loopback, for one that must refuse to start.
///
/// # Errors
/// It is not built.
pub fn aggregator_aside(data: &Path, policy: &Path, tls: &Files) -> Result<Command> {
    aggregator_at(loopback(7450), loopback(7451), data, policy, tls)
}

fn aggregator_at(
    listen: SocketAddr,
    metrics: SocketAddr,
    data: &Path,
    policy: &Path,
    tls: &Files,
) -> Result<Command> {
    let mut command = process::command("sekisho-aggregator")?;
    command.arg("--listen").arg(listen.to_string());
    command.arg("--metrics-listen").arg(metrics.to_string());
    command.arg("--data-dir").arg(data).arg("--policy").arg(policy);
    with_tls(&mut command, tls);
    Ok(command)
}

/// `sekisho-agent`.
///
/// # Errors
/// It is not built.
pub fn agent(mode: Mode, state: &Path, tls: &Files, more: &[&str]) -> Result<Command> {
    let mut command = process::command("sekisho-agent")?;
    command.arg("--aggregator").arg(url()).arg("--mode").arg(mode.as_str());
    command.arg("--state-dir").arg(state);
    command.arg("--metrics-listen").arg(AGENT_METRICS.to_string());
    with_tls(&mut command, tls);
    command.args(more);
    Ok(command)
}

/// `sekishoctl`.
///
/// # Errors
/// It is not built.
pub fn ctl(tls: &Files, arguments: &[&str]) -> Result<Command> {
    let mut command = process::command("sekishoctl")?;
    command.arg("--aggregator").arg(url());
    with_tls(&mut command, tls);
    command.args(arguments);
    Ok(command)
}

/// A command as a person would type it.
pub fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _into_memory = write!(text, " {}", argument.to_string_lossy());
    }
    text
}

fn with_tls(command: &mut Command, tls: &Files) {
    command.arg("--tls-cert").arg(&tls.cert).arg("--tls-key").arg(&tls.key).arg("--tls-ca").arg(&tls.ca);
}
