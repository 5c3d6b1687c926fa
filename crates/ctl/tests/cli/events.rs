//! What happened and what happens: pages, filters, lines, resuming.

use std::sync::Mutex;

use sekisho_wire::{Reason, pb::v1 as pb};

use crate::fake::{Fake, Script, Then, World, event, listing};

fn world() -> World {
    let removed = pb::EntryRemoved {
        entry: Some(crate::fake::entry("203.0.113.1")),
        reason: pb::RemovalReason::Quiet as i32,
        ..pb::EntryRemoved::default()
    };
    let flooded =
        pb::HostFlooded { host_id: "edge-1".into(), reason: pb::FloodReason::Cookies as i32, units: 0 };
    let events = vec![
        event(9, pb::event::Kind::Removed(removed)),
        event(8, pb::event::Kind::HostFlooded(flooded)),
        listing(7, "203.0.113.2"),
        listing(6, "203.0.113.1"),
        pb::Event { kind: None, ..listing(5, "203.0.113.1") },
    ];
    World { events, page: 2, ..World::default() }
}

#[test]
fn events_are_columns_the_newest_first() {
    let fake = Fake::plain(world());
    let ran = fake.run("get events");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 6, "every page is read: {}", ran.out);
    assert!(
        lines[0].starts_with("TIME                  REVISION  KIND          ABOUT        WHAT"),
        "{}",
        ran.out
    );
    assert!(lines[1].ends_with(
        "9         removed       203.0.113.1  the attack had ended: nothing was seen of it for a while"
    ));
    assert!(lines[2].contains("host-flooded  edge-1       its kernel answers by SYN cookies"), "{}", ran.out);
    assert!(lines[3].ends_with("at drop: 4 hosts saw it stuck, 3 asked for"), "{}", ran.out);
    assert!(lines[5].ends_with("5         unknown       -            of a newer version"), "{}", ran.out);
    let wide = fake.run("get events -o wide").out;
    let lines: Vec<&str> = wide.lines().collect();
    assert!(lines[3].contains("4 hosts saw it stuck, 3 asked for (edge-1, edge-2)"), "{wide}");
    assert!(lines[0].contains("REVISION  ORDINAL  KIND") && lines[0].ends_with("  DO"), "{wide}");
    assert!(lines[1].ends_with("  -") && lines[2].ends_with("  look at its load and its backlog"), "{wide}");
}

#[test]
fn programs_get_the_names_of_the_api() {
    let fake = Fake::plain(world());
    let json: serde_json::Value = serde_json::from_str(&fake.run("get events -o json").out).unwrap();
    let events = json["events"].as_array().unwrap();
    assert_eq!(events.len(), 5);
    assert_eq!(events[0]["removed"]["reason"], "REMOVAL_REASON_QUIET");
    assert_eq!(events[1]["hostFlooded"]["hostId"], "edge-1");
    assert_eq!(events[2]["listed"]["entry"]["prefix"], "203.0.113.2");
    assert_eq!(events[2]["listed"]["hostIds"], serde_json::json!(["edge-1", "edge-2"]));
    assert_eq!((&events[2]["revision"], &events[2]["ordinal"]), (&7.into(), &0.into()));
    assert_eq!(events[2]["time"], "2023-11-14T22:13:27Z");
    assert_eq!(events[4].as_object().unwrap().len(), 3, "{}", events[4]);
    let yaml: serde_json::Value = serde_saphyr::from_str(&fake.run("get events -o yaml").out).unwrap();
    assert_eq!(yaml, json);
}

#[test]
fn filters_are_sent_and_a_cut_is_said() {
    let fake = Fake::plain(world());
    let ran = fake.run("get events --prefix 203.0.113.0/24 --kind listed,host-flooded --since 24h --limit 3");
    assert_eq!((ran.code, ran.out.lines().count()), (Some(0), 4));
    assert_eq!(ran.err, "sekishoctl: these are the newest 3; --limit shows more\n");
    assert_eq!(*fake.world.pages.lock().unwrap(), [4, 2]);
    for asked in fake.world.asked.lock().unwrap().iter() {
        assert!(asked.contains("prefix: \"203.0.113.0/24\", kinds: [Listed, HostFlooded]"), "{asked}");
        assert!(asked.contains("since: Some(Duration { seconds: 86400"), "{asked}");
    }
    let all = fake.run("get events --limit 5");
    assert_eq!((all.out.lines().count(), all.err.as_str()), (6, ""), "nothing is left out");
}

