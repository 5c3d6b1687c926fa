//! `net.ipv4.tcp_synack_retries`, lowered where the operator wants it, and always given back: at the end, and at
//! the next start after a crash. On a thread of its own, since it waits for the disk and enters other network
//! namespaces.

mod book;
#[cfg(test)]
mod tests;
mod value;

use std::{
    path::Path,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sekisho_daemon::exit::usage;
use sekisho_kernel::{Netstat, namespace::NamespaceId, sysctl};
use sekisho_model::{Moment, Sensor, limits::ATTACK_WINDOW};
use sekisho_observe::{Attack, Goal, Retries, Window, poll_interval};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::sensor::SensorCounts;
use book::Book;
use value::Values;

/// What the operator wants of `tcp_synack_retries`, as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynackRetries(pub Goal);

impl FromStr for SynackRetries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self(Goal::Keep)),
            "adaptive" => Ok(Self(Goal::Adaptive)),
            number => {
                let number = number.parse().map_err(|_| "write keep, adaptive or a number".to_owned())?;
                Ok(Self(Goal::At(number)))
            }
        }
    }
}

/// What is wanted, and where.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// How low.
    pub goal: Goal,
    /// Whether in the network namespaces of other processes too.
    pub pods: bool,
    /// Whether every sensor knows a stuck handshake by its retransmits alone.
    pub proof_only: bool,
}

impl Wish {
    /// Refuses what cannot be.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn check(&self, enforce: bool) -> anyhow::Result<()> {
        self.goal.check(self.proof_only).map_err(|error| usage(format!("--synack-retries {error}")))?;
        if !enforce && self.goal != Goal::Keep {
            return Err(usage(
                "--synack-retries changes the kernel: give --mode enforce with it, or leave it out",
            ));
        }
        Ok(())
    }
}

/// What is in force, for the metrics.
#[derive(Debug, Default)]
pub struct RetriesCounts {
    /// In the host's namespace.
    pub effective: AtomicU64,
    /// What the operator set there.
    pub operator: AtomicU64,
    /// Namespaces, the host's among them, where it is lowered.
    pub lowered: AtomicU64,
    /// Whether an attack is on.
    pub attack: AtomicBool,
    /// Times that it was lowered.
    pub changes: AtomicU64,
    /// Times that it could not be read, set or remembered.
    pub failed: AtomicU64,
}

/// Puts right what an earlier life of the agent left lowered, where this one changes nothing.
pub fn recover(dir: &Path) {
    if !Book::is_there(dir) {
        return;
    }
    match Book::open(dir) {
        Ok(book) => Values::new(book, true, Arc::default()).give_back(),
        // Another agent uses it: it is that one's.
        Err(error) => tracing::debug!(%error, "the record of lowered tcp_synack_retries is not read"),
    }
}

/// Starts the thread. It ends soon after `stop`, and gives back what it lowered.
///
/// # Errors
/// When the state directory cannot be used, or the thread cannot be started.
pub fn start(
    wish: Wish,
    dir: &Path,
    sensor: Arc<SensorCounts>,
    counts: Arc<RetriesCounts>,
    stop: CancellationToken,
) -> anyhow::Result<thread::JoinHandle<()>> {
    let book = Book::open(dir).map_err(|error| {
        anyhow::anyhow!(
            "the record of lowered tcp_synack_retries in {} cannot be kept: {error}",
            dir.display()
        )
    })?;
    // What is there at first may be in any namespace.
    let everywhere = wish.pods || !book.entries().is_empty();
    let mut values = Values::new(book, everywhere, counts.clone());
    values.give_back();
    values.everywhere = wish.pods;
    let keeper = Keeper {
        values,
        retries: Retries::new(wish.goal),
        attack: Attack::default(),
        before: Seen::default(),
        begun: Instant::now(),
        sensor,
        counts,
    };
    let runtime = Handle::current();
    Ok(thread::Builder::new().name("retries".into()).spawn(move || keeper.run(&stop, &runtime))?)
}

