//! The policy, and the addresses of the DNS names that it has.

use alloc::{collections::BTreeSet, string::ToString, vec::Vec};
use core::net::IpAddr;

use sekisho_model::{Moment, OperatorId, Policy, Prefix, Tier, never};

use crate::{
    engine::Engine,
    outcome::{End, Event, Owner, Retier},
    step::Step,
};

impl Engine {
    /// Puts a policy in force at once, by order of `operator` or as the aggregator's own. What is listed
    /// stays, unless it is never listed now, or is a prefix such as the policy does not list.
    pub(crate) fn take_policy(&mut self, policy: &Policy, operator: Option<&OperatorId>, step: &mut Step) {
        if let Err(error) = policy.check() {
            self.counters.refused_policies += 1;
            step.events.push(Event::PolicyRefused { error });
            return;
        }
        step.events.push(Event::PolicyChanged { operator: operator.cloned() });
        for prefix in self.forbidden_by(policy, self.now) {
            self.drop_entry(&prefix, End::Never, step);
        }
        self.protected.set_policy(&policy.never);
        let is_quiet_changed =
            (self.policy.ttl_quiet, self.policy.ttl_max) != (policy.ttl_quiet, policy.ttl_max);
        self.policy = policy.clone();
        self.horizon = self.horizon_at(self.now);
        for (prefix, tier) in self.prefixes_under(policy, self.now) {
            match tier {
                None => self.drop_entry(&prefix, End::Policy, step),
                Some(tier) => {
                    let expires = self.entries.get(&prefix).map_or(self.now, |entry| entry.expires);
                    self.retier(&prefix, tier, expires, Retier::Policy, step);
                }
            }
        }
        if is_quiet_changed {
            let standing: Vec<Prefix> = self.standings.iter().map(|(prefix, _)| *prefix).collect();
            standing.iter().for_each(|prefix| self.arm(prefix));
        }
    }

    /// The prefixes that evidence listed at `now` and `policy` would not list, or at a gentler tier only, sorted.
    pub(crate) fn prefixes_under(&self, policy: &Policy, now: Moment) -> Vec<(Prefix, Option<Tier>)> {
        let widest = |prefix: &Prefix| if prefix.is_ipv4() { policy.widest_ipv4 } else { policy.widest_ipv6 };
        let entries = self.standings.wide().filter_map(|prefix| self.entries.get(&prefix));
        let under = entries.filter(|entry| entry.expires > now).map(|entry| {
            let tier = policy.prefix_tier.filter(|_| entry.prefix.length() >= widest(&entry.prefix));
            (entry, tier)
        });
        under
            .filter(|(entry, tier)| *tier < Some(entry.tier))
            .map(|(entry, tier)| (entry.prefix, tier))
            .collect()
    }

    /// The entries at `now` that would never be listed under `policy`, sorted: only those that overlap what it
    /// adds to the never-list are looked at.
    pub(crate) fn forbidden_by(&self, policy: &Policy, now: Moment) -> Vec<Prefix> {
        let (old, new) = (&self.policy.never, &policy.never);
        let private = (new.private && !old.private).then(never::private_ranges).into_iter().flatten();
        let known: BTreeSet<&Prefix> = old.prefixes.iter().collect();
        let added = new.prefixes.iter().filter(|prefix| !known.contains(prefix)).copied();
        let all = private.chain(added).flat_map(|never| self.entries.overlapping(&never, now));
        let mut found: Vec<Prefix> = all.map(|entry| entry.prefix).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// A name on the never-list has these addresses now.
    pub(crate) fn take_names(&mut self, name: &str, addresses: &[IpAddr], step: &mut Step) {
        let before = self.protected.addresses_of(name).map(<[IpAddr]>::to_vec);
        match self.protected.resolve(name, addresses) {
            Some(own) if before.as_ref() == Some(&own) => {}
            Some(own) => {
                step.events.push(Event::NameChanged { name: name.to_string(), addresses: own.clone() });
                self.clear(&own, &Owner::Name(name.to_string()), step);
            }
            None => self.counters.unknown_names += 1,
        }
    }
}
