//! What the agent is told at start: one struct, a comment per flag.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Parser, ValueEnum};
use sekisho_daemon::{exit::usage, telemetry::LogFormat, tls::TlsArgs};
use sekisho_kernel::Tracked;
use sekisho_model::{Flags, HostId, Sensor, Zone};

use crate::{
    check::Command,
    retries::{SynackRetries, Wish},
};

/// The agent: watches half-open TCP handshakes and keeps the blocklist in the kernel.
///
/// Settings come from flags, then the environment (SEKISHO_…), then --config, then defaults.
#[derive(Clone, Debug, Parser)]
#[command(name = "sekisho-agent", version)]
pub struct Settings {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// An aggregator; may be given several times, the first that answers serves
    #[arg(long, global = true, env = "SEKISHO_AGGREGATOR", value_name = "URL", value_delimiter = ',')]
    pub aggregator: Vec<String>,
    /// This host's name where there are no certificates; with certificates it must be theirs
    #[arg(long, env = "SEKISHO_HOST_ID", value_name = "NAME")]
    pub host_id: Option<HostId>,
    /// This host's failure domain: a site, a provider, a rack
    #[arg(long, env = "SEKISHO_ZONE", value_name = "NAME")]
    pub zone: Option<Zone>,
    /// Whether to change the kernel
    #[arg(long, env = "SEKISHO_MODE", default_value = "observe")]
    pub mode: Mode,
    /// What tells of half-open handshakes: auto, or several of sock_diag, conntrack and tracepoint
    #[arg(long, env = "SEKISHO_SENSORS", value_name = "LIST", default_value = "auto")]
    pub sensors: SensorChoice,
    /// Where the agent remembers what is in force over a restart; needed to enforce
    #[arg(long, global = true, env = "SEKISHO_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Whether the kernel's table belongs to this process, where the kernel takes that: nobody else changes it then
    #[arg(long, env = "SEKISHO_TABLE_OWNER", default_value = "auto")]
    pub table_owner: TableOwner,
    /// Take all blocks out of the kernel at the end; otherwise they stay until they expire
    #[arg(long, env = "SEKISHO_FLUSH_ON_EXIT", value_parser = clap::builder::BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    pub flush_on_exit: bool,
    /// How often a SYN-ACK may be sent again (net.ipv4.tcp_synack_retries): keep, at most a number, or adaptive:
    /// at most 2 while an attack is seen. Never more than it is; given back at the end
    #[arg(long, env = "SEKISHO_SYNACK_RETRIES", value_name = "keep|N|adaptive", default_value = "keep")]
    pub synack_retries: SynackRetries,
    /// The same in the network namespaces of this machine's other processes, where they may be entered
    #[arg(long, env = "SEKISHO_SYNACK_RETRIES_PODS", value_parser = clap::builder::BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    pub synack_retries_pods: bool,
    /// Where /metrics, /healthz and /readyz are served (HTTP)
    #[arg(long, env = "SEKISHO_METRICS_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:7442")]
    pub metrics_listen: SocketAddr,
    /// Settings in TOML; its keys are these flags with _ for -
    #[arg(long, global = true, env = "SEKISHO_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How much to log: error, warn, info, debug, trace, or per module
    #[arg(long, env = "SEKISHO_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    pub log_level: String,
    /// How to write the log
    #[arg(long, env = "SEKISHO_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    #[command(flatten)]
    pub tls: TlsArgs,
}

impl Settings {
    /// What is wanted of `tcp_synack_retries`.
    pub fn wish(&self) -> Wish {
        // sock_diag, the only sensor, knows a stuck handshake by its retransmits.
        Wish {
            goal: self.synack_retries.0,
            pods: self.synack_retries_pods,
            proof_only: !self.sensors.may_track(),
        }
    }
}

/// Whose the kernel's table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TableOwner {
    /// This process', where the kernel takes that: another program's `nft flush ruleset` leaves it alone
    Auto,
    /// Anybody's who may change the firewall: it can be edited by hand, and is put back
    Never,
}

