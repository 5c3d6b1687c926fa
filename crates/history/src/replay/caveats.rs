//! What makes a replay inexact: what the log does not have, since it would have changed nothing under the
//! policy of its time.

use std::{collections::BTreeSet, time::Duration};

use sekisho_engine::{Checkpoint, Engine};
use sekisho_model::{Moment, Policy, limits::LOGGED_WITNESSES};

use super::{COMPARED, Shown, listings::Compared};

/// Names that are told one by one.
const NAMES: usize = 5;
/// Sightings by the same host are logged again after this share of the window.
const FRESH_SHARE: u32 = 8;

/// What is known of it so far.
#[derive(Default)]
pub(super) struct Caveats {
    texts: Vec<String>,
    /// The most hosts that the other policy asks for.
    asked: u32,
    /// The fewest fresh witnesses beyond which nothing was logged.
    logged: Option<u32>,
    /// The most retransmits that were asked for, and by the other policy.
    retransmits: (u8, u8),
    /// The longest and the shortest window that was in force.
    windows: Option<(Duration, Duration)>,
    window: Duration,
}

impl Caveats {
    /// What the beginning tells: the state there, what was asked for, and when the log begins.
    pub(super) fn at_start(state: &Checkpoint, policy: &Policy, from: Option<Moment>, start: Moment) -> Self {
        let mut caveats = Self::default();
        let is_young = state.index.0 == 0;
        if let Some(from) = from.filter(|from| is_young && *from < start) {
            let (from, start) = (Shown(from), Shown(start));
            caveats.texts.push(format!("the log begins at {start}: nothing is known from {from} until then"));
        }
        if policy.window > state.policy.window && !is_young {
            let (shown, window) = (Shown(start), humantime::format_duration(policy.window));
            caveats.texts.push(format!(
                "the window is longer than the one that was in force: what had been forgotten by {shown} is missing for the first {window}"
            ));
        }
        caveats.unresolved(state, policy);
        caveats
    }

    fn unresolved(&mut self, state: &Checkpoint, policy: &Policy) {
        let known: BTreeSet<&str> = state.names.iter().map(|name| name.name.as_str()).collect();
        let unknown: Vec<&str> =
            policy.never.names.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
        if !unknown.is_empty() {
            let named = unknown[..unknown.len().min(NAMES)].join(", ");
            let more = if unknown.len() > NAMES { " and others" } else { "" };
            self.texts.push(format!(
                "never.names: the log has no addresses of {named}{more}, so they are not protected here"
            ));
        }
    }

    /// Looks at what is in force in both.
    pub(super) fn look(&mut self, was: &Engine, would: &Engine) {
        let (had, has) = (was.quorums(), would.quorums());
        let logged = had.drop.max(u32::try_from(LOGGED_WITNESSES).unwrap_or(u32::MAX));
        self.logged = Some(self.logged.map_or(logged, |before| before.min(logged)));
        self.asked = self.asked.max(has.policy_drop.max(has.fraction));
        let (had, has) = (was.policy(), would.policy());
        self.retransmits = (self.retransmits.0.max(had.min_retransmits), has.min_retransmits);
        let (longest, shortest) = self.windows.unwrap_or((had.window, had.window));
        self.windows = Some((longest.max(had.window), shortest.min(had.window)));
        self.window = has.window;
    }

    /// What the comparison tells.
    pub(super) fn at_end(&mut self, compared: &Compared) {
        if compared.more > 0 {
            self.texts.push(
                "what only the other policy lists was in no kernel at that time: its handshakes went on, and its entries get no hits, so their ends are a guess".into(),
            );
        }
        if compared.other_end > 0 {
            self.texts.push(format!(
                "{} prefixes are listed at the same moment and tier under both, and only end at another time: they are not told one by one",
                compared.other_end
            ));
        }
        if compared.is_full {
            self.texts
                .push(format!("more than {COMPARED} prefixes were listed: later ones are not compared"));
        }
    }

    /// All of it, for people.
    pub(super) fn texts(mut self) -> Vec<String> {
        let Some((logged, (longest, shortest))) = self.logged.zip(self.windows) else { return self.texts };
        let Self { asked, retransmits: (had, has), window, .. } = self;
        let mut tell = |is: bool, text: String| self.texts.extend(is.then_some(text));
        tell(
            asked > logged,
            format!(
                "the policy asks for {asked} hosts, and the log has no sightings beyond {logged} fresh ones: it may list less than it would have"
            ),
        );
        tell(
            has < had,
            format!(
                "min_retransmits was {had}, and the log has no sightings with fewer retransmits: it may list less or later than it would have"
            ),
        );
        let late = humantime::format_duration(longest / FRESH_SHARE);
        tell(
            window < longest,
            format!(
                "the window is shorter than the one that was in force, and a host's sighting was logged again only after {late}: listings may lack hosts, or come that much later"
            ),
        );
        tell(
            window > shortest && shortest < longest,
            "the window was changed meanwhile: what was too old for the shorter one is not in the log".into(),
        );
        self.texts
    }
}
