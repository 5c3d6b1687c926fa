//! What this host must never see listed: its own addresses, and those that it cannot do without.

mod source;

use std::{fs, io, net::IpAddr, time::Duration};

use sekisho_kernel::{KernelError, gateways, own_addresses};
use sekisho_model::{
    Prefix,
    limits::{ADDRESSES_INTERVAL, MAX_HOST_ADDRESSES},
    never::is_unlistable,
};
use tokio::{
    net::lookup_host,
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Uri;

use self::source::Source;

/// Where resolvers are named. The second one has those behind systemd's own.
const RESOLVERS: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
/// Longest that an aggregator's name may take to resolve.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the host's addresses are read while they change during the reading.
const TRIES: usize = 3;

/// Reads what must never be listed, and reads it again every [`ADDRESSES_INTERVAL`] until `stop`: an address
/// that comes later is as much the host's own.
pub async fn follow(aggregators: &[Uri], stop: CancellationToken) -> watch::Receiver<Vec<IpAddr>> {
    let mut known = Known::new(aggregators);
    known.read().await;
    let (sender, receiver) = watch::channel(known.never_listed());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(ADDRESSES_INTERVAL) => {}
            }
            known.read().await;
            let wanted = known.never_listed();
            sender.send_if_modified(|told| {
                let is_news = *told != wanted;
                *told = wanted;
                is_news
            });
        }
    });
    receiver
}

/// All sources, by weight: where there are too many addresses, those of the last ones are left out.
struct Known {
    own: Source,
    gateways: Source,
    resolvers: [Source; 2],
    aggregators: Vec<(Uri, Source)>,
    is_too_many: bool,
}

/// What the kernel and the files of this host say.
struct Read {
    own: Result<Vec<IpAddr>, KernelError>,
    gateways: Result<Vec<IpAddr>, KernelError>,
    resolvers: [io::Result<Vec<IpAddr>>; 2],
}

impl Known {
    fn new(aggregators: &[Uri]) -> Self {
        Self {
            own: Source::default(),
            gateways: Source::default(),
            resolvers: Default::default(),
            aggregators: aggregators.iter().map(|url| (url.clone(), Source::default())).collect(),
            is_too_many: false,
        }
    }

    async fn read(&mut self) {
        if let Ok(read) = spawn_blocking(Read::this_host).await {
            self.take(read, Instant::now());
        }
        for (url, source) in &mut self.aggregators {
            let read = resolve(url).await;
            if let Some(problem) = source.take(read, Instant::now()) {
                tracing::warn!(%url, problem, "an aggregator's name does not resolve; only its last addresses are protected from being listed");
            }
        }
    }

    fn take(&mut self, read: Read, now: Instant) {
        let warn = |problem: Option<KernelError>, what| {
            if let Some(error) = problem {
                tracing::warn!(%error, "{what} cannot be read; only the last ones are protected from being listed");
            }
        };
        warn(self.own.take(read.own, now), "this host's own addresses");
        warn(self.gateways.take(read.gateways, now), "this host's default gateways");
        for (source, read) in self.resolvers.iter_mut().zip(read.resolvers) {
            source.take(read, now); // Neither file must be there.
        }
    }

    /// Each address once, sorted, and at most [`MAX_HOST_ADDRESSES`]: the host's own, then those of its default
    /// gateways, its resolvers, and its aggregators.
    fn never_listed(&mut self) -> Vec<IpAddr> {
        let aggregators = self.aggregators.iter().map(|(_, source)| source);
        let sources = [&self.own, &self.gateways].into_iter().chain(&self.resolvers).chain(aggregators);
        let (mut all, left_out) = bounded(sources.flat_map(Source::addresses));
        if left_out > 0 && !self.is_too_many {
            tracing::warn!(
                left_out,
                "this host has too many addresses to tell them all; put the others on the policy's never-list"
            );
        }
        self.is_too_many = left_out > 0;
        tracing::debug!(addresses = all.len(), "what the aggregator is asked never to list");
        all.sort_unstable();
        all
    }
}

