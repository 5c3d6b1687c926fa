//! The policy, and the addresses of the DNS names that it has.

use alloc::vec::Vec;
use core::net::IpAddr;

use sekisho_model::{Policy, Prefix};

use crate::{
    engine::Engine,
    outcome::{End, Event},
    step::Step,
};

impl Engine {
    /// Puts a policy in force at once. What is listed stays, unless it is never listed now.
    pub(crate) fn take_policy(&mut self, policy: &Policy, step: &mut Step) {
        if let Err(error) = policy.check() {
            self.counters.refused_policies += 1;
            step.events.push(Event::PolicyRefused { error });
            return;
        }
        step.events.push(Event::PolicyChanged);
        self.protected.set_policy(&policy.never);
        self.policy = policy.clone();
        self.horizon = self.horizon_at(self.now);
        // A walk over all entries, but only when an operator changes the policy.
        let never = self.entries.iter().map(|entry| entry.prefix);
        let never: Vec<Prefix> = never.filter(|prefix| self.protected.why(prefix).is_some()).collect();
        for prefix in never {
            self.drop_entry(&prefix, End::Never, step);
        }
    }

    /// A name on the never-list has these addresses now.
    pub(crate) fn take_names(&mut self, name: &str, addresses: &[IpAddr], step: &mut Step) {
        match self.protected.resolve(name, addresses) {
            Some(own) => self.clear(&own, step),
            None => self.counters.unknown_names += 1,
        }
    }
}