/// Whether the agent changes the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Reports and changes nothing
    Observe,
    /// Reports, and keeps the blocklist in the kernel
    Enforce,
}

impl Mode {
    /// As operators read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Enforce => "enforce",
        }
    }
}

impl Settings {
    /// Where to remember what is in force; none in a mode that puts nothing in force.
    ///
    /// # Errors
    /// When it is needed and not given.
    pub fn state_dir_to_enforce(&self) -> anyhow::Result<Option<&Path>> {
        let needed = || usage("--mode enforce remembers what is in force: give --state-dir DIR");
        match self.mode {
            Mode::Observe => Ok(None),
            Mode::Enforce => self.state_dir.as_deref().ok_or_else(needed).map(Some),
        }
    }
}

/// Which sensors to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SensorChoice {
    /// All that this host has.
    Auto,
    /// These, and only these.
    These(Flags<Sensor>),
}

impl SensorChoice {
    /// The sensors to try.
    pub fn sensors(&self) -> impl Iterator<Item = Sensor> {
        let these = match self {
            Self::Auto => Sensor::ALL.into_iter().collect(),
            Self::These(these) => *these,
        };
        these.iter()
    }

    /// Whether stuck handshakes are known by more than their retransmits: conntrack was asked for, or is in use.
    pub fn may_track(&self) -> bool {
        match self {
            Self::Auto => Tracked::read().is_some_and(|tracked| tracked.count > 0),
            Self::These(these) => these.has(Sensor::Conntrack),
        }
    }

    /// Whether they were not named.
    pub fn is_auto(&self) -> bool {
        matches!(self, Self::Auto)
    }
}

impl FromStr for SensorChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "auto" {
            return Ok(Self::Auto);
        }
        let named = |name: &str| Sensor::ALL.into_iter().find(|sensor| sensor.as_str() == name.trim());
        let unknown = |name| {
            format!(
                "{name:?} is no sensor; write auto, or several of sock_diag, conntrack, tracepoint with , between"
            )
        };
        let these = text.split(',').map(|name| named(name).ok_or_else(|| unknown(name)));
        these.collect::<Result<_, _>>().map(Self::These)
    }
}

#[cfg(test)]
mod tests {
    use sekisho_observe::Goal;

    use super::*;
    use crate::check::Form;

    fn read(words: &str) -> Settings {
        Settings::try_parse_from(std::iter::once("sekisho-agent").chain(words.split_whitespace())).unwrap()
    }

    #[test]
    fn without_a_command_the_agent_runs() {
        let settings =
            read("--aggregator https://a:1 --mode enforce --state-dir /x --synack-retries adaptive");
        assert!(settings.command.is_none());
        assert_eq!((settings.mode, settings.wish().goal), (Mode::Enforce, Goal::Adaptive));
        assert_eq!(read("").wish().goal, Goal::Keep);
    }

    #[test]
    fn what_is_checked_may_be_given_before_and_after_the_command() {
        for words in ["--aggregator https://a:1 check -o json", "check -o json --aggregator https://a:1"] {
            let settings = read(words);
            assert_eq!(settings.aggregator, ["https://a:1"]);
            let Some(Command::Check(args)) = settings.command else { panic!("no command in {words}") };
            assert_eq!(args.output, Form::Json);
        }
    }

    #[test]
    fn sensors_are_chosen_by_name() {
        let chosen =
            |text: &str| text.parse::<SensorChoice>().map(|choice| choice.sensors().collect::<Vec<_>>());
        assert_eq!(chosen("auto").unwrap(), Sensor::ALL);
        assert_eq!(chosen("tracepoint, sock_diag").unwrap(), [Sensor::SockDiag, Sensor::Tracepoint]);
        assert!(chosen("auto,conntrack").unwrap_err().contains("\"auto\" is no sensor"));
        assert!(chosen("").is_err() && chosen("ebpf").is_err());
    }
}
