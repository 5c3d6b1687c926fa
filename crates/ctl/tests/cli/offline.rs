//! Replays without an aggregator, over the data directory of one.

use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sekisho_history::records::FORMAT;
use sekisho_model::{Batch, Input, Moment, Observation, Totals, Unit};
use sekisho_store::{Log, Options, Record, Store};
use sekisho_wire::log;
use serde_json::Value;
use tempfile::TempDir;

use crate::fake::{Ran, program, ran};

const VICTIMS: [&str; 2] = ["203.0.113.7", "203.0.113.8"];

/// A data directory of which an aggregator went away: three hosts saw both victims.
struct Left {
    root: TempDir,
}

impl Left {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        drop(written(&root.path().join("data")));
        Self { root }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn policy(&self, text: &str) -> PathBuf {
        let path = self.root.path().join("policy.yaml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Neither an aggregator nor certificates are named.
    fn replay(&self, policy: &str, flags: &[&str]) -> Ran {
        replay(&self.data(), &self.policy(policy), flags)
    }
}

fn replay(dir: &Path, policy: &Path, flags: &[&str]) -> Ran {
    let mut command = program();
    command.arg("replay").arg("--data-dir").arg(dir).arg("--policy").arg(policy);
    ran(command.args(flags))
}

fn written(dir: &Path) -> Store {
    let mut store = Store::open(dir, Options::default()).unwrap();
    for (host, sequence) in ["a", "b", "c"].into_iter().zip(1..) {
        let payload = log::encode(&[Input::Batch(batch(host))]);
        let time = Moment::from_millis(1_700_000_000_000 + 1_000 * i64::try_from(sequence).unwrap());
        store.append(Record { format: FORMAT, writer: 1, sequence, time, payload: &payload }).unwrap();
    }
    store
}

fn batch(host: &str) -> Batch {
    let row =
        |victim: &str| Observation { unit: Unit::of(victim.parse().unwrap()), sockets: 1, retransmits: 1 };
    Batch {
        host: host.parse().unwrap(),
        session: 1,
        sequence: 1,
        age: Duration::ZERO,
        observations: VICTIMS.map(row).to_vec(),
        hits: vec![],
        completed: vec![],
        totals: Totals::default(),
    }
}

fn json(ran: &Ran) -> Value {
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn the_policy_that_was_in_force_differs_in_nothing() {
    let same = json(&Left::new().replay("quorum: { suppress: 2, drop: 3 }\n", &["-o", "json"]));
    assert_eq!(same["differences"], Value::Array(vec![]));
    let summary = &same["summary"];
    assert_eq!((&summary["happened"], &summary["inBoth"]), (&2.into(), &2.into()), "{summary}");
    assert_eq!((&summary["logEntries"], &summary["observations"]), (&3.into(), &6.into()));
    assert_eq!(summary["startTime"], "2023-11-14T22:13:21Z");
}

#[test]
fn a_stricter_policy_lists_fewer() {
    let left = Left::new();
    let stricter = "quorum: { suppress: 4, drop: 5 }\n";
    let table = left.replay(stricter, &["--since", "24h"]);
    assert_eq!((table.code, table.err.as_str()), (Some(0), ""), "{table:?}");
    for part in ["203.0.113.7  fewer  drop 2023-11-14T22:13:22Z to now", "\nDifferences:      2\n"] {
        assert!(table.out.contains(part), "{part}\nis not in\n{}", table.out);
    }
    let fewer = json(&left.replay(stricter, &["-o", "json"]));
    for (at, victim) in VICTIMS.into_iter().enumerate() {
        let told = &fewer["differences"][at];
        assert_eq!(
            (&told["prefix"], &told["kind"]),
            (&victim.into(), &"REPLAY_DIFFERENCE_KIND_FEWER".into())
        );
        assert!(told["happened"]["tier"] == "TIER_DROP" && told.get("wouldHave").is_none(), "{told}");
    }
    let gentler = json(&left.replay("quorum: { suppress: 1, drop: 2 }\n", &["-o", "json"]));
    assert_eq!(gentler["differences"][1]["kind"], "REPLAY_DIFFERENCE_KIND_EARLIER", "{gentler}");
}

/// Every file of `dir`, with its length and when it was last written.
fn files(dir: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let told = |path: PathBuf, of: &Metadata| (path, of.len(), of.modified().unwrap());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let of = fs::metadata(&path).unwrap();
        if of.is_dir() { found.extend(files(&path)) } else { found.push(told(path, &of)) }
    }
    found.sort();
    found
}

#[test]
fn a_directory_is_only_read_also_one_in_use() {
    let left = Left::new();
    let used = left.root.path().join("used");
    let store = written(&used);
    let policy = left.policy("quorum: { suppress: 4, drop: 5 }\n");
    for dir in [left.data(), used] {
        let before = files(&dir);
        assert!(before.len() > 3, "{before:?}");
        let fewer = json(&replay(&dir, &policy, &["-o", "json"]));
        assert_eq!(fewer["summary"]["differences"], 2, "{fewer}");
        assert_eq!(files(&dir), before);
    }
    drop(store);
}

#[test]
fn what_was_told_wrong_is_said_in_one_line() {
    let left = Left::new();
    let here = left.root.path().to_owned();
    fs::create_dir(here.join("other")).unwrap();
    fs::write(here.join("other/FORMAT"), "something else\n").unwrap();
    let good = left.policy("window: 5m\n");
    let bad = here.join("bad.yaml");
    fs::write(&bad, "window: 5m\nquorum: { drop: 0 }\n").unwrap();
    for (dir, policy, part) in [
        (here.join("nowhere"), good.clone(), "nowhere holds no store; name the data directory"),
        (here.clone(), good.clone(), "holds no store; name the data directory of an aggregator"),
        (bad.clone(), good.clone(), "bad.yaml is no directory; name the data directory"),
        (here.join("other"), good, "other is no store but holds"),
        (left.data(), bad, "bad.yaml:2: quorum.drop"),
        (left.data(), here.join("none.yaml"), "none.yaml: No such file"),
    ] {
        let wrong = replay(&dir, &policy, &[]);
        assert_eq!((wrong.code, wrong.out.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(wrong.err.contains(part), "{part}: {}", wrong.err);
        assert_eq!(wrong.err.lines().count(), 1, "{}", wrong.err);
    }
}

#[test]
fn a_log_that_cannot_be_replayed_is_a_failure() {
    let left = Left::new();
    let empty = left.root.path().join("empty");
    drop(Store::open(&empty, Options::default()).unwrap());
    let failed = replay(&empty, &left.policy(""), &[]);
    assert_eq!((failed.code, failed.out.as_str()), (Some(1), ""), "{failed:?}");
    assert_eq!(failed.err, "sekishoctl: the log is empty; there is nothing to replay\n");
}
