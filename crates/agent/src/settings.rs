//! What the agent is told at start: one struct, a comment per flag.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueEnum};
use sekisho_daemon::{telemetry::LogFormat, tls::TlsArgs};
use sekisho_model::{HostId, Zone};

/// The agent: watches half-open TCP handshakes and keeps the blocklist in the kernel.
///
/// Settings come from flags, then the environment (SEKISHO_…), then --config, then defaults.
#[derive(Clone, Debug, Parser)]
#[command(name = "sekisho-agent", version)]
pub struct Settings {
    /// An aggregator; may be given several times, the first that answers serves
    #[arg(long, env = "SEKISHO_AGGREGATOR", value_name = "URL", value_delimiter = ',')]
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
    #[arg(long, env = "SEKISHO_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Whether the kernel's table belongs to this process, where the kernel takes that: nobody else changes it then
    #[arg(long, env = "SEKISHO_TABLE_OWNER", default_value = "auto")]
    pub table_owner: TableOwner,
    /// Take all blocks out of the kernel at the end; otherwise they stay until they expire
    #[arg(long, env = "SEKISHO_FLUSH_ON_EXIT", value_parser = clap::builder::BoolishValueParser::new(),
          num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    pub flush_on_exit: bool,
    /// Where /metrics, /healthz and /readyz are served (HTTP)
    #[arg(long, env = "SEKISHO_METRICS_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:7442")]
    pub metrics_listen: SocketAddr,
    /// Settings in TOML; its keys are these flags with _ for -
    #[arg(long, env = "SEKISHO_CONFIG", value_name = "FILE")]
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
