//! Errors as `google.rpc.Status`: every reason that a caller can meet, in one list.

use std::{collections::HashMap, fmt, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// `ErrorInfo.domain` of every error.
pub const DOMAIN: &str = "sekisho.dev";

/// `ErrorInfo.reason`: what programs may match on. The text beside it is for people and may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A field is missing or unreadable; `BadRequest` names it.
    MalformedField,
    /// The first message on a stream is not the one that must be.
    HelloExpected,
    /// A batch's sequence is not the one after the batch before.
    SequenceOutOfOrder,
    /// A batch's sequence was sent on this stream before.
    SequenceRepeated,
    /// An observation is older than the aggregator takes.
    ObservationTooOld,
    /// An observation is from the future.
    ObservationFromFuture,
    /// The prefix can never be listed, by its nature or by the policy.
    NeverListed,
    /// The prefix overlaps the allowlist.
    Allowlisted,
    /// A wider entry covers the prefix.
    AlreadyCovered,
    /// A wider entry covers the prefix at a gentler tier than was ordered.
    CoveredGentler,
    /// What was ordered is so already.
    Unchanged,
    /// There is no such entry, allowance or host.
    NotFound,
    /// The request id was used for another order.
    RequestReused,
    /// The policy cannot be read, or a value in it is out of its range.
    PolicyInvalid,
    /// The log that is kept does not reach back so far.
    LogTruncated,
    /// A limit is reached: rows in a message, hosts, entries, subscribers.
    LimitReached,
    /// The caller's certificate names somebody who may not call this.
    NotPermitted,
    /// The message claims another host than the certificate names.
    HostMismatch,
    /// The log takes nothing at the moment.
    LogUnavailable,
    /// The aggregator stands behind the subscriber.
    Behind,
    /// The same host has opened a newer stream.
    Replaced,
    /// The aggregator is stopping.
    Stopping,
}

impl Reason {
    /// The name on the wire: `UPPER_SNAKE_CASE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedField => "MALFORMED_FIELD",
            Self::HelloExpected => "HELLO_EXPECTED",
            Self::SequenceOutOfOrder => "SEQUENCE_OUT_OF_ORDER",
            Self::SequenceRepeated => "SEQUENCE_REPEATED",
            Self::ObservationTooOld => "OBSERVATION_TOO_OLD",
            Self::ObservationFromFuture => "OBSERVATION_FROM_FUTURE",
            Self::NeverListed => "NEVER_LISTED",
            Self::Allowlisted => "ALLOWLISTED",
            Self::AlreadyCovered => "ALREADY_COVERED",
            Self::CoveredGentler => "COVERED_GENTLER",
            Self::Unchanged => "UNCHANGED",
            Self::NotFound => "NOT_FOUND",
            Self::RequestReused => "REQUEST_REUSED",
            Self::PolicyInvalid => "POLICY_INVALID",
            Self::LogTruncated => "LOG_TRUNCATED",
            Self::LimitReached => "LIMIT_REACHED",
            Self::NotPermitted => "NOT_PERMITTED",
            Self::HostMismatch => "HOST_MISMATCH",
            Self::LogUnavailable => "LOG_UNAVAILABLE",
            Self::Behind => "BEHIND",
            Self::Replaced => "REPLACED",
            Self::Stopping => "STOPPING",
        }
    }

    /// The status code that goes with it.
    pub fn code(self) -> Code {
        match self {
            Self::MalformedField
            | Self::HelloExpected
            | Self::SequenceOutOfOrder
            | Self::SequenceRepeated
            | Self::ObservationTooOld
            | Self::ObservationFromFuture
            | Self::NeverListed
            | Self::PolicyInvalid => Code::InvalidArgument,
            Self::Allowlisted | Self::AlreadyCovered | Self::CoveredGentler | Self::Unchanged => {
                Code::FailedPrecondition
            }
            Self::NotFound => Code::NotFound,
            Self::RequestReused => Code::AlreadyExists,
            Self::LogTruncated => Code::OutOfRange,
            Self::Replaced => Code::Aborted,
            Self::LimitReached => Code::ResourceExhausted,
            Self::NotPermitted | Self::HostMismatch => Code::PermissionDenied,
            Self::LogUnavailable | Self::Behind | Self::Stopping => Code::Unavailable,
        }
    }

    /// A status with this reason.
    pub fn status(self, message: impl Into<String>) -> Status {
        self.status_about(message, None, [])
    }

    /// A status with this reason, the field that it is about, and metadata.
    pub fn status_about<const N: usize>(
        self,
        message: impl Into<String>,
        field: Option<&str>,
        metadata: [(&str, String); N],
    ) -> Status {
        let message = message.into();
        let metadata: HashMap<String, String> =
            metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut details = ErrorDetails::with_error_info(self.as_str(), DOMAIN, metadata);
        if let Some(field) = field {
            details.add_bad_request_violation(field, message.clone());
        }
        if self.code() == Code::ResourceExhausted {
            details.set_retry_info(Some(Duration::from_secs(1)));
        }
        Status::with_error_details(self.code(), message, details)
    }

    /// Whether `status` carries this reason.
    pub fn is_in(self, status: &Status) -> bool {
        status.get_details_error_info().is_some_and(|info| info.reason == self.as_str())
    }
}

/// A message that cannot be translated: which field, why, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// What programs may match on.
    pub reason: Reason,
    /// The field, as in the proto file: `batch.ipv4`.
    pub field: &'static str,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

impl Malformed {
    /// A field that is missing or unreadable.
    pub fn field(field: &'static str, problem: impl Into<String>) -> Self {
        Self { reason: Reason::MalformedField, field, problem: problem.into() }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.field, self.problem)
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for Status {
    fn from(malformed: Malformed) -> Self {
        malformed.reason.status_about(malformed.to_string(), Some(malformed.field), [])
    }
}
