//! Half-open sockets, hits and counters, after real packets.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use crate::lab::{SERVER, Spoofer, address, in_namespace, install, ip, sysctl, wait_for, with_server};
use rustix::net::{AddressFamily, RecvFlags, SocketType, bind, connect, listen, socket, sockopt};
use sekisho_kernel::{Counters, Diag, Netstat, Nft, gateways, own_addresses};
use sekisho_model::{Handshake, Row, Sign, Tier, Unit, limits::HIT_SET_SIZE};
use sekisho_ruleset::Ways;

const VICTIM: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let stats = Diag::open().unwrap().half_open(|row| rows.push(row)).unwrap();
    assert_eq!((stats.rows, stats.skipped), (rows.len() as u64, 0));
    rows
}

/// A half-open socket as these tests look at it.
#[derive(Clone, Copy, Debug)]
struct Half {
    peer: IpAddr,
    cookie: u64,
    retransmits: u8,
    expires: Duration,
}

fn half(row: &Row) -> Half {
    match row.sign {
        Sign::Socket { cookie, retransmits, expires } => {
            Half { peer: row.victim, cookie, retransmits, expires }
        }
        other => panic!("sock_diag tells of {other:?}"),
    }
}

fn half_open() -> Option<Half> {
    rows().first().map(half)
}

fn v4(listener: &TcpListener) -> SocketAddrV4 {
    SocketAddrV4::new(SERVER, listener.local_addr().unwrap().port())
}

fn listener() -> TcpListener {
    TcpListener::bind((SERVER, 0)).unwrap()
}

#[test]
fn a_stuck_handshake_is_seen_with_its_retransmits() {
    with_server(|| {
        let listener = listener();
        assert_eq!(rows(), []);
        Spoofer::new().syn(VICTIM, v4(&listener)).unwrap();
        let first = wait_for("the half-open socket", half_open);
        assert_eq!((first.peer, first.retransmits), (IpAddr::V4(VICTIM), 0));
        assert!(first.expires <= Duration::from_secs(2), "{first:?}");
        let later = wait_for("a retransmit", || half_open().filter(|row| row.retransmits > 0));
        assert_eq!(later.cookie, first.cookie);
    });
}

#[test]
fn each_socket_has_a_cookie_of_its_own() {
    with_server(|| {
        let listener = listener();
        let spoofer = Spoofer::new();
        for last in 1..=50 {
            spoofer.syn(Ipv4Addr::new(203, 0, 113, last), v4(&listener)).unwrap();
        }
        let rows = wait_for("50 half-open sockets", || Some(rows()).filter(|rows| rows.len() == 50));
        let by_cookie: BTreeMap<u64, IpAddr> =
            rows.iter().map(half).map(|row| (row.cookie, row.peer)).collect();
        assert_eq!(by_cookie.len(), 50);
    });
}

#[test]
fn a_listener_of_both_families_shows_mapped_peers() {
    with_server(|| {
        let listener = TcpListener::bind("[::]:0").unwrap();
        Spoofer::new().syn(VICTIM, v4(&listener)).unwrap();
        let row = wait_for("the half-open socket", || rows().first().copied());
        assert_eq!(row.victim, IpAddr::V6(VICTIM.to_ipv6_mapped()));
        assert_eq!(Unit::of(row.victim), Unit::V4(VICTIM.to_bits()));
        let ends = Handshake::new((VICTIM, 40_000).into(), v4(&listener).into());
        assert_eq!(row.handshake, ends, "it has the name that other sensors give it");
    });
}

#[test]
fn one_dump_tells_of_both_families() {
    with_server(|| {
        ip("-6 addr add 2001:db8::1/128 dev lo nodad");
        ip("-6 route add default dev void");
        let (four, six) = (listener(), TcpListener::bind("[2001:db8::1]:0").unwrap());
        let spoofer = Spoofer::new();
        spoofer.syn(VICTIM, v4(&four)).unwrap();
        let from = SocketAddr::new(address("2001:db8:7::7"), 40_000);
        spoofer.syn_from(from, six.local_addr().unwrap(), 1).unwrap();
        wait_for("both sockets", || (rows().len() == 2).then_some(()));
        let peers: BTreeMap<IpAddr, u16> =
            rows().iter().map(|row| (row.victim, row.handshake.local.port())).collect();
        let ports = [four, six].map(|listener| listener.local_addr().unwrap().port());
        assert_eq!(peers, BTreeMap::from([(VICTIM.into(), ports[0]), (from.ip(), ports[1])]));
        assert!(Diag::open().unwrap().walks_once(), "this kernel takes the older request");
    });
}

#[test]
fn deferred_accepts_show_no_retransmits() {
    with_server(|| {
        let _server = listen_deferred(7_000);
        // An honest client that has nothing to say yet.
        let _client = TcpStream::connect((SERVER, 7_000)).unwrap();
        let first = wait_for("the deferred socket", half_open);
        assert_eq!(first.retransmits, 0);
        // A later timer than the first: the kernel has looked at it once and still sent nothing.
        let next = wait_for("the timer to come round", || {
            half_open().filter(|row| row.expires > Duration::from_millis(1_200))
        });
        assert_eq!((next.cookie, next.retransmits), (first.cookie, 0));
    });
}

