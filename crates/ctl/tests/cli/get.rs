//! Reading: pages, formats, details and the status.

use sekisho_wire::pb::v1 as pb;

use crate::fake::{Fake, World, allowance, entry, host, seconds};

fn world() -> World {
    let position = Some(pb::Position { epoch: 9, revision: 43 });
    World {
        entries: ["203.0.113.1", "203.0.113.2", "203.0.113.3", "198.51.100.0/24", "2001:db8::/64"]
            .map(entry)
            .to_vec(),
        witnesses: vec![pb::Witness {
            host_id: "edge-1".into(),
            seen_time: seconds(1_700_000_000),
            retransmits: 3,
            zone: "east".into(),
            ..pb::Witness::default()
        }],
        allowlist: ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(allowance).to_vec(),
        hosts: ["edge-1", "edge-2", "edge-3"].map(host).to_vec(),
        status: pb::GetStatusResponse {
            position,
            digest: "00ff".into(),
            entries: 5,
            drop_quorum: 3,
            log_writable: true,
            version: "0.1.0".into(),
            ..pb::GetStatusResponse::default()
        },
        page: 2,
        ..World::default()
    }
}

/// Runs it, and wants success and a silent standard error.
fn read(fake: &Fake, args: &str) -> String {
    let ran = fake.run(args);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{args}");
    ran.out
}

#[test]
fn every_page_is_read() {
    let fake = Fake::plain(world());
    let out = read(&fake, "get entries");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 6, "{out}");
    assert!(lines[0].starts_with("PREFIX           TIER  REASON  HOSTS  EXPIRES-IN  AGE"), "{out}");
    assert!(lines[4].starts_with("198.51.100.0/24  drop  quorum  4/3    "), "{out}");
    assert_eq!(*fake.world.pages.lock().unwrap(), [1000, 1000, 1000]);
    assert_eq!(read(&fake, "get allowlist").lines().count(), 4);
    assert_eq!(read(&fake, "get hosts").lines().count(), 4);
}

#[test]
fn a_limit_ends_the_paging() {
    let fake = Fake::plain(world());
    assert_eq!(read(&fake, "get entries --limit 3").lines().count(), 4);
    assert_eq!(*fake.world.pages.lock().unwrap(), [3, 1]);
    assert_eq!(fake.run("get entries --limit 0").code, Some(2));
}

#[test]
fn json_and_yaml_have_the_names_of_the_api() {
    let fake = Fake::plain(world());
    let json: serde_json::Value = serde_json::from_str(&read(&fake, "get entries -o json")).unwrap();
    assert_eq!(json["entries"].as_array().unwrap().len(), 5);
    assert_eq!(json["entries"][0]["prefix"], "203.0.113.1");
    assert_eq!(json["entries"][0]["tier"], "TIER_DROP");
    assert_eq!(json["entries"][0]["reason"]["quorum"]["hosts"], 4);
    assert_eq!(json["entries"][0]["createTime"], "2023-11-14T22:13:20Z");
    let yaml: serde_json::Value = serde_saphyr::from_str(&read(&fake, "-o yaml get entries")).unwrap();
    assert_eq!(yaml, json);
    let json: serde_json::Value = serde_json::from_str(&read(&fake, "get hosts -o json")).unwrap();
    assert_eq!(json["hosts"][2]["hostId"], "edge-3");
    assert_eq!(json["hosts"][2]["applied"], serde_json::json!({"epoch": 9, "revision": 40}));
    assert_eq!(json["hosts"][2]["totals"]["droppedPackets"], 77);
    assert_eq!(json["hosts"][2]["totals"]["answers"]["withheld"], 9);
    let json: serde_json::Value = serde_json::from_str(&read(&fake, "get allowlist -o json")).unwrap();
    assert_eq!(json["entries"][0]["operator"], "ana");
    assert!(json["entries"][0].get("expireTime").is_none());
}

#[test]
fn empty_lists_are_lists() {
    let fake = Fake::plain(World { page: 2, ..World::default() });
    assert_eq!(read(&fake, "get entries").lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&read(&fake, "get entries -o json")).unwrap();
    assert_eq!(json, serde_json::json!({"entries": []}));
}

#[test]
fn wide_has_more_columns() {
    let fake = Fake::plain(world());
    let out = read(&fake, "get entries -o wide");
    assert!(
        out.lines().next().unwrap().ends_with("REVISION  RENEWALS  REPEATS  CREATED               EXPIRES")
    );
    assert!(out.lines().nth(1).unwrap().ends_with("2023-11-14T22:13:20Z  3000-01-01T00:00:00Z"), "{out}");
    let out = read(&fake, "get hosts -o wide");
    let head: Vec<&str> = out.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        head[7..],
        [
            "GUARDS",
            "VERSION",
            "ADDRESSES",
            "HALF-OPEN",
            "COOKIES",
            "COMPLETED",
            "DROPPED",
            "SENSORS",
            "TRUNCATED-BY",
            "REFUSAL"
        ]
    );
    let row: Vec<&str> = out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..6], ["edge-1", "east", "enforce", "yes", "40", "3"]);
    let rest =
        ["-", "0.1.0", "198.51.100.7", "5", "0", "0", "77", "sock_diag,tracepoint", "trace_overrun", "-"];
    assert_eq!(row[7..], rest);
    assert!(read(&fake, "get allowlist -o wide").contains("never"));
}

