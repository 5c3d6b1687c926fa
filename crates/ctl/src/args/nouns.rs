//! What can be read, described, followed and replayed, and the flags of each.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::{
    Args as Group, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use sekisho_model::{
    HostId, Prefix,
    limits::{EVENT_RETENTION, LOG_RETENTION},
};
use sekisho_wire::pb::v1::EventKind;

use crate::{args::span, event};

/// What can be listed.
#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// The blocklist
    Entries(Limited),
    /// The agents' hosts
    Hosts(Limited),
    /// What is never listed
    Allowlist(Limited),
    /// What happened, the newest first
    Events {
        #[command(flatten)]
        wanted: EventsArgs,
        /// Only events that are not older than this, as 1h or 7d
        #[arg(long, value_name = "TIME", value_parser = age)]
        since: Option<Duration>,
        /// At most this many
        #[arg(long, value_name = "N", default_value = "100")]
        limit: NonZeroUsize,
    },
    /// The policy in force, as a policy file
    Policy,
}

/// How much of a list.
#[derive(Clone, Copy, Debug, Group)]
pub(crate) struct Limited {
    /// At most this many; without it, all
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
}

/// Which events.
#[derive(Clone, Debug, Group)]
pub(crate) struct EventsArgs {
    /// Only events about this address or prefix, about what it holds or about what holds it
    #[arg(long)]
    pub(crate) prefix: Option<Prefix>,
    /// Only events of this kind; may be given several times, or with commas
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',', value_parser = kinds())]
    pub(crate) kinds: Vec<EventKind>,
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

/// How the lists are followed.
#[derive(Clone, Copy, Debug, Group)]
pub(crate) struct WatchArgs {
    /// First print what is on the lists now
    #[arg(long)]
    pub(crate) initial: bool,
    /// End after this many lines
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<NonZeroUsize>,
}

/// What else can be followed.
#[derive(Debug, Subcommand)]
pub(crate) enum Watched {
    /// What happens, from now on
    Events {
        #[command(flatten)]
        wanted: EventsArgs,
        /// End after this many lines
        #[arg(long, value_name = "N")]
        limit: Option<NonZeroUsize>,
    },
}

/// A replay.
#[derive(Debug, Group)]
pub(crate) struct ReplayArgs {
    /// The policy to try, as YAML; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// How far back to compare, as 1h or 7d; without it, all that the log has
    #[arg(long, value_name = "TIME", value_parser = replayed)]
    pub(crate) since: Option<Duration>,
    /// Replay this data directory of an aggregator, or a copy of it, instead of asking an aggregator; nothing in
    /// it is changed
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

fn kinds() -> impl TypedValueParser<Value = EventKind> {
    let names = event::kinds().map(event::name);
    let kind = |name: &str| event::kinds().find(|kind| event::name(*kind) == name);
    PossibleValuesParser::new(names).try_map(move |name| kind(&name).ok_or("unknown kind"))
}

fn age(text: &str) -> Result<Duration, String> {
    span(text, Duration::from_secs(1), EVENT_RETENTION)
}

fn replayed(text: &str) -> Result<Duration, String> {
    // The log reaches back a little further than what is kept for sure.
    span(text, Duration::from_secs(1), LOG_RETENTION.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Verb};

    fn events(words: &[&str]) -> Result<Vec<EventKind>, clap::Error> {
        let args = Args::try_parse_from([&["sekishoctl", "get", "events"], words].concat())?;
        let Verb::Get { noun: Noun::Events { wanted, .. } } = args.verb else { panic!("{args:?}") };
        Ok(wanted.kinds)
    }

    #[test]
    fn kinds_of_events_are_named_as_they_are_shown() {
        assert_eq!(events(&[]).unwrap(), []);
        let some = events(&["--kind", "host-flooded,listed", "--kind", "order-taken"]).unwrap();
        assert_eq!(some, [EventKind::HostFlooded, EventKind::Listed, EventKind::OrderTaken]);
        for kind in event::kinds() {
            assert_eq!(events(&["--kind", event::name(kind)]).unwrap(), [kind]);
        }
        let wrong = events(&["--kind", "unspecified"]).unwrap_err().to_string();
        assert!(wrong.contains("possible values: listed, "), "{wrong}");
    }

    #[test]
    fn watch_is_about_the_lists_or_about_events() {
        let watch = |line: &str| Args::try_parse_from(format!("sekishoctl watch {line}").split_whitespace());
        assert!(watch("--initial --limit 3").is_ok() && watch("").is_ok());
        assert!(watch("events --kind listed --prefix 203.0.113.0/24 --limit 3").is_ok());
        assert!(watch("--initial events").is_err());
    }
}