/// A listener that is only told of clients that have sent something.
pub(crate) fn listen_deferred(port: u16) -> OwnedFd {
    let server: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    // Longer than the test.
    set_option(&server, libc::TCP_DEFER_ACCEPT, 10);
    bind(&server, &SocketAddrV4::new(SERVER, port)).unwrap();
    listen(&server, 8).unwrap();
    server
}

/// Sets an option of tcp(7).
fn set_option(socket: &OwnedFd, option: libc::c_int, value: libc::c_int) {
    use std::os::fd::AsRawFd;
    let length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap();
    // SAFETY: the descriptor is open, and the pointer is to an int that outlives the call, of the
    // length that is given.
    #[expect(unsafe_code, reason = "rustix has no call for these options")]
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, option, (&raw const value).cast(), length)
    };
    assert_eq!(set, 0);
}

#[test]
fn a_listener_with_fewer_retries_of_its_own_is_seen_all_the_same() {
    with_server(|| {
        let server: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        // Over `tcp_synack_retries`: the socket is given up after 3 s.
        set_option(&server, libc::TCP_SYNCNT, 1);
        let target = SocketAddrV4::new(SERVER, 7_000);
        bind(&server, &target).unwrap();
        listen(&server, 8).unwrap();
        let begun = Instant::now();
        Spoofer::new().syn(VICTIM, target).unwrap();
        wait_for("its one retransmit", || half_open().filter(|row| row.retransmits == 1));
        wait_for("its end", || rows().is_empty().then_some(()));
        let lived = begun.elapsed();
        assert!(lived > Duration::from_millis(2_500) && lived < Duration::from_secs(6), "{lived:?}");
    });
}

/// Connects from `source` without waiting for success.
fn knock(source: IpAddr, target: SocketAddr) -> OwnedFd {
    let family = if source.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let client = socket(family, SocketType::STREAM, None).unwrap();
    rustix::io::ioctl_fionbio(&client, true).unwrap();
    bind(&client, &SocketAddr::new(source, 0)).unwrap();
    assert_eq!(connect(&client, &target), Err(rustix::io::Errno::INPROGRESS));
    client
}

fn refused(client: &OwnedFd) -> bool {
    sockopt::socket_error(client.as_fd()).is_ok_and(|error| error.is_err())
        || !matches!(
            rustix::net::recv(client, &mut [0u8; 1][..], RecvFlags::DONTWAIT),
            Err(rustix::io::Errno::AGAIN)
        )
}

#[test]
fn listed_addresses_are_dropped_and_counted_as_hits() {
    in_namespace(|| {
        ip("addr add 203.0.113.7/32 dev lo");
        ip("addr add 203.0.113.8/32 dev lo");
        ip("addr add 198.51.100.9/32 dev lo");
        ip("-6 addr add 2001:db8:1:2::7/128 dev lo nodad");
        install();
        let mut nft = Nft::open().unwrap();
        let text = "add element drop4 203.0.113.7 timeout 600s\n\
                    add element dropnet6 2001:db8:1::/48 timeout 600s\n\
                    add element dropnet4 198.51.100.0/24 timeout 600s\n\
                    add element allow4 198.51.100.9 timeout 600s";
        nft.commit(&text.parse().unwrap(), Ways::DESTROY).unwrap();
        let four = TcpListener::bind("127.0.0.1:0").unwrap();
        let six = TcpListener::bind("[::1]:0").unwrap();
        let dropped = [
            knock(address("203.0.113.7"), four.local_addr().unwrap()),
            knock(address("2001:db8:1:2::7"), six.local_addr().unwrap()),
        ];
        let hits = wait_for("the hits", || {
            let hits = nft.hits().unwrap();
            (hits.len() == 2).then_some(hits)
        });
        for text in ["203.0.113.7", "2001:db8:1:2::7"] {
            let hit = hits.iter().find(|hit| hit.unit == Unit::of(address(text))).unwrap();
            assert!(hit.tier == Tier::Drop && hit.packets >= 1, "{hits:?}");
        }
        // An address that is not listed connects, and so does one that is allowlisted.
        let _unlisted = knock(address("203.0.113.8"), four.local_addr().unwrap());
        assert_eq!(four.accept().unwrap().1.ip(), address("203.0.113.8"));
        let _allowed = knock(address("198.51.100.9"), four.local_addr().unwrap());
        assert_eq!(four.accept().unwrap().1.ip(), address("198.51.100.9"));
        let counters = nft.counters().unwrap();
        assert!(counters.dropped >= 2 && counters.syns >= counters.dropped + 2, "{counters:?}");
        let Counters { dropped: last, muted, suppressed, .. } = nft.counters().unwrap();
        assert_eq!((muted, suppressed), (0, 0));
        assert_eq!(Counters { dropped: last, muted: 1, suppressed: 1, ..counters }.all_dropped(), last + 2);
        assert!(dropped.iter().all(|client| !refused(client)), "a reject would be one more reflected packet");
    });
}

