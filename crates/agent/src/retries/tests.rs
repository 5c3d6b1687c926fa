//! The values of real network namespaces, on a machine of the test's own: this test program again, in process
//! and network namespaces where nobody else is. Needs root.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sekisho_kernel::sysctl::{set_synack_retries, synack_retries};

use super::{book::Book, value::Values};

/// Says that this is the inner run.
const INSIDE: &str = "SEKISHO_TEST_INSIDE";

/// Runs `test`, the body of the test of this name, where no other process is.
fn alone(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let program = std::env::current_exe().unwrap();
    let words = ["--net", "--pid", "--fork", "--mount-proc", "--"];
    let name = format!("retries::tests::{name}");
    let mut inner = Command::new("unshare");
    inner.args(words).arg(program).args(["--exact", &name, "--test-threads=1"]).env(INSIDE, "1");
    let ran = inner.output().expect("unshare");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// A pod: a process in a network namespace of its own.
struct Pod(Child);

impl Pod {
    fn new() -> Self {
        let pod = Self(Command::new("unshare").args(["--net", "sleep", "120"]).spawn().unwrap());
        let (own, end) =
            (fs::read_link("/proc/self/ns/net").unwrap(), Instant::now() + Duration::from_secs(20));
        while fs::read_link(format!("/proc/{}/ns/net", pod.0.id())).is_ok_and(|at| at == own) {
            assert!(Instant::now() < end, "waited in vain for the pod");
            thread::sleep(Duration::from_millis(2));
        }
        pod
    }

    /// What `sysctl` says of it there; sets it first if there is something to set.
    fn sysctl(&self, set: Option<u8>) -> u8 {
        let at = format!("--net=/proc/{}/ns/net", self.0.id());
        if let Some(value) = set {
            let script = format!("echo {value} > /proc/sys/net/ipv4/tcp_synack_retries");
            assert!(Command::new("nsenter").args([&at, "sh", "-c", &script]).status().unwrap().success());
        }
        let words = [at.as_str(), "cat", "/proc/sys/net/ipv4/tcp_synack_retries"];
        let read = Command::new("nsenter").args(words).output().unwrap();
        String::from_utf8(read.stdout).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn values(dir: &Path, everywhere: bool) -> Values {
    Values::new(Book::open(dir).unwrap(), everywhere, Arc::default())
}

#[test]
fn what_is_lowered_is_given_back() {
    alone("what_is_lowered_is_given_back", || {
        let dir = tempfile::tempdir().unwrap();
        let mut values = values(dir.path(), false);
        for (wanted, value, lowered) in
            [(Some(2), 2, 1), (Some(2), 2, 1), (None, 5, 0), (Some(9), 5, 0), (Some(3), 3, 1)]
        {
            values.turn(wanted);
            assert_eq!((synack_retries().unwrap(), values.lowered()), (value, lowered), "{wanted:?}");
            assert_eq!(Book::is_there(dir.path()), lowered > 0);
        }
        // Another value of ours comes by way of the operator's.
        values.turn(Some(1));
        assert_eq!(synack_retries().unwrap(), 5);
        values.turn(Some(1));
        assert_eq!(synack_retries().unwrap(), 1);
        values.give_back();
        assert_eq!(synack_retries().unwrap(), 5);
    });
}

#[test]
fn a_killed_agent_is_put_right_by_the_next_one() {
    alone("a_killed_agent_is_put_right_by_the_next_one", || {
        let (dir, pod) = (tempfile::tempdir().unwrap(), Pod::new());
        pod.sysctl(Some(6));
        values(dir.path(), true).turn(Some(2));
        assert_eq!((synack_retries().unwrap(), pod.sysctl(None)), (2, 2));
        // It is gone without a word; the next one observes.
        super::recover(dir.path());
        assert_eq!((synack_retries().unwrap(), pod.sysctl(None)), (5, 6));
        assert!(!Book::is_there(dir.path()));
    });
}

#[test]
fn a_kill_between_the_record_and_the_write_does_no_harm() {
    alone("a_kill_between_the_record_and_the_write_does_no_harm", || {
        let dir = tempfile::tempdir().unwrap();
        values(dir.path(), false).turn(Some(2));
        // As if it had not been written.
        set_synack_retries(5).unwrap();
        super::recover(dir.path());
        assert_eq!(synack_retries().unwrap(), 5);
    });
}

#[test]
fn what_the_operator_sets_meanwhile_is_left_alone() {
    alone("what_the_operator_sets_meanwhile_is_left_alone", || {
        let (dir, pod) = (tempfile::tempdir().unwrap(), Pod::new());
        let mut first = values(dir.path(), true);
        first.turn(Some(2));
        set_synack_retries(4).unwrap();
        first.turn(Some(2));
        assert_eq!((synack_retries().unwrap(), pod.sysctl(None), first.lowered()), (4, 2, 1));
        drop(first);
        // Also over a crash.
        pod.sysctl(Some(3));
        super::recover(dir.path());
        assert_eq!((synack_retries().unwrap(), pod.sysctl(None)), (4, 3));
    });
}

#[test]
fn pods_that_come_and_go_are_served() {
    alone("pods_that_come_and_go_are_served", || {
        let (dir, first) = (tempfile::tempdir().unwrap(), Pod::new());
        let mut values = values(dir.path(), true);
        values.turn(Some(2));
        let second = Pod::new();
        second.sysctl(Some(1));
        let third = Pod::new();
        values.turn(Some(2));
        assert_eq!([&first, &second, &third].map(|pod| pod.sysctl(None)), [2, 1, 2], "1 is lower already");
        assert_eq!(values.lowered(), 3);
        drop(first);
        values.turn(Some(2));
        assert_eq!(values.lowered(), 2, "what is gone has taken its value with it");
        values.give_back();
        assert_eq!([&second, &third].map(|pod| pod.sysctl(None)), [1, 5]);
    });
}
