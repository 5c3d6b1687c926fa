//! The agent's instruments: read from the counts that the threads keep anyway.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter},
};
use sekisho_kernel::{Counters, Netstat};
use sekisho_model::Sensor;

use crate::{
    answers::Answers,
    buffer::{Buffer, Lost},
    completed::CompletedCounts,
    desk::Desk,
    endings::Endings,
    fill::Fills,
    keeper::Counts,
    retries::RetriesCounts,
    sensor::{LookCounts, SensorCounts},
};

/// What our rules have counted, as of the last reading.
#[derive(Debug, Default)]
pub struct RuleCounts {
    dropped: AtomicU64,
    suppressed: AtomicU64,
    forgotten: AtomicU64,
    /// Whether handshakes were forgotten between the last two readings.
    full: AtomicBool,
    /// How full the sets are.
    pub fills: Fills,
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
    of_each_sensor(meter, sensor);
    let read = |value: fn(&SensorCounts) -> &AtomicU64| of(sensor, value);
    let truncated = read(|s| &s.truncated);
    counter(meter, "sekisho.sensor.truncated", "Handshakes left out: too many are followed", truncated);
    let overrun = read(|s| &s.overrun);
    counter(meter, "sekisho.sensor.overrun", "Traced retransmits that were lost: too many at once", overrun);
    let read = |value: fn(&CompletedCounts) -> &AtomicU64| of(completed, value);
    counter(meter, "sekisho.completed.passes", "Passes for counter-evidence", read(|c| &c.passes));
    counter(meter, "sekisho.completed.passes.failed", "Such passes that failed", read(|c| &c.failed));
    counter(meter, "sekisho.completed.units", "Units told to have honest clients", read(|c| &c.units));
    let truncated = read(|c| &c.truncated);
    counter(meter, "sekisho.completed.truncated", "Units and connections left out: too many", truncated);
    gauge(meter, "sekisho.completed.cost_microseconds", "What the last one took", read(|c| &c.cost_micros));
    of_the_reports(meter, buffer);
}

/// Registers what is counted for each sensor, told apart by the attribute `sensor`.
fn of_each_sensor(meter: &Meter, sensors: &Arc<SensorCounts>) {
    let each = |value: fn(&LookCounts) -> u64| {
        let sensors = sensors.clone();
        move |observer: &dyn AsyncInstrument<u64>| {
            for sensor in Sensor::ALL {
                let attributes = [KeyValue::new("sensor", sensor.as_str())];
                observer.observe(value(sensors.of(sensor)), &attributes);
            }
        }
    };
    let counts = |name, what, value| {
        meter.u64_observable_counter(name).with_description(what).with_callback(each(value)).build();
    };
    let gauges = |name, what, value| {
        meter.u64_observable_gauge(name).with_description(what).with_callback(each(value)).build();
    };
    counts("sekisho.sensor.passes", "Looks for half-open handshakes", |s| s.passes.load(Ordering::Relaxed));
    counts("sekisho.sensor.passes.failed", "Looks that failed", |s| s.failed.load(Ordering::Relaxed));
    counts("sekisho.sensor.observations", "Units newly seen stuck", |s| {
        s.observations.load(Ordering::Relaxed)
    });
    gauges("sekisho.sensor.half_open", "Handshakes in the last look", |s| {
        s.half_open.load(Ordering::Relaxed)
    });
    gauges("sekisho.sensor.cost_microseconds", "What it took", |s| s.cost_micros.load(Ordering::Relaxed));
    gauges("sekisho.sensor.working", "Whether it is used and works", |s| {
        s.working.load(Ordering::Relaxed).into()
    });
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
    let filled = |value: fn(&Fills) -> &AtomicU64| {
        let rules = rules.clone();
        move || value(&rules.fills).load(Ordering::Relaxed)
    };
    let what = "Units in the kernel's sets of recently hit ones";
    gauge(meter, "sekisho.kernel.hit_units", what, filled(|f| &f.hits));
    let what = "Handshakes of suppressed addresses that the kernel remembers";
    gauge(meter, "sekisho.kernel.handshakes", what, filled(|f| &f.handshakes));
    let what = "Sets filled by rules that are full";
    gauge(meter, "sekisho.kernel.sets_full", what, filled(|f| &f.full));
    let full = rules.clone();
    let what = "Whether the memory of suppressed handshakes was full lately";
    gauge(meter, "sekisho.kernel.handshakes_full", what, move || full.full.load(Ordering::Relaxed).into());
}

/// Registers the instruments of how this host answers SYNs.
pub fn of_the_answers(meter: &Meter, sensor: &Arc<SensorCounts>) {
    let told = |value: fn(&Answers) -> u64| {
        let sensor = sensor.clone();
        move || value(&sensor.answers)
    };
    let what = "SYN-ACKs sent to handshakes proven stuck";
    counter(meter, "sekisho.synacks.reflected", what, told(|a| a.told().reflected));
    let what = "SYN-ACKs that our rules held back on output";
    counter(meter, "sekisho.synacks.held_back", what, told(Answers::held_back));
    let what = "SYN-ACKs never made (computed): for each dropped SYN, and for each handshake given up early";
    counter(meter, "sekisho.synacks.never_made", what, told(Answers::never_made));
    let what = "SYN-ACKs not sent again since tcp_synack_retries was lowered (computed)";
    counter(meter, "sekisho.synacks.saved", what, told(|a| a.told().saved));
    let what = "SYN-ACKs and SYNs that the kernel sent again since boot";
    let again = || Netstat::read().map(|netstat| netstat.syn_retransmits).unwrap_or_default();
    counter(meter, "sekisho.synacks.retransmitted", what, again);
    let what = "Whether packets go around our rules";
    gauge(meter, "sekisho.kernel.bypassed", what, told(|a| a.told().bypassed.into()));
}

/// Registers the instruments of `tcp_synack_retries`.
pub fn of_the_retries(meter: &Meter, counts: &Arc<RetriesCounts>) {
    let read = |value: fn(&RetriesCounts) -> &AtomicU64| of(counts, value);
    gauge(meter, "sekisho.retries.effective", "tcp_synack_retries in force", read(|r| &r.effective));
    gauge(
        meter,
        "sekisho.retries.operator",
        "tcp_synack_retries as the operator set it",
        read(|r| &r.operator),
    );
    let what = "Network namespaces in which it is lowered";
    gauge(meter, "sekisho.retries.lowered", what, read(|r| &r.lowered));
    counter(meter, "sekisho.retries.changes", "Times that it was lowered", read(|r| &r.changes));
    let what = "Times that it could not be read, set or remembered";
    counter(meter, "sekisho.retries.failed", what, read(|r| &r.failed));
    let attack = counts.clone();
    let what = "Whether this host is being used as a reflector";
    gauge(meter, "sekisho.attack", what, move || attack.attack.load(Ordering::Relaxed).into());
}

/// Registers the instruments of half-open sockets that are ended.
pub fn of_the_endings(meter: &Meter, endings: &Arc<Endings>) {
    let read = |value: fn(&Endings) -> &AtomicU64| of(endings, value);
    let what = "Looks for half-open sockets of new entries";
    counter(meter, "sekisho.endings.passes", what, read(|e| &e.passes));
    counter(meter, "sekisho.endings.passes.failed", "Such looks that failed", read(|e| &e.failed));
    counter(meter, "sekisho.endings.sockets", "Half-open sockets that were ended", read(|e| &e.ended));
    let what = "New entries left to the rule on output: too many waited";
    counter(meter, "sekisho.endings.left", what, read(|e| &e.left));
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
