//! `tcp_synack_retries` in one network namespace and in others, and what it does.

use std::collections::BTreeMap;

use crate::{
    lab::{Place, Witness, address, in_namespace, sysctl, wait_for},
    suppress::{half_open, listener, service, spoof, with_server},
};
use sekisho_kernel::{Netstat, namespace, sysctl as ours};

#[test]
fn each_namespace_has_a_number_and_a_value_of_its_own() {
    in_namespace(|| {
        let pods = [Place::new(), Place::new()];
        let ids: Vec<_> = pods.iter().map(|pod| pod.run(|| namespace::own().unwrap())).collect();
        let own = namespace::own().unwrap();
        assert!(ids[0] != ids[1] && !ids.contains(&own));
        assert_eq!(own, namespace::own().unwrap());
        sysctl("net/ipv4/tcp_synack_retries", "4");
        pods[0].run(|| ours::set_synack_retries(3).unwrap());
        assert_eq!(ours::synack_retries().unwrap(), 4);
        assert_eq!(pods[0].run(|| ours::synack_retries().unwrap()), 3);
        assert_eq!(pods[1].run(|| ours::synack_retries().unwrap()), 5);
        ours::synack_retries_writable().unwrap();
        assert_eq!(ours::synack_retries().unwrap(), 4);
    });
}

#[test]
fn the_namespaces_of_other_processes_are_gone_through() {
    in_namespace(|| {
        let own = namespace::own().unwrap();
        // A process in a namespace of its own; threads do not show under /proc.
        let mut pod = std::process::Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
        let at = format!("/proc/{}/ns/net", pod.id());
        let ours_at = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let main_at = std::fs::read_link("/proc/self/ns/net").unwrap();
        wait_for("the process to be elsewhere", || {
            let there = std::fs::read_link(&at).ok()?;
            (there != ours_at && there != main_at).then_some(())
        });
        let mut seen = BTreeMap::new();
        let visited = namespace::visit_others(|id| {
            seen.insert(id, ours::synack_retries().unwrap());
        });
        let visited = visited.unwrap();
        assert_eq!((visited.entered, visited.refused), (seen.len(), 0));
        assert!(!visited.truncated && !seen.contains_key(&own));
        // The one that the tests were started in, and the process's.
        assert!(seen.len() >= 2, "{seen:?}");
        assert_eq!(namespace::own().unwrap(), own, "this thread has not moved");
        pod.kill().unwrap();
        pod.wait().unwrap();
    });
}

#[test]
fn a_lower_value_holds_for_handshakes_that_are_half_open_already() {
    with_server(|outside| {
        let (listener, witness) = (listener(), Witness::new());
        let victim = address("203.0.113.7");
        let before = Netstat::read().unwrap();
        spoof(outside, victim, service(&listener, victim), 20);
        wait_for("the first SYN-ACKs", || (witness.total() == 20).then_some(()));
        assert_eq!(ours::synack_retries().unwrap(), 5);
        ours::set_synack_retries(1).unwrap();
        wait_for("the end of the handshakes", || (half_open() == 0).then_some(()));
        assert_eq!(witness.total(), 40, "one retransmit each, and not five");
        // What the kernel counts as sent again: SYN-ACKs are among it.
        assert_eq!(Netstat::read().unwrap().syn_retransmits - before.syn_retransmits, 20);
    });
}