fn place(epoch: i64, revision: i64) -> Option<pb::EventPlace> {
    Some(pb::EventPlace { epoch, revision, ordinal: 0 })
}

fn at(revision: i64) -> pb::WatchEventsResponse {
    pb::WatchEventsResponse { event: None, place: place(9, revision) }
}

fn told(revision: i64, prefix: &str) -> pb::WatchEventsResponse {
    pb::WatchEventsResponse { event: Some(listing(revision, prefix)), place: place(9, revision) }
}

fn scripted(scripts: impl IntoIterator<Item = (Vec<pb::WatchEventsResponse>, Then)>) -> Fake {
    let news = scripts.into_iter().map(|(messages, then)| Script { messages, then }).collect();
    Fake::plain(World { news: Mutex::new(news), ..World::default() })
}

#[test]
fn each_event_is_a_line() {
    let script = || scripted([(vec![at(5), told(6, "203.0.113.1"), at(7), told(8, "::1")], Then::Hold)]);
    let fake = script();
    let ran = fake.run("watch events --kind listed --limit 2");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), "sekishoctl: following from revision 5\n"), "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", ran.out);
    assert!(lines[0].starts_with("TIME  ") && lines[0].ends_with("  WHAT"), "{}", ran.out);
    assert!(lines[2].contains("  8           listed              ::1  "), "{}", ran.out);
    let asked = fake.world.asked.lock().unwrap();
    assert!(asked[0].contains("kinds: [Listed], after: None"), "{asked:?}");
    let json = script().run("watch events -o json --limit 2").out;
    let lines: Vec<serde_json::Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["revision"], lines.len()), (&6.into(), 2));
    assert!(script().run("watch events -o yaml --limit 1").out.starts_with("---\nrevision: 6\n"));
}

#[test]
fn it_resumes_where_the_stream_closed() {
    let fake = scripted([
        (vec![at(5), told(6, "203.0.113.1")], Then::Close),
        (vec![at(7)], Then::Fail(Reason::Stopping.status("stopping"))),
        (vec![told(8, "203.0.113.2")], Then::Hold),
    ]);
    let ran = fake.run("watch events --limit 2");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out.lines().count(), 3, "one head, two events: {}", ran.out);
    assert!(ran.err.contains("following again from revision 6\n"), "{}", ran.err);
    assert!(ran.err.contains("following again from revision 7\n"), "{}", ran.err);
    let asked = fake.world.asked.lock().unwrap();
    assert!(asked[2].contains("EventPlace { epoch: 9, revision: 7, ordinal: 0 }"), "{asked:?}");
}

#[test]
fn another_log_is_said() {
    let other = pb::WatchEventsResponse { event: None, place: place(10, 1) };
    let news = pb::WatchEventsResponse { place: place(10, 2), ..told(2, "203.0.113.2") };
    let fake = scripted([(vec![at(5)], Then::Close), (vec![other, news], Then::Hold)]);
    let ran = fake.run("watch events --limit 1");
    assert!(ran.err.contains("the log is another one; following from its revision 1"), "{ran:?}");
    assert_eq!(ran.code, Some(0));
}

#[test]
fn a_refusal_ends_it() {
    let fake = scripted([(vec![at(5)], Then::Close)]);
    let ran = fake.run("watch events");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.lines().last().unwrap().contains("the script is over (PermissionDenied)"), "{ran:?}");
    let early = scripted([(vec![], Then::Close)]).run("watch events");
    assert_eq!(early.code, Some(1), "nobody relies on it yet: {early:?}");
    let unsound = pb::WatchEventsResponse { event: None, place: None };
    let unsound = scripted([(vec![unsound], Then::Hold)]).run("watch events");
    assert_eq!(unsound.code, Some(1));
    assert!(unsound.err.contains("is not sound"), "{}", unsound.err);
    let old = Fake::plain(World { refusal: Some(tonic::Status::unimplemented("")), ..World::default() });
    assert!(old.run("get events").err.contains("another version"));
}
