//! What connection tracking sees that sockets do not show, after real packets.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use sekisho_kernel::{Conntrack, Diag, Netstat, Tracked};
use sekisho_model::{Handshake, Moment, Row, Sensor, Sign, Unit};
use sekisho_observe::Observer;

use crate::{
    lab::{Place, SERVER, Spoofer, in_namespace, ip, run, sysctl, wait_for, with_server},
    sockets::listen_deferred,
};

const VICTIM: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// Makes this namespace track connections, as any stateful firewall does.
fn track() {
    run("nft", "add table inet firewall");
    run("nft", "add chain inet firewall input { type filter hook input priority 0; }");
    run("nft", "add rule inet firewall input ct state established accept");
}

fn tracked() -> Vec<Row> {
    let mut rows = Vec::new();
    let stats = Conntrack::open().unwrap().half_open(|row| rows.push(row)).unwrap();
    assert_eq!(stats.rows, rows.len() as u64);
    rows
}

fn sockets() -> Vec<Row> {
    let mut rows = Vec::new();
    Diag::open().unwrap().half_open(|row| rows.push(row)).unwrap();
    rows
}

fn one() -> Option<Row> {
    let rows = tracked();
    assert!(rows.len() <= 1, "{rows:?}");
    rows.first().copied()
}

fn at(listener: &TcpListener) -> SocketAddrV4 {
    SocketAddrV4::new(SERVER, listener.local_addr().unwrap().port())
}

#[test]
fn looking_does_not_make_the_kernel_track() {
    with_server(|| {
        let listener = TcpListener::bind((SERVER, 0)).unwrap();
        assert_eq!(tracked(), []);
        Spoofer::new().syn(VICTIM, at(&listener)).unwrap();
        wait_for("the half-open socket", || (sockets().len() == 1).then_some(()));
        assert_eq!(tracked(), []);
        assert_eq!(Tracked::read().unwrap().count, 0);
    });
}

#[test]
fn a_half_open_connection_is_named_as_its_socket_is() {
    with_server(|| {
        track();
        let listener = TcpListener::bind("[::]:0").unwrap();
        Spoofer::new().syn(VICTIM, at(&listener)).unwrap();
        let row = wait_for("the entry", one);
        let Some(socket) = sockets().first().copied() else { panic!("no socket") };
        assert_eq!((row.victim, row.handshake), (VICTIM.into(), socket.handshake));
        assert!(matches!(row.sign, Sign::Tracked { id } if id != 0));
        assert_eq!(one().unwrap().sign, row.sign, "the entry keeps its name");
        let known = Tracked::read().unwrap();
        assert!(known.count == 1 && known.limit > 0, "{known:?}");
    });
}

#[test]
fn what_is_completed_closed_or_udp_is_not_half_open() {
    with_server(|| {
        track();
        let listener = TcpListener::bind((SERVER, 0)).unwrap();
        let _open = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (a, b) = [(); 2].map(|()| std::net::UdpSocket::bind((SERVER, 0)).unwrap()).into();
        let (to_a, to_b) = (a.local_addr().unwrap(), b.local_addr().unwrap());
        assert_eq!([a.send_to(b"?", to_b).unwrap(), b.send_to(b"!", to_a).unwrap()], [1, 1]);
        assert!(Tracked::read().unwrap().count >= 3);
        assert_eq!(tracked(), []);
    });
}

#[test]
fn a_deferred_accept_is_not_half_open() {
    with_server(|| {
        track();
        let _listener = listen_deferred(7_000);
        let _client = TcpStream::connect((SERVER, 7_000)).unwrap();
        wait_for("the deferred socket", || (sockets().len() == 1).then_some(()));
        assert_eq!(tracked(), []);
    });
}

#[test]
fn under_syn_cookies_only_tracking_sees_the_handshake() {
    with_server(|| {
        track();
        sysctl("net/ipv4/tcp_syncookies", "2");
        let listener = TcpListener::bind((SERVER, 0)).unwrap();
        Spoofer::new().syn(VICTIM, at(&listener)).unwrap();
        let row = wait_for("the entry", one);
        assert_eq!(row.victim, VICTIM);
        assert_eq!(row.handshake, Handshake::new((VICTIM, 40_000).into(), at(&listener).into()));
        assert_eq!(Netstat::read().unwrap().cookies_sent, 1);
        assert_eq!(sockets(), []);
    });
}