/// What was counted at the end of a window.
#[derive(Clone, Copy, Default)]
struct Seen {
    stuck: u64,
    completed: u64,
}

struct Keeper {
    values: Values,
    retries: Retries,
    attack: Attack,
    before: Seen,
    begun: Instant,
    sensor: Arc<SensorCounts>,
    counts: Arc<RetriesCounts>,
}

impl Keeper {
    fn run(mut self, stop: &CancellationToken, runtime: &Handle) {
        self.before = self.seen();
        while !stop.is_cancelled() {
            self.turn();
            drop(runtime.block_on(async { timeout(ATTACK_WINDOW, stop.cancelled()).await }));
        }
        self.values.give_back();
        self.tell();
    }

    fn turn(&mut self) {
        let attack = self.window();
        let cost = self.sensor.of(Sensor::SockDiag).cost_micros.load(Ordering::Relaxed);
        let cost = Duration::from_micros(cost);
        // Conntrack knows what is stuck without a retransmit.
        let proof_only = !self.sensor.works(Sensor::Conntrack);
        let unseen = proof_only.then(|| poll_interval(cost).saturating_add(cost));
        self.values.turn(self.retries.wanted(attack, unseen));
        self.tell();
    }

    fn window(&mut self) -> bool {
        let (seen, before) = (self.seen(), self.before);
        self.before = seen;
        let window = Window {
            stuck: seen.stuck.saturating_sub(before.stuck),
            completed: seen.completed.saturating_sub(before.completed),
        };
        let attack = self.attack.window(&window, Moment::EPOCH + self.begun.elapsed());
        if self.counts.attack.swap(attack, Ordering::Relaxed) != attack {
            if attack {
                tracing::warn!(
                    stuck = window.stuck,
                    "many handshakes get stuck: this host is being used as a reflector"
                );
            } else {
                tracing::info!("hardly any handshakes get stuck any more");
            }
        }
        attack
    }

    fn seen(&self) -> Seen {
        let completed = Netstat::read().map(|netstat| netstat.passive_opens).unwrap_or_default();
        Seen { stuck: self.sensor.answers.stuck(), completed }
    }

    /// Says what is in force to the metrics and the reports.
    fn tell(&self) {
        let lowered = self.values.lowered_here();
        let Ok(effective) = sysctl::synack_retries() else { return };
        let operator = lowered.map_or(effective, |lowered| lowered.operator);
        self.counts.effective.store(effective.into(), Ordering::Relaxed);
        self.counts.operator.store(operator.into(), Ordering::Relaxed);
        self.counts.lowered.store(self.values.lowered() as u64, Ordering::Relaxed);
        self.sensor.answers.retries(operator, effective);
    }
}

/// Tells about one network namespace in the log.
fn named(id: NamespaceId, own: NamespaceId) -> String {
    if id == own { "the host's".to_owned() } else { format!("number {}", id.0) }
}

#[cfg(test)]
mod settings {
    use super::*;

    #[test]
    fn the_setting_is_read() {
        let goal = |text: &str| text.parse::<SynackRetries>().map(|retries| retries.0);
        assert_eq!(goal("keep"), Ok(Goal::Keep));
        assert_eq!(goal("adaptive"), Ok(Goal::Adaptive));
        assert_eq!(goal("2"), Ok(Goal::At(2)));
        assert!(goal("lower").unwrap_err().contains("keep, adaptive or a number"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_what_to_write() {
        let wish = |goal| Wish { goal, pods: false, proof_only: true };
        let blind = wish(Goal::At(0)).check(true).unwrap_err().to_string();
        assert!(blind.starts_with("--synack-retries 0 blinds the sensor"), "{blind}");
        let observe = wish(Goal::Adaptive).check(false).unwrap_err().to_string();
        assert!(observe.contains("--mode enforce"), "{observe}");
        wish(Goal::Adaptive).check(true).unwrap();
        wish(Goal::Keep).check(false).unwrap();
    }
}
