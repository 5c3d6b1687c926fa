//! Replays: what is sent, the differences, the summary, and how they fail.

use std::{fs, sync::Mutex};

use sekisho_wire::{
    Reason,
    pb::v1::{self as pb, replay_response::Kind},
};

use crate::fake::{Fake, Ran, Script, Then, World, seconds};

fn step(kind: Kind) -> pb::ReplayResponse {
    pb::ReplayResponse { kind: Some(kind) }
}

fn listing(tier: pb::Tier, end: Option<i64>, listings: i32) -> Option<pb::ReplayListing> {
    let (start_time, end_time) = (seconds(1_700_000_000), end.and_then(seconds));
    Some(pb::ReplayListing { tier: tier as i32, start_time, end_time, listings })
}

fn difference(
    prefix: &str,
    kind: pb::ReplayDifferenceKind,
    happened: Option<pb::ReplayListing>,
    would_have: Option<pb::ReplayListing>,
) -> pb::ReplayResponse {
    step(Kind::Difference(pb::ReplayDifference {
        prefix: prefix.into(),
        kind: kind as i32,
        happened,
        would_have,
    }))
}

fn summary() -> pb::ReplayResponse {
    step(Kind::Summary(pb::ReplaySummary {
        start_time: seconds(1_700_000_000),
        end_time: seconds(1_700_086_400),
        log_entries: 50_000,
        observations: 1_234_567,
        happened: 4,
        would_have: 5,
        in_both: 3,
        differences: 2,
        left_out: 0,
        elapsed: Some(prost_types::Duration { seconds: 61, nanos: 0 }),
        caveats: vec!["rows that changed nothing are not in the log".into()],
    }))
}

fn steps() -> Vec<pb::ReplayResponse> {
    use pb::ReplayDifferenceKind::{More, OtherTier};
    vec![
        step(Kind::Progress(pb::ReplayProgress { done: 1, total: 2, time: seconds(1_700_000_000) })),
        difference("203.0.113.7", More, None, listing(pb::Tier::Suppress, None, 1)),
        difference(
            "203.0.113.8",
            OtherTier,
            listing(pb::Tier::Drop, Some(1_700_000_600), 3),
            listing(pb::Tier::Suppress, Some(1_700_000_600), 1),
        ),
        summary(),
    ]
}

fn replayed(messages: Vec<pb::ReplayResponse>, then: Then, flags: &str) -> (Fake, Ran) {
    let replays = Mutex::new([Script { messages, then }].into());
    let fake = Fake::plain(World { replays, ..World::default() });
    let policy = tempfile::NamedTempFile::new().unwrap();
    fs::write(policy.path(), "quorum: { drop: 2 }\n").unwrap();
    let ran = fake.run(&format!("replay --policy {} {flags}", policy.path().to_str().unwrap()));
    (fake, ran)
}

#[test]
fn differences_are_columns_and_the_summary_follows() {
    let (fake, ran) = replayed(steps(), Then::Close, "--since 24h");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "no progress where nobody waits: {ran:?}");
    for part in [
        "PREFIX       KIND        HAPPENED",
        "203.0.113.7  more        not listed",
        "suppress 2023-11-14T22:13:20Z to now\n",
        "drop 2023-11-14T22:13:20Z to 2023-11-14T22:23:20Z, 3 times",
        "\nObservations:     1,234,567\n",
        "\nWould be listed:  5\n",
        "\nTook:             1m1s\n",
        "\nCaveat:           rows that changed nothing are not in the log\n",
    ] {
        assert!(ran.out.contains(part), "{part}\nis not in\n{}", ran.out);
    }
    let asked = fake.world.asked.lock().unwrap();
    assert!(asked[0].contains("quorum: { drop: 2 }") && asked[0].contains("seconds: 86400"), "{asked:?}");
}

#[test]
fn programs_get_one_object() {
    let (fake, ran) = replayed(steps(), Then::Close, "-o json");
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(json["differences"][0]["kind"], "REPLAY_DIFFERENCE_KIND_MORE");
    assert!(json["differences"][0].get("happened").is_none());
    assert_eq!(json["differences"][1]["wouldHave"]["tier"], "TIER_SUPPRESS");
    assert_eq!(json["differences"][1]["happened"]["endTime"], "2023-11-14T22:23:20Z");
    assert_eq!((&json["summary"]["inBoth"], &json["summary"]["elapsed"]), (&3.into(), &"61s".into()));
    assert!(fake.world.asked.lock().unwrap()[0].contains("since: None"));
    let (_, yaml) = replayed(steps(), Then::Close, "-o yaml");
    assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&yaml.out).unwrap(), json);
}

#[test]
fn a_replay_that_does_not_come_to_its_end_is_a_failure() {
    let (_, cut) = replayed(vec![], Then::Close, "");
    assert_eq!((cut.code, cut.out.as_str()), (Some(1), ""));
    assert!(cut.err.contains("ended without a summary"), "{}", cut.err);
    let (_, unknown) = replayed(vec![pb::ReplayResponse { kind: None }], Then::Close, "");
    assert!(unknown.err.contains("is not sound"), "{}", unknown.err);
    let short = Reason::LogTruncated.status("the log begins 3h ago");
    let (_, short) = replayed(vec![], Then::Fail(short), "--since 24h");
    assert_eq!(short.code, Some(1));
    let said = "sekishoctl: the log begins 3h ago (LOG_TRUNCATED); compare less by --since\n";
    assert_eq!(short.err, said);
}

#[test]
fn a_wrong_policy_names_its_file_and_an_empty_log_is_said_to_be_empty() {
    let wrong = Reason::PolicyInvalid.status_about("line 1: no", Some("policy_yaml"), []);
    let (_, wrong) = replayed(vec![], Then::Fail(wrong), "");
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(
        wrong.err.starts_with("sekishoctl: --policy /") && wrong.err.contains(": line 1: no ("),
        "{}",
        wrong.err
    );
    let (_, empty) = replayed(vec![], Then::Fail(Reason::NotFound.status("the log is empty")), "");
    assert_eq!(
        (empty.code, empty.err.as_str()),
        (Some(1), "sekishoctl: the log is empty; there is nothing to replay\n")
    );
}
