//! Measures the way to the kernel: big snapshots, deltas, single entries and restarts, each beside what it could cost
//! at best. `make bench` runs it, as root; docs/benchmarks.md says what the figures mean.
#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::{
    env, fs,
    io::Write,
    net::Ipv4Addr,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketType, bind, netlink, recv, send, socket, sockopt,
};
use rustix::time::{ClockId, clock_gettime};
use sekisho_agent::{
    journal::Journal,
    keeper::{Keeper, Verdict},
};
use sekisho_kernel::{Nft, nft, table::Owner};
use sekisho_model::{
    Change, Delta, Digest, Epoch, Key, List, Member, Moment, Position, Prefix, Revision, Tier,
    feed::Announcement,
};
use sekisho_ruleset::{Mirror, Op, Range, SetName, Sides, Transaction, Ways};

const MILLION: u32 = 1_000_000;
const TIMEOUT: Duration = Duration::from_secs(3_600);
/// Says that this process is in a network namespace of its own.
const INSIDE: &str = "SEKISHO_BENCH_INSIDE";

fn main() {
    if env::var_os(INSIDE).is_none() {
        for part in ["fill", "small", "delta", "entry", "restart", "memory"] {
            let mut inside = Command::new("unshare");
            inside.args(["--net", "--"]).arg(env::current_exe().unwrap()).arg(part).env(INSIDE, "1");
            assert!(inside.status().unwrap().success(), "{part} failed; it needs root");
        }
        return;
    }
    match env::args().nth(1).as_deref() {
        Some("fill") => fill(MILLION),
        Some("small") => fill(10_000),
        Some("delta") => deltas(),
        Some("entry") => entries(),
        Some("restart") => restart(),
        _ => memory(),
    }
}

/// A snapshot into the empty set: a bare loop, `nft -f`, and ours, each five times in turns.
fn fill(count: u32) {
    let (mut bare, mut nft, mut ours, mut longest) = (Vec::new(), Vec::new(), Vec::new(), Duration::ZERO);
    let (mut bare_core, mut ours_core) = (Duration::MAX, Duration::MAX);
    let best = [1_000, 2_000, 5_000, 10_000, 20_000].map(|batch| (bare_loop(count, batch).0, batch));
    let (_, batch) = *best.iter().min().unwrap();
    for _ in 0..5 {
        let (took, core) = bare_loop(count, batch);
        bare.push(took);
        bare_core = bare_core.min(core);
        nft.push(by_nft(count));
        let (mut keeper, _dir) = keeper();
        let feed = Feed::of(count);
        feed.welcome(&mut keeper);
        let core = busy();
        ours.push(feed.snapshot(&mut keeper));
        ours_core = ours_core.min(busy() - core);
        assert_eq!(held(), count as usize);
        longest = longest.max(keeper.counts().door.longest);
        keeper.flush().unwrap();
    }
    let (bare, (ours, answered)) = (*bare.iter().min().unwrap(), *ours.iter().min().unwrap());
    let nft = *nft.iter().min().unwrap();
    println!("{count} addresses into the empty set, best of 5");
    println!("  bare loop, ready-made batches of {batch}: {bare:.1?}");
    println!("  nft -f: {nft:.1?}");
    println!(
        "  ours: {ours:.1?}; to the bare loop {:.2}, nft -f to ours {:.1}",
        ratio(ours, bare),
        ratio(nft, ours)
    );
    println!("  time on the core: bare loop {bare_core:.2?}, ours, up to the answer, {ours_core:.2?}");
    println!("  to the answer, with what is written down: {answered:.1?}");
    println!("  longest that one call of the kernel held a core: {longest:.1?}");
}

