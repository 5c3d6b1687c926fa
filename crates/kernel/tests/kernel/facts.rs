//! Facts about the kernel that much rests on, each held by itself: should one of them stop being true, this tells.
//! docs/kernels.md lists all of them, with the tests that hold the others.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
    process::Command,
    time::{Duration, Instant},
};

use crate::lab::{SERVER, Spoofer, address, in_namespace, run, sysctl, wait_for, with_server};
use rustix::{
    io::Errno,
    net::{AddressFamily, SendFlags, SocketType, bind, listen, netlink, send, socket, sockopt},
};
use sekisho_kernel::{Diag, Netstat, Nft, nft, table::Found, table::Owner};
use sekisho_ruleset::{Op, Range, SetName, Sides, Transaction, Ways};

/// A listener with the backlog that many programs have.
fn listener() -> (OwnedFd, SocketAddrV4) {
    let at = SocketAddrV4::new(SERVER, 7_000);
    let server: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&server, &at).unwrap();
    listen(&server, 128).unwrap();
    (server, at)
}

fn half_open() -> u64 {
    Diag::open().unwrap().half_open(|_| ()).unwrap().rows
}

#[test]
fn a_half_open_socket_lives_until_its_last_retransmit_has_had_its_time() {
    with_server(|| {
        let (_listener, at) = listener();
        for (retries, seconds) in [(0u32, 1u64), (1, 3)] {
            sysctl("net/ipv4/tcp_synack_retries", &retries.to_string());
            let begun = Instant::now();
            Spoofer::new().syn(Ipv4Addr::new(203, 0, 113, 7), at).unwrap();
            assert_eq!(half_open(), 1);
            wait_for("its end", || (half_open() == 0).then_some(()));
            let (lived, due) = (begun.elapsed(), Duration::from_secs(seconds));
            assert!(
                lived > due * 9 / 10 && lived < due + Duration::from_millis(1_500),
                "{retries}: {lived:?}"
            );
        }
    });
}

#[test]
fn what_a_backlog_does_not_hold_is_answered_by_cookie_and_leaves_no_socket() {
    const SYNS: u16 = 1_000;
    with_server(|| {
        sysctl("net/ipv4/tcp_syncookies", "1");
        let (_listener, at) = listener();
        let spoofer = Spoofer::new();
        let first = Ipv4Addr::new(198, 18, 0, 0).to_bits();
        for low in 0..SYNS {
            spoofer.syn(Ipv4Addr::from_bits(first + u32::from(low)), at).unwrap();
        }
        assert_eq!(half_open(), 129);
        assert_eq!(Netstat::read().unwrap().cookies_sent, u64::from(SYNS) - 129);
    });
}

/// Adds one element and deletes another, in one transaction of `nft`; gives whether the kernel took it.
fn add_and(verb: &str) -> bool {
    let script = format!(
        "add element inet sekisho drop4 {{ 203.0.113.7 timeout 60s }}; \
         {verb} element inet sekisho drop4 {{ 203.0.113.8 }}"
    );
    Command::new("nft").arg(script).output().unwrap().status.success()
}

#[test]
fn deleting_what_is_missing_voids_the_whole_transaction() {
    in_namespace(|| {
        let mut nft = Nft::open().unwrap();
        nft.install(Owner::Anybody, &Transaction::default()).unwrap();
        assert!(!add_and("delete"));
        assert_eq!(nft.contains(SetName::Drop4, address("203.0.113.7")).unwrap(), None);
        // Destroying it does not, where the kernel knows how.
        let text = "remove element drop4 203.0.113.8\nadd element drop4 203.0.113.7 timeout 60s";
        let ways = nft.probe().unwrap().ways;
        nft.commit(&text.parse().unwrap(), ways).unwrap();
        assert!(nft.contains(SetName::Drop4, address("203.0.113.7")).unwrap().is_some());
    });
}

#[test]
fn a_big_transaction_needs_a_bigger_send_buffer_and_gets_it_by_force() {
    const COUNT: u32 = 100_000;
    in_namespace(|| {
        let (set, timeout) = (SetName::Drop4, Duration::from_secs(600));
        let mut nft = Nft::open().unwrap();
        nft.install(Owner::Anybody, &Transaction::default()).unwrap();
        let one = |low| Op::Add { set, range: Range::single(Ipv4Addr::from_bits(low).into()), timeout };
        let all = Transaction::new((0x0a00_0000..0x0a00_0000 + COUNT).map(one).collect()).unwrap();
        let bytes = nft::encode(&all, Ways::ANY, Sides::default(), 1).bytes;
        let link = socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::NETFILTER)).unwrap();
        bind(&link, &netlink::SocketAddrNetlink::new(0, 0)).unwrap();
        assert_eq!(send(&link, &bytes, SendFlags::empty()), Err(Errno::MSGSIZE));
        assert_eq!(nft.contains(set, address("10.0.0.7")).unwrap(), None);
        sockopt::set_socket_send_buffer_size_force(&link, bytes.len() + 4_096).unwrap();
        assert_eq!(send(&link, &bytes, SendFlags::empty()), Ok(bytes.len()));
        assert!(nft.contains(set, address("10.1.134.159")).unwrap().is_some());
    });
}

#[test]
fn a_table_of_a_socket_outlives_a_flush_by_others_and_the_socket() {
    in_namespace(|| {
        let mut nft = Nft::open().unwrap();
        assert!(nft.probe().unwrap().owner, "this kernel is older than Linux 6.9");
        let block = "add element drop4 203.0.113.7 timeout 600s".parse().unwrap();
        nft.install(Owner::Socket, &block).unwrap();
        let blocked = || {
            let mut other = Nft::open().unwrap();
            assert_eq!(other.inspect().unwrap().0, Found::Ours);
            other.contains(SetName::Drop4, address("203.0.113.7")).unwrap().is_some()
        };
        run("nft", "flush ruleset");
        assert!(blocked());
        drop(nft);
        assert!(blocked());
        // Nobody's now: it goes like any other.
        run("nft", "flush ruleset");
        assert_eq!(Nft::open().unwrap().inspect().unwrap().0, Found::Absent);
    });
}
