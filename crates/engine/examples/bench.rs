//! Measures the engine on one core: updates a second and bytes a unit at four sizes, and how long orders take
//! on a long list. `make bench` runs it; docs/benchmarks.md says what the figures mean.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to whoever runs it")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::{
    env, fs,
    hint::black_box,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use sekisho_engine::Engine;
use sekisho_model::{
    Batch, HostId, Input, LogEntry, Moment, Observation, Order, OrderKind, Policy, Prefix, Revision, Tier,
    Totals, Unit,
};

const HOSTS: u32 = 40;
const ROWS: usize = 1_000;
const SIZES: [u32; 4] = [10_000, 100_000, 1_000_000, 10_000_000];
/// Updates that are timed at each size.
const UPDATES: usize = 4_000_000;
/// Of which so many at a time.
const SLICE: usize = 200_000;
const ENTRIES: u32 = 1_000_000;

fn main() {
    // Each size in a process of its own, so that memory is counted from nothing.
    match env::args().nth(1).map(|size| size.parse()) {
        Some(Ok(size)) => println!("{}", updates(size).as_nanos()),
        _ => {
            all_sizes();
            orders();
        }
    }
}

fn all_sizes() {
    println!(
        "engine: {HOSTS} hosts, batches of {ROWS}; nine units in ten have one host, one in ten two or three"
    );
    let cost = |size: &u32| {
        let mut own = Command::new(env::current_exe().unwrap());
        let output = own.arg(size.to_string()).stderr(Stdio::inherit()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<f64>().unwrap()
    };
    let costs: Vec<f64> = SIZES.iter().map(cost).collect();
    let (least, most) =
        (costs.iter().copied().fold(f64::MAX, f64::min), costs.iter().copied().fold(0.0, f64::max));
    println!("engine: dearest to cheapest update {:.2}", most / least);
}

/// One engine, its log, and numbers that look random and are the same each time.
struct World {
    engine: Engine,
    index: i64,
    millis: i64,
    sequence: u64,
    random: u64,
    hosts: Vec<HostId>,
}

impl World {
    fn new() -> Self {
        let hosts = (0..HOSTS).map(|n| format!("host-{n}").parse().unwrap()).collect();
        let mut engine = Engine::new();
        engine.reseed(7);
        let mut world = Self { engine, index: 0, millis: 1_000_000_000, sequence: 0, random: 1, hosts };
        let policy = Policy {
            host_units_per_minute: 10_000_000,
            new_per_minute: 1_000_000,
            window: Duration::from_secs(3_600),
            ttl_quiet: Duration::ZERO,
            ..Policy::default()
        };
        world.tell(Input::Policy(policy));
        world
    }

    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random)
    }

    fn tell(&mut self, input: Input) {
        self.index += 1;
        self.millis += 1;
        let (index, time) = (Revision(self.index), Moment::from_millis(self.millis));
        black_box(self.engine.handle(&LogEntry { index, time, inputs: vec![input] }));
    }

    fn batch(&mut self, host: u32, units: impl Iterator<Item = u32>) -> Input {
        self.sequence += 1;
        let row = |n: u32| Observation { unit: Unit::V4(address(n)), sockets: 1, retransmits: 1 };
        Input::Batch(Batch {
            host: self.hosts[host as usize].clone(),
            session: 1,
            sequence: self.sequence,
            age: Duration::ZERO,
            observations: units.map(row).collect(),
            hits: Vec::new(),
            completed: Vec::new(),
            totals: Totals::default(),
        })
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// Addresses spread over the internet, none of them twice and none that cannot be listed: an odd factor
/// permutes the numbers of 32 bits.
fn address(n: u32) -> u32 {
    let spread = n.wrapping_mul(0x9e37_79b1);
    // 16.0.0.0 to 95.255.255.255.
    (16 << 24) + spread / 16 * 5
}

/// A number below `bound` of a random one.
fn below(random: u64, bound: u32) -> u32 {
    u32::try_from(random % u64::from(bound)).unwrap()
}

/// The hosts that see a unit: one, rarely two or three.
fn host_of(unit: u32, nth: u64) -> u32 {
    let kind = mix(unit.into()) % 100;
    let hosts = if kind < 90 {
        1
    } else if kind < 99 {
        2
    } else {
        3
    };
    below(mix((u64::from(unit) << 2) | (nth % hosts)), HOSTS)
}

fn updates(size: u32) -> Duration {
    let before = resident();
    let mut world = World::new();
    for host in 0..HOSTS {
        let own: Vec<u32> = (0..size).filter(|unit| host_of(*unit, 0) == host).collect();
        for units in own.chunks(ROWS) {
            let batch = world.batch(host, units.iter().copied());
            world.tell(batch);
        }
    }
    let bytes = resident().saturating_sub(before);
    // Made in advance, so that only the engine is timed: batches of units that their hosts see again.
    let mut by_host = vec![Vec::with_capacity(ROWS); HOSTS as usize];
    let mut inputs = Vec::new();
    while inputs.len() * ROWS < UPDATES {
        let random = world.next();
        let unit = below(random, size);
        let host = host_of(unit, random >> 32);
        by_host[host as usize].push(unit);
        if by_host[host as usize].len() == ROWS {
            let units = std::mem::take(&mut by_host[host as usize]);
            inputs.push(world.batch(host, units.into_iter()));
        }
    }
    // The least disturbed slice: other programs run on this machine, too.
    let mut inputs = inputs.into_iter();
    let took = (0..UPDATES / SLICE).map(|_| {
        let slice: Vec<Input> = inputs.by_ref().take(SLICE / ROWS).collect();
        let begun = Instant::now();
        slice.into_iter().for_each(|input| world.tell(input));
        begun.elapsed()
    });
    let each = took.min().unwrap() / u32::try_from(SLICE).unwrap();
    let counters = world.engine.counters();
    eprintln!(
        "engine: {:>8} units: {:>5.2} million updates a second, {:>4} ns each, {:>4} bytes a unit ({} entries, quorum {})",
        counters.tracked_units,
        1e3 / each.as_nanos() as f64,
        each.as_nanos(),
        bytes / u64::from(size),
        counters.entries,
        world.engine.quorums().suppress
    );
    each
}

fn orders() {
    let mut world = World::new();
    let order = |kind| {
        Input::Order(Order { operator: "ana".parse().unwrap(), text: "a test".into(), request: None, kind })
    };
    let ttl = Duration::from_secs(86_400);
    for n in 0..ENTRIES {
        let prefix = Unit::V4(address(n)).prefix();
        world.tell(order(OrderKind::Block { prefix, tier: Tier::Drop, ttl }));
    }
    let policy = world.engine.policy().clone();
    let mut never = policy.clone();
    never.never.prefixes.push("192.0.2.0/24".parse().unwrap());
    let mut worst = Duration::ZERO;
    for n in 0..1_000 {
        let prefix = Unit::V4(address(ENTRIES + n)).prefix();
        let wide: Prefix = Unit::V4(address(n * 7)).prefix().widened(24);
        let policy = if n % 2 == 0 { never.clone() } else { policy.clone() };
        let kinds = [
            OrderKind::Block { prefix, tier: Tier::Drop, ttl },
            OrderKind::Unblock { prefix, hold: Duration::ZERO },
            OrderKind::Allow { prefix: wide, ttl },
            OrderKind::Disallow { prefix: wide },
            OrderKind::SetPolicy(Box::new(policy)),
        ];
        for kind in kinds {
            let begun = Instant::now();
            world.tell(order(kind));
            worst = worst.max(begun.elapsed());
        }
    }
    println!("engine: slowest of 5,000 orders at {} entries: {worst:?}", world.engine.counters().entries);
}

/// Bytes of memory that this process has.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
