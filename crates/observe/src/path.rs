//! Whether our rules see the packets of this host, by what they have counted and what the kernel has accepted.

use sekisho_model::{
    Moment,
    limits::{PATH_EVIDENCE, PATH_GRACE, PATH_MISSING},
};

/// What was counted until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// SYNs that came to our first rule, and that no later one dropped. Those over loopback, to pods, to closed
    /// ports and sent again are among them.
    pub passed: u64,
    /// Handshakes that the kernel of this network namespace has taken up for sure: completed ones, and ones that
    /// are proven stuck. Those over loopback are among them.
    pub accepted: u64,
}

/// What can be said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// Too few handshakes were taken up.
    #[default]
    Unknown,
    /// Our rules see what the kernel sees.
    OnPath,
    /// The kernel takes up handshakes whose SYNs our rules never saw.
    Bypassed,
}

/// Every handshake that is taken up had a SYN at least, so the first number never falls behind the second: where
/// it does by far, packets go around us. It can be hidden, by SYNs that lead to no handshake; it is never made up.
#[derive(Clone, Copy, Debug, Default)]
pub struct PathWatch {
    /// Where the counting began, and until when nothing is judged, if that is still to come.
    from: Option<(Counted, Option<Moment>)>,
    /// Whether the last judgement was that packets are missing.
    missing: bool,
    path: Path,
}

impl PathWatch {
    /// Takes a reading in, and tells what can be said.
    pub fn read(&mut self, counted: Counted, now: Moment) -> Path {
        let goes_on = |(from, _): &(Counted, Option<Moment>)| {
            counted.passed >= from.passed && counted.accepted >= from.accepted
        };
        let Some((from, grace)) = self.from.filter(goes_on) else {
            // A counter that went back is one of a new table.
            self.from = Some((counted, Some(now + PATH_GRACE)));
            return self.path;
        };
        if let Some(until) = grace {
            // Handshakes from before our rules may still get stuck or be completed.
            self.from = Some((counted, grace.filter(|_| now < until)));
            return self.path;
        }
        let accepted = counted.accepted - from.accepted;
        if accepted >= PATH_EVIDENCE {
            let missing = accepted.saturating_sub(counted.passed - from.passed);
            self.judge(missing.saturating_mul(PATH_MISSING) >= accepted);
            self.from = Some((counted, None));
        }
        self.path
    }

    /// Once may be chance: both numbers are not read at the very same moment.
    fn judge(&mut self, missing: bool) {
        match (self.missing, missing) {
            (_, false) => self.path = Path::OnPath,
            (true, true) => self.path = Path::Bypassed,
            (false, true) => {}
        }
        self.missing = missing;
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Reads what these steps add, each 10 s after the one before, the first one when the grace is over.
    fn watch(steps: &[(u64, u64)]) -> (PathWatch, Path) {
        let (mut watch, mut counted) = (PathWatch::default(), Counted { passed: 7, accepted: 9_000 });
        watch.read(counted, Moment::EPOCH);
        let mut now = Moment::EPOCH + PATH_GRACE;
        let mut path = watch.read(counted, now);
        for (passed, accepted) in steps {
            now = now + Duration::from_secs(10);
            counted = Counted { passed: counted.passed + passed, accepted: counted.accepted + accepted };
            path = watch.read(counted, now);
        }
        (watch, path)
    }

    fn path(steps: &[(u64, u64)]) -> Path {
        watch(steps).1
    }

    #[test]
    fn handshakes_without_syns_are_a_bypass() {
        assert_eq!(path(&[]), Path::Unknown);
        assert_eq!(path(&[(0, PATH_EVIDENCE - 1)]), Path::Unknown, "too few to tell");
        assert_eq!(path(&[(0, PATH_EVIDENCE)]), Path::Unknown, "once may be chance");
        assert_eq!(path(&[(0, PATH_EVIDENCE), (0, PATH_EVIDENCE)]), Path::Bypassed);
        assert_eq!(path(&[(500, 500)]), Path::OnPath);
        assert_eq!(path(&[(90_000, 500)]), Path::OnPath, "SYNs that lead to nothing are no matter");
        assert_eq!(path(&[(0, 500), (0, 500), (500, 500)]), Path::OnPath, "it is over");
    }

    #[test]
    fn slow_hosts_are_judged_in_the_end() {
        assert_eq!(path(&[(0, 1); 200]), Path::Bypassed);
        assert_eq!(path(&[(1, 1); 200]), Path::OnPath);
    }

    #[test]
    fn what_was_half_open_before_our_rules_is_no_bypass() {
        let mut watch = PathWatch::default();
        for second in 0..PATH_GRACE.as_secs() {
            let now = Moment::EPOCH + Duration::from_secs(second);
            let counted = Counted { passed: 0, accepted: 100 * second };
            assert_eq!(watch.read(counted, now), Path::Unknown);
        }
    }

    #[test]
    fn a_new_table_counts_anew() {
        let (mut watch, before) = watch(&[(500, 500)]);
        let now = Moment::EPOCH + PATH_GRACE * 2;
        let counted = |passed, accepted| Counted { passed, accepted };
        assert_eq!(watch.read(counted(0, 12_000), now), before);
        assert_eq!(watch.read(counted(0, 14_000), now + PATH_GRACE), before);
        assert_eq!(watch.read(counted(0, 16_000), now + PATH_GRACE * 2), before);
        assert_eq!(watch.read(counted(0, 18_000), now + PATH_GRACE * 3), Path::Bypassed);
    }

    proptest! {
        #[test]
        fn a_host_whose_syns_are_seen_is_never_called_bypassed(steps in vec((0u64..2_000, 0u64..2_000), 0..60)) {
            let steps: alloc::vec::Vec<(u64, u64)> =
                steps.into_iter().map(|(more, accepted)| (accepted + more, accepted)).collect();
            prop_assert_ne!(path(&steps), Path::Bypassed);
        }
    }
}
