//! What the aggregator is told at start: one struct, a comment per flag.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use sekisho_daemon::{telemetry::LogFormat, tls::TlsArgs};

/// The aggregator: takes what agents see, decides what is a reflection victim, and serves the blocklist.
///
/// Settings come from flags, then the environment (SEKISHO_…), then --config, then defaults.
#[derive(Clone, Debug, Parser)]
#[command(name = "sekisho-aggregator", version)]
pub struct Settings {
    /// Where agents and operators connect (gRPC)
    #[arg(long, env = "SEKISHO_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:7440")]
    pub listen: SocketAddr,
    /// Where the log and the checkpoints are kept
    #[arg(long, env = "SEKISHO_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The policy, YAML, put in force at each start; without it what is in force stays (at first, the defaults)
    #[arg(long, env = "SEKISHO_POLICY", value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Where /metrics, /healthz and /readyz are served (HTTP)
    #[arg(long, env = "SEKISHO_METRICS_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:7441")]
    pub metrics_listen: SocketAddr,
    /// Begin a new epoch: needed once after the data directory was restored from a backup
    #[arg(long)]
    pub new_epoch: bool,
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
