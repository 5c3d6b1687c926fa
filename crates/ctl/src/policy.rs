//! `sekishoctl get policy` and `apply policy`: the policy in force, and another one in its place.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sekisho_model::Moment;
use sekisho_wire::{
    Reason,
    pb::v1::{GetPolicyRequest, SetPolicyRequest, operator_service_client::OperatorServiceClient},
};
use serde::Serialize;
use tonic::transport::Channel;

use crate::{
    args::PolicyArgs,
    client::ask,
    errors::{Failure, describe},
    orders::{Answered, request_id},
    retry,
    table::{Printer, Show, clean},
};

/// Longest policy that an aggregator takes, in bytes.
const MAX_BYTES: u64 = 512 << 10;

/// Prints the policy in force.
pub(crate) async fn get(channel: Channel, printer: &mut Printer<'_>) -> Result<(), Failure> {
    let answer = OperatorServiceClient::new(channel).get_policy(ask(GetPolicyRequest {})).await?.into_inner();
    Ok(printer.print(&InForce { policy_yaml: answer.policy_yaml })?)
}

/// Puts the policy of a file in force, whose text is `policy_yaml`.
pub(crate) async fn apply(
    channel: Channel,
    args: &PolicyArgs,
    policy_yaml: String,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let request = SetPolicyRequest {
        policy_yaml,
        reason: args.order.reason.clone(),
        request_id: request_id(&args.order, printer),
        dry_run: args.order.dry_run,
    };
    let client = OperatorServiceClient::new(channel);
    let give = async || client.clone().set_policy(ask(request.clone())).await;
    let answer = retry::order(&request.request_id, give).await;
    let answer = answer.map_err(|failure| of_file(failure, "--file", &args.file))?;
    let answered = Answered::new(&args.order, &request.request_id, answer.done_revision);
    let (revision, policy_yaml, removed) = (answer.revision, answer.policy_yaml, answer.removed);
    Ok(printer.print(&Applied { revision, policy_yaml, removed, answered })?)
}

/// The same failure, with the file that it is about.
pub(crate) fn of_file(failure: Failure, flag: &str, path: &Path) -> Failure {
    match failure {
        Failure::Refused(status) if Reason::PolicyInvalid.is_in(&status) => {
            Failure::Usage(format!("{flag} {}: {}", path.display(), describe(&status)))
        }
        other => other,
    }
}

/// The text of a policy file, or of standard input for `-`.
pub(crate) fn read(flag: &str, path: &Path) -> Result<String, Failure> {
    let wrong = |problem: String| Failure::Usage(format!("{flag} {}: {problem}", path.display()));
    let mut text = String::new();
    let taken = if path == Path::new("-") {
        io::stdin().take(MAX_BYTES + 1).read_to_string(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
    };
    match taken.map(|bytes| bytes as u64) {
        Err(error) => Err(wrong(error.to_string())),
        Ok(bytes) if bytes > MAX_BYTES => {
            Err(wrong(format!("a policy has at most {MAX_BYTES} bytes; allow wider prefixes instead")))
        }
        Ok(_) => Ok(text),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InForce {
    policy_yaml: String,
}

impl Show for InForce {
    fn show(&self, _wide: bool, _now: Moment) -> String {
        lines(&self.policy_yaml)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied {
    revision: i64,
    policy_yaml: String,
    removed: Vec<String>,
    #[serde(flatten)]
    answered: Answered,
}

impl Show for Applied {
    fn show(&self, wide: bool, _now: Moment) -> String {
        let first = self.answered.sentence("the policy", "put in force", self.revision);
        let removed = self.removed.iter().map(|prefix| self.answered.sentence(prefix, "unblocked", 0));
        let whole = if wide { format!("\n{}", lines(&self.policy_yaml)) } else { String::new() };
        std::iter::once(first).chain(removed).chain([whole]).collect()
    }
}

/// A text of several lines for a terminal.
fn lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", clean(line))).collect()
}
