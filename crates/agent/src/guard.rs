//! Looks often whether another program has changed the firewall, so that our table is back within a second.

use std::time::{Duration, Instant};

use sekisho_daemon::readiness::Readiness;
use sekisho_model::limits::{GUARD_INTERVAL, GUARD_REST};
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;

/// Readiness condition of the kernel's table.
const TABLE: &str = "table";
/// A look that takes so long is followed by a rest of this many times that, so that looks take a
/// twentieth of a core as long as they are short.
const REST: u32 = 20;

/// Looks until `stop`.
pub async fn run(desk: Desk, readiness: Readiness, stop: CancellationToken) {
    loop {
        let begun = Instant::now();
        match desk.check().await {
            Ok(Ok(())) => readiness.met(TABLE),
            Ok(Err(error)) => {
                tracing::error!(%error, "table inet sekisho cannot be put right");
                readiness.unmet(TABLE, error.to_string());
            }
            Err(closed) => {
                tracing::error!(%closed, "the firewall is not watched any more");
                return;
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(rest(begun.elapsed())) => {}
        }
    }
}

/// How long to wait after a look that took so long.
fn rest(took: Duration) -> Duration {
    took.saturating_mul(REST).clamp(GUARD_INTERVAL, GUARD_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_works_all_the_time_is_looked_at_less_often() {
        assert_eq!(rest(Duration::from_micros(5)), GUARD_INTERVAL);
        assert_eq!(rest(Duration::from_millis(10)), Duration::from_millis(200));
        assert_eq!(rest(Duration::from_secs(3)), GUARD_REST);
    }
}
