//! What it would cost to listen to the notifications of nf_tables, against asking for the generation now and then: a
//! filling of 100,000 elements with nobody listening, with a listener in this network namespace, and with one in
//! another; and what a look at a table costs. In network namespaces of its own; needs root.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement may end at once")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

#[path = "../tests/kernel/lab.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod lab;

use std::{
    net::IpAddr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use netlink_sys::Socket;
use rustix::time::{ClockId, clock_gettime};
use sekisho_kernel::{KernelError, Nft, table::Owner};
use sekisho_ruleset::{Element, Range, SetName, Transaction};

use crate::lab::in_namespace;

/// `NETLINK_NETFILTER`, and its group of nf_tables.
const PROTOCOL: isize = 12;
const GROUP: u32 = 7;
const COUNT: u32 = 100_000;
const FILL_STEPS: usize = 4_096;
const ROUNDS: usize = 7;

fn main() {
    in_namespace(|| {
        report("nobody listens", median());
        let own = listener();
        report("a listener here", median());
        drop(own);
        let (say, heard) = mpsc::channel();
        let (end, ended) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            in_namespace(move || {
                let _listener = listener();
                say.send(()).unwrap();
                let _ = ended.recv();
            });
        });
        heard.recv().unwrap();
        report("a listener in another namespace", median());
        drop(end);
        other.join().expect("the other namespace");
        report("nobody any more", median());
        looks();
    });
}

fn report(what: &str, (used, took): (Duration, Duration)) {
    println!("{COUNT} elements, {what}: {used:.1?} of a core, {took:.1?}");
}

/// A socket in the group that nobody reads.
fn listener() -> Socket {
    let mut socket = Socket::new(PROTOCOL).unwrap();
    socket.bind_auto().unwrap();
    socket.add_membership(GROUP).unwrap();
    socket
}

fn median() -> (Duration, Duration) {
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| fill()).collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

/// What a filling takes of a core, and in all.
fn fill() -> (Duration, Duration) {
    let mut nft = fresh();
    let element = |n: u32| Element {
        set: SetName::Drop4,
        range: Range::single(IpAddr::V4((0x0a00_0000 + n).into())),
        remaining: Duration::from_secs(600),
    };
    let all: Vec<Element> = (0..COUNT).map(element).collect();
    nft.begin_aside(SetName::Drop4).unwrap();
    let (at, used) = (Instant::now(), busy());
    all.chunks(FILL_STEPS).for_each(|some| nft.fill_aside(SetName::Drop4, some).unwrap());
    (busy().saturating_sub(used), at.elapsed())
}

fn fresh() -> Nft {
    let mut nft = Nft::open().unwrap();
    nft.remove().unwrap();
    nft.install(Owner::Anybody, &Transaction::default()).unwrap();
    nft
}

/// What the guard does.
fn looks() {
    let mut nft = fresh();
    each(&mut nft, "asking for the generation", |nft| nft.generation().map(|_| ()));
    each(&mut nft, "asking for the table's owner", |nft| nft.owner().map(|_| ()));
    each(&mut nft, "looking up an element", |nft| {
        nft.contains(SetName::Drop4, [10, 0, 0, 9].into()).map(|_| ())
    });
    each(&mut nft, "looking at the whole table", |nft| nft.inspect().map(|_| ()));
}

fn each(nft: &mut Nft, what: &str, look: impl Fn(&mut Nft) -> Result<(), KernelError>) {
    let used = busy();
    (0..1_000).for_each(|_| look(nft).unwrap());
    println!("{what}: {:.1?} of a core", busy().saturating_sub(used) / 1_000);
}

/// How long this thread has had a core.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}
