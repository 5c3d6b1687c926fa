//! Whether this host is being used as a reflector right now, by how many handshakes get stuck.

use sekisho_model::{
    Moment,
    limits::{ATTACK_CALM, ATTACK_SHARE, ATTACK_STUCK, CALM_SHARE},
};

/// What one window of [`ATTACK_WINDOW`](sekisho_model::limits::ATTACK_WINDOW) brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Handshakes newly proven stuck.
    pub stuck: u64,
    /// Handshakes that were completed.
    pub completed: u64,
}

/// Begins with one window full of stuck handshakes, ends after a long calm: what is done about it must not
/// come and go with each wave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attack {
    /// Since when all is calm, while one is on; none before the first calm window.
    calm_since: Option<Moment>,
    on: bool,
}

impl Attack {
    /// Takes a window in that ends now; tells whether an attack is on.
    pub fn window(&mut self, window: &Window, now: Moment) -> bool {
        if is_attack(window, 1) {
            *self = Self { on: true, calm_since: None };
        } else if self.on {
            // In between lies neither calm nor attack.
            self.calm_since =
                if is_attack(window, CALM_SHARE) { None } else { Some(self.calm_since.unwrap_or(now)) };
            self.on = self.calm_since.is_none_or(|since| now.since(since) < ATTACK_CALM);
        }
        self.on
    }
}

/// Whether there are so many stuck ones that one in `part` of them would be an attack. On a busy host some
/// clients always lose their way.
fn is_attack(window: &Window, part: u64) -> bool {
    let stuck = window.stuck.saturating_mul(part);
    stuck >= ATTACK_STUCK && stuck.saturating_mul(ATTACK_SHARE) >= window.completed
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};
    use core::time::Duration;

    use proptest::{collection::vec, prelude::*};
    use sekisho_model::limits::ATTACK_WINDOW;

    use super::*;

    fn windows(all: &[(u64, u64)]) -> Vec<bool> {
        let mut attack = Attack::default();
        let moments = (1u32..).map(|n| Moment::EPOCH + ATTACK_WINDOW * n);
        let window = |(stuck, completed): (u64, u64)| Window { stuck, completed };
        all.iter().zip(moments).map(|(each, now)| attack.window(&window(*each), now)).collect()
    }

    #[test]
    fn a_busy_host_whose_clients_lose_their_way_is_under_no_attack() {
        assert_eq!(
            windows(&[(ATTACK_STUCK - 1, 0), (ATTACK_STUCK, ATTACK_STUCK * ATTACK_SHARE + 1)]),
            [false, false]
        );
        assert_eq!(windows(&[(ATTACK_STUCK, ATTACK_STUCK * ATTACK_SHARE)]), [true]);
    }

    #[test]
    fn it_ends_after_a_long_calm_only() {
        let calm = usize::try_from(ATTACK_CALM.as_secs() / ATTACK_WINDOW.as_secs()).unwrap();
        let mut all = vec![(ATTACK_STUCK, 0)];
        all.extend(vec![(0, 0); calm + 1]);
        let seen = windows(&all);
        assert!(seen[..=calm].iter().all(|on| *on) && !seen[calm + 1], "{seen:?}");
        // Not quite an attack any more, and no calm either.
        all.insert(calm, (ATTACK_STUCK / CALM_SHARE + 1, 0));
        assert!(windows(&all).iter().all(|on| *on));
    }

    proptest! {
        #[test]
        fn it_changes_its_mind_at_most_once_in_a_calm_time(all in vec(0u64..100, 1..400)) {
            let all: Vec<(u64, u64)> = all.into_iter().map(|stuck| (stuck, 0)).collect();
            let seen = windows(&all);
            let ends: Vec<usize> =
                (1..seen.len()).filter(|at| seen[at - 1] && !seen[*at]).collect();
            let apart = usize::try_from(ATTACK_CALM.as_secs() / ATTACK_WINDOW.as_secs()).unwrap();
            prop_assert!(ends.windows(2).all(|pair| pair[1] - pair[0] > apart));
            prop_assert!(ATTACK_CALM > Duration::ZERO);
        }
    }
}
