//! Many elements, some at a time: as many as the socket takes in one go.

use sekisho_kernel::KernelError;
use sekisho_model::limits::FILL_STEPS;
use sekisho_ruleset::Element;

/// Elements that a transaction still has when the socket takes no more.
const LEAST: usize = 64;

/// How many at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portions {
    most: usize,
}

impl Portions {
    pub(super) fn new() -> Self {
        Self { most: FILL_STEPS }
    }

    /// Gives `elements` to `put`, in as few portions as it takes.
    pub(super) fn stream(
        &mut self,
        mut elements: impl Iterator<Item = Element>,
        mut put: impl FnMut(&[Element]) -> Result<(), KernelError>,
    ) -> Result<(), KernelError> {
        let mut room = Vec::new();
        loop {
            room.extend(elements.by_ref().take(FILL_STEPS));
            let mut left = room.as_slice();
            while !left.is_empty() {
                let (some, others) = left.split_at(self.most.min(left.len()));
                match put(some) {
                    // The socket's buffer cannot be made larger.
                    Err(KernelError::TooLarge(_)) if self.most > LEAST => self.most /= 2,
                    done => {
                        done?;
                        left = others;
                    }
                }
            }
            if room.len() < FILL_STEPS {
                return Ok(());
            }
            room.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use sekisho_ruleset::{Range, SetName};

    use super::*;

    fn element(n: u32) -> Element {
        let range = Range::single(IpAddr::V4(n.into()));
        Element { set: SetName::Drop4, range, remaining: Duration::from_secs(60) }
    }

    /// What a socket that takes `most` at a time got, and how often it was asked.
    fn through(most: usize, count: u32) -> (Result<(), KernelError>, Vec<Element>, usize) {
        let (mut got, mut asked) = (Vec::new(), 0);
        let done = Portions::new().stream((0..count).map(element), |some| {
            asked += 1;
            if some.len() > most {
                return Err(KernelError::TooLarge(some.len()));
            }
            got.extend_from_slice(some);
            Ok(())
        });
        (done, got, asked)
    }

    #[test]
    fn a_small_socket_gets_all_of_it_in_order() {
        for (most, count) in [(FILL_STEPS, 10_000), (1_000, 10_000), (LEAST, 5_000), (LEAST, 0), (70, 8_192)]
        {
            let (done, got, asked) = through(most, count);
            done.unwrap();
            assert_eq!(got, (0..count).map(element).collect::<Vec<_>>());
            // It learns how much is taken, and does not try more again.
            assert!(asked <= 2 * (count as usize).div_ceil(most) + FILL_STEPS.ilog2() as usize, "{asked}");
        }
    }

    #[test]
    fn a_socket_that_takes_nothing_is_not_tried_for_ever() {
        let (done, got, asked) = through(LEAST / 4, 100);
        assert!(matches!(done, Err(KernelError::TooLarge(_))));
        assert_eq!((got.len(), asked < 16), (0, true));
    }
}
