//! Explanations: of what is listed, of what is not, and for programs.

use sekisho_wire::{Reason, pb::v1 as pb};

use crate::fake::{Fake, World, allowance, entry, listing, seconds};

/// An hour after the entries of the fake were listed.
const NOW: i64 = 1_700_003_600;

fn witness(host: &str, counts: pb::WitnessCounts) -> pb::Witness {
    pb::Witness {
        host_id: host.into(),
        seen_time: seconds(NOW - 20),
        retransmits: 3,
        hit: counts == pb::WitnessCounts::Hit,
        zone: "east".into(),
        sockets: 2,
        counts: counts as i32,
    }
}

fn picture(prefix: &str, units: i32) -> pb::PrefixPicture {
    pb::PrefixPicture {
        prefix: prefix.into(),
        units,
        least_units: 5,
        without_one: units / 2,
        least_without_one: 3,
        hosts: 4,
        least_hosts: 2,
        zones: 1,
        has_counter: true,
        bombed: units >= 5,
        ..pb::PrefixPicture::default()
    }
}

/// What is seen of an address that is not listed, by too few hosts.
fn unlisted() -> pb::ExplainResponse {
    use pb::WitnessCounts::{Flooded, Outage, Yes};
    pb::ExplainResponse {
        unit: "203.0.113.7".into(),
        time: seconds(NOW),
        witnesses: vec![witness("edge-1", Yes), witness("edge-2", Flooded), witness("edge-3", Outage)],
        hosts: 1,
        zones: 1,
        quorums: Some(pb::Quorums {
            suppress: 2,
            drop: 6,
            policy_suppress: 2,
            policy_drop: 3,
            chance: 6,
            units: 60_000_000,
            live_hosts: 12,
            min_zones: 1,
            ..pb::Quorums::default()
        }),
        prefixes: vec![picture("203.0.113.0/24", 4), picture("203.0.112.0/23", 0)],
        past: Some(pb::PastListings {
            prefix: "203.0.113.7".into(),
            listings: 2,
            end_time: seconds(NOW - 7_200),
        }),
        history: vec![listing(6, "203.0.113.7")],
        ..pb::ExplainResponse::default()
    }
}

fn listed() -> pb::ExplainResponse {
    let counter =
        pb::CounterWitness { host_id: "edge-9".into(), seen_time: seconds(NOW - 5), connections: 3 };
    pb::ExplainResponse {
        entry: Some(entry("203.0.113.0/24")),
        witnesses: vec![witness("edge-1", pb::WitnessCounts::Hit)],
        counter_witnesses: vec![counter],
        wanted: pb::Tier::Suppress as i32,
        standing: Some(pb::Standing {
            active_time: seconds(NOW - 20),
            quiet_time: seconds(NOW + 220),
            keepers: vec![keeper("edge-1", true, false), keeper("edge-3", false, true)],
        }),
        past: None,
        prefixes_past: vec![pb::PastListings {
            prefix: "203.0.112.0/23".into(),
            listings: 3,
            end_time: seconds(NOW - 7_200),
        }],
        history: vec![],
        ..unlisted()
    }
}

fn keeper(host: &str, renews: bool, away: bool) -> pb::Keeper {
    let (host_id, zone, seen_time) = (host.into(), "east".into(), seconds(NOW - 20));
    pb::Keeper { host_id, zone, seen_time, renews, away }
}

fn told(explanation: pb::ExplainResponse) -> String {
    let fake = Fake::plain(World { explanation, ..World::default() });
    let ran = fake.run("explain 203.0.113.7");
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(fake.world.asked.lock().unwrap()[0], "ExplainRequest { address: \"203.0.113.7\" }");
    ran.out
}

fn contains(out: &str, parts: &[&str]) {
    for part in parts {
        assert!(out.contains(part), "{part}\nis not in\n{out}");
    }
}

#[test]
fn what_is_not_listed_says_what_it_would_take() {
    let out = told(unlisted());
    contains(
        &out,
        &[
            "203.0.113.7 is not listed.\n",
            "\nCounted towards a quorum, 1 host in 1 zone:\nHOST    ZONE  SEEN     RETRANSMITS  SOCKETS  COUNTS\n",
            "\nedge-1  east  20s ago  3            2        yes\n",
            "no: its host was flooded\n",
            "no: its host is in outage\n",
            "\nNo host has connections with it.\n",
            "\n203.0.113.0/24  4/5    2/3               4/2    1      yes          no\n",
            "It takes 2 hosts to suppress it (by the policy): 1 host missing.\n",
            "It takes 6 hosts to drop it (chance, 60,000,000 units in the window): 5 hosts missing.\n",
            "203.0.113.7 was listed 2 times before, the last until 2023-11-14T21:13:20Z (2h ago)",
            "\nLately:\nTIME ",
            "To list it without a quorum: sekishoctl block 203.0.113.7 --reason WHY\n",
        ],
    );
    assert!(!out.contains("203.0.112.0/23") && !out.contains("unblock"), "{out}");
}

