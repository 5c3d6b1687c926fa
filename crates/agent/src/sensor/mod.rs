//! The sensors: several sources of rows and one observer, on a thread of its own. Each looks as often as its cost
//! allows.

mod counts;
mod slot;
mod source;

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use sekisho_daemon::readiness::Readiness;
use sekisho_kernel::{Netstat, Tracked, own_addresses};
use sekisho_model::{Flags, Moment, Sensor, Totals, Truncation, limits::SENSOR_AGAIN};
use sekisho_observe::{Observer, Seen};
use tokio::{runtime::Handle, time::timeout};
use tokio_util::sync::CancellationToken;

pub use self::{
    counts::{LookCounts, SensorCounts},
    source::{Unused, open},
};
use self::{
    slot::{Outcome, Slot},
    source::Look,
};
use crate::{
    buffer::{Buffer, Rows},
    completed::Lately,
    settings::SensorChoice,
};

/// Readiness condition of the sensors.
const CONDITION: &str = "sensor";
/// Longest time between two reports, so that the totals stay fresh when nothing is stuck.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Starts the sensors' thread. It ends soon after `stop`.
///
/// # Errors
/// When a sensor that was asked for by name cannot be used, when there is none at all, or the thread cannot be
/// started.
pub fn start(
    choice: &SensorChoice,
    buffer: Arc<Buffer>,
    counts: Arc<SensorCounts>,
    lately: Arc<Lately>,
    readiness: Readiness,
    stop: CancellationToken,
) -> anyhow::Result<thread::JoinHandle<()>> {
    let sensors = Sensors {
        slots: slot::all(choice)?,
        observer: Observer::new(secret()),
        begun: Instant::now(),
        buffer,
        counts,
        lately,
        last_report: None,
        truncated: 0,
        truncated_by: Flags::default(),
        cookies_sent: None,
        stuck_units: 0,
        addresses_due: Instant::now(),
    };
    let runtime = Handle::current();
    readiness.unmet(CONDITION, "no sensor has looked yet");
    Ok(thread::Builder::new()
        .name("sensor".into())
        .spawn(move || sensors.run(&readiness, &stop, &runtime))?)
}

struct Sensors {
    slots: Vec<Slot>,
    observer: Observer,
    begun: Instant,
    buffer: Arc<Buffer>,
    counts: Arc<SensorCounts>,
    lately: Arc<Lately>,
    last_report: Option<Instant>,
    truncated: u64,
    /// Since the last report.
    truncated_by: Flags<Truncation>,
    /// As of the last report.
    cookies_sent: Option<u64>,
    stuck_units: u64,
    addresses_due: Instant,
}

impl Sensors {
    fn run(mut self, readiness: &Readiness, stop: &CancellationToken, runtime: &Handle) {
        while !stop.is_cancelled() {
            self.read_addresses();
            let Some(next) = (0..self.slots.len()).min_by_key(|place| self.slots.get(*place).map(Slot::due))
            else {
                return;
            };
            let rest =
                self.slots.get(next).map_or(HEARTBEAT, |slot| slot.due().duration_since(Instant::now()));
            if !rest.is_zero() {
                // Until the next look, or the end.
                drop(runtime.block_on(async { timeout(rest, stop.cancelled()).await }));
                continue;
            }
            self.step(next);
            match slot::trouble(&self.slots) {
                None => readiness.met(CONDITION),
                Some(trouble) => readiness.unmet(CONDITION, trouble),
            }
        }
    }