/// Sends batches that are made already, and reads what comes back.
fn bare_loop(count: u32, batch: usize) -> (Duration, Duration) {
    let mut nft = Nft::open().unwrap();
    nft.install(Owner::Anybody, &Transaction::default()).unwrap();
    let (set, timeout) = (SetName::Drop4, TIMEOUT);
    let numbers: Vec<u32> = (0..count).collect();
    let batches: Vec<Vec<u8>> = numbers
        .chunks(batch)
        .map(|some| {
            let add = |n: &u32| Op::Add { set, range: Range::single(address(*n).into()), timeout };
            let transaction = Transaction::new(some.iter().map(add).collect()).unwrap();
            nft::encode(&transaction, Ways::ANY, Sides::default(), 1).bytes
        })
        .collect();
    let link = socket(AddressFamily::NETLINK, SocketType::RAW, Some(netlink::NETFILTER)).unwrap();
    bind(&link, &netlink::SocketAddrNetlink::new(0, 0)).unwrap();
    sockopt::set_socket_send_buffer_size_force(&link, 64 << 20).unwrap();
    let mut answer = vec![0; 64 << 10];
    let (begun, core) = (Instant::now(), busy());
    for bytes in &batches {
        send(&link, bytes, SendFlags::empty()).unwrap();
        while recv(&link, answer.as_mut_slice(), RecvFlags::DONTWAIT).is_ok() {}
    }
    let took = (begun.elapsed(), busy() - core);
    assert_eq!(nft.count(set).unwrap(), Some(count));
    nft.remove().unwrap();
    took
}

fn by_nft(count: u32) -> Duration {
    let path = env::temp_dir().join(format!("sekisho-bench-{}.nft", std::process::id()));
    let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    file.write_all(
        b"table inet sekisho { set drop4 { type ipv4_addr; flags timeout; size 16777216; elements = {",
    )
    .unwrap();
    for n in 0..count {
        write!(file, "{} timeout 1h,", address(n)).unwrap();
    }
    file.write_all(b"}\n}\n}\n").unwrap();
    file.into_inner().unwrap();
    let begun = Instant::now();
    assert!(Command::new("nft").arg("-f").arg(&path).status().unwrap().success());
    let took = begun.elapsed();
    Nft::open().unwrap().remove().unwrap();
    fs::remove_file(&path).unwrap();
    took
}

/// Deltas of 1,000, half of them new and half of them gone, into big and small sets.
fn deltas() {
    for count in [10_000, MILLION] {
        let (mut keeper, _dir, mut feed) = filled(count);
        let mut times = Vec::new();
        for round in 0..40 {
            let new = (0..500).map(|n| block(count + round * 500 + n));
            let gone = (0..500).map(|n| Change::Remove(key(round * 250 + n)));
            let took = feed.send(&mut keeper, new.chain(gone).collect());
            times.push(took);
        }
        println!("a delta of 1,000 while {count} are held: median {:.2?}", median(&mut times));
    }
}

/// One more entry, from handing it to the keeper to its answer.
fn entries() {
    for count in [10_000, 100_000, 500_000] {
        let (mut keeper, _dir, mut feed) = filled(count);
        let mut times: Vec<Duration> =
            (0..200).map(|n| feed.send(&mut keeper, vec![block(count + n)])).collect();
        println!("one more entry while {count} are held: median {:.3?}", median(&mut times));
    }
}

/// A restart with everything in the kernel and 1,000 changed meanwhile.
fn restart() {
    let (keeper, dir, mut feed) = filled(MILLION);
    drop(keeper);
    let begun = Instant::now();
    let (journal, remembered) = Journal::open(dir.path()).unwrap();
    let read = begun.elapsed();
    let mut keeper = Keeper::start(journal, remembered, true).unwrap();
    let started = begun.elapsed();
    feed.welcome(&mut keeper);
    let new = (0..500).map(|n| block(MILLION + n));
    let gone = (0..500).map(|n| Change::Remove(key(n)));
    let took = feed.send(&mut keeper, new.chain(gone).collect());
    println!(
        "a restart with {MILLION} in the kernel and 1,000 changed: {:.1?} (journal {read:.1?}, takeover {:.1?}, delta {took:.1?})",
        started + took,
        started - read
    );
    assert_eq!(keeper.counts().door.filled_aside, 0);
    assert_eq!(held(), MILLION as usize);
}

/// What a process needs that does nothing but keep a million: a snapshot into the empty set, another one that
/// changes much of it, and what is left then.
fn memory() {
    let (mut keeper, _dir) = keeper();
    let begin = status("VmRSS:");
    let print = |what: &str| {
        let (peak, now) = (status("VmHWM:"), status("VmRSS:"));
        let each = |kib: usize| (kib.saturating_sub(begin)) * 1_024 / MILLION as usize;
        println!(
            "{what}: {} MiB, at most {} MiB; beyond the {} MiB before, {} and {} bytes an entry",
            now / 1_024,
            peak / 1_024,
            begin / 1_024,
            each(now),
            each(peak)
        );
    };
    for (revision, from) in [(1, 0), (2, MILLION / 2)] {
        streamed(&mut keeper, revision, from);
        print(if revision == 1 { "a snapshot of 1,000,000" } else { "another one, half of it new" });
    }
}

