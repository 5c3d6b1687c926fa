//! `sekishoctl replay`: what another policy would have listed.

mod offline;

use std::io::{IsTerminal, stderr};

use sekisho_history::replay::ReplayError;
use sekisho_model::Moment;
use sekisho_wire::{
    Reason,
    pb::v1::{
        self as pb, ReplayRequest, ReplayResponse, replay_response::Kind,
        replay_service_client::ReplayServiceClient,
    },
};
use serde::Serialize;
use tokio::time::timeout;
use tonic::{Status, transport::Channel};

use crate::{
    args::ReplayArgs,
    errors::{Failure, say},
    policy,
    table::{Printer, Show, columns, moment, pairs, span},
    view::Stamp,
    watch::SILENCE,
    words::{counted, tier},
};

pub(crate) use self::offline::offline;

/// Differences that are kept to be printed; further ones are counted.
const MAX_DIFFERENCES: usize = 100_000;

/// Replays under the policy `policy_yaml`, and prints the differences and the summary.
pub(crate) async fn run(
    channel: Channel,
    args: &ReplayArgs,
    policy_yaml: String,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let since = args.since.and_then(|since| since.try_into().ok());
    let request = ReplayRequest { policy_yaml, since };
    let silent = |_| Status::deadline_exceeded("the replay is silent");
    let mut client = ReplayServiceClient::new(channel);
    let refused = |status: Status| match Failure::from(status) {
        // There is nothing to name otherwise.
        Failure::Refused(status) if Reason::NotFound.is_in(&status) => ReplayError::Empty.into(),
        failure => policy::of_file(failure, "--policy", &args.policy),
    };
    let stream = timeout(SILENCE, client.replay(request)).await.map_err(silent)?;
    let mut stream = stream.map_err(refused)?.into_inner();
    let mut replay = Replay::default();
    let mut progress = Progress::new();
    while let Some(message) = timeout(SILENCE, stream.message()).await.map_err(silent)?.map_err(refused)? {
        replay.take(message, &mut progress)?;
    }
    if replay.summary.is_none() {
        return Err(Failure::Unsound("the replay ended without a summary".into()));
    }
    Ok(printer.print(&replay)?)
}

/// Tells how far it has come, for people who wait.
struct Progress {
    is_shown: bool,
    percent: i64,
}

impl Progress {
    fn new() -> Self {
        Self { is_shown: stderr().is_terminal(), percent: 0 }
    }

    fn take(&mut self, progress: pb::ReplayProgress) {
        let percent = progress.done.saturating_mul(100) / progress.total.max(1);
        if self.is_shown && percent >= self.percent.saturating_add(10) {
            self.percent = percent;
            say(&format!("{percent}% replayed, up to {}", moment(progress.time.map(Stamp).as_ref())));
        }
    }
}

/// What came of a replay.
#[derive(Default, Serialize)]
struct Replay {
    differences: Vec<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
    /// Differences that did not fit.
    #[serde(skip)]
    left_out: i64,
}