#[test]
fn a_full_set_of_hits_does_not_stop_the_drop() {
    const SOURCES: u32 = HIT_SET_SIZE + 2_000;
    with_server(|| {
        let listener = listener();
        install();
        let mut nft = Nft::open().unwrap();
        let text = "add element dropnet4 198.18.0.0/15 timeout 600s";
        nft.commit(&text.parse().unwrap(), Ways::DESTROY).unwrap();
        let spoofer = Spoofer::new();
        let first = Ipv4Addr::new(198, 18, 0, 0).to_bits();
        for low in 0..SOURCES {
            spoofer.syn(Ipv4Addr::from_bits(first + low), v4(&listener)).unwrap();
        }
        wait_for("all drops", || (nft.counters().unwrap().dropped == u64::from(SOURCES)).then_some(()));
        assert!(nft.hits().unwrap().len() <= HIT_SET_SIZE as usize);
        assert_eq!(rows(), []);
    });
}

#[test]
fn what_is_established_and_what_we_open_ourselves_lives_on() {
    in_namespace(|| {
        ip("addr add 203.0.113.7/32 dev lo");
        install();
        let ours = TcpListener::bind("127.0.0.1:0").unwrap();
        let before = knock(address("203.0.113.7"), ours.local_addr().unwrap());
        let (mut served, _) = ours.accept().unwrap();
        let text = "add element drop4 203.0.113.7 timeout 600s".parse().unwrap();
        Nft::open().unwrap().commit(&text, Ways::DESTROY).unwrap();
        std::io::Write::write_all(&mut served, b"x").unwrap();
        wait_for("a byte on the old connection", || {
            (rustix::net::recv(&before, &mut [0u8; 1][..], RecvFlags::DONTWAIT).ok()?.0 == 1).then_some(())
        });
        // The victim's SYN-ACK to us is nothing that the rules look at on the way in.
        let victim = TcpListener::bind("203.0.113.7:0").unwrap();
        let target = victim.local_addr().unwrap();
        let opened = thread::spawn(move || knock(address("127.0.0.1"), target));
        assert_eq!(victim.accept().unwrap().1.ip(), address("127.0.0.1"));
        opened.join().expect("the connection");
    });
}

#[test]
fn an_entry_frees_the_half_open_sockets_of_its_address() {
    with_server(|| {
        let listener = listener();
        install();
        Spoofer::new().syn(VICTIM, v4(&listener)).unwrap();
        wait_for("the half-open socket", || rows().first().copied());
        let mut nft = Nft::open().unwrap();
        let text = format!("add element drop4 {VICTIM} timeout 600s");
        nft.commit(&text.parse().unwrap(), Ways::DESTROY).unwrap();
        wait_for("the socket to be given up", || rows().is_empty().then_some(()));
        assert!(nft.counters().unwrap().muted >= 1);
    });
}

#[test]
fn syn_cookies_are_counted() {
    with_server(|| {
        sysctl("net/ipv4/tcp_syncookies", "2");
        let listener = listener();
        assert_eq!(Netstat::read().unwrap(), Netstat::default());
        Spoofer::new().syn(VICTIM, v4(&listener)).unwrap();
        wait_for("a cookie", || (Netstat::read().unwrap().cookies_sent == 1).then_some(()));
        assert_eq!(rows(), []);
    });
}

#[test]
fn completed_handshakes_are_counted() {
    in_namespace(|| {
        let ours = TcpListener::bind("127.0.0.1:0").unwrap();
        let before = Netstat::read().unwrap().passive_opens;
        let _clients: Vec<TcpStream> =
            (0..5).map(|_| TcpStream::connect(ours.local_addr().unwrap()).unwrap()).collect();
        assert_eq!(Netstat::read().unwrap().passive_opens, before + 5);
    });
}

#[test]
fn the_gateways_of_default_routes_are_found() {
    with_server(|| {
        assert!(gateways().unwrap().is_empty(), "a default route without a gateway");
        ip("route add 198.51.100.0/24 via 192.0.2.200 dev void onlink");
        ip("route add default via 192.0.2.254 dev void onlink metric 5");
        ip(
            "route add default table 77 metric 6 nexthop via 192.0.2.251 dev void onlink nexthop via 192.0.2.252 dev void onlink",
        );
        ip("-6 addr add 2001:db8::1/64 dev void nodad");
        ip("-6 route add default via 2001:db8::fe dev void");
        ip("route add default via inet6 fe80::7 dev void metric 7");
        let wanted = ["192.0.2.251", "192.0.2.252", "192.0.2.254", "2001:db8::fe", "fe80::7"].map(address);
        assert_eq!(gateways().unwrap(), wanted);
    });
}

#[test]
fn all_addresses_of_the_host_are_found() {
    with_server(|| {
        ip("-6 addr add 2001:db8::1/64 dev void nodad");
        ip("addr add 192.0.2.9 peer 192.0.2.10 dev void");
        let all = own_addresses().unwrap();
        for text in ["127.0.0.1", "::1", "192.0.2.1", "2001:db8::1", "192.0.2.9"] {
            assert!(all.contains(&address(text)), "{text} in {all:?}");
        }
        assert!(!all.contains(&address("192.0.2.10")));
    });
}
