//! Measures how fast a stored log is replayed under another policy, on one core. `make bench` runs it;
//! docs/benchmarks.md says what the figures mean.
#![expect(clippy::print_stdout, reason = "a benchmark speaks on standard output")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::{fs, ops::ControlFlow, time::Duration};

use sekisho_history::{records::FORMAT, replay::replay};
use sekisho_model::{Batch, Input, Moment, Observation, Policy, Totals, Unit};
use sekisho_store::{Log, Options, Record, Store};
use sekisho_wire::log;

const ENTRIES: u64 = 500;
const BATCHES: u64 = 10;
const ROWS: u64 = 1_000;
const HOSTS: u64 = 40;

/// How many of a hundred rows are of sources that come once. They cost more: nothing of them is near the
/// processor.
const STRANGERS: [u64; 3] = [0, 50, 100];

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

fn main() {
    for strangers in STRANGERS {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), Options::default()).unwrap();
        write(&mut store, strangers);
        let policy = Policy { suppress_quorum: 3, drop_quorum: 4, ..Policy::default() };
        let begun = processor_time();
        let done = replay(&store.reader(), policy, None, |_| ControlFlow::Continue(())).unwrap();
        let (spent, summary) = (processor_time() - begun, done.summary);
        println!(
            "replay: {strangers:>3} in 100 rows of sources that come once: {:.2} million observations a second of one \
             core, both engines together ({} listed, {} would have been)",
            summary.observations as f64 / spent.as_secs_f64() / 1e6,
            summary.happened,
            summary.would_have
        );
    }
}
