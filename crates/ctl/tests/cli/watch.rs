//! The live list: lines, formats, resuming, and how it ends.

use std::{
    io::{BufRead, BufReader},
    process::Command,
    sync::Mutex,
};

use sekisho_model::{Change, Digest, Epoch, List, Member, Moment, Position, Revision, Tier};
use sekisho_wire::{Reason, feed, packed, pb::v1 as pb, readable};
use tonic::Status;

use crate::fake::{Fake, Ran, Script, Then, World, ran};

fn member(prefix: &str) -> Member {
    let expires = Moment::from_millis(1_700_000_000_000);
    Member { prefix: prefix.parse().unwrap(), list: List::Block(Tier::Drop), expires }
}

fn at(epoch: i64, revision: i64) -> Position {
    Position { epoch: Epoch(epoch), revision: Revision(revision) }
}

fn snapshot(position: Position, members: &[Member]) -> Vec<pb::WatchResponse> {
    vec![
        feed::welcome(Moment::EPOCH, position),
        feed::snapshot_begin(position, members.len(), Digest::of(members)),
        feed::snapshot_chunk(members),
        feed::snapshot_end(),
    ]
}

/// A delta after which exactly `all` are listed.
fn delta(previous: i64, revision: i64, changes: &[Change], all: &[Member]) -> pb::WatchResponse {
    feed::delta(Revision(previous), Revision(revision), Digest::of(all), packed::encode(changes))
}

fn scripted(scripts: impl IntoIterator<Item = (Vec<pb::WatchResponse>, Then)>) -> Fake {
    let scripts = scripts.into_iter().map(|(messages, then)| Script { messages, then }).collect();
    Fake::plain(World { scripts: Mutex::new(scripts), ..World::default() })
}

/// The columns of each line but the head, without the time.
fn told(ran: &Ran) -> Vec<Vec<&str>> {
    ran.out.lines().skip(1).map(|line| line.split_whitespace().skip(1).collect()).collect()
}

#[test]
fn each_change_is_a_line() {
    let a = member("203.0.113.7");
    let b = Member { list: List::Block(Tier::Suppress), ..member("2001:db8::/64") };
    let allowed = Member { list: List::Allow, ..member("192.0.2.0/24") };
    let mut messages = snapshot(at(9, 5), &[a]);
    messages.push(delta(5, 6, &[Change::Put(b), Change::Put(allowed)], &[a, b, allowed]));
    messages.push(feed::bookmark(at(9, 7), Digest::of(&[a, b, allowed])));
    messages.push(delta(7, 8, &[Change::Remove(a.key())], &[b, allowed]));
    let ran = scripted([(messages, Then::Hold)]).run("watch --limit 3");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.err, "sekishoctl: following from 0000000000000009@5\n");
    assert!(ran.out.starts_with("TIME"), "{}", ran.out);
    let lines = told(&ran);
    assert_eq!(lines[0], ["6", "put", "2001:db8::/64", "suppress", "2023-11-14T22:13:20Z"]);
    assert_eq!(lines[1], ["6", "put", "192.0.2.0/24", "allow", "2023-11-14T22:13:20Z"]);
    assert_eq!(lines[2], ["8", "remove", "203.0.113.7", "drop", "-"]);
}

#[test]
fn programs_get_an_object_a_line() {
    let (a, b) = (member("203.0.113.7"), member("203.0.113.8"));
    let script = || {
        let mut messages = snapshot(at(9, 5), &[a]);
        messages.push(delta(5, 6, &[Change::Put(b), Change::Remove(a.key())], &[b]));
        (messages, Then::Hold)
    };
    let ran = scripted([script()]).run("watch -o json --initial --limit 3");
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert_eq!((&lines[0]["change"], &lines[0]["revision"]), (&"put".into(), &5.into()));
    let gone = lines.iter().find(|line| line["change"] == "remove").unwrap();
    assert_eq!((&gone["prefix"], &gone["list"]), (&"203.0.113.7".into(), &"block".into()));
    assert!(gone.get("expireTime").is_none() && gone["time"].as_str().unwrap().ends_with('Z'));
    let came = lines.iter().find(|line| line["prefix"] == "203.0.113.8").unwrap();
    assert_eq!((&came["tier"], &came["epoch"]), (&"TIER_DROP".into(), &9.into()));
    assert_eq!(came["expireTime"], "2023-11-14T22:13:20Z");
    let yaml = scripted([script()]).run("watch -o yaml --limit 1").out;
    assert!(yaml.starts_with("---\ntime: ") && yaml.contains("\nrevision: 6\n"), "{yaml}");
    let wide = scripted([script()]).run("watch -o wide --limit 1").out;
    assert!(wide.lines().all(|line| line.ends_with("EPOCH") || line.ends_with("0000000000000009")), "{wide}");
}

