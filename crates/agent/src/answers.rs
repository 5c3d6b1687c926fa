//! How this host answers SYNs and what we make of that, in one place: the sensor's passes, the rules' counters
//! and the keeper of the retries add to it; the reports and the metrics read it.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Instant,
};

use sekisho_kernel::{Counters, Netstat, sysctl};
use sekisho_model::{Answers as Told, Moment, Sensor};
use sekisho_observe::{Counted, Path, PathWatch, Seen, benefit};

/// All that is known.
#[derive(Debug)]
pub struct Answers {
    stuck: AtomicU64,
    /// Of those, the ones that a socket of this namespace proved first.
    own: AtomicU64,
    reflected: AtomicU64,
    held_back: AtomicU64,
    never_made: AtomicU64,
    saved: AtomicU64,
    operator: AtomicU8,
    effective: AtomicU8,
    bypassed: AtomicBool,
    begun: Instant,
    watch: Mutex<(PathWatch, Path)>,
    /// The rules' counters as they were last read.
    before: Mutex<Option<Counters>>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            stuck: AtomicU64::default(),
            own: AtomicU64::default(),
            reflected: AtomicU64::default(),
            held_back: AtomicU64::default(),
            never_made: AtomicU64::default(),
            saved: AtomicU64::default(),
            operator: AtomicU8::default(),
            effective: AtomicU8::default(),
            bypassed: AtomicBool::default(),
            begun: Instant::now(),
            watch: Mutex::default(),
            before: Mutex::default(),
        }
    }
}

impl Answers {
    /// Takes in what a pass of a sensor saw.
    pub fn take_pass(&self, sensor: Sensor, seen: &Seen) {
        let stuck = seen.observations.iter().map(|each| u64::from(each.sockets)).sum();
        self.stuck.fetch_add(stuck, Ordering::Relaxed);
        if sensor == Sensor::SockDiag {
            self.own.fetch_add(stuck, Ordering::Relaxed);
        }
        self.reflected.fetch_add(seen.syn_acks, Ordering::Relaxed);
        let (operator, ours) =
            (self.operator.load(Ordering::Relaxed), self.effective.load(Ordering::Relaxed));
        self.saved.fetch_add(benefit::saved(&seen.given_up, operator, ours), Ordering::Relaxed);
    }

    /// Takes in what the rules have counted, read just now.
    pub fn take_rules(&self, counters: &Counters) {
        let Counters { dropped, muted, suppressed, .. } = self.more(counters);
        self.held_back.fetch_add(muted + suppressed, Ordering::Relaxed);
        let operator = self.operator.load(Ordering::Relaxed);
        let never_made = benefit::never_made(dropped, operator).saturating_add(benefit::no_longer_sent(
            suppressed,
            operator,
            sysctl::forwards(),
        ));
        self.never_made.fetch_add(never_made, Ordering::Relaxed);
        // Without the kernel's counters nothing can be said. What other sensors see may be in another namespace.
        if let Ok(netstat) = Netstat::read() {
            let accepted = netstat.passive_opens.saturating_add(self.own.load(Ordering::Relaxed));
            let passed = counters.syns.saturating_sub(counters.dropped);
            self.judge(Counted { passed, accepted }, Moment::EPOCH + self.begun.elapsed());
        }
    }

    /// What the rules have counted since the last reading; at the first one nothing: the table may be older than
    /// this agent. A counter that went back is one of a new table.
    fn more(&self, now: &Counters) -> Counters {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let last = before.replace(*now).unwrap_or(*now);
        let more = |now: u64, last: u64| now.checked_sub(last).unwrap_or(now);
        Counters {
            dropped: more(now.dropped, last.dropped),
            muted: more(now.muted, last.muted),
            suppressed: more(now.suppressed, last.suppressed),
            ..Counters::default()
        }
    }