    /// One look of a sensor, or one attempt to use it.
    fn step(&mut self, place: usize) {
        let begun = Instant::now();
        let now = Moment::EPOCH + begun.duration_since(self.begun);
        let (observer, in_use) = (&mut self.observer, self.slots.iter().filter(|slot| slot.in_use()).count());
        observer.set_sensors(in_use);
        let Some(slot) = self.slots.get_mut(place) else { return };
        let sensor = slot.sensor();
        let outcome = slot.step(&mut |row| observer.row(&row, now));
        let counts = self.counts.of(sensor);
        counts.working.store(matches!(outcome, Outcome::Looked(_)), Ordering::Relaxed);
        let look = match outcome {
            Outcome::Unused => return,
            Outcome::Looked(look) => look,
            Outcome::Failed => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                Look { truncated_by: Flags::default().with(Truncation::Failed), ..Look::default() }
            }
        };
        // Also after a failure: what was seen is true, only what was not seen is unknown.
        let seen = self.observer.end_pass(sensor, look.whole, now);
        self.count(sensor, &seen, look);
        self.report(begun, seen);
        let cost = begun.elapsed();
        counts_cost(self.counts.of(sensor), cost);
        if let Some(slot) = self.slots.get_mut(place) {
            slot.wait(begun, cost);
        }
    }

    fn count(&mut self, sensor: Sensor, seen: &Seen, look: Look) {
        let counts = self.counts.of(sensor);
        counts.passes.fetch_add(1, Ordering::Relaxed);
        counts.half_open.store(seen.half_open, Ordering::Relaxed);
        counts.observations.fetch_add(seen.observations.len() as u64, Ordering::Relaxed);
        self.counts.truncated.fetch_add(seen.truncated, Ordering::Relaxed);
        self.counts.overrun.fetch_add(look.lost, Ordering::Relaxed);
        self.truncated += seen.truncated + look.lost;
        let limit = Flags::default().with_if(Truncation::Limit, seen.truncated > 0);
        self.truncated_by =
            [self.truncated_by, look.truncated_by, limit].into_iter().flat_map(Flags::iter).collect();
        self.stuck_units += seen.stuck_units;
        self.counts.answers.take_pass(sensor, seen);
    }

    fn report(&mut self, begun: Instant, seen: Seen) {
        self.lately.reported(&seen.observations);
        let due = self.last_report.is_none_or(|last| begun.duration_since(last) >= HEARTBEAT);
        let hits = std::mem::take(&mut *self.counts.hits());
        let completed = std::mem::take(&mut *self.counts.completed());
        if due || !seen.observations.is_empty() || !hits.is_empty() || !completed.is_empty() {
            let totals = self.totals();
            self.buffer.push(begun, &Rows { observations: seen.observations, hits, completed, totals });
            self.last_report = Some(begun);
        }
    }

    fn totals(&mut self) -> Totals {
        // Containers may hide these files of /proc; the observations count without them.
        let netstat = Netstat::read().unwrap_or_default();
        let tracked = Tracked::read().unwrap_or_default();
        let sensors =
            Sensor::ALL.into_iter().filter(|sensor| self.counts.works(*sensor)).collect::<Flags<_>>();
        let before = self.cookies_sent.replace(netstat.cookies_sent);
        let by_cookie = before.is_some_and(|before| netstat.cookies_sent > before);
        let truncated_by = std::mem::take(&mut self.truncated_by);
        let half_open = [Sensor::SockDiag, Sensor::Conntrack].map(|sensor| self.counts.half_open(sensor));
        Totals {
            half_open: half_open.into_iter().max().unwrap_or(0),
            cookies_sent_full: netstat.queue_full_cookies,
            cookies_sent: netstat.cookies_sent,
            truncated: self.truncated,
            dropped_packets: self.counts.dropped.load(Ordering::Relaxed),
            completed: netstat.passive_opens,
            stuck_units: self.stuck_units,
            established: netstat.established,
            cookies_received: netstat.cookies_received,
            attempts_failed: netstat.attempts_failed,
            tracked: tracked.count,
            tracked_limit: tracked.limit,
            sensors,
            truncated_by: truncated_by
                .with_if(Truncation::Cookies, by_cookie && !sensors.has(Sensor::Conntrack)),
            answers: self.counts.answers.told(),
        }
    }

    /// Handshakes with ourselves are no reflection.
    fn read_addresses(&mut self) {
        let now = Instant::now();
        if now < self.addresses_due {
            return;
        }
        self.addresses_due = now + SENSOR_AGAIN;
        match own_addresses() {
            Ok(own) => self.observer.set_own(own),
            Err(error) => tracing::warn!(%error, "this host's own addresses cannot be read"),
        }
    }
}

fn counts_cost(counts: &LookCounts, cost: Duration) {
    counts.cost_micros.store(u64::try_from(cost.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// A random number that nobody else knows.
fn secret() -> [u8; 16] {
    let half = |salt: u8| RandomState::new().hash_one(salt).to_le_bytes();
    let mut secret = [0; 16];
    let (low, high) = secret.split_at_mut(8);
    low.copy_from_slice(&half(0));
    high.copy_from_slice(&half(1));
    secret
}
