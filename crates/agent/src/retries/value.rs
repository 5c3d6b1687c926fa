//! The values of `tcp_synack_retries` in all namespaces that are ours to change: read, judged by the pure rule,
//! remembered, and then written.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

use sekisho_kernel::{
    KernelError,
    namespace::{self, NamespaceId},
    sysctl,
};
use sekisho_observe::{Hold, Step};

use super::{
    RetriesCounts,
    book::{Book, Entries, Lowered},
    named,
};

/// All of them.
pub struct Values {
    book: Book,
    holds: BTreeMap<NamespaceId, Hold>,
    /// Whether those of other processes are ours to change.
    pub everywhere: bool,
    own: Option<NamespaceId>,
    counts: Arc<RetriesCounts>,
    /// The last failure that was told: the same one is not told with each turn.
    told: Option<String>,
}

impl Values {
    /// As the book says.
    pub fn new(book: Book, everywhere: bool, counts: Arc<RetriesCounts>) -> Self {
        let hold = |lowered: &Lowered| Hold::Lowered { operator: lowered.operator, ours: lowered.ours };
        let holds = book.entries().iter().map(|(id, lowered)| (*id, hold(lowered))).collect();
        Self { book, holds, everywhere, own: namespace::own().ok(), counts, told: None }
    }

    /// How many are lowered.
    pub fn lowered(&self) -> usize {
        self.book.entries().len()
    }

    /// What is lowered in this namespace.
    pub fn lowered_here(&self) -> Option<Lowered> {
        self.book.entries().get(&self.own?).copied()
    }

    /// Gives all back to their operators.
    pub fn give_back(&mut self) {
        self.turn(None);
    }

    /// Brings all to at most `wanted`, or back where that is none.
    pub fn turn(&mut self, wanted: Option<u8>) {
        if wanted.is_none() && self.holds.is_empty() {
            return;
        }
        let values = self.read();
        self.forget_what_is_gone(&values);
        let steps = self.judge(&values, wanted);
        // On the disk before anything is lowered.
        if let Err(error) = self.book.remember(self.entries_with(&steps)) {
            self.failed(format!("what is lowered cannot be written to the state directory: {error}"));
            return;
        }
        let done = self.write(&steps, &values);
        for (id, _) in values {
            let hold = self.holds.remove(&id).unwrap_or_default();
            let after = match (steps.get(&id), done.contains(&id)) {
                (Some(_), false) => hold,
                (step, _) => hold.after(step.copied(), wanted),
            };
            if after != Hold::Theirs {
                self.holds.insert(id, after);
            }
        }
        if let Err(error) = self.book.remember(self.entries_with(&BTreeMap::new())) {
            self.failed(format!("what is lowered cannot be written to the state directory: {error}"));
        }
    }

    /// The value of each namespace.
    fn read(&mut self) -> BTreeMap<NamespaceId, u8> {
        let mut values = BTreeMap::new();
        let mut failure = None;
        self.each_namespace(|id| match sysctl::synack_retries() {
            Ok(value) => drop(values.insert(id, value)),
            Err(error) => failure = Some(error.to_string()),
        });
        failure.into_iter().for_each(|failure| self.failed(failure));
        values
    }

    /// A namespace that is gone has taken its value with it. One that cannot be seen may be there still.
    fn forget_what_is_gone(&mut self, values: &BTreeMap<NamespaceId, u8>) {
        if self.everywhere {
            self.holds.retain(|id, _| values.contains_key(id));
        }
    }

    fn judge(&self, values: &BTreeMap<NamespaceId, u8>, wanted: Option<u8>) -> BTreeMap<NamespaceId, Step> {
        let step = |(id, current): (&NamespaceId, &u8)| {
            let hold = self.holds.get(id).copied().unwrap_or_default();
            hold.step(*current, wanted).map(|step| (*id, step))
        };
        values.iter().filter_map(step).collect()
    }

    /// What is or is about to be lowered; what is about to be given back is still among it.
    fn entries_with(&self, steps: &BTreeMap<NamespaceId, Step>) -> Entries {
        let held = self.holds.iter().filter_map(|(id, hold)| match *hold {
            Hold::Lowered { operator, ours } => Some((*id, Lowered { operator, ours })),
            Hold::Theirs | Hold::LeftAlone => None,
        });
        let new = steps.iter().filter_map(|(id, step)| match *step {
            Step::Lower { operator, to } => Some((*id, Lowered { operator, ours: to })),
            Step::Restore { .. } | Step::Forget => None,
        });
        held.chain(new).collect()
    }

    /// Carries the steps out; gives the namespaces where that was done.
    fn write(
        &mut self,
        steps: &BTreeMap<NamespaceId, Step>,
        values: &BTreeMap<NamespaceId, u8>,
    ) -> Vec<NamespaceId> {
        let (mut done, mut failure) = (Vec::new(), None);
        if steps.is_empty() {
            return done;
        }
        self.each_namespace(|id| {
            match steps.get(&id).map(|step| carry_out(*step, values.get(&id).copied())) {
                Some(Ok(())) => done.push(id),
                Some(Err(error)) => failure = Some(error.to_string()),
                None => {}
            }
        });
        failure.into_iter().for_each(|failure| self.failed(failure));
        for id in &done {
            self.say(*id, steps.get(id).copied());
        }
        done
    }

    fn say(&self, id: NamespaceId, step: Option<Step>) {
        let namespace = self.own.map_or_else(|| id.0.to_string(), |own| named(id, own));
        match step {
            Some(Step::Lower { operator, to }) => {
                self.counts.changes.fetch_add(1, Ordering::Relaxed);
                tracing::info!(namespace, operator, to, "net.ipv4.tcp_synack_retries is lowered");
            }
            Some(Step::Restore { operator }) => {
                tracing::info!(namespace, operator, "net.ipv4.tcp_synack_retries is the operator's again");
            }
            Some(Step::Forget) => tracing::warn!(
                namespace,
                "net.ipv4.tcp_synack_retries was set by somebody else after it was lowered; it is left alone"
            ),
            None => {}
        }
    }

    /// This namespace and, where those are ours to change, the others.
    fn each_namespace(&mut self, mut each: impl FnMut(NamespaceId) + Send) {
        if let Some(own) = self.own {
            each(own);
        }
        if !self.everywhere {
            return;
        }
        match namespace::visit_others(each) {
            Ok(visited) if visited.refused > 0 || visited.truncated => self.failed(format!(
                "net.ipv4.tcp_synack_retries is not lowered in all network namespaces: {} may not be entered{}",
                visited.refused,
                if visited.truncated { ", and there are more than are looked at" } else { "" },
            )),
            Ok(_) => {}
            Err(error) => self.failed(error.to_string()),
        }
    }

    fn failed(&mut self, failure: String) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        if self.told.as_ref() != Some(&failure) {
            tracing::warn!(failure, "net.ipv4.tcp_synack_retries is not as it is wanted");
            self.told = Some(failure);
        }
    }
}

/// In the namespace of this thread. What the operator set since it was read is not written over.
fn carry_out(step: Step, read: Option<u8>) -> Result<(), KernelError> {
    let value = match step {
        Step::Lower { to, .. } => to,
        Step::Restore { operator } => operator,
        Step::Forget => return Ok(()),
    };
    if Some(sysctl::synack_retries()?) != read {
        return Err(KernelError::Answer("net.ipv4.tcp_synack_retries changed while it was looked at"));
    }
    sysctl::set_synack_retries(value)
}
