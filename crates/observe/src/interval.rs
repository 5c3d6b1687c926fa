//! How long to wait between two passes over the sockets.

use core::time::Duration;

use sekisho_model::limits::{
    MAX_COMPLETED_INTERVAL, MAX_POLL_INTERVAL, MAX_TRACKED_INTERVAL, MIN_COMPLETED_INTERVAL,
    MIN_POLL_INTERVAL, MIN_TRACKED_INTERVAL, POLL_CORE_SHARE,
};

/// The wait after a pass over the half-open sockets that took `cost`: so long that passes take no more than
/// one part in [`POLL_CORE_SHARE`] of a core, within [`MIN_POLL_INTERVAL`] and [`MAX_POLL_INTERVAL`].
pub fn poll_interval(cost: Duration) -> Duration {
    cost.saturating_mul(POLL_CORE_SHARE).clamp(MIN_POLL_INTERVAL, MAX_POLL_INTERVAL)
}

/// The same for a dump of the tracked connections, within [`MIN_TRACKED_INTERVAL`] and [`MAX_TRACKED_INTERVAL`].
pub fn tracked_interval(cost: Duration) -> Duration {
    cost.saturating_mul(POLL_CORE_SHARE).clamp(MIN_TRACKED_INTERVAL, MAX_TRACKED_INTERVAL)
}

/// The same for a pass for counter-evidence, within [`MIN_COMPLETED_INTERVAL`] and
/// [`MAX_COMPLETED_INTERVAL`].
pub fn completed_interval(cost: Duration) -> Duration {
    cost.saturating_mul(POLL_CORE_SHARE).clamp(MIN_COMPLETED_INTERVAL, MAX_COMPLETED_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_costly_pass_is_taken_less_often() {
        assert_eq!(poll_interval(Duration::from_micros(160)), MIN_POLL_INTERVAL);
        assert_eq!(poll_interval(Duration::from_millis(20)), Duration::from_secs(2));
        assert_eq!(poll_interval(Duration::from_millis(300)), MAX_POLL_INTERVAL);
        assert_eq!(poll_interval(Duration::MAX), MAX_POLL_INTERVAL);
        assert_eq!(tracked_interval(Duration::from_micros(160)), MIN_TRACKED_INTERVAL);
        assert_eq!(tracked_interval(Duration::MAX), MAX_TRACKED_INTERVAL);
        assert_eq!(completed_interval(Duration::from_millis(1)), MIN_COMPLETED_INTERVAL);
        assert_eq!(completed_interval(Duration::from_millis(300)), Duration::from_secs(30));
        assert_eq!(completed_interval(Duration::MAX), MAX_COMPLETED_INTERVAL);
    }
}
