//! Reading: what the services show. Everything is sorted, and nothing here changes anything.

use alloc::vec::Vec;
use core::net::IpAddr;

use sekisho_model::{Allowed, Digest, Entry, HostId, Member, Moment, Policy, Prefix, Revision};

use crate::{
    Counters, HostRecord, Limit,
    engine::Engine,
    lists::{allowed, blocked},
};

impl Engine {
    /// The log entry that last changed a list: the position of the members. 0 before the first.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The log entry that was handled last: a restored engine goes on behind it. 0 before the first.
    pub fn index(&self) -> Revision {
        self.index
    }

    /// The log's time.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// The policy in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The digest of all members.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The entry of exactly this prefix.
    pub fn entry(&self, prefix: &Prefix) -> Option<&Entry> {
        self.entries.get(prefix)
    }

    /// The entry that blocks `address`.
    pub fn entry_covering(&self, address: IpAddr) -> Option<&Entry> {
        self.entries.covering(&Prefix::host(address), Moment::from_millis(i64::MIN)).next()
    }

    /// The entries that share an address with `prefix`, sorted.
    pub fn entries_overlapping(&self, prefix: &Prefix) -> impl Iterator<Item = &Entry> + use<'_> {
        self.entries.overlapping(prefix, Moment::from_millis(i64::MIN))
    }

    /// The entries after `after`, sorted by prefix; all for `None`.
    pub fn entries_from(&self, after: Option<Prefix>) -> impl Iterator<Item = &Entry> {
        self.entries.iter_after(after)
    }

    /// The allowlist after `after`, sorted by prefix; all for `None`.
    pub fn allowlist_from(&self, after: Option<Prefix>) -> impl Iterator<Item = &Allowed> {
        self.allowlist.iter_after(after)
    }

    /// The allowances that share an address with `prefix`: first those that cover it.
    pub fn allowlist_overlapping(&self, prefix: &Prefix) -> impl Iterator<Item = &Allowed> + use<'_> {
        self.allowlist.overlapping(prefix, Moment::from_millis(i64::MIN))
    }

    /// The addresses of a DNS name of the never-list, sorted; `None` when the policy does not have the name.
    pub fn addresses_of(&self, name: &str) -> Option<Vec<IpAddr>> {
        self.protected.addresses_of(name).map(<[IpAddr]>::to_vec)
    }

    /// The DNS names of the never-list that have no address, so that they protect nothing; sorted.
    pub fn unresolved_names(&self) -> impl Iterator<Item = &str> {
        self.protected.names().filter(|(_, addresses)| addresses.is_empty()).map(|(name, _)| name.as_str())
    }

    /// All hosts ever seen, sorted by id.
    pub fn hosts(&self) -> impl Iterator<Item = &HostRecord> {
        self.hosts.iter()
    }

    /// One host.
    pub fn host(&self, id: &HostId) -> Option<&HostRecord> {
        self.hosts.get(id)
    }

    /// The last sequence of a host's `session` that is in the log; 0 if none is.
    pub fn durable_sequence(&self, host: &HostId, session: u64) -> u64 {
        self.host(host).map_or(0, |record| record.durable_sequence(session))
    }

    /// Prefixes wider than a unit that evidence has listed.
    pub fn listed_prefixes(&self) -> usize {
        self.standings.wide_len()
    }

    /// The limits that are reached, and how many listings each has held back.
    pub fn held_back(&self) -> impl Iterator<Item = (Limit, u64)> + use<'_> {
        self.held_back.iter().map(|(limit, held)| (*limit, *held))
    }

    /// Everything that subscribers know, sorted by key: the blocklist, then the allowlist.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.entries.iter().map(blocked).chain(self.allowlist.iter().map(allowed))
    }

    /// How many members there are.
    pub fn member_count(&self) -> usize {
        self.entries.len() + self.allowlist.len()
    }

    /// What was counted since the log began.
    pub fn counters(&self) -> Counters {
        Counters {
            tracked_units: self.evidence.len() as u64,
            entries: self.entries.len() as u64,
            ..self.counters
        }
    }
}
