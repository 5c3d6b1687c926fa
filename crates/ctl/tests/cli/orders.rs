//! Orders: what is sent, what is said, and each exit code.

use sekisho_wire::Reason;
use tonic::Status;

use crate::fake::{Fake, World, allowance, entry};

fn world(refusal: Option<Status>) -> World {
    World {
        entries: vec![entry("203.0.113.7")],
        allowlist: vec![allowance("203.0.113.0/24")],
        refusal,
        ..World::default()
    }
}

const ORDERS: [&str; 4] = [
    "block 203.0.113.7 --reason under_attack --for 90s",
    "unblock 203.0.113.7 --reason over --hold 0s",
    "allow 203.0.113.0/24 --reason ours",
    "disallow 203.0.113.0/24 --reason not_ours",
];

#[test]
fn orders_say_what_was_done() {
    let fake = Fake::plain(world(None));
    for (order, said) in ORDERS.iter().zip([
        "203.0.113.7 blocked until 3000-01-01T00:00:00Z (revision 41)\n203.0.113.9 replaced by it\n",
        "203.0.113.7 unblocked (revision 12)\n",
        "203.0.113.0/24 allowed for ever (revision 7)\n203.0.113.7 unblocked\n",
        "203.0.113.0/24 disallowed (revision 13)\n",
    ]) {
        let ran = fake.run(order);
        assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (Some(0), said, ""), "{order}");
    }
    let orders = fake.world.orders.lock().unwrap();
    assert!(orders[0].contains("reason: \"under attack\", ttl: Some(Duration { seconds: 90"), "{orders:?}");
    assert!(orders[1].contains("hold: Some(Duration { seconds: 0"), "{orders:?}");
    assert!(orders[2].contains("ttl: None"), "{orders:?}");
    assert!(orders.iter().all(|order| order.contains("dry_run: false")), "{orders:?}");
}

#[test]
fn a_dry_run_is_sent_as_one_and_said_to_be_one() {
    let fake = Fake::plain(world(None));
    for order in ORDERS {
        let ran = fake.run(&format!("{order} --dry-run"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.lines().all(|line| line.contains(" would be ")), "{ran:?}");
        assert!(!ran.out.contains("revision"), "{ran:?}");
    }
    assert!(fake.world.orders.lock().unwrap().iter().all(|order| order.contains("dry_run: true")));
}

#[test]
fn a_dry_run_of_what_was_done_says_that_nothing_would_be() {
    let fake = Fake::plain(world(None));
    let order = format!("{} --dry-run --request-id deploy-7", ORDERS[1]);
    assert_eq!(fake.run(&order).out, "203.0.113.7 would be unblocked\n");
    let said = "203.0.113.7 unblocked by the same request before (revision 12): nothing would be done\n";
    assert_eq!(fake.run(&order).out, said);
}

#[test]
fn programs_get_the_answers_of_the_api() {
    let fake = Fake::plain(world(None));
    let json = |order: &str| -> serde_json::Value {
        serde_json::from_str(&fake.run(&format!("{order} -o json")).out).unwrap()
    };
    assert_eq!(json(ORDERS[0])["entry"]["prefix"], "203.0.113.7");
    let named = json(&format!("{} --request-id deploy-7", ORDERS[1]));
    assert_eq!(named, serde_json::json!({"revision": 12, "doneRevision": 0, "requestId": "deploy-7"}));
    assert_eq!(json(ORDERS[2])["removed"], serde_json::json!(["203.0.113.7"]));
    let yaml = fake.run(&format!("{} --dry-run -o yaml", ORDERS[3])).out;
    assert_eq!(yaml, "revision: 0\nrequestId: \"\"\ndoneRevision: 0\n");
}

#[test]
fn nothing_changed_is_3() {
    let fake = Fake::plain(world(Some(Reason::NotFound.status("203.0.113.7 is not listed"))));
    for order in [ORDERS[1], ORDERS[3]] {
        let ran = fake.run(order);
        assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{order}");
        let start = "sekishoctl: nothing changed: 203.0.113.7 is not listed (NOT_FOUND); write it exactly";
        assert!(ran.err.starts_with(start), "{}", ran.err);
        assert_eq!(ran.err.lines().count(), 1);
    }
    let fake = Fake::plain(world(Some(Reason::AlreadyCovered.status("203.0.113.0/24 covers it"))));
    assert_eq!(fake.run(ORDERS[0]).code, Some(3));
    let fake = Fake::plain(world(Some(Reason::CoveredGentler.status("it is only at suppress"))));
    assert_eq!(fake.run(ORDERS[0]).code, Some(1), "it is not what was ordered");
}

#[test]
fn refusals_are_1_with_reason_field_and_hint() {
    for (status, parts) in [
        (Reason::NotPermitted.status("agents give no orders"), ["(NOT_PERMITTED)", "operator/<name>"]),
        (
            Reason::NeverListed.status_about("127.0.0.1 is never listed", Some("prefix"), []),
            ["127.0.0.1 is never listed", "(NEVER_LISTED, field prefix)"],
        ),
        (Reason::Allowlisted.status("it overlaps 203.0.113.0/24"), ["(ALLOWLISTED)", "disallow"]),
        (Reason::LogUnavailable.status("disk full"), ["disk full (LOG_UNAVAILABLE)", "sekishoctl status"]),
        (Reason::LimitReached.status("too many"), ["(LIMIT_REACHED)", "try again in 1 s"]),
        (Status::internal("two\n\u{1b}[31mlines"), ["two [31mlines (Internal)", ""]),
    ] {
        let fake = Fake::plain(world(Some(status)));
        for order in ORDERS {
            let ran = fake.run(order);
            assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{order}: {ran:?}");
            assert!(parts.iter().all(|part| ran.err.contains(part)), "{}", ran.err);
            assert_eq!(ran.err.lines().count(), 1);
        }
    }
}
