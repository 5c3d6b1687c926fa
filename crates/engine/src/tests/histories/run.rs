//! Many histories, on all cores; the first that fails is made small and printed.

use alloc::string::{String, ToString};
extern crate std;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use super::{
    make::{History, world},
    show::shown,
    shrink::shrunk,
};

/// A property of histories: what is wrong with one, if something is.
pub(in crate::tests) type Verdict = Result<(), String>;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

/// Holds `property` against `count` histories, or as many as `SEKISHO_HISTORIES` says.
pub(in crate::tests) fn for_all(count: u64, property: impl Fn(&History) -> Verdict + Sync) {
    for_all_of(count, world, property);
}

/// Holds `property` against `count` histories that `make` makes.
pub(in crate::tests) fn for_all_of(
    count: u64,
    make: impl Fn(u64) -> History + Sync,
    property: impl Fn(&History) -> Verdict + Sync,
) {
    let count = number("SEKISHO_HISTORIES").unwrap_or(count);
    let first = number("SEKISHO_SEED").unwrap_or(0);
    let (next, is_over, found) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(None));
    let verdict = |history: &History| {
        catch_unwind(AssertUnwindSafe(|| property(history)))
            .unwrap_or_else(|_| Err("it panicked; the message stands above".to_string()))
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let history = make(seed);
                    if verdict(&history).is_err() && !is_over.swap(true, Ordering::Relaxed) {
                        *found.lock().unwrap() = Some(history);
                    }
                }
            });
        }
    });
    if let Some(history) = found.into_inner().unwrap() {
        let least = shrunk(history, |history| verdict(history).is_err());
        let why = verdict(&least).unwrap_err();
        panic!("SEKISHO_SEED={} SEKISHO_HISTORIES=1\n{}\n{why}", least.seed, shown(&least));
    }
}
