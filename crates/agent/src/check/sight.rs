//! What stuck handshakes can be seen by.

use std::time::Instant;

use sekisho_kernel::{
    Diag,
    probe::{self, Conntrack, Tracepoint},
};

use super::{Finding, State};

/// All of it.
pub fn look() -> Vec<Finding> {
    vec![sockets(), endings(), conntrack(probe::conntrack()), tracepoint(&probe::tracepoint())]
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

fn conntrack(found: Conntrack) -> Finding {
    let name = "conntrack";
    match found {
        Conntrack::Absent => {
            Finding::new(name, State::Absent, "it is not loaded here, and is never loaded for this program")
        }
        Conntrack::Present { entries: 0, .. } => {
            Finding::new(name, State::Absent, "nothing is tracked in this network namespace")
        }
        Conntrack::Present { entries, limit } if entries.saturating_mul(10) >= limit.saturating_mul(9) => {
            Finding::new(name, State::Suspicious, format!("{entries} entries of at most {limit}"))
                .advise("raise net.netfilter.nf_conntrack_max: what finds no room is dropped by the kernel")
        }
        Conntrack::Present { entries, limit } => {
            Finding::works(name, format!("in use: {entries} entries of at most {limit}"))
        }
    }
}

fn tracepoint(found: &Tracepoint) -> Finding {
    let name = "tracepoint";
    let absent = |what: &str| Finding::new(name, State::Absent, what);
    match found {
        Tracepoint::Readable => Finding::works(name, "tcp:tcp_retransmit_synack may be read"),
        Tracepoint::NotMounted => absent("tracefs is not mounted")
            .advise("mount -t tracefs nodev /sys/kernel/tracing, to see every network namespace at once"),
        Tracepoint::Refused => absent("tcp:tcp_retransmit_synack may not be read")
            .advise("run as root, to see every network namespace at once"),
        Tracepoint::Absent => absent("the kernel has no tcp:tcp_retransmit_synack"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_of_connections_is_suspicious() {
        let state = |entries, limit| conntrack(Conntrack::Present { entries, limit }).state;
        assert_eq!(state(0, 100), State::Absent);
        assert_eq!(state(89, 100), State::Works);
        assert_eq!(state(90, 100), State::Suspicious);
        assert_eq!(conntrack(Conntrack::Absent).state, State::Absent);
    }

    #[test]
    fn the_sensors_are_no_failure_but_the_first() {
        let found = [Tracepoint::NotMounted, Tracepoint::Refused, Tracepoint::Absent];
        assert!(found.iter().all(|found| tracepoint(found).state == State::Absent));
        assert_eq!(sockets().state, State::Works);
    }
}
