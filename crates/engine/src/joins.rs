//! Hosts that come and go, and their own addresses, which are never listed.

use alloc::vec::Vec;
use core::net::IpAddr;

use sekisho_model::{HostId, Prefix, Zone, limits::MAX_HOST_ADDRESSES};

use crate::{
    engine::Engine,
    outcome::{Event, Owner},
    protected::canonical,
    step::Step,
};

impl Engine {
    /// A host's report stream began: its addresses are protected from here on, for good.
    pub(crate) fn take_join(&mut self, id: &HostId, zone: Option<&Zone>, own: &[IpAddr], step: &mut Step) {
        let now = self.now;
        let number = self.hosts.number_or_add(id, self.bounds.hosts);
        let Some((number, host)) =
            number.and_then(|number| Some((number, self.hosts.by_number_mut(number)?)))
        else {
            self.counters.refused_hosts += 1;
            step.events.push(Event::HostRefused { host: id.clone() });
            return;
        };
        let mut addresses = canonical(own);
        addresses.truncate(MAX_HOST_ADDRESSES);
        let before = core::mem::replace(&mut host.addresses, addresses.clone());
        host.last_seen = now;
        self.hosts.set_presence(number, true, Some(zone));
        step.events.push(Event::HostJoined { host: id.clone() });
        self.protected.set_host(&before, &addresses);
        let without = |all: &[IpAddr], others: &[IpAddr]| -> Vec<IpAddr> {
            all.iter().filter(|one| others.binary_search(one).is_err()).copied().collect()
        };
        let (added, gone) = (without(&addresses, &before), without(&before, &addresses));
        if !added.is_empty() || !gone.is_empty() {
            step.events.push(Event::AddressesChanged { host: id.clone(), added, gone });
        }
        self.clear(&addresses, &Owner::Host(id.clone()), step);
    }

    /// A host's report stream ended.
    pub(crate) fn take_leave(&mut self, id: &HostId, step: &mut Step) {
        let now = self.now;
        let Some(number) = self.hosts.number(id) else { return };
        self.hosts.set_presence(number, false, None);
        if let Some(host) = self.hosts.by_number_mut(number) {
            host.last_seen = now;
        }
        step.events.push(Event::HostLeft { host: id.clone() });
    }

    /// Takes every entry that holds one of `addresses` off the blocklist: they are `owner`'s, and protected now.
    pub(crate) fn clear(&mut self, addresses: &[IpAddr], owner: &Owner, step: &mut Step) {
        for address in addresses {
            let found = self.entries.overlapping(&Prefix::host(*address), self.now);
            let found: Vec<Prefix> = found.map(|entry| entry.prefix).collect();
            for prefix in found {
                self.drop_owned(&prefix, owner, step);
            }
        }
    }
}