/// A snapshot of a million from `from` on, of which there never is more than a chunk at a time.
fn streamed(keeper: &mut Keeper, revision: i64, from: u32) {
    let member = |n: u32| Member {
        prefix: key(n).prefix,
        list: List::Block(Tier::Drop),
        expires: Moment::from_millis(i64::MAX / 4),
    };
    let digest = (from..from + MILLION).fold(Digest::EMPTY, |sum, n| sum.with(&member(n)));
    let position = Position { epoch: Epoch(7), revision: Revision(revision) };
    keeper.begin_stream();
    going(&keeper.handle(Announcement::Welcome { now: now(), position }));
    going(&keeper.handle(Announcement::SnapshotBegin { position, members: MILLION.into(), digest }));
    for begin in (from..from + MILLION).step_by(50_000) {
        going(&keeper.handle(Announcement::SnapshotChunk((begin..begin + 50_000).map(member).collect())));
    }
    going(&keeper.handle(Announcement::SnapshotEnd));
}

/// An aggregator, as far as it matters here.
struct Feed {
    list: Mirror,
    revision: i64,
}

impl Feed {
    fn of(count: u32) -> Self {
        let mut list = Mirror::new();
        list.apply(&(0..count).map(block).collect::<Vec<_>>());
        Self { list, revision: 1 }
    }

    fn position(&self) -> Position {
        Position { epoch: Epoch(7), revision: Revision(self.revision) }
    }

    fn welcome(&self, keeper: &mut Keeper) {
        keeper.begin_stream();
        going(&keeper.handle(Announcement::Welcome { now: now(), position: self.position() }));
    }

    /// Sends everything; the times are from its end to when packets see it, and to the answer.
    fn snapshot(&self, keeper: &mut Keeper) -> (Duration, Duration) {
        let (position, digest) = (self.position(), self.list.digest());
        let members: Vec<Member> = self.list.members().collect();
        going(&keeper.handle(Announcement::SnapshotBegin {
            position,
            members: members.len() as u64,
            digest,
        }));
        for chunk in members.chunks(65_536) {
            going(&keeper.handle(Announcement::SnapshotChunk(chunk.to_vec())));
        }
        let begun = Instant::now();
        going(&keeper.handle(Announcement::SnapshotEnd));
        let seen = keeper.counts().door.turned.unwrap_or_else(Instant::now);
        (seen.duration_since(begun), begun.elapsed())
    }

    fn send(&mut self, keeper: &mut Keeper, mut changes: Vec<Change>) -> Duration {
        let previous = Revision(self.revision);
        changes.sort_by_key(Change::key);
        self.list.apply(&changes);
        self.revision += 1;
        let delta =
            Delta { previous, revision: Revision(self.revision), changes, digest: self.list.digest() };
        let begun = Instant::now();
        going(&keeper.handle(Announcement::Delta(delta)));
        begun.elapsed()
    }
}

fn keeper() -> (Keeper, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (journal, remembered) = Journal::open(dir.path()).unwrap();
    (Keeper::start(journal, remembered, true).unwrap(), dir)
}

fn filled(count: u32) -> (Keeper, tempfile::TempDir, Feed) {
    let (mut keeper, dir) = keeper();
    let feed = Feed::of(count);
    feed.welcome(&mut keeper);
    feed.snapshot(&mut keeper);
    (keeper, dir, feed)
}

fn going(verdict: &Verdict) {
    assert!(matches!(verdict, Verdict::Going(_)), "{verdict:?}");
}

fn held() -> usize {
    let mut nft = Nft::open().unwrap();
    nft.inspect().unwrap();
    nft.count(SetName::Drop4).unwrap().unwrap() as usize
}

/// The `n`th address: from all over the space, as victims are.
fn address(n: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(n.wrapping_mul(2_654_435_761))
}

fn key(n: u32) -> Key {
    Key { allow: false, prefix: Prefix::host(address(n).into()) }
}

fn block(n: u32) -> Change {
    Change::Put(Member { prefix: key(n).prefix, list: List::Block(Tier::Drop), expires: now() + TIMEOUT })
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Moment::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// How long this thread has had a core.
fn busy() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

/// A line of /proc/self/status, in KiB.
fn status(name: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
