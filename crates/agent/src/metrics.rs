//! The agent's instruments: read from the counts that the threads keep anyway.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use opentelemetry::metrics::Meter;
use sekisho_kernel::Counters;

use crate::{
    buffer::{Buffer, Lost},
    completed::CompletedCounts,
    desk::Desk,
    keeper::Counts,
    sensor::SensorCounts,
};

/// What our rules have counted, as of the last reading.
#[derive(Debug, Default)]
pub struct RuleCounts {
    dropped: AtomicU64,
    suppressed: AtomicU64,
    forgotten: AtomicU64,
    /// Whether handshakes were forgotten between the last two readings.
    full: AtomicBool,
}

impl RuleCounts {
    /// Takes a reading in, and says so when the kernel's memory of handshakes becomes full, and when it is not
    /// any more.
    pub fn take(&self, counters: &Counters) {
        self.dropped.store(counters.all_dropped(), Ordering::Relaxed);
        self.suppressed.store(counters.suppressed, Ordering::Relaxed);
        // A counter that went back is one of a new table.
        let full = counters.forgotten > self.forgotten.swap(counters.forgotten, Ordering::Relaxed);
        match (self.full.swap(full, Ordering::Relaxed), full) {
            (false, true) => tracing::warn!(
                forgotten = counters.forgotten,
                "more handshakes of suppressed addresses are open than the kernel's table remembers; the \
                 SYN-ACKs of the others are sent again as without a rule. Entries at drop are not affected"
            ),
            (true, false) => tracing::info!("all handshakes of suppressed addresses are remembered again"),
            _ => {}
        }
    }
}

/// Registers the instruments of what is seen and reported.
pub fn of_the_sensors(
    meter: &Meter,
    sensor: &Arc<SensorCounts>,
    completed: &Arc<CompletedCounts>,
    buffer: &Arc<Buffer>,
) {
    let read = |value: fn(&SensorCounts) -> &AtomicU64| of(sensor, value);
    counter(meter, "sekisho.sensor.passes", "Passes over the half-open sockets", read(|s| &s.passes));
    counter(meter, "sekisho.sensor.passes.failed", "Passes that failed", read(|s| &s.failed));
    counter(meter, "sekisho.sensor.observations", "Units newly seen stuck", read(|s| &s.observations));
    let truncated = read(|s| &s.truncated);
    counter(meter, "sekisho.sensor.truncated", "Sockets left out: too many are followed", truncated);
    gauge(meter, "sekisho.sensor.half_open", "Half-open sockets in the last pass", read(|s| &s.half_open));
    gauge(meter, "sekisho.sensor.cost_microseconds", "What the last pass took", read(|s| &s.cost_micros));
    let read = |value: fn(&CompletedCounts) -> &AtomicU64| of(completed, value);
    counter(meter, "sekisho.completed.passes", "Passes for counter-evidence", read(|c| &c.passes));
    counter(meter, "sekisho.completed.passes.failed", "Such passes that failed", read(|c| &c.failed));
    counter(meter, "sekisho.completed.units", "Units told to have honest clients", read(|c| &c.units));
    let truncated = read(|c| &c.truncated);
    counter(meter, "sekisho.completed.truncated", "Units and connections left out: too many", truncated);
    gauge(meter, "sekisho.completed.cost_microseconds", "What the last one took", read(|c| &c.cost_micros));
    of_the_reports(meter, buffer);
}

fn of_the_reports(meter: &Meter, buffer: &Arc<Buffer>) {
    let lost = |value: fn(&Lost) -> u64| {
        let buffer = buffer.clone();
        move || value(&buffer.lost())
    };
    counter(meter, "sekisho.report.overflowed", "Batches lost: too many waited", lost(|l| l.overflowed));
    counter(meter, "sekisho.report.expired", "Batches lost: too old to count", lost(|l| l.expired));
    counter(meter, "sekisho.report.refused", "Batches lost: refused as malformed", lost(|l| l.refused));
    let waiting = buffer.clone();
    gauge(meter, "sekisho.report.waiting", "Batches that are not durable yet", move || waiting.len() as u64);
}

/// Registers the instruments of what is enforced.
pub fn of_the_kernel(meter: &Meter, rules: &Arc<RuleCounts>, desk: &Desk) {
    let kept = |value: fn(&Counts) -> u64| {
        let desk = desk.clone();
        move || value(&desk.counts())
    };
    counter(meter, "sekisho.feed.deltas", "Deltas put in force", kept(|c| c.deltas));
    counter(meter, "sekisho.feed.snapshots", "Snapshots put in force", kept(|c| c.snapshots));
    counter(meter, "sekisho.feed.refusals", "Messages that could not be applied", kept(|c| c.refusals));
    counter(meter, "sekisho.kernel.repairs", "Times that our table was put back", kept(|c| c.repairs));
    let what = "Sets filled aside and turned to";
    counter(meter, "sekisho.kernel.filled_aside", what, kept(|c| c.door.filled_aside));
    let what = "Tries again: another program's transaction came between";
    counter(meter, "sekisho.kernel.races", what, kept(|c| c.door.races));
    let what = "The longest that one call of the kernel held a core";
    let micros = |c: &Counts| u64::try_from(c.door.longest.as_micros()).unwrap_or(u64::MAX);
    gauge(meter, "sekisho.kernel.longest_call_microseconds", what, kept(micros));
    gauge(meter, "sekisho.kernel.members", "Members of the list in the kernel", kept(|c| c.members));
    let read = |value: fn(&RuleCounts) -> &AtomicU64| of(rules, value);
    let dropped = read(|r| &r.dropped);
    counter(meter, "sekisho.kernel.dropped_packets", "Packets dropped since the table was made", dropped);
    let suppressed = read(|r| &r.suppressed);
    counter(
        meter,
        "sekisho.kernel.suppressed_packets",
        "Of them, retransmits to suppressed ones",
        suppressed,
    );
    let forgotten = read(|r| &r.forgotten);
    let what = "SYN-ACKs to suppressed addresses that passed unremembered: too many are open";
    counter(meter, "sekisho.kernel.forgotten_handshakes", what, forgotten);
    let full = rules.clone();
    let what = "Whether the memory of suppressed handshakes was full lately";
    gauge(meter, "sekisho.kernel.handshakes_full", what, move || full.full.load(Ordering::Relaxed).into());
}

fn of<T: Send + Sync + 'static>(
    counts: &Arc<T>,
    value: fn(&T) -> &AtomicU64,
) -> impl Fn() -> u64 + Send + Sync + 'static {
    let counts = counts.clone();
    move || value(&counts).load(Ordering::Relaxed)
}

fn counter(
    meter: &Meter,
    name: &'static str,
    what: &'static str,
    read: impl Fn() -> u64 + Send + Sync + 'static,
) {
    let counter = meter.u64_observable_counter(name).with_description(what);
    counter.with_callback(move |observer| observer.observe(read(), &[])).build();
}

fn gauge(
    meter: &Meter,
    name: &'static str,
    what: &'static str,
    read: impl Fn() -> u64 + Send + Sync + 'static,
) {
    let gauge = meter.u64_observable_gauge(name).with_description(what);
    gauge.with_callback(move |observer| observer.observe(read(), &[])).build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_full_while_handshakes_are_forgotten() {
        let rules = RuleCounts::default();
        let full = |forgotten| {
            rules.take(&Counters { forgotten, ..Counters::default() });
            rules.full.load(Ordering::Relaxed)
        };
        assert_eq!([0, 5, 9, 9, 0, 0, 1].map(full), [false, true, true, false, false, false, true]);
    }
}
