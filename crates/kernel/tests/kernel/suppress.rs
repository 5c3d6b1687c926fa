//! The tier suppress, with real packets: one SYN-ACK for each SYN, and nothing that an honest client feels.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use crate::lab::{Place, Spoofer, Witness, address, in_namespace, install, ip, own, run, sysctl, wait_for};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use sekisho_kernel::{Diag, Nft};
use sekisho_model::{Tier, Unit};
use sekisho_ruleset::{SetName, Ways};

const SERVER4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER6: &str = "2001:db8:51::1";
/// Less than the first timeout of a SYN (1 s): who connects within it lost nothing.
const AT_ONCE: Duration = Duration::from_millis(900);

/// A server's namespace, with a link to everybody else, who is never heard of.
pub(crate) fn with_server(test: impl FnOnce(&Place) + Send + 'static) {
    in_namespace(|| {
        let outside = Place::new();
        outside.join("wire");
        sysctl("net/ipv4/conf/all/rp_filter", "0");
        own(SERVER4.into(), "wire");
        own(address(SERVER6), "wire");
        ip("route add default dev wire");
        ip("-6 route add default dev wire");
        outside.run(|| {
            sysctl("net/ipv4/conf/all/rp_filter", "0");
            ip(&format!("route add {SERVER4}/32 dev wire"));
            ip(&format!("-6 route add {SERVER6}/128 dev wire"));
            // Answers to spoofed addresses end here, in silence.
            ip("route add blackhole default metric 9999");
            ip("-6 route add blackhole default metric 9999");
        });
        install();
        test(&outside);
    });
}

pub(crate) fn listener() -> TcpListener {
    TcpListener::bind("[::]:0").unwrap()
}

pub(crate) fn service(listener: &TcpListener, peer: IpAddr) -> SocketAddr {
    let own = if peer.is_ipv4() { IpAddr::V4(SERVER4) } else { address(SERVER6) };
    SocketAddr::new(own, listener.local_addr().unwrap().port())
}

pub(crate) fn commit(text: &str) {
    Nft::open().unwrap().commit(&text.parse().unwrap(), Ways::DESTROY).unwrap();
}

pub(crate) fn half_open() -> u64 {
    Diag::open().unwrap().half_open(|_| ()).unwrap().rows
}

/// Sends `count` SYNs of `victim` from `outside`, each of a handshake of its own.
pub(crate) fn spoof(outside: &Place, victim: IpAddr, service: SocketAddr, count: u16) {
    outside.run(move || {
        let spoofer = Spoofer::new();
        for port in 0..count {
            spoofer.syn_from(SocketAddr::new(victim, 20_000 + port), service, 7).unwrap();
        }
    });
}

#[test]
fn a_suppressed_address_gets_one_syn_ack_for_each_syn_and_no_more() {
    const SYNS: u16 = 25;
    with_server(|outside| {
        let (listener, witness) = (listener(), Witness::new());
        commit(
            "add element suppress4 203.0.113.7 timeout 600s\n\
             add element suppressnet4 198.51.100.0/24 timeout 600s\n\
             add element suppress6 2001:db8:bad::7 timeout 600s\n\
             add element suppressnet6 2001:db8:bad:1::/64 timeout 600s",
        );
        let victims = ["203.0.113.7", "198.51.100.9", "2001:db8:bad::7", "2001:db8:bad:1::9"].map(address);
        for victim in victims {
            spoof(outside, victim, service(&listener, victim), SYNS);
        }
        let all = u64::from(SYNS) * victims.len() as u64;
        wait_for("the first SYN-ACKs", || (witness.total() == all).then_some(()));
        let mut nft = Nft::open().unwrap();
        wait_for("their retransmits", || (nft.counters().unwrap().suppressed == all).then_some(()));
        // A SYN-ACK that cannot be sent ends its handshake.
        wait_for("the handshakes to be given up", || (half_open() == 0).then_some(()));
        let sent = witness.sent();
        assert!(victims.iter().all(|victim| sent[victim] == u64::from(SYNS)), "{sent:?}");
        let hits = nft.hits().unwrap();
        assert_eq!(hits.len(), 4);
        for victim in victims {
            let hit = hits.iter().find(|hit| hit.unit == Unit::of(victim)).unwrap();
            assert_eq!((hit.tier, hit.packets), (Tier::Suppress, u64::from(SYNS)));
        }
        let counters = nft.counters().unwrap();
        assert_eq!((counters.dropped, counters.muted, counters.forgotten), (0, 0, 0));
        assert_eq!(counters.all_dropped(), all);
    });
}

