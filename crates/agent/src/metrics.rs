//! The agent's instruments: read from the counts that the threads keep anyway.

use std::sync::{Arc, atomic::Ordering};

use opentelemetry::metrics::Meter;

use crate::{buffer::Buffer, desk::Desk, sensor::SensorCounts};

/// Registers the instruments; those of the kernel only where one is kept.
pub fn register(meter: &Meter, sensor: &Arc<SensorCounts>, buffer: &Arc<Buffer>, desk: Option<&Desk>) {
    let read = |value: fn(&SensorCounts) -> &std::sync::atomic::AtomicU64| {
        let sensor = sensor.clone();
        move || value(&sensor).load(Ordering::Relaxed)
    };
    counter(meter, "sekisho.sensor.passes", "Passes over the half-open sockets", read(|s| &s.passes));
    counter(meter, "sekisho.sensor.passes.failed", "Passes that failed", read(|s| &s.failed));
    counter(meter, "sekisho.sensor.observations", "Units newly seen stuck", read(|s| &s.observations));
    counter(
        meter,
        "sekisho.sensor.truncated",
        "Sockets left out: too many are followed",
        read(|s| &s.truncated),
    );
    gauge(meter, "sekisho.sensor.half_open", "Half-open sockets in the last pass", read(|s| &s.half_open));
    gauge(meter, "sekisho.sensor.cost_microseconds", "What the last pass took", read(|s| &s.cost_micros));
    let lost = |value: fn(&crate::buffer::Lost) -> u64| {
        let buffer = buffer.clone();
        move || value(&buffer.lost())
    };
    counter(meter, "sekisho.report.overflowed", "Batches lost: too many waited", lost(|l| l.overflowed));
    counter(meter, "sekisho.report.expired", "Batches lost: too old to count", lost(|l| l.expired));
    counter(meter, "sekisho.report.refused", "Batches lost: refused as malformed", lost(|l| l.refused));
    let waiting = buffer.clone();
    gauge(meter, "sekisho.report.waiting", "Batches that are not durable yet", move || waiting.len() as u64);
    let Some(desk) = desk else { return };
    let kept = |value: fn(&crate::keeper::Counts) -> u64| {
        let desk = desk.clone();
        move || value(&desk.counts())
    };
    counter(meter, "sekisho.feed.deltas", "Deltas put in force", kept(|c| c.deltas));
    counter(meter, "sekisho.feed.snapshots", "Snapshots put in force", kept(|c| c.snapshots));
    counter(meter, "sekisho.feed.refusals", "Messages that could not be applied", kept(|c| c.refusals));
    counter(meter, "sekisho.kernel.repairs", "Times that our table was put back", kept(|c| c.repairs));
    gauge(meter, "sekisho.kernel.members", "Members of the list in the kernel", kept(|c| c.members));
    let dropped = read(|s| &s.dropped);
    counter(meter, "sekisho.kernel.dropped_packets", "Packets dropped since the table was made", dropped);
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
