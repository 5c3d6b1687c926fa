//! What this host must never see listed: its own addresses, and those that it cannot do without.

use std::{fs, net::IpAddr, time::Duration};

use sekisho_kernel::{KernelError, gateways, own_addresses};
use sekisho_model::{Prefix, limits::MAX_HOST_ADDRESSES, never::is_unlistable};
use tokio::{
    net::lookup_host,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tonic::transport::Uri;

/// Where resolvers are named. The second one has those behind systemd's own.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// Longest that the aggregators' names may take to resolve.
const PATIENCE: Duration = Duration::from_secs(2);

/// The host's own addresses, then its default gateways, its resolvers, and its aggregators; each once, and at
/// most [`MAX_HOST_ADDRESSES`].
pub async fn never_listed(aggregators: &[Uri]) -> Vec<IpAddr> {
    let mut wanted = spawn_blocking(of_this_host).await.unwrap_or_default();
    let deadline = Instant::now() + PATIENCE;
    for url in aggregators {
        wanted.extend(resolve(url, deadline).await);
    }
    let all = bounded(wanted);
    tracing::debug!(addresses = all.len(), "asking the aggregator never to list what this host needs");
    all
}

fn of_this_host() -> Vec<IpAddr> {
    let mut all = or_none(own_addresses(), "this host's own addresses");
    all.extend(or_none(gateways(), "this host's default gateways"));
    all.extend(
        RESOLVERS.iter().filter_map(|path| fs::read_to_string(path).ok()).flat_map(|text| resolvers(&text)),
    );
    all
}

fn or_none(read: Result<Vec<IpAddr>, KernelError>, what: &str) -> Vec<IpAddr> {
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "{what} cannot be read; they are not protected from being listed");
        Vec::new()
    })
}

/// The addresses after `nameserver` in a resolv.conf(5).
fn resolvers(text: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let named = words.next() == Some("nameserver");
        // A link-local one may name its interface.
        words.next().filter(|_| named)?.split('%').next()?.parse().ok()
    };
    text.lines().filter_map(address).collect()
}

async fn resolve(url: &Uri, deadline: Instant) -> Vec<IpAddr> {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match timeout_at(deadline, lookup_host((host, url.port_u16().unwrap_or(0)))).await {
        Ok(Ok(found)) => found.map(|each| each.ip()).collect(),
        _ => {
            tracing::warn!(%url, "an aggregator's name does not resolve; its address is not protected from being listed");
            Vec::new()
        }
    }
}

/// Each address once, in their order, without those that nobody can list anyway; and not too many.
fn bounded(wanted: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut all = Vec::new();
    for address in wanted.into_iter().map(|address| address.to_canonical()) {
        if !all.contains(&address) && !is_unlistable(&Prefix::host(address)) {
            all.push(address);
        }
    }
    if all.len() > MAX_HOST_ADDRESSES {
        let left_out = all.len() - MAX_HOST_ADDRESSES;
        tracing::warn!(
            left_out,
            "this host has too many addresses to tell them all; put the others on the policy's never-list"
        );
        all.truncate(MAX_HOST_ADDRESSES);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(all: &[&str]) -> Vec<IpAddr> {
        all.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn resolvers_are_read() {
        let text = "# a comment\nnameserver 192.0.2.53\n nameserver 2001:db8::53 # near\noptions edns0\n\
                    nameserver fe80::1%eth0\nnameserver\nnameserver no.address\nsearch nameserver 192.0.2.1\n";
        assert_eq!(resolvers(text), addresses(&["192.0.2.53", "2001:db8::53", "fe80::1"]));
    }

    #[test]
    fn each_address_is_told_once_and_own_ones_first() {
        let wanted =
            addresses(&["192.0.2.1", "127.0.0.1", "fe80::1", "::ffff:192.0.2.1", "10.0.0.1", "192.0.2.1"]);
        assert_eq!(bounded(wanted), addresses(&["192.0.2.1", "10.0.0.1"]));
        let many: Vec<IpAddr> =
            (1u8..=255).flat_map(|a| [[192, 0, 2, a].into(), [198, 51, 100, a].into()]).collect();
        assert_eq!(bounded(many.clone()), many[..MAX_HOST_ADDRESSES]);
    }

    #[tokio::test]
    async fn the_aggregators_are_resolved() {
        let urls: Vec<Uri> =
            ["https://198.51.100.250:7440", "https://[2001:db8::250]:7440", "https://no.such.invalid:1"]
                .map(|url| url.parse().unwrap())
                .into();
        let all = never_listed(&urls).await;
        for aggregator in addresses(&["198.51.100.250", "2001:db8::250"]) {
            assert!(all.contains(&aggregator), "{all:?}");
        }
    }
}
