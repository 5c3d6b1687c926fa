//! How often the kernel may send a SYN-ACK again (`net.ipv4.tcp_synack_retries`, R): what to ask for, and what
//! to do with one network namespace's value, which is the operator's.

use core::{fmt, time::Duration};

use sekisho_model::limits::{ADAPTIVE_RETRIES, MAX_SYNACK_RETRIES};

/// What the operator wants of R.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// It stays as it is.
    #[default]
    Keep,
    /// At most this.
    At(u8),
    /// At most [`ADAPTIVE_RETRIES`] while an attack is seen.
    Adaptive,
}

/// Why a goal cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoalError {
    /// No SYN-ACK is ever sent again.
    Blind,
    /// More than the kernel ever waits for.
    TooMany(u8),
}

impl fmt::Display for GoalError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blind => out.write_str(
                "0 blinds the sensor: without a retransmit nothing proves a handshake stuck, and no other sensor \
                 is in use; give 1 or more, or adaptive",
            ),
            Self::TooMany(n) => {
                write!(out, "{n} is over {MAX_SYNACK_RETRIES}, the most that makes a difference")
            }
        }
    }
}

impl core::error::Error for GoalError {}

impl Goal {
    /// Whether the sensors can do with it; `proof_only` if each of them knows a stuck handshake by its
    /// retransmits.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn check(self, proof_only: bool) -> Result<(), GoalError> {
        match self {
            Self::At(0) if proof_only => Err(GoalError::Blind),
            Self::At(n) if n > MAX_SYNACK_RETRIES => Err(GoalError::TooMany(n)),
            Self::Keep | Self::At(_) | Self::Adaptive => Ok(()),
        }
    }
}

/// What R should be at most, from moment to moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retries {
    goal: Goal,
    /// The highest that was asked for since it was last left to the operator: it goes up and down with an
    /// attack, not with the cost of each pass.
    level: Option<u8>,
}

impl Retries {
    /// For this goal.
    pub fn new(goal: Goal) -> Self {
        Self { goal, level: None }
    }

    /// What R should be at most; none leaves it to the operator. `unseen` is the longest time that passes
    /// between two looks for retransmits; none where the sensors do without them.
    pub fn wanted(&mut self, attack: bool, unseen: Option<Duration>) -> Option<u8> {
        let goal = match self.goal {
            Goal::At(n) => Some(n),
            Goal::Adaptive if attack => Some(ADAPTIVE_RETRIES),
            Goal::Keep | Goal::Adaptive => None,
        };
        let asked = goal.map(|goal| goal.max(unseen.map_or(0, least)));
        self.level = asked.map(|asked| asked.max(self.level.unwrap_or(0)));
        self.level
    }
}

/// The least R at which a stuck handshake shows its retransmits for longer than `unseen`: it has some for
/// 2^(R+1)-2 s of its life.
fn least(unseen: Duration) -> u8 {
    let shows = |retries: u8| Duration::from_secs((2u64 << retries) - 2);
    (0..MAX_SYNACK_RETRIES).find(|retries| shows(*retries) > unseen).unwrap_or(MAX_SYNACK_RETRIES)
}

/// What is known of one network namespace's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hold {
    /// It is the operator's.
    #[default]
    Theirs,
    /// We have lowered it.
    Lowered {
        /// From this.
        operator: u8,
        /// To this.
        ours: u8,
    },
    /// The operator has set it after we did: it is left alone for as long as we would have it lower.
    LeftAlone,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Remember the operator's value for good, then write ours.
    Lower {
        /// The operator's.
        operator: u8,
        /// Ours.
        to: u8,
    },
    /// Write the operator's value, then forget that it was lowered.
    Restore {
        /// The operator's.
        operator: u8,
    },
    /// Write nothing, and forget that it was lowered: the operator has changed it.
    Forget,
}

impl Hold {
    /// What to do where the value is `current` and should be at most `wanted`. Nothing is ever raised over what
    /// the operator has set, and another value of ours comes by way of the operator's.
    pub fn step(self, current: u8, wanted: Option<u8>) -> Option<Step> {
        match (self, wanted) {
            (Self::Theirs, Some(to)) if to < current => Some(Step::Lower { operator: current, to }),
            (Self::Lowered { ours, .. }, _) if current != ours => Some(Step::Forget),
            (Self::Lowered { operator, ours }, wanted) if wanted != Some(ours) => {
                Some(Step::Restore { operator })
            }
            _ => None,
        }
    }

