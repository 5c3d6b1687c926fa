//! What stuck handshakes can be seen by.

use std::time::Instant;

use sekisho_kernel::{Diag, Tracked};
use sekisho_model::Sensor;

use super::{Finding, State};
use crate::sensor::{Unused, open};

/// All of it.
pub fn look() -> Vec<Finding> {
    vec![sockets(), endings(), conntrack(), further(Sensor::Tracepoint)]
}

fn sockets() -> Finding {
    let begun = Instant::now();
    match Diag::open().and_then(|mut diag| diag.half_open(|_| ())) {
        Ok(pass) => {
            let took = begun.elapsed().as_micros();
            Finding::works("sock_diag", format!("{} half-open sockets, in {took} µs", pass.rows))
        }
        Err(error) => Finding::fails("sock_diag", &error)
            .advise("load the modules inet_diag and tcp_diag: without them no handshake is seen"),
    }
}

fn endings() -> Finding {
    let name = "SOCK_DESTROY";
    match Diag::open().and_then(|mut diag| diag.can_destroy()) {
        Ok(true) => Finding::works(name, "half-open sockets of new entries are ended at once"),
        Ok(false) => Finding::new(
            name,
            State::Absent,
            "the kernel lacks CONFIG_INET_DIAG_DESTROY; a rule on output ends them at their next timer",
        ),
        Err(error) => Finding::new(name, State::Unknown, error.to_string()),
    }
}

fn conntrack() -> Finding {
    match Tracked::read() {
        Some(tracked) if is_nearly_full(&tracked) => {
            let what = format!("{} connections of at most {} are tracked", tracked.count, tracked.limit);
            Finding::new("conntrack", State::Suspicious, what)
                .advise("raise net.netfilter.nf_conntrack_max: what finds no room is dropped by the kernel")
        }
        _ => further(Sensor::Conntrack),
    }
}

fn is_nearly_full(tracked: &Tracked) -> bool {
    tracked.count > 0 && tracked.count.saturating_mul(10) >= tracked.limit.saturating_mul(9)
}

/// A sensor beside sock_diag, taken into use as the agent would by itself.
fn further(sensor: Sensor) -> Finding {
    found(sensor, open(sensor, true).map(drop))
}

fn found(sensor: Sensor, opened: Result<(), Unused>) -> Finding {
    match opened {
        Ok(()) => Finding::works(sensor.as_str(), "can be used, and is used where --sensors is auto"),
        Err(unused) => Finding::new(sensor.as_str(), State::Absent, unused.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_of_connections_is_suspicious() {
        let is_full = |count, limit| is_nearly_full(&Tracked { count, limit });
        assert_eq!([is_full(0, 0), is_full(89, 100), is_full(90, 100)], [false, false, true]);
    }

    #[test]
    fn the_sensors_are_no_failure_but_the_first() {
        for unused in [Unused::NotYet("not yet"), Unused::Never("never".into())] {
            assert_eq!(found(Sensor::Tracepoint, Err(unused)).state, State::Absent);
        }
        assert_eq!(found(Sensor::Conntrack, Ok(())).state, State::Works);
        assert_eq!(sockets().state, State::Works);
    }
}