#[test]
fn an_entry_outlives_the_socket_at_few_retries_and_no_retransmit_makes_it_younger() {
    with_server(|| {
        track();
        assert_eq!(run("sysctl", "-n net.netfilter.nf_conntrack_tcp_timeout_syn_recv").trim(), "60");
        sysctl("net/ipv4/tcp_synack_retries", "0");
        let listener = TcpListener::bind((SERVER, 0)).unwrap();
        Spoofer::new().syn(VICTIM, at(&listener)).unwrap();
        wait_for("the half-open socket", || (sockets().len() == 1).then_some(()));
        wait_for("the socket's end", || sockets().is_empty().then_some(()));
        assert!(one().is_some());

        // From here on entries live for 2 s, and SYN-ACKs are sent again after 1 s and 3 s.
        sysctl("net/netfilter/nf_conntrack_tcp_timeout_syn_recv", "2");
        sysctl("net/ipv4/tcp_synack_retries", "2");
        let begun = Instant::now();
        Spoofer::new().syn(Ipv4Addr::new(203, 0, 113, 8), at(&listener)).unwrap();
        let known = || tracked().iter().any(|row| Unit::of(row.victim) == Unit::V4(0xcb00_7108));
        wait_for("the entry", || known().then_some(()));
        wait_for("the entry's end", || (!known()).then_some(()));
        let lived = begun.elapsed();
        assert!(lived > Duration::from_millis(1_500) && lived < Duration::from_millis(2_900), "{lived:?}");
        assert_eq!(sockets().len(), 1, "its SYN-ACK was sent again meanwhile, and will be");
    });
}

#[test]
fn behind_address_translation_the_true_client_is_named() {
    in_namespace(|| {
        let (internet, pod) = (Place::new(), Place::new());
        internet.join("wan");
        pod.join("pod");
        sysctl("net/ipv4/ip_forward", "1");
        ip(&format!("addr add {SERVER}/32 dev wan"));
        ip("route add default dev wan");
        ip("addr add 10.0.0.1/24 dev pod");
        internet.run(|| ip(&format!("route add {SERVER}/32 dev wan")));
        let listener = pod.run(|| {
            ip("addr add 10.0.0.2/24 dev pod");
            TcpListener::bind("10.0.0.2:8080").unwrap()
        });
        run("nft", "add table ip nodes");
        run("nft", "add chain ip nodes in { type nat hook prerouting priority dstnat; }");
        run("nft", "add rule ip nodes in tcp dport 80 dnat to 10.0.0.2:8080");
        run("nft", "add chain ip nodes out { type nat hook postrouting priority srcnat; }");
        run("nft", "add rule ip nodes out oifname pod masquerade");

        internet.run(|| Spoofer::new().syn(VICTIM, SocketAddrV4::new(SERVER, 80)).unwrap());
        let row = wait_for("the entry", one);
        let socket = pod.run(|| sockets().first().copied()).unwrap();
        assert_eq!(socket.victim.to_string(), "10.0.0.1", "what the pod itself sees");
        assert_eq!(row.victim, VICTIM);
        assert_eq!(row.handshake, socket.handshake, "both mean the same handshake");
        assert_eq!(socket.handshake.local, listener.local_addr().unwrap());
    });
}

/// Looks with both sensors until `enough`; gives the sockets that were told in all.
fn look(observer: &mut Observer, begun: Instant, mut enough: impl FnMut(u8) -> bool) -> u32 {
    let (mut diag, mut conntrack) = (Diag::open().unwrap(), Conntrack::open().unwrap());
    let (mut sockets, mut most) = (0, 0);
    wait_for("enough to be seen", || {
        for sensor in [Sensor::SockDiag, Sensor::Conntrack] {
            let now = Moment::EPOCH + begun.elapsed();
            let each = |row: Row| observer.row(&row, now);
            let pass =
                if sensor == Sensor::SockDiag { diag.half_open(each) } else { conntrack.half_open(each) };
            assert!(!pass.unwrap().inconsistent);
            for seen in observer.end_pass(sensor, true, now).observations {
                assert_eq!(seen.unit, Unit::V4(VICTIM.to_bits()));
                sockets += seen.sockets;
                most = most.max(seen.retransmits);
            }
        }
        enough(most).then_some(())
    });
    sockets
}

#[test]
fn both_sensors_count_a_handshake_once() {
    with_server(|| {
        track();
        sysctl("net/ipv4/tcp_synack_retries", "1");
        let listener = TcpListener::bind((SERVER, 0)).unwrap();
        let (spoofer, begun) = (Spoofer::new(), Instant::now());
        spoofer.syn(VICTIM, at(&listener)).unwrap();
        let mut observer = Observer::new([1; 16]);
        observer.set_sensors(2);
        // The socket is given up after 3 s, having sent once more; conntrack alone tells of the time after that.
        assert_eq!(look(&mut observer, begun, |most| most >= 2 && sockets().is_empty()), 1);
        let ends = |port| (SocketAddr::from((VICTIM, port)), SocketAddr::V4(at(&listener)));
        // Between the same ends anew, and between others.
        let (from, to) = ends(40_000);
        spoofer.syn_from(from, to, 9_999).unwrap();
        let (from, to) = ends(40_001);
        spoofer.syn_from(from, to, 1).unwrap();
        wait_for("two sockets", || (sockets().len() == 2).then_some(()));
        assert_eq!(look(&mut observer, begun, |_| sockets().is_empty()), 2);
    });
}
