//! Request ids: an order is carried out once, however often it is given, also where answers get lost.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use sekisho_wire::Reason;

use crate::fake::{Fake, World, allowance, entry, program, ran, words};

const ORDERS: [&str; 4] = [
    "block 203.0.113.7 --reason under_attack",
    "unblock 203.0.113.7 --reason over",
    "allow 203.0.113.0/24 --reason ours",
    "disallow 203.0.113.0/24 --reason not_ours",
];

fn world() -> World {
    World {
        entries: vec![entry("203.0.113.7")],
        allowlist: vec![allowance("203.0.113.0/24")],
        ..World::default()
    }
}

#[test]
fn the_same_request_twice_is_carried_out_once() {
    let fake = Fake::plain(world());
    for (order, id) in ORDERS.iter().zip(["a", "b", "c", "d"]) {
        let line = format!("{order} --request-id {id}");
        let first = fake.run(&line);
        assert!(!first.out.contains("done before"), "{first:?}");
        let again = fake.run(&line);
        assert_eq!((again.code, again.err.as_str()), (Some(0), ""), "{line}");
        assert!(again.out.contains(", done before by the same request)\n"), "{again:?}");
        let json: serde_json::Value =
            serde_json::from_str(&fake.run(&format!("{line} -o json")).out).unwrap();
        assert_eq!((&json["doneRevision"], &json["requestId"]), (&12.into(), &id.into()));
    }
    assert_eq!(fake.world.done.lock().unwrap().len(), 4);
}

#[test]
fn the_same_id_for_another_order_is_refused() {
    let fake = Fake::plain(world());
    assert_eq!(fake.run(&format!("{} --request-id a", ORDERS[0])).code, Some(0));
    let other = fake.run("block 203.0.113.7 --tier suppress --reason under_attack --request-id a");
    assert_eq!((other.code, other.out.as_str()), (Some(1), ""));
    assert_eq!(
        other.err,
        "sekishoctl: a was another order (REQUEST_REUSED); name another --request-id, or none\n"
    );
}

#[test]
fn a_random_id_is_made_and_shown_on_request() {
    let fake = Fake::plain(world());
    let ran = fake.run(&format!("{} -v", ORDERS[1]));
    let id = ran.err.trim_start_matches("sekishoctl: the request id is ").trim_end().to_owned();
    assert_eq!((ran.code, id.len()), (Some(0), 32), "{ran:?}");
    assert_eq!(fake.run(ORDERS[1]).err, "");
    assert_eq!(fake.world.done.lock().unwrap().len(), 2, "each has its own");
    assert!(fake.world.done.lock().unwrap().contains_key(&id));
    fake.run(&format!("{} --dry-run -v", ORDERS[1]));
    assert!(fake.world.orders.lock().unwrap()[2].contains("request_id: \"\""), "a dry run needs none");
}

#[test]
fn a_suppression_is_ordered_and_said_as_one() {
    let fake = Fake::plain(world());
    let ran = fake.run("block 203.0.113.7 --tier suppress --reason x");
    assert!(
        ran.out.starts_with("203.0.113.7 suppressed until 3000-01-01T00:00:00Z (revision 41)\n"),
        "{ran:?}"
    );
    assert!(fake.world.orders.lock().unwrap()[0].contains("tier: Suppress"));
    fake.run(ORDERS[0]);
    assert!(fake.world.orders.lock().unwrap()[1].contains("tier: Drop"));
}

#[test]
fn an_order_whose_answer_is_lost_is_given_again() {
    for order in ORDERS {
        let fake = Fake::plain(World { lost: Mutex::new(2), ..world() });
        let ran = fake.run(order);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.out.contains("done before by the same request"), "{ran:?}");
        assert_eq!(ran.err.matches("giving the order again, by the same request id").count(), 2, "{ran:?}");
        assert_eq!(fake.world.orders.lock().unwrap().len(), 3);
        assert_eq!(fake.world.done.lock().unwrap().len(), 1, "carried out once");
    }
}

#[test]
fn in_the_end_it_says_how_to_give_it_again() {
    let fake = Fake::plain(World { lost: Mutex::new(usize::MAX), ..world() });
    let ran = fake.run(ORDERS[0]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    let id = fake.world.done.lock().unwrap().keys().next().unwrap().clone();
    let last = ran.err.lines().last().unwrap();
    assert!(last.contains(&format!("give it again with --request-id {id}, which is harmless")), "{last}");
    let kept = Reason::LogUnavailable.status("disk full");
    let fake = Fake::plain(World { refusal: Some(kept), ..world() });
    assert!(fake.run(&format!("{} --request-id a", ORDERS[0])).err.contains("--request-id a, which"));
}

/// Passes bytes on to `to`; the first connection is cut as soon as an order has arrived there.
fn relay(fake: &Fake) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (to, world) = (fake.address.clone(), fake.world.clone());
    let serve = move || {
        for is_cut in [true, false] {
            let (client, server) = (listener.accept().unwrap().0, TcpStream::connect(&to).unwrap());
            let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let asks = thread::spawn(move || pass(up, server, || false));
            pass(down, client, || is_cut && !Arc::clone(&world).orders.lock().unwrap().is_empty());
            asks.join().unwrap();
        }
    };
    (address, thread::spawn(serve))
}

/// Copies until an end is closed or `is_over`, then closes both.
fn pass(mut from: TcpStream, mut to: TcpStream, is_over: impl Fn() -> bool) {
    let mut bytes = [0; 4_096];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        if is_over() || to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn a_connection_that_breaks_before_the_answer_is_no_second_order() {
    let fake = Fake::plain(world());
    let (address, relayed) = relay(&fake);
    let mut command = program();
    command.args(["--insecure", "--aggregator", &format!("http://{address}")]).args(words(ORDERS[1]));
    let ran = ran(&mut command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out, "203.0.113.7 unblocked (revision 12, done before by the same request)\n");
    assert!(ran.err.contains("giving the order again"), "{ran:?}");
    assert_eq!(fake.world.done.lock().unwrap().len(), 1);
    relayed.join().unwrap();
}
