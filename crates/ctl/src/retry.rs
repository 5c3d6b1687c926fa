//! When to try again: how long to wait, what passes by itself, and orders that are safe to repeat.

use std::{
    error::Error,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use sekisho_model::limits::{RECONNECT_BASE, RECONNECT_MAX};
use sekisho_wire::Reason;
use tonic::{Code, Response, Status};

use crate::errors::{Failure, describe, say};

/// How often an order is given at most, by the same request id.
const ATTEMPTS: u32 = 4;

/// A random wait of up to the base doubled `failures` times: full jitter, so that those who were cut
/// off together do not come back together.
pub(crate) fn backoff(failures: u32) -> Duration {
    let most = RECONNECT_BASE.saturating_mul(1 << failures.min(10)).min(RECONNECT_MAX);
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(RandomState::new().hash_one(failures) % millis.max(1))
}

/// Whether no new attempt can change what `status` says.
pub(crate) fn is_for_good(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::Unimplemented
            | Code::FailedPrecondition
    )
}

/// A random name for an order.
pub(crate) fn request_id() -> String {
    let random = |half: u8| RandomState::new().hash_one(half);
    format!("{:016x}{:016x}", random(0), random(1))
}

/// Gives an order by the request id `id`, again where the connection broke before the answer came: the
/// aggregator carries it out once.
pub(crate) async fn order<T>(
    id: &str,
    give: impl AsyncFnMut() -> Result<Response<T>, Status>,
) -> Result<T, Failure> {
    repeat(id, give, backoff).await
}

async fn repeat<T>(
    id: &str,
    mut give: impl AsyncFnMut() -> Result<Response<T>, Status>,
    wait: fn(u32) -> Duration,
) -> Result<T, Failure> {
    let mut failures = 0;
    loop {
        let status = match give().await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => status,
        };
        failures += 1;
        if !passes(&status) || failures >= ATTEMPTS {
            return Err(refused(status, id));
        }
        say(&format!("{}; giving the order again, by the same request id", describe(&status)));
        tokio::time::sleep(wait(failures)).await;
    }
}

/// Whether the connection broke, or the aggregator is about to end it.
fn passes(status: &Status) -> bool {
    // What the aggregator says has no source; what happened on the way to it has.
    let is_broken = status.source().is_some() && !is_late(status);
    is_broken || Reason::Stopping.is_in(status)
}

fn is_late(status: &Status) -> bool {
    matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled)
}

/// What was to be removed is not there, what was to be blocked is so by a wider entry, or the policy is in
/// force: nothing changed, and nothing needs to. Where no answer came, nobody knows.
fn refused(status: Status, id: &str) -> Failure {
    let is_so = [Reason::AlreadyCovered, Reason::Unchanged].iter().any(|reason| reason.is_in(&status));
    if status.code() == Code::NotFound || is_so {
        Failure::Unchanged(Box::new(status))
    } else if !id.is_empty() && (passes(&status) || is_late(&status) || Reason::LogUnavailable.is_in(&status))
    {
        Failure::Unsure { status: Box::new(status), request_id: id.to_owned() }
    } else {
        status.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_and_grow() {
        for failures in [0, 1, 5, 40, u32::MAX] {
            assert!(backoff(failures) < RECONNECT_MAX);
        }
        assert!(backoff(0) < RECONNECT_BASE);
    }

    #[test]
    fn request_ids_are_names_and_differ() {
        let (one, other) = (request_id(), request_id());
        assert!(one.parse::<sekisho_model::RequestId>().is_ok() && one != other, "{one} {other}");
    }

    /// What comes of an order whose attempts end by `answers`, and how often it was given.
    async fn given(answers: Vec<Result<i32, Status>>) -> (Result<i32, Failure>, usize) {
        let (all, mut left) = (answers.len(), answers.into_iter());
        let mut next = || left.next().unwrap().map(Response::new);
        let came = repeat("deploy-7", async || next(), |_| Duration::ZERO).await;
        (came, all - left.len())
    }

    fn broken() -> Status {
        Status::from_error(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionReset)))
    }

    #[tokio::test]
    async fn an_order_is_given_again_only_where_no_answer_came() {
        let stopping = || Reason::Stopping.status("stopping");
        let (came, times) = given(vec![Err(broken()), Err(stopping()), Ok(7), Ok(8)]).await;
        assert!(matches!(came, Ok(7)), "{came:?}");
        assert_eq!(times, 3);
        for status in [Status::internal("no"), Reason::NotFound.status("no"), Status::unavailable("no")] {
            let (came, times) = given(vec![Err(status), Ok(7)]).await;
            assert!(came.is_err());
            assert_eq!(times, 1, "{came:?}");
        }
    }

    #[tokio::test]
    async fn in_the_end_the_request_id_is_told() {
        let (came, times) = given((0..9).map(|_| Err(broken())).collect()).await;
        assert_eq!(times, ATTEMPTS as usize);
        assert!(came.unwrap_err().to_string().contains("--request-id deploy-7"));
        let (late, times) = given(vec![Err(Status::deadline_exceeded("late")), Ok(7)]).await;
        assert_eq!(times, 1);
        assert!(late.unwrap_err().to_string().contains("--request-id deploy-7"));
    }
}