impl Read {
    fn this_host() -> Self {
        let resolvers = RESOLVERS.map(|path| fs::read_to_string(path).map(|text| resolvers(&text)));
        Self { own: steady(own_addresses), gateways: gateways(), resolvers }
    }
}

/// What `read` gives, again while it is interrupted by a change.
fn steady(mut read: impl FnMut() -> Result<Vec<IpAddr>, KernelError>) -> Result<Vec<IpAddr>, KernelError> {
    for _ in 1..TRIES {
        match read() {
            Err(KernelError::Inconsistent) => {}
            other => return other,
        }
    }
    read()
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

async fn resolve(url: &Uri) -> Result<Vec<IpAddr>, String> {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match timeout(PATIENCE, lookup_host((host, url.port_u16().unwrap_or(0)))).await {
        Ok(Ok(found)) => Ok(found.map(|each| each.ip()).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// Each address once, in their order, without those that nobody can list anyway, and not too many; and how
/// many are left out.
fn bounded(wanted: impl Iterator<Item = IpAddr>) -> (Vec<IpAddr>, usize) {
    let mut all = Vec::new();
    for address in wanted.map(|address| address.to_canonical()) {
        if !all.contains(&address) && !is_unlistable(&Prefix::host(address)) {
            all.push(address);
        }
    }
    let left_out = all.len().saturating_sub(MAX_HOST_ADDRESSES);
    all.truncate(MAX_HOST_ADDRESSES);
    (all, left_out)
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
        assert_eq!(bounded(wanted.into_iter()), (addresses(&["192.0.2.1", "10.0.0.1"]), 0));
        let many: Vec<IpAddr> =
            (1u8..=255).flat_map(|a| [[192, 0, 2, a].into(), [198, 51, 100, a].into()]).collect();
        let (most, left_out) = bounded(many.iter().copied());
        assert_eq!((&most[..], left_out), (&many[..MAX_HOST_ADDRESSES], many.len() - MAX_HOST_ADDRESSES));
    }

    #[test]
    fn a_reading_that_was_interrupted_is_done_again() {
        let mut left = TRIES;
        let mut read = |interrupted: usize| {
            left = interrupted;
            steady(|| {
                let is_interrupted = left > 0;
                left = left.saturating_sub(1);
                if is_interrupted { Err(KernelError::Inconsistent) } else { Ok(addresses(&["192.0.2.1"])) }
            })
        };
        assert_eq!(read(TRIES - 1).unwrap(), addresses(&["192.0.2.1"]));
        assert!(matches!(read(TRIES), Err(KernelError::Inconsistent)));
    }

    #[test]
    fn what_fails_takes_nothing_away() {
        let mut known = Known::new(&[]);
        let now = Instant::now();
        let read = |own, gateways| Read { own, gateways, resolvers: [Ok(vec![]), Ok(vec![])] };
        known.take(read(Ok(addresses(&["192.0.2.2", "192.0.2.1"])), Ok(addresses(&["192.0.2.254"]))), now);
        let all = addresses(&["192.0.2.1", "192.0.2.2", "192.0.2.254"]);
        assert_eq!(known.never_listed(), all);
        known.take(read(Err(KernelError::Inconsistent), Err(KernelError::Inconsistent)), now);
        assert_eq!(known.never_listed(), all);
        known.take(read(Ok(addresses(&["192.0.2.1", "192.0.2.2", "192.0.2.9"])), Ok(vec![])), now);
        let more = addresses(&["192.0.2.1", "192.0.2.2", "192.0.2.9", "192.0.2.254"]);
        assert_eq!(known.never_listed(), more, "an address that came later");
    }

    #[tokio::test]
    async fn the_aggregators_are_resolved() {
        let urls: Vec<Uri> =
            ["https://198.51.100.250:7440", "https://[2001:db8::250]:7440", "https://no.such.invalid:1"]
                .map(|url| url.parse().unwrap())
                .into();
        let all = follow(&urls, CancellationToken::new()).await.borrow().clone();
        for aggregator in addresses(&["198.51.100.250", "2001:db8::250"]) {
            assert!(all.contains(&aggregator), "{all:?}");
        }
    }
}
