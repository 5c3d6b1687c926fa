//! A host's totals: what its sample may have missed, and why.

use sekisho_model::{Flag, Flags, Sensor, Totals, Truncation};

use crate::{answers, pb::v1 as pb};

/// The totals as a message.
pub fn totals(totals: &Totals) -> pb::HostTotals {
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    pb::HostTotals {
        half_open: count(totals.half_open),
        cookies_sent_full: count(totals.cookies_sent_full),
        cookies_sent: count(totals.cookies_sent),
        truncated: count(totals.truncated),
        dropped_packets: count(totals.dropped_packets),
        completed: count(totals.completed),
        stuck_units: count(totals.stuck_units),
        established: count(totals.established),
        cookies_received: count(totals.cookies_received),
        attempts_failed: count(totals.attempts_failed),
        tracked: count(totals.tracked),
        tracked_limit: count(totals.tracked_limit),
        sensors: totals.sensors.iter().map(|one| sensor(one) as i32).collect(),
        truncated_by: totals.truncated_by.iter().map(|one| truncation(one) as i32).collect(),
        answers: Some(answers::encode(&totals.answers)),
    }
}

/// The totals of a message; a negative count is 0, and what is not known is left out: it may come from a newer
/// agent.
pub fn totals_from(totals: &pb::HostTotals) -> Totals {
    let count = |value: i64| u64::try_from(value).unwrap_or(0);
    Totals {
        half_open: count(totals.half_open),
        cookies_sent_full: count(totals.cookies_sent_full),
        cookies_sent: count(totals.cookies_sent),
        truncated: count(totals.truncated),
        dropped_packets: count(totals.dropped_packets),
        completed: count(totals.completed),
        stuck_units: count(totals.stuck_units),
        established: count(totals.established),
        cookies_received: count(totals.cookies_received),
        attempts_failed: count(totals.attempts_failed),
        tracked: count(totals.tracked),
        tracked_limit: count(totals.tracked_limit),
        sensors: known(&totals.sensors, |one| sensor(one) as i32),
        truncated_by: known(&totals.truncated_by, |one| truncation(one) as i32),
        answers: totals.answers.as_ref().map(answers::decode).unwrap_or_default(),
    }
}

fn sensor(sensor: Sensor) -> pb::Sensor {
    match sensor {
        Sensor::SockDiag => pb::Sensor::SockDiag,
        Sensor::Conntrack => pb::Sensor::Conntrack,
        Sensor::Tracepoint => pb::Sensor::Tracepoint,
    }
}

fn truncation(why: Truncation) -> pb::Truncation {
    match why {
        Truncation::Cookies => pb::Truncation::Cookies,
        Truncation::TrackingFull => pb::Truncation::TrackingFull,
        Truncation::Limit => pb::Truncation::Limit,
        Truncation::TraceOverrun => pb::Truncation::TraceOverrun,
        Truncation::Inconsistent => pb::Truncation::Inconsistent,
        Truncation::Failed => pb::Truncation::Failed,
    }
}

/// The flags whose numbers are there.
fn known<T: Flag>(numbers: &[i32], number: impl Fn(T) -> i32) -> Flags<T> {
    T::ALL.iter().copied().filter(|flag| numbers.contains(&number(*flag))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::subsequence};

    use super::*;

    fn any_totals() -> impl Strategy<Value = Totals> {
        let count = || (0..=i64::MAX).prop_map(i64::unsigned_abs);
        let counts = [(); 12].map(|()| count());
        let flags = (subsequence(&Sensor::ALL[..], 0..=3), subsequence(&Truncation::ALL[..], 0..=6));
        (counts, flags).prop_map(|([a, b, c, d, e, f, g, h, i, j, k, l], (sensors, truncated_by))| Totals {
            half_open: a,
            cookies_sent_full: b,
            cookies_sent: c,
            truncated: d,
            dropped_packets: e,
            completed: f,
            stuck_units: g,
            established: h,
            cookies_received: i,
            attempts_failed: j,
            tracked: k,
            tracked_limit: l,
            sensors: sensors.into_iter().collect(),
            truncated_by: truncated_by.into_iter().collect(),
            ..Totals::default()
        })
    }

    proptest! {
        #[test]
        fn totals_round_trip(given in any_totals()) {
            prop_assert_eq!(totals_from(&totals(&given)), given);
        }
    }

    #[test]
    fn what_a_newer_agent_tells_is_left_out() {
        let sensors = vec![3, 99, 0, -1, 1];
        let read = totals_from(&pb::HostTotals { half_open: -4, sensors, ..pb::HostTotals::default() });
        let wanted = [Sensor::SockDiag, Sensor::Tracepoint].into_iter().collect();
        assert_eq!(read, Totals { sensors: wanted, ..Totals::default() });
    }

    #[test]
    fn totals_of_an_older_agent_are_read() {
        use prost::Message;
        // half_open 4, completed 8, stuck_units 9, as they were written before there was more.
        let bytes = [0x08, 4, 0x30, 8, 0x38, 9];
        let read = totals_from(&pb::HostTotals::decode(&bytes[..]).unwrap());
        assert_eq!(read, Totals { half_open: 4, completed: 8, stuck_units: 9, ..Totals::default() });
    }
}
