//! Retransmits of SYN-ACKs as the tracepoint tells of them, of several network namespaces at once.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener},
    os::fd::OwnedFd,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{AtFlags, FlockOperation, Mode, OFlags},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags},
    net::{AddressFamily, SocketType, bind, listen, socket},
};
use sekisho_kernel::{Diag, Netstat, Tracepoint, tracepoint};
use sekisho_model::{Row, Sign, Unit};

use crate::lab::{SERVER, Spoofer, in_namespace, ip, sysctl, wait_for, with_server};

/// Instances come and go with each test, and are counted by one of them.
static ALONE: Mutex<()> = Mutex::new(());

/// Victims that no other test has: the tracepoint shows those of all.
fn victim(number: u8) -> Ipv4Addr {
    let [low, high, ..] = std::process::id().to_le_bytes();
    let block = Ipv4Addr::new(198, 18 + (high & 1), low, 0).to_bits();
    Ipv4Addr::from_bits(block | u32::from(number))
}

fn is_ours(row: &Row) -> bool {
    matches!(row.victim.to_canonical(), IpAddr::V4(v4) if v4.octets()[..3] == victim(0).octets()[..3])
}

/// A namespace in which 25 handshakes get stuck, each with one retransmit; ends when all were given up.
fn namespace_of_25(first: u8) -> thread::JoinHandle<u64> {
    thread::spawn(move || {
        let (tell, told) = std::sync::mpsc::channel();
        with_server(move || {
            sysctl("net/ipv4/tcp_synack_retries", "1");
            let listener = TcpListener::bind((SERVER, 0)).unwrap();
            let SocketAddr::V4(target) = listener.local_addr().unwrap() else { panic!("not IPv4") };
            let spoofer = Spoofer::new();
            for low in first..first + 25 {
                spoofer.syn(victim(low), target).unwrap();
            }
            let half_open = || Diag::open().unwrap().half_open(|_| ()).unwrap().rows;
            wait_for("the sockets", || (half_open() == 25).then_some(()));
            // Long pauses, so that the processors are idle when the timers fire.
            let end = Instant::now() + Duration::from_secs(30);
            while half_open() > 0 {
                assert!(Instant::now() < end, "waited in vain for the sockets to end");
                thread::sleep(Duration::from_millis(250));
            }
            tell.send(retransmitted()).unwrap();
        });
        told.recv().unwrap()
    })
}

/// `TcpExt: TCPSynRetrans`, which counts SYN-ACKs that are sent again too.
fn retransmitted() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:")).map(str::split_whitespace);
    let at = lines.next().unwrap().position(|name| name == "TCPSynRetrans").unwrap();
    lines.next().unwrap().nth(at).unwrap().parse().unwrap()
}

#[test]
fn every_retransmit_of_every_namespace_arrives_also_from_idle_processors() {
    let _alone = ALONE.lock();
    let mut tracepoint = Tracepoint::open().unwrap();
    let namespaces = [namespace_of_25(0), namespace_of_25(100)];
    let counted: u64 = namespaces.map(|namespace| namespace.join().unwrap()).into_iter().sum();
    assert_eq!(counted, 50);
    let mut seen = BTreeMap::<Unit, u32>::new();
    let stats = tracepoint
        .read(|row| {
            assert_eq!(row.sign, Sign::Resent);
            if is_ours(&row) {
                assert_eq!(row.handshake.local.ip(), SERVER);
                assert_eq!(row.handshake.peer, SocketAddr::from((row.victim.to_canonical(), 40_000)));
                *seen.entry(Unit::of(row.victim)).or_default() += 1;
            }
        })
        .unwrap();
    assert!(!stats.overrun, "{stats:?}");
    let wanted = (0..25).chain(100..125).map(|low| (Unit::V4(victim(low).to_bits()), 1));
    assert_eq!(seen, wanted.collect());
}

#[test]
fn what_the_buffers_do_not_hold_is_told() {
    const WAVE: u32 = 3_000;
    /// Twice what two buffers hold.
    const MANY: u64 = 14_000;
    let _alone = ALONE.lock();
    with_server(|| {
        sysctl("net/core/somaxconn", "16384");
        sysctl("net/ipv4/tcp_max_syn_backlog", "16384");
        sysctl("net/ipv4/tcp_synack_retries", "1");
        let server = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let target = SocketAddrV4::new(SERVER, 7_000);
        bind(&server, &target).unwrap();
        listen(&server, 16_384).unwrap();
        let mut tracepoint = Tracepoint::open().unwrap();
        let spoofer = Spoofer::new();
        // Some SYNs of a burst are lost on the way. Their timers run where they were sent, on few processors.
        let mut wave = 0;
        while retransmitted() < MANY {
            for low in 0..WAVE {
                spoofer.syn(Ipv4Addr::from_bits(0xc613_0000 + wave * WAVE + low), target).unwrap();
            }
            let before = retransmitted();
            wait_for("retransmits", || (retransmitted() >= before + u64::from(WAVE / 10)).then_some(()));
            wave = (wave + 1) % 16;
        }
        let sent = retransmitted();
        let stats = tracepoint.read(|_| ()).unwrap();
        assert!(stats.overrun, "{stats:?}");
        assert!(stats.rows > 1_000 && stats.rows + stats.lost >= sent, "{stats:?}");
        assert!(!tracepoint.read(|_| ()).unwrap().overrun, "it is told once");
    });
}

