//! What the agent judges by whether its rules see the packets: each handshake that this host takes up has a SYN
//! that came to the first rule, and where the rules do not see it that shows.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use crate::{
    lab::{address, own, run, wait_for},
    suppress::{half_open, service, spoof, with_server},
};
use sekisho_kernel::{Netstat, Nft};

const CONNECTIONS: u64 = 40;

/// The first rule's count, and the handshakes that the kernel completed.
fn counted() -> (u64, u64) {
    (Nft::open().unwrap().counters().unwrap().syns, Netstat::read().unwrap().passive_opens)
}

fn accept(listener: &TcpListener) {
    let listener = listener.try_clone().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(drop));
}

fn connect(to: SocketAddr) {
    for _ in 0..CONNECTIONS {
        TcpStream::connect(to).unwrap();
    }
}

#[test]
fn each_handshake_has_a_syn_that_came_to_the_first_rule() {
    with_server(|outside| {
        let listener = TcpListener::bind("[::]:0").unwrap();
        accept(&listener);
        let port = listener.local_addr().unwrap().port();
        let clients = ["198.51.100.9", "2001:db8:c::9"].map(address);
        for client in clients {
            outside.run(move || own(client, "wire"));
        }
        for near in [address("127.0.0.1"), address("::1")] {
            let before = counted();
            connect(SocketAddr::new(near, port));
            let after = counted();
            assert_eq!((after.0 - before.0, after.1 - before.1), (CONNECTIONS, CONNECTIONS), "{near}");
        }
        for client in clients {
            let (before, to) = (counted(), service(&listener, client));
            outside.run(move || connect(to));
            wait_for("the handshakes", || (counted().1 - before.1 == CONNECTIONS).then_some(()));
            assert_eq!(counted().0 - before.0, CONNECTIONS, "{client}");
        }
        let before = counted();
        spoof(outside, address("203.0.113.7"), service(&listener, address("203.0.113.7")), 20);
        wait_for("the half-open sockets", || (half_open() == 20).then_some(()));
        assert_eq!(counted(), (before.0 + 20, before.1));
    });
}

#[test]
fn handshakes_that_the_rules_do_not_see_show() {
    with_server(|outside| {
        let listener = TcpListener::bind("[::]:0").unwrap();
        accept(&listener);
        let client = address("198.51.100.9");
        let to = service(&listener, client);
        outside.run(move || own(client, "wire"));
        // As packets do that are redirected before they come to the hook.
        run("nft", "flush chain inet sekisho sieve");
        let before = counted();
        outside.run(move || connect(to));
        wait_for("the handshakes", || (counted().1 - before.1 == CONNECTIONS).then_some(()));
        assert_eq!(counted().0, before.0);
    });
}
