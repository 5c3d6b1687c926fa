//! How fast a replay is: `cargo test --release -p sekisho-history --test speed -- --ignored --nocapture`.
#![expect(clippy::unwrap_used, reason = "a measurement fails on the spot")]

use std::{fs, ops::ControlFlow, time::Duration};

use sekisho_history::{records::FORMAT, replay::replay};
use sekisho_model::{Batch, Input, Moment, Observation, Policy, Totals, Unit};
use sekisho_store::{Log, Options, Record, Store};
use sekisho_wire::log;

const ENTRIES: u64 = 500;
const BATCHES: u64 = 10;
const ROWS: u64 = 1_000;
const HOSTS: u64 = 40;

/// How many of a hundred rows are of sources that come once, and the observations a second that a replay must
/// do then at least, of both engines together. Strangers cost more: nothing of them is near the processor.
const LEAST: [(u64, f64); 3] = [(0, 1_000_000.0), (50, 500_000.0), (100, 300_000.0)];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    /// A row of a source that comes once, or of one of some thousand victims.
    fn row(&mut self, strangers: u64) -> Observation {
        let bits = match self.below(100) {
            rest if rest < strangers => 0x0100_0000 + self.below(0xbf00_0000),
            _ => 0xcb00_0000 + self.below(2_000) * 61,
        };
        Observation { unit: Unit::V4(u32::try_from(bits).unwrap()), sockets: 1, retransmits: 1 }
    }
}

/// Writes a log of 5 million observations.
fn write(store: &mut Store, strangers: u64) {
    let mut random = Random(7);
    for entry in 0..ENTRIES {
        let batch = |n: u64| {
            let host = (entry * BATCHES + n) % HOSTS;
            Input::Batch(Batch {
                host: format!("host-{host}").parse().unwrap(),
                session: 1,
                sequence: entry * BATCHES + n + 1,
                age: Duration::ZERO,
                observations: (0..ROWS).map(|_| random.row(strangers)).collect(),
                hits: vec![],
                completed: vec![],
                totals: Totals::default(),
            })
        };
        let inputs: Vec<Input> = (0..BATCHES).map(batch).collect();
        let time = Moment::from_millis(1_700_000_000_000 + i64::try_from(entry * 500).unwrap());
        let payload = log::encode(&inputs);
        store.append(Record { format: FORMAT, writer: 1, sequence: entry, time, payload: &payload }).unwrap();
    }
}

/// What this thread has had of a core: others may want it too.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

#[test]
#[ignore = "a measurement of a minute, for an otherwise idle machine"]
fn five_million_observations_are_replayed_within_seconds() {
    for (strangers, least) in LEAST {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        write(&mut store, strangers);
        let policy = Policy { suppress_quorum: 3, drop_quorum: 4, ..Policy::default() };
        let begun = processor_time();
        let done = replay(&store.reader(), policy, None, |_| ControlFlow::Continue(())).unwrap();
        let (spent, summary) = (processor_time() - begun, done.summary);
        assert_eq!(summary.observations, ENTRIES * BATCHES * ROWS);
        let rate = 5_000_000.0 / spent.as_secs_f64();
        println!("{strangers}% strangers: {rate:.0} observations a second of one core; {summary:?}");
        assert!(rate > least, "{rate:.0} a second");
    }
}
