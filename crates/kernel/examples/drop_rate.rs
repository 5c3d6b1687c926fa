//! How many SYNs of listed addresses one core drops: by our table that holds 100,000 addresses, beside the least that
//! a table can do about it, and the classic way, a rule of iptables for each of 10,000 addresses. Each in network
//! namespaces of its own; needs root and iptables. `make bench` runs it; docs/benchmarks.md says what the figures mean.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement may end at once")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "../tests/kernel/lab.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod lab;

use std::{
    fmt::Write as _,
    io,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    process::{Command, Stdio},
    ptr,
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_setaffinity};
use sekisho_kernel::Nft;
use sekisho_ruleset::{Op, Range, SetName, Transaction, Ways};

use crate::lab::{Place, SERVER, in_namespace, install, ip, run, sysctl};

/// What our table holds, and the one with a single look-up.
const LISTED: u32 = 100_000;
/// Rules of iptables; the flood comes from these addresses, all of which every way lists.
const RULES: u32 = 10_000;
/// How often each way has its turn, and how long a turn may take.
const TURNS: usize = 15;
const TURN: Duration = Duration::from_millis(120);
const MOST_SYNS: usize = 1_000_000;
/// SYNs in one call of the kernel.
const BATCH: usize = 64;
/// Packets of the kernel's own that may be among them: neighbours that IPv6 looks for.
const STRAY: u64 = 64;
/// The link at both ends.
const LINK: &str = "wire";
/// Bytes of a frame with a SYN.
const FRAME: usize = 54;
/// Times that the rules of iptables cost more than ours, and the part of the rate of a single look-up, below which
/// something has become worse.
const TO_IPTABLES: f64 = 10.0;
const TO_ONE_LOOKUP: f64 = 0.6;

/// What is done about the SYNs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nothing: they find no listener, and are answered by a RST.
    Nothing,
    /// A chain drops them all without a look.
    All,
    /// A chain whose one rule is a look-up in a set of 100,000.
    OneLookup,
    /// Our table.
    Ours,
    /// A rule for each address.
    Iptables,
}

const WAYS: [Way; 5] = [Way::Nothing, Way::All, Way::OneLookup, Way::Ours, Way::Iptables];

fn main() {
    in_namespace(|| {
        let [_, all, look, ours, iptables] = measure(RULES, &WAYS)[..] else { panic!("five ways") };
        let rules = (iptables - all) / (ours - all);
        println!("  rate of ours to iptables {:.1}; cost of its rules to ours {rules:.1}", iptables / ours);
        println!("  rate of ours to one look-up {:.2}", look / ours);
        let many = measure(LISTED, &WAYS[1..4]);
        println!("  rate of ours to one look-up {:.2}", many[1] / many[2]);
        assert!(rules >= TO_IPTABLES && look / ours >= TO_ONE_LOOKUP, "our chain costs too much");
    });
}

/// Nanoseconds that a SYN costs each way, the best of its turns.
fn measure(sources: u32, ways: &[Way]) -> Vec<f64> {
    println!("SYNs of {sources} addresses over veth, sent and received on one core, best of {TURNS} turns:");
    let pairs: Vec<(Place, Place)> = ways.iter().map(|way| pair(*way)).collect();
    let mut best = vec![f64::MAX; ways.len()];
    for _ in 0..TURNS {
        for ((way, (receiver, sender)), best) in ways.iter().zip(&pairs).zip(&mut best) {
            *best = best.min(turn(*way, receiver, sender, sources));
        }
    }
    let floor = ways.iter().position(|way| *way == Way::All).map_or(0.0, |at| best[at]);
    for (way, nanos) in ways.iter().zip(&best) {
        let (name, rate, more) = (name(*way), 1e9 / nanos, nanos - floor);
        println!("  {name:46} {rate:9.0} a second, {nanos:6.0} ns each, {more:+6.0} ns to dropping all");
    }
    best
}

fn name(way: Way) -> String {
    match way {
        Way::Nothing => "no rules, answered by a RST:".into(),
        Way::All => "a chain that drops all without a look:".into(),
        Way::OneLookup => format!("a chain with one look-up among {LISTED}:"),
        Way::Ours => format!("our table with {LISTED} addresses:"),
        Way::Iptables => format!("iptables with {RULES} rules:"),
    }
}

