//! What is never listed: by nature, by the policy, and since it is our own.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::net::IpAddr;

use sekisho_model::{Never, Prefix, limits::MAX_NAME_ADDRESSES, never};

use crate::prefixes::PrefixMap;

/// Why a prefix is never listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Loopback, link-local, multicast and the like.
    Unlistable,
    /// Private, and the policy keeps private ranges off.
    Private,
    /// It overlaps this prefix of the policy.
    Prefix(Prefix),
    /// It overlaps this address of a name of the policy.
    Name(Prefix),
    /// It overlaps this address of one of our hosts.
    Host(Prefix),
}

/// Addresses, each with the number of those who have it.
type Counted = PrefixMap<u32>;

/// The protected prefixes and addresses.
#[derive(Debug, Default)]
pub(crate) struct Protected {
    private: bool,
    prefixes: PrefixMap<()>,
    names: BTreeMap<String, Vec<IpAddr>>,
    name_addresses: Counted,
    host_addresses: Counted,
}

impl Protected {
    pub(crate) fn of(never: &Never) -> Self {
        let mut protected = Self::default();
        protected.set_policy(never);
        protected
    }

    /// Why `prefix` is never listed, if it is not.
    pub(crate) fn why(&self, prefix: &Prefix) -> Option<Protection> {
        if never::is_unlistable(prefix) {
            return Some(Protection::Unlistable);
        }
        if self.private && never::is_private(prefix) {
            return Some(Protection::Private);
        }
        first(&self.prefixes, prefix)
            .map(Protection::Prefix)
            .or_else(|| first(&self.name_addresses, prefix).map(Protection::Name))
            .or_else(|| first(&self.host_addresses, prefix).map(Protection::Host))
    }

    /// Puts `never` in force. Names that it still has keep their addresses.
    pub(crate) fn set_policy(&mut self, never: &Never) {
        self.private = never.private;
        self.prefixes = PrefixMap::default();
        for prefix in &never.prefixes {
            self.prefixes.insert(*prefix, ());
        }
        let mut before = core::mem::take(&mut self.names);
        self.name_addresses = Counted::default();
        for name in &never.names {
            // A policy may have a name twice: the second time, there is nothing left to take over.
            if !self.names.contains_key(name) {
                self.names.insert(name.clone(), Vec::new());
                let addresses = before.remove(name).unwrap_or_default();
                self.resolve(name, &addresses);
            }
        }
    }

    /// Gives `name` these addresses. Returns those that are its own now, or `None` when the policy
    /// does not have the name.
    pub(crate) fn resolve(&mut self, name: &str, addresses: &[IpAddr]) -> Option<Vec<IpAddr>> {
        let mut addresses = canonical(addresses);
        addresses.truncate(MAX_NAME_ADDRESSES);
        let own = self.names.get_mut(name)?;
        replace(&mut self.name_addresses, own, &addresses);
        own.clone_from(&addresses);
        Some(addresses)
    }

    /// A host had the addresses `before`, and has those of `after` now.
    pub(crate) fn set_host(&mut self, before: &[IpAddr], after: &[IpAddr]) {
        replace(&mut self.host_addresses, before, after);
    }

    /// The names of the policy with their addresses, sorted by name.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&String, &Vec<IpAddr>)> {
        self.names.iter()
    }

    /// The addresses of a name of the policy, sorted.
    pub(crate) fn addresses_of(&self, name: &str) -> Option<&[IpAddr]> {
        self.names.get(name).map(Vec::as_slice)
    }

    /// The name that has `address`.
    pub(crate) fn name_of(&self, address: &Prefix) -> Option<&str> {
        let mut names = self.names.iter();
        names.find(|(_, list)| list.iter().any(|one| address.contains(*one))).map(|(name, _)| name.as_str())
    }
}

/// Sorted, each once, IPv4-mapped ones as IPv4.
pub(crate) fn canonical(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let mut list: Vec<IpAddr> = addresses.iter().map(IpAddr::to_canonical).collect();
    list.sort_unstable();
    list.dedup();
    list
}

fn first<V>(map: &PrefixMap<V>, prefix: &Prefix) -> Option<Prefix> {
    map.overlapping(prefix).next().map(|(found, _)| *found)
}

fn replace(counted: &mut Counted, before: &[IpAddr], after: &[IpAddr]) {
    for address in after {
        let prefix = Prefix::host(*address);
        let count = counted.get(&prefix).map_or(0, |count| *count);
        counted.insert(prefix, count + 1);
    }
    for address in before {
        let prefix = Prefix::host(*address);
        match counted.get_mut(&prefix) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counted.remove(&prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn never(private: bool, prefixes: &[&str], names: &[&str]) -> Never {
        Never {
            private,
            prefixes: prefixes.iter().map(|text| prefix(text)).collect(),
            names: names.iter().map(|name| String::from(*name)).collect(),
        }
    }

    #[test]
    fn each_cause_is_told() {
        let mut protected = Protected::of(&never(true, &["198.51.100.0/25"], &["example.org"]));
        protected.resolve("example.org", &[ip("192.0.2.1")]);
        protected.set_host(&[], &[ip("2001:db8::7")]);
        let why = |text: &str| protected.why(&prefix(text));
        assert_eq!(why("127.0.0.1"), Some(Protection::Unlistable));
        assert_eq!(why("10.1.2.3"), Some(Protection::Private));
        assert_eq!(why("198.51.100.0/24"), Some(Protection::Prefix(prefix("198.51.100.0/25"))));
        assert_eq!(why("198.51.100.9"), Some(Protection::Prefix(prefix("198.51.100.0/25"))));
        assert_eq!(why("192.0.2.0/24"), Some(Protection::Name(prefix("192.0.2.1"))));
        assert_eq!(why("2001:db8::/64"), Some(Protection::Host(prefix("2001:db8::7"))));
        assert_eq!(why("198.51.100.128"), None);
        assert_eq!(protected.name_of(&prefix("192.0.2.1")), Some("example.org"));
    }

    #[test]
    fn an_address_is_free_when_the_last_owner_has_left_it() {
        let mut protected = Protected::default();
        let (anycast, other) = ([ip("192.0.2.1")], [ip("192.0.2.2")]);
        protected.set_host(&[], &anycast);
        protected.set_host(&[], &anycast);
        protected.set_host(&anycast, &other);
        assert!(protected.why(&prefix("192.0.2.1")).is_some());
        protected.set_host(&anycast, &other);
        assert!(protected.why(&prefix("192.0.2.1")).is_none());
        assert!(protected.why(&prefix("192.0.2.2")).is_some());
    }

    #[test]
    fn names_keep_their_addresses_only_while_the_policy_has_them() {
        let mut protected = Protected::of(&never(false, &[], &["a", "b"]));
        assert!(protected.resolve("a", &[ip("::ffff:192.0.2.1"), ip("192.0.2.1")]).is_some());
        assert!(protected.resolve("c", &[ip("192.0.2.3")]).is_none());
        protected.set_policy(&never(false, &[], &["a", "a"]));
        assert!(protected.why(&prefix("192.0.2.1")).is_some());
        protected.set_policy(&never(false, &[], &["b"]));
        assert!(protected.why(&prefix("192.0.2.1")).is_none());
        protected.set_policy(&never(false, &[], &["a"]));
        assert!(protected.why(&prefix("192.0.2.1")).is_none());
    }
}