#[test]
fn the_allowlist_wins_over_suppress_too() {
    with_server(|outside| {
        let (listener, witness) = (listener(), Witness::new());
        // The engine never makes such a pair; the kernel would keep the allowlist even so.
        commit(
            "add element allow4 203.0.113.0/25 timeout 600s\nadd element suppressnet4 203.0.113.0/24 timeout 600s",
        );
        let (allowed, listed) = (address("203.0.113.7"), address("203.0.113.200"));
        for victim in [allowed, listed] {
            spoof(outside, victim, service(&listener, victim), 2);
        }
        wait_for("retransmits to the allowed one", || {
            (witness.sent().get(&allowed) >= Some(&4)).then_some(())
        });
        assert_eq!(witness.sent()[&listed], 2);
    });
}

#[test]
fn the_same_syn_again_is_worth_one_syn_ack_again() {
    with_server(|outside| {
        let (listener, witness) = (listener(), Witness::new());
        commit("add element suppress4 203.0.113.7 timeout 600s");
        let victim = address("203.0.113.7");
        let mut nft = Nft::open().unwrap();
        for round in 1..=3 {
            // Port and sequence number are those of the round before.
            spoof(outside, victim, service(&listener, victim), 10);
            wait_for("the answers", || (witness.total() == 10 * round).then_some(()));
            wait_for("their retransmits", || {
                (nft.counters().unwrap().suppressed == 10 * round).then_some(())
            });
        }
        assert_eq!(witness.total(), 30);
        assert_eq!(nft.hits().unwrap()[0].packets, 30);
    });
}

/// Gives `outside` this address.
fn at_home(outside: &Place, client: IpAddr) {
    outside.run(move || own(client, "wire"));
}

/// Connects from `from` in the namespace of the caller.
fn open(from: SocketAddr, to: SocketAddr) -> TcpStream {
    let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    // No program that another test starts at this moment may keep it open.
    let client = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    sockopt::set_socket_reuseaddr(&client, true).unwrap();
    bind(&client, &from).unwrap();
    connect(&client, &to).unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
    TcpStream::from(client)
}

/// Connects from `from`, talks, and hangs up with a RST, so that the port is free at once; gives the time that
/// the handshake took.
fn visit(outside: &Place, from: SocketAddr, to: SocketAddr) -> Duration {
    outside.run(move || {
        let start = Instant::now();
        let mut client = open(from, to);
        let took = start.elapsed();
        client.write_all(b"hello").unwrap();
        let mut heard = [0; 5];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"hello");
        sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        took
    })
}

/// Says back what it hears, to one after the other.
fn echo(listener: &TcpListener) {
    let listener = listener.try_clone().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut heard = [0; 5];
            let _ = client.read_exact(&mut heard).and_then(|()| client.write_all(&heard));
        }
    });
}