/// A namespace that receives, and one that sends to it.
fn pair(way: Way) -> (Place, Place) {
    let receiver = Place::new();
    let sender = receiver.run(move || {
        let sender = Place::new();
        sender.join(LINK);
        ip(&format!("addr add {SERVER}/32 dev {LINK}"));
        ip(&format!("route add default dev {LINK}"));
        sysctl("net/ipv4/conf/all/rp_filter", "0");
        // RSTs go as far as the link.
        sender.run(|| ip("route add blackhole default"));
        // What comes past all rules.
        run("nft", "add table inet past");
        run("nft", "add counter inet past syns");
        run("nft", "add chain inet past in { type filter hook input priority 100; }");
        run("nft", &format!("add rule inet past in iifname {LINK} counter name syns"));
        set_up(way);
        sender
    });
    (receiver, sender)
}

fn set_up(way: Way) {
    match way {
        Way::Nothing => {}
        Way::All => run_nft(
            "table inet other {\n chain in {\n type filter hook prerouting priority raw; policy drop;\n }\n}",
        ),
        Way::OneLookup => {
            let mut elements = String::new();
            (0..LISTED).for_each(|index| write!(elements, "{} timeout 1h,", source(index)).unwrap());
            run_nft(&format!(
                "table inet other {{\n set listed {{\n type ipv4_addr; flags timeout; elements = {{ {elements} }}\n }}\n \
                 chain in {{\n type filter hook prerouting priority raw;\n ip saddr @listed drop\n }}\n}}"
            ));
        }
        Way::Ours => {
            install();
            let (set, timeout) = (SetName::Drop4, Duration::from_secs(3_600));
            let one = |index| Op::Add { set, range: Range::single(source(index).into()), timeout };
            let all = Transaction::new((0..LISTED).map(one).collect()).unwrap();
            Nft::open().unwrap().commit(&all, Ways::ANY).unwrap();
        }
        Way::Iptables => {
            let mut rules = String::from("*filter\n");
            (0..RULES).for_each(|index| writeln!(rules, "-A INPUT -s {} -j DROP", source(index)).unwrap());
            rules.push_str("COMMIT\n");
            pipe(iptables_restore(), &[], &rules);
        }
    }
}

/// The older of its two kinds goes through rules faster.
fn iptables_restore() -> &'static str {
    let older = "iptables-legacy-restore";
    if Command::new(older).arg("--version").output().is_ok() { older } else { "iptables-restore" }
}

fn run_nft(script: &str) {
    pipe("nft", &["-f", "-"], script);
}

/// Runs a program that reads this.
fn pipe(program: &str, words: &[&str], text: &str) {
    let mut child = Command::new(program).args(words).stdin(Stdio::piped()).spawn().expect(program);
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program}");
}

/// The listed addresses, far from each other.
fn source(index: u32) -> Ipv4Addr {
    // Each odd factor gives each number below 2^24 once.
    Ipv4Addr::from_bits(0x0a00_0000 | (index.wrapping_mul(7_368_787) & 0x00ff_ffff))
}

/// Every number below `count` once, in no order: a turn that ends early has met rules near and far alike.
fn shuffled(index: u32, count: u32) -> u32 {
    let mixed = u64::from(index) * 7_919 % u64::from(count);
    u32::try_from(mixed).unwrap()
}

/// Nanoseconds for each SYN; all have come, and all were dropped that were to be.
fn turn(way: Way, receiver: &Place, sender: &Place, sources: u32) -> f64 {
    let before = receiver.run(counted);
    let (sent, nanos) = sender.run(move || flood(sources));
    let after = receiver.run(counted);
    let (came, past) = (after.0 - before.0, after.1 - before.1);
    assert!(came.abs_diff(sent.into()) < STRAY, "{way:?}: {sent} sent, {came} came");
    let wanted = if way == Way::Nothing { came } else { 0 };
    assert!(past.abs_diff(wanted) < STRAY, "{way:?}: {past} of {came} got past the rules");
    nanos / f64::from(sent)
}

