//! The way to an aggregator: which of them, and how long to wait before the next try.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use rustls::ClientConfig;
use sekisho_daemon::client;
use sekisho_model::limits::{RECONNECT_BASE, RECONNECT_MAX};
use tonic::transport::{Channel, Uri};

/// One stream's link. Each stream has a connection of its own, so that none's back-pressure stalls another.
#[derive(Clone, Debug)]
pub struct Link {
    urls: Vec<Uri>,
    tls: Option<Arc<ClientConfig>>,
    next: usize,
    failures: u32,
}

impl Link {
    /// To one of `urls`, the first first.
    pub fn new(urls: Vec<Uri>, tls: Option<Arc<ClientConfig>>) -> Self {
        Self { urls, tls, next: 0, failures: 0 }
    }

    /// Every aggregator.
    pub fn urls(&self) -> &[Uri] {
        &self.urls
    }

    /// Connects to the aggregator whose turn it is.
    ///
    /// # Errors
    /// When it cannot be reached; the next one has its turn then.
    pub async fn connect(&mut self) -> anyhow::Result<Channel> {
        let url = self
            .urls
            .get(self.next % self.urls.len().max(1))
            .ok_or_else(|| anyhow::anyhow!("no aggregator"))?;
        client::connect(url, self.tls.clone()).await
    }

    /// The link did its job: the next wait is a short one again.
    pub fn worked(&mut self) {
        self.failures = 0;
    }

    /// The link failed: the next aggregator has its turn, after the time that this returns. Full jitter:
    /// anything from nothing to the limit, which doubles, so that a fleet does not come back as one.
    pub fn failed(&mut self) -> Duration {
        self.next = self.next.wrapping_add(1);
        self.failures = self.failures.saturating_add(1);
        limit(self.failures).mul_f64(random())
    }
}

fn limit(failures: u32) -> Duration {
    let doubled = RECONNECT_BASE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(RECONNECT_MAX)
}

/// Evenly from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "53 bits of a random number are enough for a wait")]
fn random() -> f64 {
    // The standard library's hasher is keyed at random for each instance.
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_are_spread() {
        assert_eq!((limit(1), limit(2)), (RECONNECT_BASE, RECONNECT_BASE * 2));
        assert_eq!(limit(100), RECONNECT_MAX);
        let spread: Vec<f64> = (0..200).map(|_| random()).collect();
        assert!(spread.iter().all(|value| (0.0..=1.0).contains(value)));
        assert!(spread.iter().any(|value| *value < 0.3) && spread.iter().any(|value| *value > 0.7));
    }

    #[test]
    fn each_failure_gives_the_next_aggregator_its_turn() {
        let urls: Vec<Uri> = ["http://a:1", "http://b:1"].iter().map(|url| url.parse().unwrap()).collect();
        let mut link = Link::new(urls, None);
        let _ = link.failed();
        assert_eq!((link.next, link.failures), (1, 1));
        link.worked();
        assert_eq!((link.next, link.failures), (1, 0));
    }
}
