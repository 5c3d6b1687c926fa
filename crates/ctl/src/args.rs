//! The command line: verbs, nouns and flags. What can be judged here is judged here, before any
//! network.

mod nouns;
mod orders;

use std::{path::PathBuf, time::Duration};

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use sekisho_daemon::tls::TlsArgs;
use sekisho_model::{Prefix, PrefixError, prefix::IPV6_UNIT_LENGTH};

pub(crate) use self::{
    nouns::{Described, EventsArgs, Noun, ReplayArgs, WatchArgs, Watched},
    orders::{AllowArgs, Applied, BlockArgs, DisallowArgs, Order, PolicyArgs, UnblockArgs},
};

/// Reads and commands Sekisho, the blocklist of SYN-ACK reflection victims.
///
/// Exit codes: 0 done, 1 failed, 2 told something wrong, 3 nothing changed. Data goes to standard
/// output, everything else to standard error.
#[derive(Debug, Parser)]
#[command(name = "sekishoctl", version, arg_required_else_help = false, next_help_heading = "Global options")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// How to print: for people, or for programs
    #[arg(
        short,
        long,
        global = true,
        env = "SEKISHO_OUTPUT",
        value_enum,
        value_name = "FORMAT",
        default_value = "table"
    )]
    pub(crate) output: Format,
    /// Also say, on standard error, by which request id an order is given
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Settings as TOML; a key is a flag's name with _ for -
    #[arg(long, global = true, env = "SEKISHO_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// How to reach the aggregator.
#[derive(Debug, Group)]
pub(crate) struct Connection {
    /// The aggregator to talk to
    #[arg(
        long,
        global = true,
        env = "SEKISHO_AGGREGATOR",
        value_name = "URL",
        default_value = "https://127.0.0.1:7440"
    )]
    pub(crate) aggregator: String,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// More columns for people
    Wide,
    /// JSON with the API's field names
    Json,
    /// YAML with the API's field names
    Yaml,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Lists entries, hosts, the allowlist or events, or prints the policy
    #[command(arg_required_else_help = false)]
    Get {
        #[command(subcommand)]
        noun: Noun,
    },
    /// Shows all about one entry or host
    #[command(arg_required_else_help = false)]
    Describe {
        #[command(subcommand)]
        noun: Described,
    },
    /// Says why an address is listed or not, who sees it, and what it would take
    Explain {
        /// An address, or an IPv6 /64
        #[arg(value_parser = unit)]
        address: Prefix,
    },
    /// Lists a prefix until it ends by itself
    Block(BlockArgs),
    /// Takes a prefix off the blocklist
    Unblock(UnblockArgs),
    /// Puts a prefix on the allowlist
    Allow(AllowArgs),
    /// Takes a prefix off the allowlist
    Disallow(DisallowArgs),
    /// Puts a policy in force
    #[command(arg_required_else_help = false)]
    Apply {
        #[command(subcommand)]
        noun: Applied,
    },
    /// Follows both lists and prints each change, until it is interrupted
    #[command(args_conflicts_with_subcommands = true)]
    Watch {
        #[command(flatten)]
        lists: WatchArgs,
        #[command(subcommand)]
        noun: Option<Watched>,
    },
    /// Shows what another policy would have listed
    Replay(ReplayArgs),
    /// Shows how the aggregator is
    Status,
    /// Prints the completion script of a shell
    Completion {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

fn unit(text: &str) -> Result<Prefix, String> {
    let prefix: Prefix = text.parse().map_err(|error: PrefixError| error.to_string())?;
    let is_unit = prefix.is_host() || (!prefix.is_ipv4() && prefix.length() == IPV6_UNIT_LENGTH);
    is_unit.then_some(prefix).ok_or_else(|| "name one address, as 203.0.113.7 or 2001:db8::7".to_owned())
}

/// A duration within bounds.
pub(crate) fn span(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let days = most.as_secs() / 86_400;
    let wrong = || format!("write 90s, 1h or 7d: {}s to {days}d", least.as_secs());
    let span = humantime::parse_duration(text).map_err(|_| wrong())?;
    if (least..=most).contains(&span) { Ok(span) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_and_after_the_verb() {
        for line in ["sekishoctl --insecure -o json get entries", "sekishoctl get entries --insecure -o json"]
        {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert!(args.connection.tls.insecure, "{line}");
            assert_eq!(args.output, Format::Json);
        }
    }

    #[test]
    fn one_address_or_one_unit_is_explained() {
        let explain = |text: &str| Args::try_parse_from(["sekishoctl", "explain", text]);
        for good in ["203.0.113.7", "2001:db8::7", "2001:db8::/64", "::ffff:203.0.113.7"] {
            assert!(explain(good).is_ok(), "{good}");
        }
        for bad in ["203.0.113.0/24", "2001:db8::/63", "2001:db8::/65"] {
            assert!(explain(bad).unwrap_err().to_string().contains("name one address"), "{bad}");
        }
    }
}