    /// What is known after a step was carried out; `wanted` as before it.
    #[must_use]
    pub fn after(self, step: Option<Step>, wanted: Option<u8>) -> Self {
        match step {
            Some(Step::Lower { operator, to }) => Self::Lowered { operator, ours: to },
            Some(Step::Restore { .. }) => Self::Theirs,
            Some(Step::Forget) if wanted.is_some() => Self::LeftAlone,
            Some(Step::Forget) => Self::Theirs,
            None if wanted.is_none() && self == Self::LeftAlone => Self::Theirs,
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::{collection::vec, prelude::*};
    use sekisho_model::limits::{MAX_POLL_INTERVAL, MIN_POLL_INTERVAL};

    use super::*;

    #[test]
    fn what_blinds_the_only_sensor_is_refused() {
        assert_eq!(Goal::At(0).check(true), Err(GoalError::Blind));
        assert!(GoalError::Blind.to_string().contains("give 1 or more"));
        assert_eq!(Goal::At(0).check(false), Ok(()));
        assert_eq!(Goal::At(8).check(false), Err(GoalError::TooMany(8)));
        for goal in [Goal::Keep, Goal::At(1), Goal::At(5), Goal::Adaptive] {
            assert_eq!(goal.check(true), Ok(()));
        }
    }

    #[test]
    fn adaptive_lowers_in_an_attack_only_and_never_under_what_the_passes_can_see() {
        let mut retries = Retries::new(Goal::Adaptive);
        assert_eq!(retries.wanted(false, Some(MIN_POLL_INTERVAL)), None);
        assert_eq!(retries.wanted(true, Some(MIN_POLL_INTERVAL)), Some(2));
        // A pass takes longer: the next one may come too late. It does not go back with the next cheap one.
        assert_eq!(retries.wanted(true, Some(MAX_POLL_INTERVAL)), Some(3));
        assert_eq!(retries.wanted(true, Some(MIN_POLL_INTERVAL)), Some(3));
        assert_eq!(retries.wanted(false, Some(MIN_POLL_INTERVAL)), None);
        assert_eq!(retries.wanted(true, None), Some(2));
    }

    #[test]
    fn a_fixed_goal_holds_always() {
        let mut retries = Retries::new(Goal::At(1));
        assert_eq!(retries.wanted(false, Some(MIN_POLL_INTERVAL)), Some(1));
        assert_eq!(Retries::new(Goal::At(0)).wanted(false, None), Some(0));
        assert_eq!(Retries::new(Goal::At(0)).wanted(false, Some(MIN_POLL_INTERVAL)), Some(1));
        assert_eq!(Retries::new(Goal::Keep).wanted(true, None), None);
        assert_eq!(least(Duration::MAX), MAX_SYNACK_RETRIES);
    }

    #[test]
    fn what_the_operator_changed_meanwhile_is_left_alone_until_the_end() {
        let hold = Hold::Lowered { operator: 5, ours: 2 };
        let step = hold.step(4, Some(2));
        assert_eq!(step, Some(Step::Forget));
        let hold = hold.after(step, Some(2));
        assert_eq!((hold, hold.step(4, Some(2))), (Hold::LeftAlone, None));
        let hold = hold.after(None, None);
        assert_eq!(hold, Hold::Theirs);
        assert_eq!(hold.step(4, Some(2)), Some(Step::Lower { operator: 4, to: 2 }));
    }

    #[test]
    fn another_value_of_ours_comes_by_way_of_the_operators() {
        let hold = Hold::Lowered { operator: 5, ours: 2 };
        let step = hold.step(2, Some(3));
        assert_eq!(step, Some(Step::Restore { operator: 5 }));
        assert_eq!(hold.after(step, Some(3)).step(5, Some(3)), Some(Step::Lower { operator: 5, to: 3 }));
    }

    proptest! {
        /// Somebody sets the value now and then, and we want this and that: it is never raised over the last
        /// that the operator set, and when we want nothing any more it is just that.
        #[test]
        fn the_operators_value_comes_back(acts in vec((any::<bool>(), 0u8..8, proptest::option::of(0u8..8)), 1..60)) {
            let (mut current, mut operator, mut hold) = (5u8, 5u8, Hold::default());
            let turn = |current: &mut u8, hold: &mut Hold, wanted: Option<u8>| {
                let step = hold.step(*current, wanted);
                match step {
                    Some(Step::Lower { to, .. }) => *current = to,
                    Some(Step::Restore { operator }) => *current = operator,
                    Some(Step::Forget) | None => {}
                }
                *hold = hold.after(step, wanted);
            };
            for (sets, value, wanted) in acts {
                // A value that is just ours cannot be told from ours.
                if sets && !matches!(hold, Hold::Lowered { ours, .. } if ours == value) {
                    (current, operator) = (value, value);
                }
                turn(&mut current, &mut hold, wanted);
                prop_assert!(current <= operator);
                if let Hold::Lowered { ours, .. } = hold {
                    prop_assert!(ours < operator && ours == current);
                } else {
                    prop_assert_eq!(current, operator);
                }
            }
            turn(&mut current, &mut hold, None);
            prop_assert_eq!(current, operator);
        }
    }
}
