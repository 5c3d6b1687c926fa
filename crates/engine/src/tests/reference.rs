//! The engine against the reference, entry by entry.

use alloc::{format, string::String, vec::Vec};

use proptest::prelude::*;
use sekisho_model::{Entry, LogEntry, Member, Reason, Revision};

use super::{
    histories::{history, reports},
    naive::Naive,
};
use crate::{End, Engine, Event, Outcome};

/// The events of the blocklist, as the reference writes them.
fn written(outcome: &Outcome) -> Vec<String> {
    let text = |event: &Event| match event {
        Event::Listed { entry, .. } => Some(format!("{} listed", entry.prefix)),
        Event::Renewed { entry } => Some(format!("{} renewed", entry.prefix)),
        Event::LimitReached { prefix, .. } => Some(format!("{prefix} full")),
        Event::Removed { entry, why } => {
            let why = match why {
                End::Expired => "expired",
                End::Unblocked => "unblocked",
                End::Allowed => "allowed",
                End::Never => "never",
                End::Covered => "covered",
            };
            Some(format!("{} {why}", entry.prefix))
        }
        _ => None,
    };
    outcome.events.iter().filter_map(text).collect()
}

/// An entry without what the reference does not number.
fn plain(entry: &Entry) -> Entry {
    Entry { revision: Revision::default(), ..entry.clone() }
}

fn agrees(history: &[LogEntry], keeps_all: bool) -> Result<(), TestCaseError> {
    let (mut engine, mut naive) = (Engine::new(), Naive::new(keeps_all));
    for entry in history {
        let outcome = engine.handle(entry);
        naive.handle(entry);
        prop_assert_eq!(written(&outcome), &naive.events[..], "at {:?}", entry);
        prop_assert_eq!(outcome.orders.iter().map(Result::is_ok).collect::<Vec<_>>(), &naive.orders[..]);
        prop_assert_eq!(engine.members().collect::<Vec<Member>>(), naive.members());
        let mut expected: Vec<Entry> = naive.entries.iter().map(plain).collect();
        expected.sort_by_key(|entry| entry.prefix);
        let mut found: Vec<Entry> = engine.entries_from(None).map(plain).collect();
        if keeps_all {
            // How many hosts agree is told only up to what is kept.
            let without = |entry: &mut Entry| {
                if let Reason::Quorum { hosts, .. } = &mut entry.reason {
                    *hosts = 0;
                }
            };
            found.iter_mut().chain(&mut expected).for_each(without);
        }
        prop_assert_eq!(found, expected);
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_the_engine_does_what_the_rules_say(history in history()) {
        agrees(&history, false)?;
    }

    #[test]
    fn keeping_a_few_witnesses_is_as_good_as_keeping_all(history in reports()) {
        agrees(&history, true)?;
    }
}
