//! The DNS names of the never-list: each is looked up at its records' TTL, and what changed goes into the
//! log. The last good answer is kept while a name cannot be looked up.

use std::{net::IpAddr, time::Duration};

use hickory_resolver::{Resolver, TokioResolver};
use sekisho_model::{Input, limits::MAX_NAME_ADDRESSES};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::sequencer::{Reply, Submission};

/// Shortest and longest time between two look-ups of a name, whatever its TTL says.
const TTL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3_600));
/// Time until the next look-up after one that failed.
const RETRY: Duration = Duration::from_secs(15);

/// Follows `names` until `stop`.
///
/// # Errors
/// When the system's resolver configuration cannot be read.
pub fn follow(
    names: Vec<String>,
    sequencer: &mpsc::Sender<Submission>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let resolver = Resolver::builder_tokio().and_then(|builder| builder.build()).map_err(|error| {
        anyhow::anyhow!("never.names needs a resolver, and /etc/resolv.conf gives none: {error}")
    })?;
    for name in names {
        let (resolver, sequencer, stop) = (resolver.clone(), sequencer.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = follow_one(&resolver, &name, &sequencer) => {}
            }
        });
    }
    Ok(())
}

async fn follow_one(resolver: &TokioResolver, name: &str, sequencer: &mpsc::Sender<Submission>) {
    let mut known: Option<Vec<IpAddr>> = None;
    loop {
        let again = match resolver.lookup_ip(format!("{name}.")).await {
            Ok(answer) => {
                let mut addresses: Vec<IpAddr> = answer.iter().take(MAX_NAME_ADDRESSES).collect();
                addresses.sort_unstable();
                addresses.dedup();
                if known.as_ref() != Some(&addresses) {
                    tracing::info!(name, ?addresses, "a protected name was resolved");
                    let input = Input::Resolved { name: name.to_owned(), addresses: addresses.clone() };
                    if sequencer.send(Submission { input, reply: Reply::None }).await.is_err() {
                        return;
                    }
                    known = Some(addresses);
                }
                let left = answer.valid_until().saturating_duration_since(Instant::now().into_std());
                left.clamp(TTL.0, TTL.1)
            }
            Err(error) => {
                tracing::warn!(name, %error, "a protected name cannot be resolved; its last addresses stay protected");
                RETRY
            }
        };
        sleep(again).await;
    }
}