#[test]
fn it_resumes_where_the_stream_closed() {
    let (a, b) = (member("203.0.113.7"), member("203.0.113.8"));
    let mut first = snapshot(at(9, 5), &[a]);
    first.push(delta(5, 6, &[Change::Put(b)], &[a, b]));
    let welcome = || feed::welcome(Moment::EPOCH, at(9, 7));
    let merged = delta(4, 7, &[Change::Put(b), Change::Remove(a.key())], &[b]);
    let fake = scripted([
        (first, Then::Close),
        (vec![welcome()], Then::Fail(Reason::Stopping.status("stopping"))),
        (vec![welcome(), merged], Then::Hold),
    ]);
    let ran = fake.run("watch --limit 2");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(told(&ran)[1][..3], ["7", "remove", "203.0.113.7"], "what it had is not told twice");
    assert_eq!(ran.err.matches("following again from 0000000000000009@6").count(), 2, "{}", ran.err);
    let starts = fake.world.starts.lock().unwrap();
    assert_eq!(starts[0].position, None);
    for start in &starts[1..] {
        assert_eq!(start.position, Some(readable::position(at(9, 6))));
        assert_eq!(start.digest, readable::digest(Digest::of(&[a, b])));
    }
}

#[test]
fn a_new_epoch_and_a_wrong_digest_lead_to_a_snapshot_told_by_its_differences() {
    let (a, b) = (member("203.0.113.7"), member("203.0.113.8"));
    let mut first = snapshot(at(9, 5), &[a]);
    first.push(delta(5, 6, &[Change::Put(b)], &[a]));
    let fake = scripted([(first, Then::Hold), (snapshot(at(10, 1), &[a, b]), Then::Hold)]);
    let ran = fake.run("watch --limit 1");
    assert_eq!(told(&ran)[0][..3], ["1", "put", "203.0.113.8"]);
    assert!(ran.err.contains("the digest after a delta differs; following again from a snapshot"), "{ran:?}");
    assert_eq!(fake.world.starts.lock().unwrap()[1].position, None);
}

#[test]
fn a_refusal_ends_it() {
    let fake = scripted([(snapshot(at(9, 5), &[]), Then::Close)]);
    let ran = fake.run("watch");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.err.lines().last().unwrap().contains("the script is over (PermissionDenied); give --tls-cert")
    );
    let early = scripted([(vec![], Then::Fail(Status::unavailable("not now")))]).run("watch");
    assert_eq!(early.code, Some(1), "nobody relies on it yet: {early:?}");
    let unsound = scripted([(vec![pb::WatchResponse { kind: None }], Then::Hold)]).run("watch");
    assert_eq!(unsound.code, Some(1));
    assert!(unsound.err.contains("is not sound"), "{}", unsound.err);
}

#[test]
fn an_interruption_is_a_good_end() {
    let fake = scripted([(snapshot(at(9, 5), &[member("203.0.113.7")]), Then::Hold)]);
    let mut child = fake.command("watch --initial").spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(out.next().unwrap().unwrap().starts_with("TIME"));
    assert!(out.next().unwrap().unwrap().contains("203.0.113.7"), "lines come at once");
    let killed = ran(Command::new("kill").arg("-TERM").arg(child.id().to_string()));
    assert_eq!(killed.code, Some(0));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_reader_that_went_away_ends_it() {
    let many: Vec<Member> = (0..5_000).map(|n| member(&format!("203.0.{}.{}", n / 256, n % 256))).collect();
    let fake = scripted([(snapshot(at(9, 5), &many), Then::Hold)]);
    let mut child = fake.command("watch --initial").spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
}