#[test]
fn a_retransmit_has_the_name_of_its_socket_in_both_families() {
    let _alone = ALONE.lock();
    with_server(|| {
        ip("-6 addr add 2001:db8::1/128 dev lo nodad");
        ip("-6 route add default dev void");
        let mut tracepoint = Tracepoint::open().unwrap();
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let spoofer = Spoofer::new();
        spoofer.syn(victim(7), SocketAddrV4::new(SERVER, port)).unwrap();
        let low = u16::from(victim(0).octets()[2]);
        let six = format!("2001:db8:7:{low:x}::7").parse().unwrap();
        let to = SocketAddrV6::new("2001:db8::1".parse().unwrap(), port, 0, 0);
        spoofer.syn_from(SocketAddrV6::new(six, 40_000, 0, 0).into(), to.into(), 1).unwrap();
        let mut sockets = Vec::new();
        wait_for("both sockets", || {
            sockets.clear();
            Diag::open().unwrap().half_open(|row| sockets.push(row.handshake)).unwrap();
            (sockets.len() == 2).then_some(())
        });
        let mut told = Vec::new();
        wait_for("both retransmits", || {
            let ours = |row: &Row| is_ours(row) || row.victim == IpAddr::V6(six);
            tracepoint.read(|row| told.extend(Some(row).filter(ours).map(|row| row.handshake))).unwrap();
            (told.len() == 2).then_some(())
        });
        told.sort_unstable();
        sockets.sort_unstable();
        assert_eq!(told, sockets);
    });
}

#[test]
fn a_handshake_answered_by_cookie_is_never_sent_again() {
    let _alone = ALONE.lock();
    with_server(|| {
        sysctl("net/ipv4/tcp_syncookies", "2");
        let mut tracepoint = Tracepoint::open().unwrap();
        let listener = TcpListener::bind((SERVER, 0)).unwrap();
        let SocketAddr::V4(target) = listener.local_addr().unwrap() else { panic!("not IPv4") };
        Spoofer::new().syn(victim(9), target).unwrap();
        wait_for("the cookie", || (Netstat::read().unwrap().cookies_sent == 1).then_some(()));
        // One without a cookie, as a clock: when it was sent again, the other one would have been.
        sysctl("net/ipv4/tcp_syncookies", "0");
        Spoofer::new().syn(victim(10), target).unwrap();
        let mut told = Vec::new();
        wait_for("the other one", || {
            tracepoint.read(|row| told.extend(Some(row).filter(is_ours))).unwrap();
            (!told.is_empty()).then_some(())
        });
        let told: Vec<IpAddr> = told.iter().map(|row| row.victim.to_canonical()).collect();
        assert_eq!(told, [IpAddr::V4(victim(10))]);
    });
}

/// The directory of instances, found as an operator would who has nothing mounted.
fn instances() -> OwnedFd {
    let context = rustix::mount::fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    rustix::mount::fsconfig_create(&context).unwrap();
    let root =
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap();
    rustix::fs::openat(root, "instances", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
}

fn is_there(instances: &OwnedFd, name: &str) -> bool {
    rustix::fs::statat(instances, name, AtFlags::empty()).is_ok()
}

#[test]
fn instances_of_dead_agents_go_and_those_of_living_ones_stay() {
    let _alone = ALONE.lock();
    let home = instances();
    let pid = std::process::id();
    let (dead, alive) = (format!("sekisho-{pid}-dead"), format!("sekisho-{pid}-alive"));
    for name in [&dead, &alive] {
        rustix::fs::mkdirat(&home, name, Mode::from_raw_mode(0o750)).unwrap();
    }
    let open = OFlags::RDONLY | OFlags::DIRECTORY;
    let living = rustix::fs::openat(&home, &alive, open, Mode::empty()).unwrap();
    rustix::fs::flock(&living, FlockOperation::LockExclusive).unwrap();
    let first = Tracepoint::open().unwrap();
    let second = Tracepoint::open().unwrap();
    let own = |number: u8| is_there(&home, &format!("sekisho-{pid}-{number}"));
    assert_eq!([is_there(&home, &dead), is_there(&home, &alive)], [false, true]);
    assert_eq!([own(0), own(1)], [true, true], "two in one process do not harm each other");
    drop((first, second));
    assert_eq!([own(0), own(1)], [false, false]);
    drop(living);
    drop(Tracepoint::open().unwrap());
    assert!(!is_there(&home, &alive));
}

#[test]
fn only_one_namespace_speaks_for_the_machine() {
    assert!(tracepoint::in_first_namespace(), "this test begins in the machine's own network namespace");
    in_namespace(|| assert!(!tracepoint::in_first_namespace()));
}