#[test]
fn what_is_listed_says_by_what_and_until_when() {
    let out = told(listed());
    contains(
        &out,
        &[
            "203.0.113.7 is listed at drop, by 203.0.113.0/24: its SYNs are dropped.\n",
            "Listed 2023-11-14T22:13:20Z (1h ago): 4 hosts saw it stuck, 3 asked for.\n",
            "It ends 3000-01-01T00:00:00Z (in ",
            "unless it is renewed, as 2 times before.\n",
            "It does not end early while it waits for edge-3, away: that is looked at again 2023-11-14T23:17:00Z (in 3m40s); \
             the last was seen or hit in it 20s ago.\n",
            "\nWho sees or hits something in 203.0.113.0/24:\nHOST    ZONE  SEEN     RENEWS  CONNECTED\n\
             edge-1  east  20s ago  yes     yes\nedge-3  east  20s ago  no      away\n",
            "\n203.0.112.0/23 was listed 3 times before, the last until 2023-11-14T21:13:20Z (2h ago)",
            "  hit          -        no: it only keeps up what is listed\n",
            "Honest clients live there, so that evidence only suppresses it:\nHOST    SEEN    CONNECTIONS\n",
            "edge-9  5s ago  3\n",
            "What is seen of it asks for suppress.\n",
            "To take it off: sekishoctl unblock 203.0.113.0/24 --reason WHY\n",
        ],
    );
    assert!(!out.contains("Lately") && !out.contains("203.0.113.7 was listed"), "{out}");
}

#[test]
fn an_order_is_not_said_to_give_way_to_objections() {
    let order = pb::OrderReason { operator: "ana".into(), text: "told so".into() };
    let reason = Some(pb::Reason { kind: Some(pb::reason::Kind::Order(order)) });
    let entry = Some(pb::Entry { reason, ..entry("203.0.113.0/24") });
    let out = told(pb::ExplainResponse { entry, standing: None, ..listed() });
    contains(
        &out,
        &["Honest clients live there; an order blocks it all the same:\nHOST    SEEN    CONNECTIONS\n"],
    );
    assert!(!out.contains("only suppresses"), "{out}");
}

#[test]
fn everything_that_keeps_it_off_is_told() {
    let hold = pb::Hold { prefix: "203.0.113.7".into(), expire_time: seconds(NOW + 600) };
    let out = told(pb::ExplainResponse {
        protection: "203.0.113.7 is our own host edge-4".into(),
        allowlist: vec![allowance("203.0.113.0/24")],
        hold: Some(hold),
        forbidden: pb::Cause::Never as i32,
        ..unlisted()
    });
    contains(
        &out,
        &[
            "It is never listed: 203.0.113.7 is our own host edge-4.\n",
            "203.0.113.0/24 is on the allowlist by ana, for ever: monitoring.\n",
            "It is held off until 2023-11-14T23:23:20Z (in 10m), since 203.0.113.7 was unblocked.\n",
            "To let it be listed: sekishoctl disallow 203.0.113.0/24 --reason WHY\n",
        ],
    );
    assert!(!out.contains("sekishoctl block") && !out.contains("missing"), "{out}");
}

#[test]
fn nothing_known_is_an_answer_too() {
    let out = told(pb::ExplainResponse { unit: "203.0.113.7".into(), ..Default::default() });
    contains(&out, &["203.0.113.7 is not listed.\n", "\nNo host sees it stuck.\n"]);
}

#[test]
fn text_from_the_network_cannot_steer_the_terminal() {
    let mut hostile = unlisted();
    hostile.protection = "\u{1b}[2Jgone\r\nforged".into();
    hostile.witnesses[0].host_id = "edge\u{202e}-1\n".into();
    let out = told(hostile);
    contains(&out, &["It is never listed: [2Jgoneforged.\n", "\nedge-1  "]);
    assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'), "{out}");
}

#[test]
fn programs_get_every_field() {
    let fake = Fake::plain(World { explanation: listed(), ..World::default() });
    let json: serde_json::Value = serde_json::from_str(&fake.run("explain 203.0.113.7 -o json").out).unwrap();
    assert_eq!((&json["unit"], &json["hosts"]), (&"203.0.113.7".into(), &1.into()));
    assert_eq!(json["entry"]["tier"], "TIER_DROP");
    assert_eq!(json["witnesses"][0]["counts"], "WITNESS_COUNTS_HIT");
    assert_eq!(json["counterWitnesses"][0]["connections"], 3);
    assert_eq!(json["quorums"]["units"], 60_000_000);
    assert_eq!(json["prefixes"][0]["leastWithoutOne"], 3);
    assert_eq!(json["standing"]["keepers"][1]["away"], true);
    assert_eq!(json["standing"]["quietTime"], "2023-11-14T23:17:00Z");
    assert_eq!(json["prefixesPast"][0]["listings"], 3);
    assert_eq!((&json["forbidden"], &json["wanted"]), (&"CAUSE_UNSPECIFIED".into(), &"TIER_SUPPRESS".into()));
    assert!(json.get("past").is_none() && json.get("hold").is_none());
    let yaml: serde_json::Value =
        serde_saphyr::from_str(&fake.run("explain 203.0.113.7 -o yaml").out).unwrap();
    assert_eq!(yaml, json);
}

#[test]
fn a_refusal_is_1() {
    let refusal = Some(Reason::NotPermitted.status("agents ask nothing"));
    let ran = Fake::plain(World { refusal, ..World::default() }).run("explain 203.0.113.7");
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("(NOT_PERMITTED); give --tls-cert"), "{}", ran.err);
}
