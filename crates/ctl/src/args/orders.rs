//! What orders take: a prefix or a policy, a reason, and the name of the request.

use std::{path::PathBuf, time::Duration};

use clap::{Args as Group, Subcommand, ValueEnum};
use sekisho_model::{
    Prefix, PrefixError, RequestId, Tier,
    limits::{MAX_ALLOW_TTL, MAX_BLOCK_TTL},
    never,
};
use sekisho_wire::readable;

use crate::args::span;

/// What every order has.
#[derive(Debug, Group)]
pub(crate) struct Order {
    /// Why: 1 to 512 bytes, kept in the log
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// A name for this order, so that it is carried out once however often it is given; without it, a
    /// random one
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<RequestId>,
}

/// Lists a prefix.
#[derive(Debug, Group)]
pub(crate) struct BlockArgs {
    /// An address or a prefix, as 203.0.113.7 or 2001:db8::/64
    #[arg(value_parser = listable)]
    pub(crate) prefix: Prefix,
    #[command(flatten)]
    pub(crate) order: Order,
    /// Until it ends by itself, 1s to 30d; the aggregator's default is 1h
    #[arg(long = "for", value_name = "TIME", value_parser = block_ttl)]
    pub(crate) ttl: Option<Duration>,
    /// What is done to it
    #[arg(long, value_enum, default_value = "drop")]
    pub(crate) tier: TierArg,
}

/// What is done to the packets of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TierArg {
    /// The first SYN-ACK of each handshake passes, its retransmits are dropped
    Suppress,
    /// Inbound SYNs are dropped
    Drop,
}

impl From<TierArg> for Tier {
    fn from(tier: TierArg) -> Self {
        match tier {
            TierArg::Suppress => Self::Suppress,
            TierArg::Drop => Self::Drop,
        }
    }
}

/// Takes a prefix off the blocklist.
#[derive(Debug, Group)]
pub(crate) struct UnblockArgs {
    /// The prefix exactly as listed
    pub(crate) prefix: Prefix,
    #[command(flatten)]
    pub(crate) order: Order,
    /// How long evidence does not list it again, 0s to 30d; the aggregator's default is 1h
    #[arg(long, value_name = "TIME", value_parser = hold)]
    pub(crate) hold: Option<Duration>,
}

/// Puts a prefix on the allowlist.
#[derive(Debug, Group)]
pub(crate) struct AllowArgs {
    /// An address or a prefix, as 203.0.113.7 or 2001:db8::/64
    pub(crate) prefix: Prefix,
    #[command(flatten)]
    pub(crate) order: Order,
    /// Until it ends by itself, 1s to 3650d; without it, for ever
    #[arg(long = "for", value_name = "TIME", value_parser = allow_ttl)]
    pub(crate) ttl: Option<Duration>,
}

/// Takes a prefix off the allowlist.
#[derive(Debug, Group)]
pub(crate) struct DisallowArgs {
    /// The prefix exactly as allowed
    pub(crate) prefix: Prefix,
    #[command(flatten)]
    pub(crate) order: Order,
}

/// What can be applied.
#[derive(Debug, Subcommand)]
pub(crate) enum Applied {
    /// The policy: what the file leaves out has its default
    Policy(PolicyArgs),
}

/// Puts a policy in force.
#[derive(Debug, Group)]
pub(crate) struct PolicyArgs {
    /// The policy as YAML; - for standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) order: Order,
}

/// A prefix that is not off any list by its nature.
fn listable(text: &str) -> Result<Prefix, String> {
    let prefix: Prefix = text.parse().map_err(|error: PrefixError| error.to_string())?;
    if never::is_unlistable(&prefix) {
        let what = "loopback, link-local, multicast, reserved or translated addresses";
        return Err(format!("it has {what}, which can never be listed"));
    }
    Ok(prefix)
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

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
        let loopback = order(&["127.0.0.1", "--reason", "x"]).unwrap_err().to_string();
        assert!(loopback.contains("which can never be listed"), "{loopback}");
        let host_bits = order(&["203.0.113.7/24", "--reason", "x"]).unwrap_err().to_string();
        assert!(host_bits.contains("did you mean 203.0.113.0/24?"), "{host_bits}");
        assert!(order(&["203.0.113.0/24", "--reason", "x", "--dry-run"]).is_ok());
        let named = order(&["203.0.113.7", "--reason", "x", "--request-id", "a b"]).unwrap_err().to_string();
        assert!(named.contains("is not a name; use 1 to 253"), "{named}");
    }
}
