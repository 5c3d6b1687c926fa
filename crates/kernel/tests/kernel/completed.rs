//! Completed connections of the peers that are asked for, among many others.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
};

use crate::lab::{Spoofer, address, in_namespace, ip, own, wait_for};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use sekisho_kernel::Diag;
use sekisho_model::{Prefix, Unit, limits::MAX_COMPLETED_PREFIXES};

/// Connections that nobody asks for.
const UNRELATED: usize = 1_000;

/// The connections of each unit that has some.
fn completed(prefixes: &[&str]) -> BTreeMap<Unit, u32> {
    let prefixes: Vec<Prefix> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
    ask(&prefixes)
}

fn ask(prefixes: &[Prefix]) -> BTreeMap<Unit, u32> {
    let mut found = BTreeMap::new();
    let stats =
        Diag::open().unwrap().completed(prefixes, |peer| *found.entry(Unit::of(peer)).or_default() += 1);
    assert_eq!(stats.unwrap().rows, found.values().map(|count| u64::from(*count)).sum::<u64>());
    found
}

fn unit(text: &str) -> Unit {
    Unit::of(address(text))
}

/// Connects from `from`, whose address must be ours, and gives both ends.
fn pair(from: &str, listener: &TcpListener) -> (OwnedFd, TcpStream) {
    let from = address(from);
    let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let client = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&client, &SocketAddr::new(from, 0)).unwrap();
    connect(&client, &SocketAddr::new(loopback(from), listener.local_addr().unwrap().port())).unwrap();
    (client, listener.accept().unwrap().0)
}

/// A place where the listener is, in the family of `peer`.
fn loopback(peer: IpAddr) -> IpAddr {
    address(if peer.is_ipv4() { "127.0.0.1" } else { "::1" })
}

fn addresses(all: &[&str]) {
    all.iter().for_each(|each| own(address(each), "lo"));
}

/// Takes as many file descriptors as this process may have.
fn more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).unwrap();
}

#[test]
fn just_the_connections_that_are_asked_for_come_back_from_among_a_thousand() {
    in_namespace(|| {
        more_files();
        addresses(&["203.0.113.7", "203.0.113.8", "198.51.100.9", "2001:db8:1::7", "2001:db8:2::7"]);
        let both = TcpListener::bind("[::]:0").unwrap();
        let four = TcpListener::bind("127.0.0.1:0").unwrap();
        let _unrelated: Vec<_> =
            (0..UNRELATED).map(|n| pair(["127.0.0.1", "127.9.9.9", "::1"][n % 3], &both)).collect();
        let _asked = [
            // Through a listener for both families the peer is mapped; through one for IPv4 it is not.
            pair("203.0.113.7", &both),
            pair("203.0.113.7", &four),
            pair("203.0.113.8", &both),
            pair("198.51.100.9", &four),
            pair("2001:db8:1::7", &both),
            pair("2001:db8:2::7", &both),
        ];
        assert_eq!(completed(&[]), BTreeMap::new());
        assert_eq!(completed(&["203.0.113.7"]), BTreeMap::from([(unit("203.0.113.7"), 2)]));
        assert_eq!(
            completed(&["192.0.2.0/24", "203.0.113.0/24", "2001:db8:2::/64"]),
            BTreeMap::from([(unit("203.0.113.7"), 2), (unit("203.0.113.8"), 1), (unit("2001:db8:2::7"), 1)])
        );
        assert_eq!(
            completed(&["2001:db8:1::/48", "198.51.0.0/16"]),
            BTreeMap::from([(unit("2001:db8:1::7"), 1), (unit("198.51.100.9"), 1)])
        );
        assert_eq!(completed(&["192.0.2.1", "2001:db8:3::/64"]), BTreeMap::new());
    });
}

#[test]
fn what_was_completed_until_a_moment_ago_counts_and_what_is_half_open_does_not() {
    in_namespace(|| {
        addresses(&["203.0.113.7", "203.0.113.8"]);
        let ours = TcpListener::bind("127.0.0.1:0").unwrap();
        // We hang up first: our end goes through FIN_WAIT1 and FIN_WAIT2 to TIME_WAIT.
        let (client, server) = pair("203.0.113.7", &ours);
        drop(server);
        assert_eq!(completed(&["203.0.113.7"]).len(), 1);
        drop(client);
        wait_for("the end", || completed(&["203.0.113.7"]).contains_key(&unit("203.0.113.7")).then_some(()));
        // They hang up first: ours is in CLOSE_WAIT until we do.
        let (client, _server) = pair("203.0.113.8", &ours);
        drop(client);
        assert_eq!(completed(&["203.0.113.0/24"]).len(), 2);
        let half = TcpListener::bind("203.0.113.7:0").unwrap();
        let target = half.local_addr().unwrap();
        ip("link add void type veth peer name beyond");
        ip("link set void arp off up");
        ip("link set beyond arp off up");
        ip("route add 198.51.100.0/24 dev void");
        Spoofer::new().syn_from("198.51.100.9:40000".parse().unwrap(), target, 1).unwrap();
        wait_for("a half-open one", || {
            (Diag::open().unwrap().half_open(|_| ()).unwrap().rows > 0).then_some(())
        });
        assert_eq!(completed(&["198.51.100.9"]), BTreeMap::new());
    });
}

#[test]
fn what_we_opened_ourselves_is_no_proof() {
    in_namespace(|| {
        addresses(&["203.0.113.7"]);
        let theirs = TcpListener::bind("203.0.113.7:0").unwrap();
        let ours = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&ours, &SocketAddr::new(loopback(address("127.0.0.1")), 0)).unwrap();
        connect(&ours, &theirs.local_addr().unwrap()).unwrap();
        assert_eq!(completed(&["203.0.113.7"]), BTreeMap::new());
        // The other end is here as well, with us as its client.
        assert_eq!(completed(&["127.0.0.1"]), BTreeMap::from([(unit("127.0.0.1"), 1)]));
    });
}

#[test]
fn as_many_prefixes_as_may_be_asked_for_are_taken_and_no_more() {
    in_namespace(|| {
        addresses(&["203.0.113.7", "2001:db8:ffff::7"]);
        let both = TcpListener::bind("[::]:0").unwrap();
        let _pairs = [pair("203.0.113.7", &both), pair("2001:db8:ffff::7", &both)];
        let net = |n: usize| -> Prefix { format!("2001:db8:{n:x}::/48").parse().unwrap() };
        let mut prefixes: Vec<Prefix> = (0..MAX_COMPLETED_PREFIXES - 1).map(net).collect();
        prefixes.extend(["203.0.113.0/24".parse().unwrap(), net(0xffff)]);
        assert_eq!(
            ask(&prefixes),
            BTreeMap::from([(unit("203.0.113.7"), 1)]),
            "the last one is one too many"
        );
        prefixes.swap(0, MAX_COMPLETED_PREFIXES);
        assert_eq!(ask(&prefixes).len(), 2);
    });
}
