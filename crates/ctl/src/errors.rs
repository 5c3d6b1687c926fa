//! How `sekishoctl` ends: 0 done, 1 failed, 2 told something wrong, 3 nothing changed; and the one
//! line on standard error that says why, with a hint where one helps.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use sekisho_daemon::exit::Usage;
use sekisho_history::replay::ReplayError;
use sekisho_wire::Reason;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::table::clean;

/// Why a command did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The operator wrote something wrong.
    #[error("{0}")]
    Usage(String),
    /// The aggregator refused.
    #[error("{}", describe(.0))]
    Refused(Box<Status>),
    /// There was nothing to change.
    #[error("nothing changed: {}", describe(.0))]
    Unchanged(Box<Status>),
    /// No answer came to an order.
    #[error("{}; whether it was carried out is unknown: give it again with --request-id {request_id}, which is \
             harmless", describe(.status))]
    Unsure {
        /// What came instead.
        status: Box<Status>,
        /// The order's name.
        request_id: String,
    },
    /// No connection came up.
    #[error("{0}; is the aggregator running there? check --aggregator, --tls-ca and the certificate's names")]
    Unreachable(String),
    /// The aggregator's answer does not hold together.
    #[error("the aggregator's answer is not sound: {0}; is it of the same version as sekishoctl?")]
    Unsound(String),
    /// A data directory could not be replayed.
    #[error("{0}")]
    Replay(#[from] ReplayError),
    /// A data directory, or a copy of one, is damaged.
    #[error("{0}; nothing in it was changed: if it is a copy, make it again while its aggregator is stopped")]
    Damaged(String),
    /// Standard output, or the process around it, failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Failure {
    /// The exit code, and whether there is something to say. A reader that closed the pipe has all
    /// that it wanted.
    fn code(&self) -> u8 {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Refused(status) if is_wrong(status) => 2,
            Self::Refused(_)
            | Self::Damaged(_)
            | Self::Unsure { .. }
            | Self::Unreachable(_)
            | Self::Unsound(_)
            | Self::Replay(_)
            | Self::Io(_) => 1,
            Self::Usage(_) => 2,
            Self::Unchanged(_) => 3,
        }
    }
}

/// Whether the operator wrote something that is wrong whatever the aggregator knows.
fn is_wrong(status: &Status) -> bool {
    [Reason::MalformedField, Reason::PolicyInvalid].iter().any(|reason| reason.is_in(status))
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let text = format!("{error:#}");
        if error.is::<Usage>() { Self::Usage(text) } else { Self::Unreachable(text) }
    }
}

/// Says what went wrong, in one line, and gives the exit code.
pub(crate) fn end(result: Result<(), Failure>) -> ExitCode {
    let Err(failure) = result else { return ExitCode::SUCCESS };
    let code = failure.code();
    if code != 0 {
        say(&failure.to_string());
    }
    ExitCode::from(code)
}

/// One line on standard error.
pub(crate) fn say(text: &str) {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // Where standard error is closed, there is nobody left to tell.
    let _ = writeln!(io::stderr(), "sekishoctl: {}", clean(&line));
}

/// A status in one line: what the aggregator said, the reason and the field, and what to do.
pub(crate) fn describe(status: &Status) -> String {
    let message = if status.message().is_empty() { status.code().description() } else { status.message() };
    let reason = status.get_details_error_info().map(|info| info.reason);
    let reason = reason.unwrap_or_else(|| format!("{:?}", status.code()));
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    let fields: String = violations.iter().map(|violation| format!(", field {}", violation.field)).collect();
    let hint = hint(status).map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{message} ({reason}{fields}){hint}")
}

fn hint(status: &Status) -> Option<String> {
    if let Some(hint) = HINTS.iter().find(|(reason, _)| reason.is_in(status)) {
        return Some(hint.1.to_owned());
    }
    let hint = match status.code() {
        Code::PermissionDenied | Code::Unauthenticated => CERTIFICATE,
        Code::Unavailable => "is the aggregator running? check --aggregator, --tls-ca and --tls-cert",
        Code::DeadlineExceeded | Code::Cancelled => "the aggregator did not answer in time; try again",
        Code::Unimplemented => "the aggregator is of another version than sekishoctl, or no aggregator",
        Code::ResourceExhausted => return Some(retry(status)),
        _ => return None,
    };
    Some(hint.to_owned())
}

const CERTIFICATE: &str = "give --tls-cert and --tls-key of an operator: a certificate with the URI SAN spiffe://<trust-domain>/operator/<name>";

const HINTS: [(Reason, &str); 11] = [
    (Reason::NotPermitted, CERTIFICATE),
    (Reason::HostMismatch, CERTIFICATE),
    (Reason::Allowlisted, "see \"sekishoctl get allowlist\"; disallow the prefix there first"),
    (Reason::AlreadyCovered, "\"sekishoctl describe entry\" with its address shows the wider entry"),
    (Reason::NotFound, "write it exactly as \"sekishoctl get\" shows it"),
    (Reason::RequestReused, "name another --request-id, or none"),
    (Reason::PolicyInvalid, "put the policy right; \"sekishoctl get policy\" shows the one in force"),
    (Reason::LogTruncated, "compare less by --since"),
    (Reason::LogUnavailable, "\"sekishoctl status\" says why the log takes nothing"),
    (Reason::Behind, "try again, or name another --aggregator"),
    (Reason::Stopping, "try again, or name another --aggregator"),
];

fn retry(status: &Status) -> String {
    let wait = status.get_details_retry_info().and_then(|info| info.retry_delay).unwrap_or_default();
    format!("try again in {} s", wait.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_code() {
        let status = || Box::new(Reason::NotFound.status("no such entry"));
        let pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        for (failure, code) in [
            (Failure::from(pipe()), 0),
            (Failure::from(io::Error::from(io::ErrorKind::StorageFull)), 1),
            (Failure::Refused(status()), 1),
            (Failure::Refused(Box::new(Reason::NeverListed.status("it is protected"))), 1),
            (Failure::Refused(Box::new(Reason::MalformedField.status("too wide"))), 2),
            (Failure::Refused(Box::new(Reason::PolicyInvalid.status("line 2"))), 2),
            (Failure::Damaged("index 7 is damaged".into()), 1),
            (Failure::Unsure { status: status(), request_id: "deploy-7".into() }, 1),
            (Failure::Replay(ReplayError::Empty), 1),
            (Failure::from(anyhow::anyhow!("cannot reach it")), 1),
            (Failure::from(sekisho_daemon::exit::usage("--aggregator x")), 2),
            (Failure::Unchanged(status()), 3),
        ] {
            assert_eq!(failure.code(), code, "{failure}");
        }
    }

    #[test]
    fn a_status_is_one_line_with_reason_field_and_hint() {
        let never = Reason::NeverListed.status_about("10.0.0.1 is never listed", Some("prefix"), []);
        assert_eq!(describe(&never), "10.0.0.1 is never listed (NEVER_LISTED, field prefix)");
        let denied = Reason::NotPermitted.status("agents give no orders");
        assert!(describe(&denied).contains("(NOT_PERMITTED); give --tls-cert"));
        assert!(describe(&denied).contains("/operator/<name>"));
        let full = Reason::LimitReached.status("too much is waiting");
        assert_eq!(describe(&full), "too much is waiting (LIMIT_REACHED); try again in 1 s");
        assert!(describe(&Status::unavailable("gone")).starts_with("gone (Unavailable); is the aggregator"));
        assert!(describe(&Status::unimplemented("")).contains("another version"));
    }
}
