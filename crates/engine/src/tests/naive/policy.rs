//! The policy, and the addresses of its names.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

use sekisho_model::{Entry, OperatorId, Policy, Prefix, Reason, limits::MAX_NAME_ADDRESSES};

use super::Naive;
use crate::{End, Event, Owner, Retier};

impl Naive {
    pub(super) fn take_policy(&mut self, policy: &Policy) {
        match policy.check() {
            Ok(()) => self.put_policy(policy, None),
            Err(error) => self.events.push(Event::PolicyRefused { error }),
        }
    }

    pub(super) fn put_policy(&mut self, policy: &Policy, operator: Option<OperatorId>) {
        self.events.push(Event::PolicyChanged { operator });
        let before = core::mem::take(&mut self.names);
        let mut names: Vec<&String> = policy.never.names.iter().collect();
        names.sort();
        names.dedup();
        for name in names {
            let addresses = before.iter().find(|one| one.0 == *name).map(|one| one.1.clone());
            self.names.push((name.clone(), addresses.unwrap_or_default()));
        }
        let quiet = (self.policy.ttl_quiet, self.policy.ttl_max);
        self.policy = policy.clone();
        self.move_horizon();
        self.clear_never(None);
        self.clear_prefixes();
        if quiet == (policy.ttl_quiet, policy.ttl_max) {
            return;
        }
        for prefix in self.standings.iter().map(|one| one.prefix).collect::<Vec<_>>() {
            self.arm(&prefix);
        }
    }

    /// Prefixes that the policy does not list, or at a gentler tier.
    fn clear_prefixes(&mut self) {
        let mut prefixes: Vec<Entry> = self.entries();
        prefixes.retain(|one| matches!(one.reason, Reason::Prefix { .. }));
        for one in prefixes {
            match self.policy.prefix_tier.filter(|_| one.prefix.length() >= self.widest(&one.prefix)) {
                None => self.remove(&one.prefix, End::Policy),
                Some(tier) if tier < one.tier => self.move_to(&one.prefix, tier, one.expires, Retier::Policy),
                Some(_) => {}
            }
        }
    }

    pub(super) fn take_name(&mut self, name: &str, addresses: &[IpAddr]) {
        let mut addresses: Vec<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
        addresses.sort();
        addresses.dedup();
        addresses.truncate(MAX_NAME_ADDRESSES);
        let Some(own) = self.names.iter_mut().find(|own| own.0 == *name) else { return };
        if own.1 == addresses {
            return;
        }
        own.1.clone_from(&addresses);
        self.events.push(Event::NameChanged { name: String::from(name), addresses });
        self.clear_never(Some(&Owner::Name(String::from(name))));
    }

    /// What is listed and never listed now comes off.
    pub(super) fn clear_never(&mut self, owner: Option<&Owner>) {
        let mut never: Vec<Prefix> = self.entries.iter().map(|one| one.prefix).collect();
        never.retain(|prefix| self.is_never(prefix));
        never.sort();
        for prefix in never {
            self.remove_of(&prefix, End::Never, owner.cloned());
        }
    }
}
