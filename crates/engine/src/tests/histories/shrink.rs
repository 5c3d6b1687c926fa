//! What can be left out of a failing history without it failing any less.

use alloc::vec::Vec;

use sekisho_model::{Input, Totals};

use super::make::History;

/// The history with as much left out as possible while it `fails`.
pub(super) fn shrunk(mut history: History, fails: impl Fn(&History) -> bool) -> History {
    loop {
        let before = size(&history);
        for step in [without_entries, without_inputs, without_rows, plain_batches] {
            history = smaller(history, step, &fails);
        }
        if size(&history) == before {
            return history;
        }
    }
}

/// What is counted: everything that may be left out.
fn size(history: &History) -> usize {
    let input = |input: &Input| match input {
        Input::Batch(batch) => {
            let plain = usize::from(batch.totals != Totals::default()) + usize::from(!batch.age.is_zero());
            2 + batch.observations.len() + batch.hits.len() + batch.completed.len() + plain
        }
        _ => 1,
    };
    history.entries.iter().map(|entry| 1 + entry.inputs.iter().map(input).sum::<usize>()).sum()
}

/// Tries what `step` makes for one place after another.
fn smaller(
    mut history: History,
    step: fn(&History, usize) -> Option<History>,
    fails: impl Fn(&History) -> bool,
) -> History {
    let mut at = 0;
    while let Some(candidate) = step(&history, at) {
        if size(&candidate) < size(&history) && fails(&candidate) {
            history = candidate;
        } else {
            at += 1;
        }
    }
    history
}

/// The places of a history: the entry, then the input in it.
fn places(history: &History) -> Vec<(usize, usize)> {
    let inputs = |(entry, log): (usize, &sekisho_model::LogEntry)| {
        (0..log.inputs.len()).map(move |input| (entry, input)).collect::<Vec<_>>()
    };
    history.entries.iter().enumerate().flat_map(inputs).collect()
}

fn without_entries(history: &History, at: usize) -> Option<History> {
    let mut less = history.clone();
    (at < less.entries.len()).then(|| less.entries.remove(at))?;
    Some(less)
}

fn without_inputs(history: &History, at: usize) -> Option<History> {
    let mut less = history.clone();
    let (entry, input) = *places(history).get(at)?;
    less.entries[entry].inputs.remove(input);
    Some(less)
}

/// Without one row of one batch.
fn without_rows(history: &History, at: usize) -> Option<History> {
    let mut less = history.clone();
    let mut left = at;
    for input in less.entries.iter_mut().flat_map(|entry| &mut entry.inputs) {
        let Input::Batch(batch) = input else { continue };
        let (seen, hit, told) = (batch.observations.len(), batch.hits.len(), batch.completed.len());
        if left < seen {
            batch.observations.remove(left);
        } else if left < seen + hit {
            batch.hits.remove(left - seen);
        } else if left < seen + hit + told {
            batch.completed.remove(left - seen - hit);
        } else {
            left -= seen + hit + told;
            continue;
        }
        return Some(less);
    }
    None
}

/// A batch without an age, or without totals.
fn plain_batches(history: &History, at: usize) -> Option<History> {
    let mut less = history.clone();
    let (entry, input) = *places(history).get(at / 2)?;
    if let Input::Batch(batch) = &mut less.entries[entry].inputs[input] {
        if at.is_multiple_of(2) {
            batch.age = Default::default();
        } else {
            batch.totals = Totals::default();
        }
    }
    Some(less)
}