    fn judge(&self, counted: Counted, now: Moment) {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let path = watch.0.read(counted, now);
        let before = std::mem::replace(&mut watch.1, path);
        self.bypassed.store(path == Path::Bypassed, Ordering::Relaxed);
        match (before, path) {
            (before, Path::Bypassed) if before != Path::Bypassed => tracing::error!(
                "BYPASSED: this host completes handshakes whose SYNs never came to our rules, so that nothing is \
                 blocked here; look for eBPF host routing (Cilium: bpf.hostLegacyRouting), XDP or tc programs that \
                 redirect packets (bpftool net), and for services in another network namespace than this agent's; \
                 sekisho-agent check tells more"
            ),
            (Path::Bypassed, Path::OnPath) => tracing::info!("our rules see this host's packets again"),
            _ => {}
        }
    }

    /// `tcp_synack_retries` in this namespace: what the operator set, and what is in force.
    pub fn retries(&self, operator: u8, effective: u8) {
        self.operator.store(operator, Ordering::Relaxed);
        self.effective.store(effective, Ordering::Relaxed);
    }

    /// Handshakes proven stuck since the start.
    pub fn stuck(&self) -> u64 {
        self.stuck.load(Ordering::Relaxed)
    }

    /// SYN-ACKs that the rules held back.
    pub fn held_back(&self) -> u64 {
        self.held_back.load(Ordering::Relaxed)
    }

    /// SYN-ACKs that were never made.
    pub fn never_made(&self) -> u64 {
        self.never_made.load(Ordering::Relaxed)
    }

    /// For the reports.
    pub fn told(&self) -> Told {
        let (operator, effective) =
            (self.operator.load(Ordering::Relaxed), self.effective.load(Ordering::Relaxed));
        Told {
            reflected: self.reflected.load(Ordering::Relaxed),
            withheld: self.held_back().saturating_add(self.never_made()),
            saved: self.saved.load(Ordering::Relaxed),
            retries: effective,
            lowered: effective < operator,
            bypassed: self.bypassed.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use sekisho_model::limits::PATH_GRACE;

    use super::*;

    #[test]
    fn what_is_withheld_is_what_was_held_back_and_what_was_never_made() {
        let answers = Answers::default();
        answers.retries(5, 2);
        // The table is older than the agent.
        let counters = Counters { syns: 90, dropped: 80, muted: 7, suppressed: 7, forgotten: 9 };
        answers.take_rules(&counters);
        assert_eq!((answers.held_back(), answers.never_made()), (0, 0));
        answers.take_rules(&Counters { dropped: 90, muted: 10, suppressed: 11, ..counters });
        let no_more = if sysctl::forwards() { 0 } else { 4 * 4 };
        assert_eq!((answers.held_back(), answers.never_made()), (7, 60 + no_more));
        // A new table counts from 0.
        answers.take_rules(&Counters { muted: 1, ..Counters::default() });
        let told = answers.told();
        assert_eq!(
            (told.withheld, told.retries, told.lowered, told.bypassed),
            (68 + no_more, 2, true, false)
        );
    }

    #[test]
    fn a_bypass_is_told_for_as_long_as_it_lasts() {
        let answers = Answers::default();
        let mut now = Moment::EPOCH;
        let mut told = |passed, accepted| {
            now = now + PATH_GRACE;
            answers.judge(Counted { passed, accepted }, now);
            answers.told().bypassed
        };
        let seen = [(0, 0), (0, 0), (0, 100), (0, 200), (0, 220), (500, 300), (600, 400)];
        assert_eq!(
            seen.map(|(passed, accepted)| told(passed, accepted)),
            [false, false, false, true, true, false, false]
        );
    }

    #[test]
    fn what_a_pass_saw_is_added_up() {
        let answers = Answers::default();
        answers.retries(5, 2);
        let mut seen = Seen { syn_acks: 9, ..Seen::default() };
        (seen.given_up[1], seen.given_up[2], seen.given_up[4]) = (7, 10, 1);
        answers.take_pass(Sensor::SockDiag, &seen);
        answers.take_pass(Sensor::SockDiag, &seen);
        let told = answers.told();
        // Ten ended with two retransmits, where the operator's value would have sent three more; one got four.
        assert_eq!((told.reflected, told.saved), (18, 2 * (10 * 3 + 1)));
        answers.retries(5, 5);
        answers.take_pass(Sensor::SockDiag, &seen);
        assert_eq!(answers.told().saved, 62, "nothing is saved where nothing is lowered");
    }
}
