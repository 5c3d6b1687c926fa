//! The policy: reading it, putting another one in force, and what is said where that fails.

use std::{fs, io::Write, path::Path, process::Stdio};

use sekisho_wire::Reason;

use crate::fake::{Fake, World, program, ran, words};

const POLICY: &str = "window: 5m\nquorum:\n  drop: 3\n";

fn world() -> World {
    World { policy: POLICY.into(), ..World::default() }
}

/// A policy file, and the words that apply it.
fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    let line = format!("apply policy -f {} --reason drill", file.path().to_str().unwrap());
    (file, line)
}

#[test]
fn the_policy_in_force_is_a_policy_file() {
    let fake = Fake::plain(world());
    let ran = fake.run("get policy");
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), POLICY, ""));
    let json: serde_json::Value = serde_json::from_str(&fake.run("get policy -o json").out).unwrap();
    assert_eq!(json, serde_json::json!({"policyYaml": POLICY}));
}

#[test]
fn a_policy_is_applied_from_a_file_and_from_standard_input() {
    let fake = Fake::plain(world());
    let (_file, apply) = file("window: 2m\n");
    let ran = fake.run(&apply);
    let said = "the policy put in force (revision 14)\n203.0.113.7 unblocked\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), said, ""));
    let mut child =
        fake.command("apply policy -f - --reason drill --dry-run").stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"window: 3m\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "the policy would be put in force\n203.0.113.7 would be unblocked\n"
    );
    let orders = fake.world.orders.lock().unwrap();
    assert!(orders[0].contains("policy_yaml: \"window: 2m\\n\", reason: \"drill\""), "{orders:?}");
    assert!(orders[1].contains("window: 3m") && orders[1].contains("dry_run: true"), "{orders:?}");
}

#[test]
fn programs_and_wide_get_the_whole_policy() {
    let fake = Fake::plain(world());
    let (_file, apply) = file("");
    let json = fake.run(&format!("{apply} -o json --request-id deploy-7")).out;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let meant = serde_json::json!({
        "revision": 14, "policyYaml": POLICY, "removed": ["203.0.113.7"],
        "requestId": "deploy-7", "doneRevision": 0,
    });
    assert_eq!(json, meant);
    assert!(fake.run(&format!("{apply} --dry-run -o wide")).out.ends_with(&format!("\n\n{POLICY}")));
}

#[test]
fn a_policy_that_is_no_good_is_said_to_be() {
    let problem = "line 2: quorum.drop: must be from 1 to 64";
    let refusal = Some(Reason::PolicyInvalid.status_about(problem, Some("policy_yaml"), []));
    let fake = Fake::plain(World { refusal, ..world() });
    let (file, apply) = file("window: 5m\nquorum: { drop: 65 }\n");
    let ran = fake.run(&apply);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    let file = file.path().display();
    let start = format!(
        "sekishoctl: --file {file}: {problem} (POLICY_INVALID, field policy_yaml); put the policy right"
    );
    assert!(ran.err.starts_with(&start), "{}", ran.err);
}

#[test]
fn the_policy_in_force_changes_nothing() {
    let refusal = Some(Reason::Unchanged.status("this policy is in force already"));
    let fake = Fake::plain(World { refusal, ..world() });
    let (_file, apply) = file("window: 5m\n");
    let ran = fake.run(&apply);
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""));
    assert!(
        ran.err.starts_with("sekishoctl: nothing changed: this policy is in force already"),
        "{}",
        ran.err
    );
}

#[test]
fn a_file_that_is_no_policy_is_caught_before_the_network() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[0xff, 0xfe]).unwrap();
    let apply = |path: &Path| ran(program().args(words("apply policy --reason x --insecure -f")).arg(path));
    let binary = apply(file.path());
    assert_eq!(binary.code, Some(2), "{binary:?}");
    assert!(binary.err.contains("valid UTF-8"), "{}", binary.err);
    fs::write(file.path(), "#".repeat((512 << 10) + 1)).unwrap();
    let long = apply(file.path());
    assert_eq!(long.code, Some(2), "{long:?}");
    assert!(long.err.contains("a policy has at most 524288 bytes"), "{}", long.err);
    assert_eq!(apply(Path::new("/")).code, Some(2));
}