#[test]
fn an_honest_client_of_a_suppressed_prefix_connects_at_once_and_again_from_the_same_port() {
    with_server(|outside| {
        let listener = listener();
        echo(&listener);
        commit(
            "add element suppressnet4 198.51.100.0/24 timeout 600s\n\
             add element suppressnet6 2001:db8:bad::/48 timeout 600s",
        );
        for client in ["198.51.100.9", "2001:db8:bad:1::9"].map(address) {
            let to = service(&listener, client);
            at_home(outside, client);
            // Its neighbours are spoofed all the while.
            let neighbour = if client.is_ipv4() { "198.51.100.10" } else { "2001:db8:bad:1::10" };
            spoof(outside, address(neighbour), to, 20);
            for _ in 0..5 {
                let took = visit(outside, SocketAddr::new(client, 20_000), to);
                assert!(took < AT_ONCE, "{client} waited for {took:?}");
                // A SYN that overtook the RST before it would wait for its next turn, with or without us.
                let open = || run("ss", "-Htn state connected exclude syn-recv");
                wait_for("the server to hear of the end", || open().is_empty().then_some(()));
            }
        }
    });
}

#[test]
fn a_thousand_honest_clients_of_a_suppressed_block_connect_at_once() {
    const CLIENTS: u16 = 1_000;
    with_server(|outside| {
        let listener = listener();
        echo(&listener);
        commit("add element suppressnet4 198.51.100.0/24 timeout 600s");
        // All of the block are at home but one, who is spoofed all the while.
        let victim = address("198.51.100.255");
        outside.run(|| (0..255).for_each(|low| own(address(&format!("198.51.100.{low}")), "wire")));
        let to = service(&listener, victim);
        let mut slowest = Duration::ZERO;
        for number in 0..CLIENTS {
            if number % 20 == 0 {
                spoof(outside, victim, to, 1);
            }
            let client = address(&format!("198.51.100.{}", number % 255));
            slowest = slowest.max(visit(outside, SocketAddr::new(client, 30_000 + number), to));
        }
        assert!(slowest < AT_ONCE, "one waited for {slowest:?}");
        let counters = Nft::open().unwrap().counters().unwrap();
        assert_eq!(counters.syns, u64::from(CLIENTS + CLIENTS / 20), "each needed one SYN");
        assert_eq!((counters.dropped, counters.forgotten), (0, 0));
    });
}

#[test]
fn a_client_that_lost_its_syn_ack_connects_with_its_next_syn() {
    with_server(|outside| {
        let listener = listener();
        echo(&listener);
        commit("add element suppressnet4 198.51.100.0/24 timeout 600s");
        let client = address("198.51.100.9");
        at_home(outside, client);
        outside.run(|| {
            for command in [
                "add table inet loss",
                "add counter inet loss lost",
                "add set inet loss seen { type inet_service; flags dynamic; }",
                "add chain inet loss in { type filter hook input priority 0; }",
                "add rule inet loss in tcp dport @seen accept",
                "add rule inet loss in tcp flags & (syn|ack) == (syn|ack) add @seen { tcp dport } counter name lost drop",
            ] {
                run("nft", command);
            }
        });
        let took = visit(outside, SocketAddr::new(client, 20_000), service(&listener, client));
        // It sends its SYN again after 1 s, and after 2 s more.
        assert!(took > AT_ONCE && took < Duration::from_millis(2_500), "{took:?}");
        let lost = outside.run(|| run("nft", "list counter inet loss lost"));
        assert!(lost.contains("packets 1 "), "{lost}");
    });
}

#[test]
fn an_entry_that_moves_between_the_tiers_keeps_its_protection() {
    with_server(|outside| {
        let (listener, witness) = (listener(), Witness::new());
        let victim = address("198.51.100.9");
        let to = service(&listener, victim);
        let [gentle, strict] =
            [("suppressnet4", "dropnet4"), ("dropnet4", "suppressnet4")].map(|(to, from)| {
                format!(
                    "remove element {from} 198.51.100.0/24\nadd element {to} 198.51.100.0/24 timeout 600s"
                )
            });
        commit("add element dropnet4 198.51.100.0/24 timeout 600s");
        let moves: Vec<_> = [gentle.as_str(), strict.as_str()].map(|text| text.parse().unwrap()).into();
        let mut nft = Nft::open().unwrap();
        let mut sent = 0;
        for turn in 0..200 {
            spoof(outside, victim, to, 5);
            sent += 5;
            nft.commit(&moves[turn % 2], Ways::DESTROY).unwrap();
        }
        // In the end it is at drop: what is half-open is given up without another packet.
        wait_for("the handshakes to be given up", || (half_open() == 0).then_some(()));
        let counters = nft.counters().unwrap();
        assert!(witness.total() <= sent, "{} SYN-ACKs for {sent} SYNs: {counters:?}", witness.total());
        assert!(counters.dropped > 0 && counters.suppressed + counters.muted > 0, "{counters:?}");
        assert_eq!(counters.syns, sent);
    });
}

