//! What the sensors cost on a busy host: a pass over 100,000 established and 1,000 half-open sockets against a bare
//! request and a read loop; a dump of the tracked connections; and what listening to their events would cost each SYN.
//! In a network namespace of its own; needs root.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement may end at once")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "../tests/kernel/lab.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod lab;

use std::{
    env,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use netlink_sys::{Socket, SocketAddr as Address};
use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
use sekisho_kernel::{Conntrack, Diag, Tracked};

use crate::lab::{SERVER, Spoofer, run, sysctl, wait_for, with_server};

/// Connections: each has two sockets here.
const CONNECTIONS: usize = 50_000;
/// Processes that hold them, since one may have so many descriptors only.
const HOLDERS: u8 = 5;
const HALF_OPEN: u32 = 1_000;
const PORT: u16 = 9_000;
const ROUNDS: usize = 15;
/// What a pass may take, over a bare one.
const MOST: f64 = 1.1;

fn main() {
    if let Some(number) = env::args().nth(1) {
        hold(number.parse().unwrap());
        return;
    }
    with_server(sockets);
    with_server(events);
}

/// Opens connections and holds them until the other side goes.
fn hold(number: u8) {
    let to = SocketAddr::from(([127, 0, 1, number], PORT));
    let each = CONNECTIONS / usize::from(HOLDERS);
    let _held: Vec<TcpStream> = (0..each).map(|_| TcpStream::connect(to).unwrap()).collect();
    println!("held");
    let _until_the_end = std::io::stdin().read(&mut [0]);
}

fn sockets() {
    track();
    sysctl("net/core/somaxconn", "200000");
    sysctl("net/ipv4/tcp_max_syn_backlog", "200000");
    sysctl("net/ipv4/ip_local_port_range", "1024 65535");
    let listener: OwnedFd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
    listen(&listener, 200_000).unwrap();
    let _holders: Vec<(Child, ChildStdin)> = (1..=HOLDERS).map(holder).collect();
    let spoofer = Spoofer::new();
    spoof(&spoofer, Ipv4Addr::new(198, 18, 0, 0), HALF_OPEN);
    let mut diag = Diag::open().unwrap();
    wait_for("the half-open sockets", || (diag.half_open(|_| ()).unwrap().rows >= 1_000).then_some(()));
    pass(&mut diag);
    dump();
}

/// A process with its part of the connections.
fn holder(number: u8) -> (Child, ChildStdin) {
    let mut command = Command::new(env::current_exe().unwrap());
    let mut child =
        command.arg(number.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    let stdin = child.stdin.take().unwrap();
    (child, stdin)
}

fn track() {
    run("nft", "add table inet firewall");
    run("nft", "add chain inet firewall input { type filter hook input priority 0; }");
    run("nft", "add rule inet firewall input ct state established accept");
}

fn spoof(spoofer: &Spoofer, first: Ipv4Addr, count: u32) {
    for low in 0..count {
        let source = Ipv4Addr::from_bits(first.to_bits() + low);
        spoofer.syn(source, SocketAddrV4::new(SERVER, PORT)).unwrap();
    }
}

/// A pass of ours and a bare one, in turn.
fn pass(diag: &mut Diag) {
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        times[0].push(timed(|| {
            diag.half_open(|row| _ = std::hint::black_box(row)).unwrap();
        }));
        times[1].push(timed(|| bare(&[both()])));
        times[2].push(timed(|| bare(&[by_family(libc::AF_INET), by_family(libc::AF_INET6)])));
    }
    let [ours, bare, two] = times.map(median);
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    println!("sock_diag, {} established and {HALF_OPEN} half-open sockets:", 2 * CONNECTIONS);
    println!("  a pass {ours:?}, a bare request and read loop {bare:?}: {ratio:.2} times (at most {MOST})");
    println!("  the same as two dumps, one a family: {two:?}");
    let interval = sekisho_observe::poll_interval(ours);
    let share = 100.0 * ours.as_secs_f64() / interval.as_secs_f64();
    println!("  every {interval:?}: {share:.2} % of a core (at most 1)");
    assert!(ratio <= MOST && share <= 1.001, "the sensor costs too much");
}

fn dump() {
    let mut conntrack = Conntrack::open().unwrap();
    let mut rows = 0;
    let times = (0..ROUNDS).map(|_| timed(|| rows = conntrack.half_open(|_| ()).unwrap().rows)).collect();
    let (took, known) = (median(times), Tracked::read().unwrap().count);
    let interval = sekisho_observe::tracked_interval(took);
    println!("conntrack, {known} entries, {rows} of them half-open: a dump {took:?}, every {interval:?}");
}

/// What a SYN costs its way through the kernel, without and with a listener for the events of connection tracking.
fn events() {
    track();
    let _listener = TcpListener::bind((SERVER, PORT)).unwrap();
    let spoofer = Spoofer::new();
    let mut times = [const { Vec::new() }; 2];
    for round in 0..8u32 {
        let listening = round % 2 == 1;
        let (stop, first) = (AtomicBool::new(false), Ipv4Addr::from_bits(0xc612_0000 + (round << 13)));
        let took = thread::scope(|scope| {
            if listening {
                let socket = listener_of_events();
                let stop = &stop;
                scope.spawn(move || drain(&socket, stop));
            }
            let took = timed(|| spoof(&spoofer, first, 8_192));
            stop.store(true, Ordering::Relaxed);
            took
        });
        times[usize::from(listening)].push(took / 8_192);
    }
    let [without, with] = times.map(median);
    println!("each SYN, sent and tracked: {without:?}; with a listener for events {with:?}");
    std::io::stdout().flush().unwrap();
}

fn listener_of_events() -> Socket {
    let mut socket = Socket::new(12).unwrap();
    socket.bind_auto().unwrap();
    // NFNLGRP_CONNTRACK_NEW, _UPDATE, _DESTROY.
    (1..=3).for_each(|group| socket.add_membership(group).unwrap());
    socket.set_rx_buf_sz(8 << 20).unwrap();
    socket.set_non_blocking(true).unwrap();
    socket
}

fn drain(socket: &Socket, stop: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    while !stop.load(Ordering::Relaxed) {
        if socket.recv(&mut &mut buffer[..], 0).is_err() {
            thread::yield_now();
        }
    }
}

/// Requests on a socket of their own, each answer read to its end and nothing done with it.
fn bare(requests: &[Vec<u8>]) {
    let mut socket = Socket::new(4).unwrap();
    socket.bind_auto().unwrap();
    socket.connect(&Address::new(0, 0)).unwrap();
    let mut buffer = vec![0; 64 << 10];
    for request in requests {
        socket.send(request, 0).unwrap();
        loop {
            let length = socket.recv(&mut &mut buffer[..], 0).unwrap();
            // NLMSG_DONE comes at the end of its own buffer or of the last.
            let mut at = 0;
            let mut done = false;
            while at + 16 <= length {
                let size = u32::from_ne_bytes(buffer[at..at + 4].try_into().unwrap()) as usize;
                done |= u16::from_ne_bytes(buffer[at + 4..at + 6].try_into().unwrap()) == 3;
                at += size.next_multiple_of(4).max(16);
            }
            if done {
                break;
            }
        }
    }
}

const STATES: u32 = 1 << 3 | 1 << 12;

/// `TCPDIAG_GETSOCK`.
fn both() -> Vec<u8> {
    let body = [&[0; 52][..], &STATES.to_ne_bytes(), &[0; 4]].concat();
    message(18, &body)
}

/// `SOCK_DIAG_BY_FAMILY`.
fn by_family(family: i32) -> Vec<u8> {
    let body = [&[u8::try_from(family).unwrap(), 6, 0, 0][..], &STATES.to_ne_bytes(), &[0; 48]].concat();
    message(20, &body)
}

/// A dump request.
fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let head = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &0x301u16.to_ne_bytes(), &[0; 8]].concat();
    [head, body.to_vec()].concat()
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
