//! `sekisho-agent check` as a program, in network namespaces of its own. Needs root.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::process::{Command, Output};

use serde_json::Value;

/// Runs `script` in a fresh network namespace, where `$AGENT` is the agent.
fn apart(script: &str) -> Output {
    let mut shell = Command::new("unshare");
    shell.args(["--net", "sh", "-c", script]).env("AGENT", env!("CARGO_BIN_EXE_sekisho-agent"));
    for name in ["SEKISHO_AGGREGATOR", "SEKISHO_STATE_DIR", "SEKISHO_CONFIG", "SEKISHO_INSECURE"] {
        shell.env_remove(name);
    }
    shell.output().unwrap()
}

fn state(answer: &Value, name: &str) -> String {
    let found = answer["checks"].as_array().unwrap().iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {answer}"))["state"].as_str().unwrap().to_owned()
}

#[test]
fn where_all_is_there_enforcing_can_work_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let ran = apart(&format!(
        "nft add table inet others; before=$(nft list ruleset); \
         $AGENT check -o json --state-dir {} || exit; \
         test \"$before\" = \"$(nft list ruleset)\"",
        dir.path().display()
    ));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let answer: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(answer["enforce"], true);
    for name in
        ["sock_diag", "nf_tables", "table", "rehearsal", "capabilities", "state directory", "send buffer"]
    {
        assert_eq!(state(&answer, name), "works", "{name} in {answer}");
    }
    assert_eq!(state(&answer, "aggregator"), "unknown");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn without_the_capability_it_fails_and_says_what_to_do() {
    let ran = apart("setpriv --bounding-set -net_admin --inh-caps -net_admin $AGENT check");
    let (said, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert_eq!(ran.status.code(), Some(1), "{said}{error}");
    assert!(said.contains("FAILS      capabilities       no CAP_NET_ADMIN"), "{said}");
    assert!(said.contains("AmbientCapabilities=CAP_NET_ADMIN"), "{said}");
    assert!(said.contains("works      sock_diag "), "{said}");
    assert!(
        error.starts_with("sekisho-agent: enforcing cannot work here: capabilities, nf_tables"),
        "{error}"
    );
}

#[test]
fn a_table_that_is_not_ours_stands_in_the_way() {
    let ran = apart("nft add table inet sekisho; nft add chain inet sekisho mine; $AGENT check");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("FAILS      table ") && said.contains("nft delete table inet sekisho"), "{said}");
}

#[test]
fn an_aggregator_that_does_not_answer_is_told_and_hinders_nothing() {
    let ran = apart("ip link set lo up; $AGENT check --insecure --aggregator http://127.0.0.1:1 -o json");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let answer: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(state(&answer, "aggregator"), "suspicious");
}

#[test]
fn what_blinds_the_sensor_is_refused_at_the_start() {
    let ran = apart(
        "$AGENT --insecure --host-id a --aggregator http://127.0.0.1:1 --mode enforce --state-dir /nowhere --synack-retries 0",
    );
    let error = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(64), "{error}");
    assert!(error.contains("--synack-retries 0 blinds the sensor"), "{error}");
}