#[test]
fn text_from_the_network_cannot_steer_the_terminal() {
    let order = pb::OrderReason { operator: "ana".into(), text: "\u{1b}[2Jgone\r\nforged  line".into() };
    let mut bad = entry("203.0.113.9");
    bad.reason = Some(pb::Reason { kind: Some(pb::reason::Kind::Order(order)) });
    let fake = Fake::plain(World { entries: vec![bad], page: 2, ..World::default() });
    let out = read(&fake, "get entries");
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.contains("ana: [2Jgoneforged  line") && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn one_entry_and_one_host_in_full() {
    let fake = Fake::plain(world());
    let out = read(&fake, "describe entry 203.0.113.2");
    assert!(out.contains("Prefix:    203.0.113.2\n") && out.contains("Quorum:    4/3\n"), "{out}");
    assert!(out.contains("\n\nHOST    ZONE  SEEN") && out.contains("\nedge-1  "), "{out}");
    let json: serde_json::Value =
        serde_json::from_str(&read(&fake, "describe entry 2001:db8::/64 -o json")).unwrap();
    assert_eq!(json["entry"]["revision"], 41);
    assert_eq!(json["witnesses"][0]["hostId"], "edge-1");
    let out = read(&fake, "describe host edge-2");
    assert!(out.contains("Lag:            3\n") && out.contains("Dropped:        77\n"), "{out}");
    let yaml = read(&fake, "describe host edge-2 -o yaml");
    assert!(yaml.contains("hostId: edge-2"), "{yaml}");
    let absent = fake.run("describe entry 203.0.113.99");
    assert_eq!((absent.code, absent.out.as_str()), (Some(1), ""));
    assert!(absent.err.starts_with("sekishoctl: no such entry (NOT_FOUND); "), "{}", absent.err);
    assert_eq!(fake.run("describe host edge-99").code, Some(1));
}

#[test]
fn the_status_is_for_people_and_programs() {
    let mut fake = Fake::plain(world());
    let out = read(&fake, "status");
    assert!(out.contains("Revision:         43\n") && out.contains("Log:              writable\n"), "{out}");
    let json: serde_json::Value = serde_json::from_str(&read(&fake, "status -o json")).unwrap();
    assert_eq!(json["position"]["revision"], 43);
    assert_eq!((&json["dropQuorum"], &json["logWritable"]), (&3.into(), &true.into()));
    assert_eq!((&json["synAcksWithheld"], &json["bypassedHosts"]), (&0.into(), &0.into()));
    let mut stuck = world();
    (stuck.status.log_writable, stuck.status.log_problem) = (false, "disk full".into());
    fake = Fake::plain(stuck);
    assert!(read(&fake, "status").contains("NOT WRITABLE: disk full"));
}

#[test]
fn the_status_says_what_each_quorum_is_by_and_which_guards_act() {
    let mut world = world();
    world.status.quorums = Some(pb::Quorums {
        suppress: 2,
        drop: 6,
        policy_suppress: 2,
        policy_drop: 3,
        chance: 6,
        units: 60_000_000,
        live_hosts: 12,
        min_zones: 1,
        ..pb::Quorums::default()
    });
    let limit = pb::Limit::NewPerMinute as i32;
    world.status.limits_reached = vec![pb::ReachedLimit { limit, max: 10_000, held: 7 }];
    (world.status.flooded_hosts, world.status.outage_hosts) = (3, 1);
    let fake = Fake::plain(world);
    let out = read(&fake, "status");
    for line in [
        "Suppress quorum:  2: by the policy\n",
        "Drop quorum:      6: chance, 60,000,000 units in the window\n",
        "Limits reached:   limits.new_per_minute (10,000): nothing is added, 7 held back\n",
        "Flooded hosts:    3\n",
        "Hosts in outage:  1\n",
    ] {
        assert!(out.contains(line), "{line} is not in {out}");
    }
    let json: serde_json::Value = serde_json::from_str(&read(&fake, "status -o json")).unwrap();
    assert_eq!((&json["quorums"]["chance"], &json["quorums"]["policyDrop"]), (&6.into(), &3.into()));
    assert_eq!(json["limitsReached"][0]["limit"], "LIMIT_NEW_PER_MINUTE");
}

#[test]
fn the_status_says_in_how_many_zones_and_which_names_protect_nothing() {
    let mut world = world();
    let of = pb::Quorums {
        suppress: 2,
        drop: 3,
        policy_suppress: 2,
        policy_drop: 3,
        min_zones: 3,
        ..Default::default()
    };
    world.status.quorums = Some(of);
    world.status.unresolved_names = vec!["a.example".into(), "b.example".into()];
    let fake = Fake::plain(world);
    let out = read(&fake, "status");
    for line in [
        "Suppress quorum:  2 in 3 zones: by the policy\n",
        "Drop quorum:      3 in 3 zones: by the policy\n",
        "Unresolved:       a.example, b.example: names without an address protect nothing\n",
    ] {
        assert!(out.contains(line), "{line} is not in {out}");
    }
    let json: serde_json::Value = serde_json::from_str(&read(&fake, "status -o json")).unwrap();
    assert_eq!(json["unresolvedNames"][1], "b.example");
}

#[test]
fn guards_of_hosts_are_shown() {
    let mut world = world();
    world.hosts[1].flooded_until_time = seconds(32_503_680_000);
    world.hosts[1].limited = true;
    world.hosts[2].outage_until_time = seconds(32_503_680_000);
    let fake = Fake::plain(world);
    let out = read(&fake, "get hosts");
    let line = |host: &str| out.lines().find(|line| line.starts_with(host)).unwrap();
    assert!(line("edge-1").ends_with("  -"), "{out}");
    assert!(line("edge-2").contains("  flooded ") && line("edge-2").ends_with(", limited"), "{out}");
    assert!(line("edge-3").contains("  outage "), "{out}");
    let out = read(&fake, "describe host edge-3");
    assert!(out.contains("Outage until:   3000-01-01T00:00:00Z (in "), "{out}");
    let json: serde_json::Value = serde_json::from_str(&read(&fake, "get hosts -o json")).unwrap();
    assert_eq!(json["hosts"][2]["outageUntilTime"], "3000-01-01T00:00:00Z");
    assert_eq!((&json["hosts"][1]["limited"], &json["hosts"][0]["limited"]), (&true.into(), &false.into()));
}

#[test]
fn a_host_that_is_bypassed_says_so_first() {
    let mut world = world();
    let answers =
        pb::HostAnswers { bypassed: true, retries: 2, retries_lowered: true, ..pb::HostAnswers::default() };
    world.hosts[0].totals = Some(pb::HostTotals { answers: Some(answers), ..pb::HostTotals::default() });
    world.hosts[0].limited = true;
    world.status.bypassed_hosts = 1;
    let fake = Fake::plain(world);
    let out = read(&fake, "get hosts");
    assert!(out.lines().nth(1).unwrap().ends_with("  BYPASSED, limited"), "{out}");
    let out = read(&fake, "describe host edge-1");
    assert!(out.contains("2, by the agent\n"), "{out}");
    assert!(read(&fake, "describe host edge-2").contains("2, by the operator\n"));
    assert!(read(&fake, "status").contains("Hosts bypassed:   1\n"));
}

#[test]
fn a_prefix_under_carpet_bombing_says_how_many_units() {
    let mut bombed = entry("203.0.113.0/24");
    let by = pb::PrefixReason { hosts: 4, quorum: 2, units: 9, least_units: 5 };
    bombed.reason = Some(pb::Reason { kind: Some(pb::reason::Kind::Prefix(by)) });
    bombed.tier = pb::Tier::Suppress as i32;
    let fake = Fake::plain(World { entries: vec![bombed], page: 2, ..World::default() });
    let out = read(&fake, "get entries");
    assert!(out.contains("203.0.113.0/24  suppress  prefix: 9/5 units  4/2"), "{out}");
    assert!(read(&fake, "describe entry 203.0.113.0/24").contains("Units:     9/5\n"));
    let json: serde_json::Value = serde_json::from_str(&read(&fake, "get entries -o json")).unwrap();
    let meant = serde_json::json!({"prefix": {"hosts": 4, "quorum": 2, "units": 9, "leastUnits": 5}});
    assert_eq!(
        (&json["entries"][0]["reason"], &json["entries"][0]["tier"]),
        (&meant, &"TIER_SUPPRESS".into())
    );
}

#[test]
fn a_prefix_says_who_keeps_it_up() {
    let keeper = |host: &str, away| pb::Keeper {
        host_id: host.into(),
        zone: "east".into(),
        away,
        ..Default::default()
    };
    let standing =
        pb::Standing { keepers: vec![keeper("edge-1", false), keeper("edge-2", true)], ..Default::default() };
    let explanation = pb::ExplainResponse { standing: Some(standing), ..Default::default() };
    let entries = vec![entry("203.0.113.0/24")];
    let fake = Fake::plain(World { entries, explanation, ..World::default() });
    let out = read(&fake, "describe entry 203.0.113.0/24");
    assert!(out.contains("\n\nHOST    ZONE  SEEN  RENEWS  CONNECTED\nedge-1  east  -"), "{out}");
    assert!(out.trim_end().ends_with("away"), "{out}");
    let json: serde_json::Value =
        serde_json::from_str(&read(&fake, "describe entry 203.0.113.0/24 -o json")).unwrap();
    assert_eq!(json["standing"]["keepers"][1]["hostId"], "edge-2");
}