/// Makes the memory of handshakes as small as this.
fn with_room_for(handshakes: u32) {
    let table =
        run("nft", "-s list table inet sekisho").replace("size 524288", &format!("size {handshakes}"));
    let file = std::env::temp_dir().join(format!("sekisho-room-{}.nft", std::process::id()));
    std::fs::write(&file, format!("delete table inet sekisho\n{table}")).unwrap();
    run("nft", &format!("-f {}", file.display()));
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn what_finds_no_room_in_the_memory_passes_and_is_counted() {
    with_server(|outside| {
        let (listener, witness) = (listener(), Witness::new());
        with_room_for(4);
        commit("add element suppressnet4 198.51.100.0/24 timeout 600s");
        let victim = address("198.51.100.9");
        spoof(outside, victim, service(&listener, victim), 10);
        let mut nft = Nft::open().unwrap();
        wait_for("the first SYN-ACKs", || (nft.counters().unwrap().forgotten == 6).then_some(()));
        assert_eq!((witness.total(), nft.counters().unwrap().suppressed), (10, 0));
        assert!(matches!(nft.count(SetName::Answered4).unwrap(), None | Some(4)));
        // Four are known and given up; the other six are sent again, as without us.
        wait_for("the retransmits", || (nft.counters().unwrap().forgotten == 12).then_some(()));
        assert_eq!((witness.total(), nft.counters().unwrap().suppressed), (16, 4));
        assert_eq!(half_open(), 6);
    });
}

#[test]
fn syn_acks_of_pods_are_suppressed_on_their_way_through() {
    with_server(|outside| {
        let pod = Place::new();
        pod.join("pod");
        for (key, value) in [("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")] {
            sysctl(&format!("net/{key}"), value);
        }
        ip("route add 192.0.2.77/32 dev pod");
        ip("-6 route add 2001:db8:51::77/128 dev pod");
        outside.run(|| {
            ip("route add 192.0.2.77/32 dev wire");
            ip("-6 route add 2001:db8:51::77/128 dev wire");
        });
        let port = pod.run(|| {
            own(address("192.0.2.77"), "pod");
            own(address("2001:db8:51::77"), "pod");
            ip("route add default dev pod");
            ip("-6 route add default dev pod");
            let listener = listener();
            echo(&listener);
            listener.local_addr().unwrap().port()
        });
        let witness = Witness::new();
        commit(
            "add element suppressnet4 198.51.100.0/24 timeout 600s\n\
             add element suppressnet6 2001:db8:bad::/48 timeout 600s",
        );
        let pairs = [("198.51.100.9", "192.0.2.77"), ("2001:db8:bad:1::9", "2001:db8:51::77")];
        for (victim, service) in pairs {
            spoof(outside, address(victim), SocketAddr::new(address(service), port), 5);
        }
        wait_for("the first SYN-ACKs", || (witness.total() == 10).then_some(()));
        // The pod hears nothing of the drops and sends again and again, at 1, 3 and 7 s.
        let mut nft = Nft::open().unwrap();
        wait_for("three retransmits of each", || (nft.counters().unwrap().suppressed == 30).then_some(()));
        assert_eq!(witness.total(), 10);
        for (victim, service) in pairs {
            let (client, to) = (address(victim), SocketAddr::new(address(service), port));
            at_home(outside, client);
            let took = visit(outside, SocketAddr::new(client, 30_000), to);
            assert!(took < AT_ONCE, "{client} waited for {took:?}");
        }
    });
}
