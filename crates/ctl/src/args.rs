//! The command line: verbs, nouns and flags. What can be judged here is judged here, before any
//! network.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use sekisho_daemon::tls::TlsArgs;
use sekisho_model::{
    HostId, Prefix,
    limits::{MAX_ALLOW_TTL, MAX_BLOCK_TTL},
};
use sekisho_wire::readable;

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
    /// Lists entries, hosts or the allowlist
    Get {
        /// What to list
        #[arg(value_enum)]
        noun: Noun,
        /// At most this many; without it, all
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroUsize>,
    },
    /// Shows all about one entry or host
    #[command(arg_required_else_help = false)]
    Describe {
        #[command(subcommand)]
        noun: Described,
    },
    /// Lists a prefix until it ends by itself
    Block(BlockArgs),
    /// Takes a prefix off the blocklist
    Unblock(UnblockArgs),
    /// Puts a prefix on the allowlist
    Allow(AllowArgs),
    /// Takes a prefix off the allowlist
    Disallow(DisallowArgs),
    /// Follows both lists and prints each change, until it is interrupted
    Watch {
        /// First print what is on the lists now
        #[arg(long)]
        initial: bool,
        /// End after this many lines
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroUsize>,
    },
    /// Shows how the aggregator is
    Status,
    /// Prints the completion script of a shell
    Completion {
        /// Which shell
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Noun {
    /// The blocklist
    Entries,
    /// The agents' hosts
    Hosts,
    /// What is never listed
    Allowlist,
}

/// What can be described.
#[derive(Debug, Subcommand)]
pub(crate) enum Described {
    /// An entry of the blocklist, and the hosts that saw it
    Entry {
        /// A prefix as listed, or an address, which finds the entry that covers it
        #[arg(value_name = "PREFIX_OR_ADDRESS")]
        prefix: Prefix,
    },
    /// An agent's host
    Host {
        /// The host's name
        name: HostId,
    },
}

/// What every order has.
#[derive(Debug, Group)]
pub(crate) struct Order {
    /// An address or a prefix, as 203.0.113.7 or 2001:db8::/64
    pub(crate) prefix: Prefix,
    /// Why: 1 to 512 bytes, kept in the log
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Lists a prefix.
#[derive(Debug, Group)]
pub(crate) struct BlockArgs {
    #[command(flatten)]
    pub(crate) order: Order,
    /// Until it ends by itself, 1s to 30d; the aggregator's default is 1h
    #[arg(long = "for", value_name = "TIME", value_parser = block_ttl)]
    pub(crate) ttl: Option<Duration>,
}

/// Takes a prefix off the blocklist.
#[derive(Debug, Group)]
pub(crate) struct UnblockArgs {
    #[command(flatten)]
    pub(crate) order: Order,
    /// How long a quorum does not list it again, 0s to 30d; the aggregator's default is 1h
    #[arg(long, value_name = "TIME", value_parser = hold)]
    pub(crate) hold: Option<Duration>,
}

/// Puts a prefix on the allowlist.
#[derive(Debug, Group)]
pub(crate) struct AllowArgs {
    #[command(flatten)]
    pub(crate) order: Order,
    /// Until it ends by itself, 1s to 3650d; without it, for ever
    #[arg(long = "for", value_name = "TIME", value_parser = allow_ttl)]
    pub(crate) ttl: Option<Duration>,
}

/// Takes a prefix off the allowlist.
#[derive(Debug, Group)]
pub(crate) struct DisallowArgs {
    #[command(flatten)]
    pub(crate) order: Order,
}

fn reason(text: &str) -> Result<String, String> {
    readable::reason_text(text).map_err(|malformed| malformed.problem)
}

fn block_ttl(text: &str) -> Result<Duration, String> {
    span(text, Duration::from_secs(1), MAX_BLOCK_TTL)
}

fn hold(text: &str) -> Result<Duration, String> {
    span(text, Duration::ZERO, MAX_BLOCK_TTL)
}

fn allow_ttl(text: &str) -> Result<Duration, String> {
    span(text, Duration::from_secs(1), MAX_ALLOW_TTL)
}

fn span(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
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
    fn times_are_bounded_and_say_what_to_write() {
        assert_eq!(block_ttl("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(hold("0s"), Ok(Duration::ZERO));
        assert_eq!(allow_ttl("3650d"), Ok(MAX_ALLOW_TTL));
        for (refused, least) in [(block_ttl("0s"), "1s"), (block_ttl("31d"), "1s"), (hold("soon"), "0s")] {
            assert_eq!(refused.unwrap_err(), format!("write 90s, 1h or 7d: {least} to 30d"));
        }
    }

    #[test]
    fn orders_need_a_reason_and_a_prefix() {
        let order = |words: &[&str]| Args::try_parse_from([&["sekishoctl", "block"], words].concat());
        assert!(order(&["203.0.113.7"]).is_err());
        assert!(order(&["203.0.113.7", "--reason", " "]).is_err());
        let host_bits = order(&["203.0.113.7/24", "--reason", "x"]).unwrap_err().to_string();
        assert!(host_bits.contains("did you mean 203.0.113.0/24?"), "{host_bits}");
        assert!(order(&["203.0.113.0/24", "--reason", "x", "--dry-run"]).is_ok());
    }
}
