//! What the real kernel refuses, the fake one refuses for the same reason; and what it takes of the rest is the same.

use std::{net::IpAddr, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use sekisho_kernel::{KernelError, Nft};
use sekisho_model::Moment;
use sekisho_ruleset::{Element, Fake, FakeError, Op, Range, SetName, Transaction, Ways, element::dump};

use crate::lab::{in_namespace, run};

const NOW: Moment = Moment::from_millis(0);
/// Elements that the set of addresses takes here.
const SIZE: usize = 5;
const TIMEOUT: Duration = Duration::from_secs(600);

/// A real table with a small set of addresses and a set of ranges.
fn small() -> Nft {
    let mut nft = Nft::open().unwrap();
    nft.remove().unwrap();
    run("nft", "add table inet sekisho");
    run("nft", &format!("add set inet sekisho drop4 {{ type ipv4_addr; flags timeout; size {SIZE}; }}"));
    run("nft", "add set inet sekisho dropnet4 { type ipv4_addr; flags interval,timeout; }");
    nft
}

fn held(nft: &mut Nft) -> String {
    let all = [SetName::Drop4, SetName::DropNet4].into_iter().flat_map(|set| nft.read_set(set).unwrap());
    dump(all.map(|element| Element { remaining: Duration::ZERO, ..element }))
}

/// Steps on few addresses and few ranges, so that they meet.
fn op() -> impl Strategy<Value = Op> {
    let address = |low: u32| IpAddr::V4((0xcb00_7100 + low).into());
    (0u32..10, 1u32..4, 0u8..8).prop_map(move |(low, length, what)| {
        let single = Range::single(address(low));
        let range = Range::new(address(low), address(low + length)).unwrap_or(single);
        match what {
            0..=2 => Op::Add { set: SetName::Drop4, range: single, timeout: TIMEOUT },
            3 => Op::Remove { set: SetName::Drop4, range: single },
            4..=6 => Op::Add { set: SetName::DropNet4, range, timeout: TIMEOUT },
            _ => Op::Remove { set: SetName::DropNet4, range },
        }
    })
}

/// Whether both say the same.
fn agree(real: &Result<(), KernelError>, fake: &Result<(), FakeError>) -> bool {
    use {FakeError as F, KernelError as K};
    matches!(
        (real, fake),
        (Ok(()), Ok(()))
            | (Err(K::Missing), Err(F::NoSet(_)))
            | (Err(K::Full(_)), Err(F::Full(_)))
            | (Err(K::Overlap(_)), Err(F::Overlap { .. }))
            | (Err(K::TooLarge(_)), Err(F::TooLarge(_)))
    )
}

/// Whether the real kernel may take without a word what the fake one refuses: what is there already, and ranges that
/// share an end with another one, of which nf_tables then makes something else than was meant.
fn unsure(before: &Fake, ops: &[Op], judged: &Result<(), FakeError>) -> bool {
    let Err(FakeError::Overlap { new, .. }) = judged else {
        return matches!(judged, Err(FakeError::Present { .. } | FakeError::Torn { .. }));
    };
    let held = before.elements(NOW).into_iter().map(|element| element.range);
    let mut all = held.chain(ops.iter().filter_map(Op::range));
    all.any(|old| old != *new && (old.first() == new.first() || old.last() == new.last()))
}

/// Plays these transactions to both; those of which it is not said what comes of them are left out.
fn play(transactions: &[Vec<Op>]) {
    let (mut nft, mut fake) = (small(), Fake::installed().with_size(SetName::Drop4, SIZE));
    for ops in transactions {
        let Ok(transaction) = Transaction::new(ops.clone()) else { continue };
        let before = fake.clone();
        let judged = fake.commit(&transaction, NOW);
        if unsure(&before, ops, &judged) {
            fake = before;
            continue;
        }
        let done = nft.commit(&transaction, Ways::DESTROY);
        assert!(agree(&done, &judged), "{done:?}, but the fake one says {judged:?}:\n{transaction}");
        let wanted =
            fake.elements(NOW).into_iter().map(|element| Element { remaining: Duration::ZERO, ..element });
        assert_eq!(held(&mut nft), dump(wanted), "{transaction}");
    }
}

#[test]
fn the_real_kernel_refuses_what_the_fake_one_refuses() {
    in_namespace(|| {
        let few = prop::collection::vec(prop::collection::vec(op(), 1..5), 1..12);
        let mut runner =
            TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
        let played = runner.run(&few, |transactions| {
            play(&transactions);
            Ok(())
        });
        played.unwrap_or_else(|failure| panic!("{failure}"));
    });
}

#[test]
fn without_a_table_both_refuse_everything() {
    in_namespace(|| {
        for text in ["add element drop4 203.0.113.7 timeout 60s", "remove element drop4 203.0.113.7"] {
            let transaction: Transaction = text.parse().unwrap();
            let done = Nft::open().unwrap().commit(&transaction, Ways::DESTROY);
            assert!(agree(&done, &Fake::bare().commit(&transaction, NOW)), "{done:?}: {text}");
        }
    });
}

#[test]
fn a_full_set_takes_what_something_is_removed_for() {
    in_namespace(|| {
        let (mut nft, mut fake) = (small(), Fake::installed().with_size(SetName::Drop4, SIZE));
        let add = |n: u8| format!("add element drop4 203.0.113.{n} timeout 600s\n");
        let full: String = (0..5).map(add).collect();
        let swap = format!("remove element drop4 203.0.113.0\n{}", add(9));
        let refill = format!("clear set drop4\n{}", add(10));
        let texts = [full.as_str(), &add(9), &swap, &add(10), &refill, &add(11)];
        let mut well = Vec::new();
        for text in texts {
            let transaction: Transaction = text.parse().unwrap();
            let (done, judged) = (nft.commit(&transaction, Ways::DESTROY), fake.commit(&transaction, NOW));
            assert!(agree(&done, &judged), "{done:?}, but the fake one says {judged:?}:\n{text}");
            well.push(done.is_ok());
        }
        assert_eq!(well, [true, false, true, false, true, true]);
    });
}
