//! The aggregator's clock, as an agent goes on with it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sekisho_model::Moment;

use crate::journal::ClockMark;

/// The aggregator's clock: as it said last, and on from there by our steady one. A step of this host's wall
/// clock changes no expiry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    theirs: Moment,
    at: Instant,
}

impl Clock {
    pub(super) fn set(theirs: Moment) -> Self {
        Self { theirs, at: Instant::now() }
    }

    pub(super) fn now(self) -> Moment {
        self.theirs + self.at.elapsed()
    }

    /// For a restart, which has no steady clock.
    pub(super) fn mark(self) -> ClockMark {
        let showed = self.now();
        ClockMark { ahead: showed.as_millis().saturating_sub(wall().as_millis()), showed }
    }

    /// By our wall clock, but no earlier than at the mark: a wall clock that was set back meanwhile must not
    /// make blocks last longer.
    pub(super) fn resume(mark: ClockMark) -> Self {
        let by_wall = Moment::from_millis(wall().as_millis().saturating_add(mark.ahead));
        Self::set(by_wall.max(mark.showed))
    }
}

fn wall() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
