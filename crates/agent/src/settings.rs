//! What the agent is told at start: one struct, a comment per flag.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};
use sekisho_daemon::{telemetry::LogFormat, tls::TlsArgs};
use sekisho_model::{HostId, Zone};

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
    /// Where the agent remembers what is in force over a restart; needed to enforce
    #[arg(long, global = true, env = "SEKISHO_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
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
        Wish { goal: self.synack_retries.0, pods: self.synack_retries_pods, proof_only: true }
    }
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
}