/// What came over the link, and what came past all rules.
fn counted() -> (u64, u64) {
    let came = run("ip", &format!("-j -s link show dev {LINK}"));
    let came: serde_json::Value = serde_json::from_str(&came).unwrap();
    let past: serde_json::Value =
        serde_json::from_str(&run("nft", "-j list counter inet past syns")).unwrap();
    let past = past["nftables"][1]["counter"]["packets"].as_u64().unwrap();
    (came[0]["stats64"]["rx"]["packets"].as_u64().unwrap(), past)
}

/// Sends SYNs for a while, on one core, which receives them too: a veth hands a frame over where it is sent. Gives
/// how many, and the time of this thread for them in nanoseconds.
fn flood(sources: u32) -> (u32, f64) {
    let mut core = CpuSet::new();
    core.set(1 % std::thread::available_parallelism().unwrap().get());
    sched_setaffinity(None, &core).unwrap();
    let link = link_socket();
    let mut frames: Vec<u8> =
        (0..sources).flat_map(|index| frame(source(shuffled(index, sources)))).collect();
    let mut parts: Vec<libc::iovec> = frames
        .chunks_mut(FRAME)
        .map(|frame| libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() })
        .collect();
    let mut messages: Vec<libc::mmsghdr> = parts.iter_mut().map(message).collect();
    let (begun, busy) = (Instant::now(), cpu());
    let mut sent = 0;
    for batch in (0..messages.len() / BATCH).cycle() {
        sent += send(&link, &mut messages[batch * BATCH..][..BATCH]);
        if sent >= MOST_SYNS || begun.elapsed() >= TURN {
            break;
        }
    }
    // A softirq that a frame raises runs on this thread.
    (u32::try_from(sent).unwrap(), (cpu() - busy).as_secs_f64() * 1e9)
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// A frame with a SYN to the server.
fn frame(source: Ipv4Addr) -> Vec<u8> {
    let mut packet = lab::syn(SocketAddr::from((source, 40_000)), SocketAddr::from((SERVER, 80)), 1);
    let sum: u32 = packet[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    let ends = [2, 0, 0, 0, 0, 1].repeat(2);
    let frame = [&ends[..], &[8, 0], &packet].concat();
    assert_eq!(frame.len(), FRAME);
    frame
}

fn message(part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: all zero is an empty message.
    #[expect(unsafe_code, reason = "its padding cannot be named")]
    let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
    message.msg_hdr.msg_iov = ptr::from_mut(part);
    message.msg_hdr.msg_iovlen = 1;
    message
}

/// A socket that puts whole frames on the link.
fn link_socket() -> OwnedFd {
    let listed: serde_json::Value =
        serde_json::from_str(&run("ip", &format!("-j link show dev {LINK}"))).unwrap();
    let number = listed[0]["ifindex"].as_i64().unwrap().try_into().unwrap();
    // SAFETY: the address outlives the calls and has the length that is given; the descriptor is nobody else's.
    #[expect(unsafe_code, reason = "rustix has no such sockets")]
    unsafe {
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(socket >= 0, "a socket for frames: {}", io::Error::last_os_error());
        let socket = OwnedFd::from_raw_fd(socket);
        let mut to: libc::sockaddr_ll = std::mem::zeroed();
        to.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
        to.sll_ifindex = number;
        let length = u32::try_from(size_of::<libc::sockaddr_ll>()).unwrap();
        let bound = libc::bind(socket.as_raw_fd(), (&raw const to).cast(), length);
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        socket
    }
}

/// Sends these frames; gives how many were sent.
fn send(link: &OwnedFd, messages: &mut [libc::mmsghdr]) -> usize {
    let count = u32::try_from(messages.len()).unwrap();
    // SAFETY: each message points to a part, and each part to a frame, that outlive the call.
    #[expect(unsafe_code, reason = "rustix has no such call")]
    let sent = unsafe { libc::sendmmsg(link.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
    usize::try_from(sent).unwrap_or_else(|_| panic!("frames: {}", io::Error::last_os_error()))
}