impl Replay {
    fn take(&mut self, message: ReplayResponse, progress: &mut Progress) -> Result<(), Failure> {
        match message.kind {
            Some(Kind::Progress(at)) => progress.take(at),
            Some(Kind::Difference(_)) if self.differences.len() >= MAX_DIFFERENCES => self.left_out += 1,
            Some(Kind::Difference(difference)) => self.differences.push(difference.into()),
            Some(Kind::Summary(mut summary)) => {
                summary.left_out = summary.left_out.saturating_add(self.left_out);
                self.summary = Some(summary.into());
            }
            None => return Err(Failure::Unsound("a part of a replay is of an unknown kind".into())),
        }
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    prefix: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    happened: Option<Listing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_have: Option<Listing>,
    #[serde(skip)]
    word: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing {
    tier: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Stamp>,
    listings: i32,
    #[serde(skip)]
    word: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Stamp>,
    log_entries: i64,
    observations: i64,
    happened: i64,
    would_have: i64,
    in_both: i64,
    differences: i64,
    left_out: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    elapsed: Option<String>,
    caveats: Vec<String>,
    #[serde(skip)]
    took: String,
}

impl From<pb::ReplayDifference> for Difference {
    fn from(of: pb::ReplayDifference) -> Self {
        Self {
            kind: of.kind().as_str_name(),
            word: kind(of.kind()),
            happened: of.happened.map(Listing::from),
            would_have: of.would_have.map(Listing::from),
            prefix: of.prefix,
        }
    }
}

impl From<pb::ReplayListing> for Listing {
    fn from(of: pb::ReplayListing) -> Self {
        Self {
            tier: of.tier().as_str_name(),
            word: tier(of.tier()),
            start_time: of.start_time.map(Stamp),
            end_time: of.end_time.map(Stamp),
            listings: of.listings,
        }
    }
}

impl From<pb::ReplaySummary> for Summary {
    fn from(of: pb::ReplaySummary) -> Self {
        let took = of.elapsed.and_then(|elapsed| std::time::Duration::try_from(elapsed).ok());
        Self {
            start_time: of.start_time.map(Stamp),
            end_time: of.end_time.map(Stamp),
            log_entries: of.log_entries,
            observations: of.observations,
            happened: of.happened,
            would_have: of.would_have,
            in_both: of.in_both,
            differences: of.differences,
            left_out: of.left_out,
            elapsed: of.elapsed.map(|elapsed| elapsed.to_string()),
            caveats: of.caveats,
            took: took.map(span).unwrap_or_default(),
        }
    }
}

fn kind(kind: pb::ReplayDifferenceKind) -> &'static str {
    match kind {
        pb::ReplayDifferenceKind::More => "more",
        pb::ReplayDifferenceKind::Fewer => "fewer",
        pb::ReplayDifferenceKind::Earlier => "earlier",
        pb::ReplayDifferenceKind::Later => "later",
        pb::ReplayDifferenceKind::OtherTier => "other-tier",
        pb::ReplayDifferenceKind::Unspecified => "unknown",
    }
}

impl Show for Replay {
    fn show(&self, _wide: bool, _now: Moment) -> String {
        let Some(summary) = &self.summary else { return String::new() };
        let listing = |listing: Option<&Listing>| {
            listing.map_or_else(|| "not listed".to_owned(), |of| format!("{} {}", of.word, times(of)))
        };
        let row = |of: &Difference| {
            let (happened, would_have) = (listing(of.happened.as_ref()), listing(of.would_have.as_ref()));
            vec![of.prefix.clone(), of.word.to_owned(), happened, would_have]
        };
        let rows = self.differences.iter().map(row);
        format!(
            "{}\n{}",
            columns(&["PREFIX", "KIND", "HAPPENED", "WOULD-HAVE"], rows),
            pairs(summed(summary))
        )
    }
}

fn times(of: &Listing) -> String {
    let end = of.end_time.as_ref().map_or_else(|| "now".to_owned(), Stamp::to_string);
    let often = if of.listings > 1 { format!(", {} times", of.listings) } else { String::new() };
    format!("{} to {end}{often}", moment(of.start_time.as_ref()))
}

fn summed(of: &Summary) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("From", moment(of.start_time.as_ref())),
        ("To", moment(of.end_time.as_ref())),
        ("Log entries", counted(of.log_entries)),
        ("Observations", counted(of.observations)),
        ("Listed", counted(of.happened)),
        ("Would be listed", counted(of.would_have)),
        ("In both", counted(of.in_both)),
        ("Differences", counted(of.differences)),
        ("Left out", counted(of.left_out)),
        ("Took", of.took.clone()),
    ];
    rows.extend(of.caveats.iter().map(|caveat| ("Caveat", caveat.clone())));
    rows
}
