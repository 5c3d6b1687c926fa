//! The aggregator's clock: begins at the wall clock, goes on steadily, and follows the wall clock's drift but
//! never its steps. A step would end blocks early or make them outlive their time, on the whole fleet.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sekisho_model::Moment;

/// The clock gains or loses at most one part in this many towards the wall clock.
const SLEW: i64 = 1_000;

/// A steady clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    base: Moment,
    at: Instant,
}

impl Clock {
    /// Begins at the wall clock, or at `least` where that is later: the log's time never goes back.
    pub fn start(least: Moment) -> Self {
        Self { base: wall().max(least), at: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> Moment {
        self.base + self.at.elapsed()
    }

    /// Follows the wall clock a little. Returns by how many milliseconds the wall clock is ahead.
    pub fn follow(&mut self) -> i64 {
        self.follow_to(wall(), Instant::now())
    }

    fn follow_to(&mut self, wall: Moment, at: Instant) -> i64 {
        let elapsed = at.duration_since(self.at);
        let now = self.base + elapsed;
        let ahead = wall.as_millis().saturating_sub(now.as_millis());
        let most = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX) / SLEW;
        if most > 0 {
            // Slower than time passes, so that it never goes back.
            let by = ahead.clamp(-most, most);
            *self = Self { base: Moment::from_millis(now.as_millis().saturating_add(by)), at };
        }
        ahead
    }
}

fn wall() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_step_of_the_wall_clock_is_not_followed_and_drift_is() {
        let at = Instant::now();
        for step in [-7_200_000, 7_200_000] {
            let mut clock = Clock { base: Moment::from_millis(10_000_000), at };
            let later = at + Duration::from_secs(100);
            let ahead = clock.follow_to(Moment::from_millis(10_100_000 + step), later);
            assert_eq!(ahead, step);
            assert_eq!(clock.base, Moment::from_millis(10_100_000 + step.clamp(-100, 100)));
        }
        let mut clock = Clock { base: Moment::from_millis(10_000_000), at };
        clock.follow_to(Moment::from_millis(10_100_040), at + Duration::from_secs(100));
        assert_eq!(clock.base, Moment::from_millis(10_100_040));
    }

    #[test]
    fn it_begins_no_earlier_than_the_log_ends() {
        let ends = wall() + Duration::from_secs(3_600);
        assert!(Clock::start(ends).now() >= ends);
        assert!(Clock::start(Moment::EPOCH).now() >= wall() - Duration::from_secs(60));
    }
}
