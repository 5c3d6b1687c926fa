//! The exact moment at which a block comes into force: the kernel's own notification, which it sends
//! when a transaction is committed, read through `nft monitor`. It costs the host nothing.

use std::{
    io::{BufRead, BufReader},
    net::IpAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use sekisho_model::Tier;

use crate::{
    leftovers::lock,
    namespace::Namespace,
    nft::{self, Span},
    wait,
};

/// New elements: when, at which tier, and what.
type Seen = Arc<Mutex<Vec<(Instant, Tier, Span)>>>;

/// Watches the block sets of one host. Dropping it ends the watching.
pub struct Monitor {
    child: Child,
    seen: Seen,
}

impl Monitor {
    /// Starts to watch, and returns when the kernel's notifications are known to arrive.
    ///
    /// # Errors
    /// `nft` is missing, or no notification arrives.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        let mut command = Command::new("nft");
        command.args(["monitor", "new", "elements"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = namespace.start(command)?;
        let lines = BufReader::new(child.stdout.take().context("no output of nft monitor")?).lines();
        let seen = Seen::default();
        let (kept, started) = (Arc::clone(&seen), Arc::new(Mutex::new(false)));
        let flag = Arc::clone(&started);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let now = Instant::now();
                if line.contains(" labmark ") {
                    *lock(&flag) = true;
                }
                lock(&kept).extend(spans(&line).into_iter().map(|(tier, span)| (now, tier, span)));
            }
        });
        // It listens a little after it starts: elements of a table of our own tell when. The table is made
        // anew each time, since the monitor only tells of sets that it saw being made, or found at its start.
        wait::until(Duration::from_secs(20), "nft monitor speaks", || {
            namespace.nft("add table inet labmark; add set inet labmark moments { type mark; }; add element inet labmark moments { 1 }")?;
            namespace.nft("delete table inet labmark")?;
            Ok(lock(&started).then_some(()))
        })?;
        Ok(Self { child, seen })
    }

    /// When a block (at tier drop) that covers `address` first came into force, since the watching began.
    pub fn blocked_at(&self, address: IpAddr) -> Option<Instant> {
        self.listed_at(Tier::Drop, address)
    }

    /// When an entry at `tier` that covers `address` first came into force, since the watching began.
    pub fn listed_at(&self, tier: Tier, address: IpAddr) -> Option<Instant> {
        let seen = lock(&self.seen);
        let covers = |(_, at, span): &&(Instant, Tier, Span)| *at == tier && span.contains(address);
        seen.iter().find(covers).map(|(at, ..)| *at)
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The addresses in `add element inet sekisho drop4 { 203.0.113.7 timeout 10m expires 10m, … }`.
fn spans(line: &str) -> Vec<(Tier, Span)> {
    let Some(rest) = line.strip_prefix(&format!("add element inet {} ", nft::TABLE)) else {
        return Vec::new();
    };
    let Some((set, elements)) = rest.split_once(' ') else { return Vec::new() };
    let Some(tier) = nft::tier_of(set) else { return Vec::new() };
    let elements = elements.trim_matches(['{', '}', ' ']).split(',');
    let spans = elements.filter_map(|element| element.split_whitespace().next()?.parse().ok());
    spans.map(|span| (tier, span)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notifications_are_read() {
        let line = "add element inet sekisho drop6 { 2001:db8:1::/64 timeout 10m expires 10m }";
        assert_eq!(spans(line), [(Tier::Drop, "2001:db8:1::/64".parse().unwrap())]);
        let line = "add element inet sekisho suppressnet4 { 203.0.113.0/24 timeout 10m expires 10m }";
        assert_eq!(spans(line), [(Tier::Suppress, "203.0.113.0/24".parse().unwrap())]);
        let two = "add element inet sekisho drop4 { 203.0.113.7 timeout 1m, 203.0.113.8 timeout 1m }";
        assert_eq!(spans(two).len(), 2);
        assert!(spans("add element inet sekisho allow4 { 203.0.113.7 }").is_empty());
        assert!(spans("add element inet other drop4 { 203.0.113.7 }").is_empty());
    }
}
