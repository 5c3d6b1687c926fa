//! The DNS names of the never-list: each is looked up at its records' TTL, and what changed goes into the
//! log. The last good answer is kept while a name cannot be looked up.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use hickory_resolver::{Resolver, TokioResolver, config::LookupIpStrategy};
use sekisho_model::{Input, limits::MAX_NAME_ADDRESSES};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    sequencer::{Message, Reply, Submission},
    shared::Shared,
};

/// Shortest and longest time between two look-ups of a name, whatever its TTL says.
const TTL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3_600));
/// Time until the next look-up after one that failed.
const RETRY: Duration = Duration::from_secs(15);

/// The two families of a name, each looked up by itself: one that does not answer keeps its last addresses.
struct Resolvers([TokioResolver; 2]);

/// Follows the names of the policy in force until `stop`, whatever they are at the time.
///
/// # Errors
/// When there are names and the system's resolver configuration cannot be read.
pub fn follow(
    shared: &Shared,
    sequencer: &mpsc::Sender<Message>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut names = shared.names();
    let first = names.borrow_and_update().clone();
    let mut following = Following::default();
    following.change_to(&first, sequencer)?;
    let (sequencer, stop) = (sequencer.clone(), stop.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = names.changed() => if changed.is_err() { return },
            }
            let wanted = names.borrow_and_update().clone();
            if let Err(error) = following.change_to(&wanted, &sequencer) {
                tracing::error!(%error, "the new names on the never-list are not protected");
            }
        }
    });
    Ok(())
}

/// The look-ups that go on, by name; they end with this.
#[derive(Default)]
struct Following {
    resolvers: Option<Arc<Resolvers>>,
    tasks: HashMap<String, DropGuard>,
}

impl Following {
    fn change_to(&mut self, names: &[String], sequencer: &mpsc::Sender<Message>) -> anyhow::Result<()> {
        self.tasks.retain(|name, _| names.contains(name));
        for name in names {
            if self.tasks.contains_key(name) {
                continue;
            }
            let resolvers = match &self.resolvers {
                Some(resolvers) => resolvers.clone(),
                None => self.resolvers.insert(Arc::new(Resolvers::new()?)).clone(),
            };
            let stop = CancellationToken::new();
            self.tasks.insert(name.clone(), stop.clone().drop_guard());
            let (name, sequencer) = (name.clone(), sequencer.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = follow_one(&resolvers, &name, &sequencer) => {}
                }
            });
        }
        Ok(())
    }
}

impl Resolvers {
    fn new() -> anyhow::Result<Self> {
        let only = |strategy| {
            let mut builder = Resolver::builder_tokio()?;
            builder.options_mut().ip_strategy = strategy;
            builder.build()
        };
        let both =
            only(LookupIpStrategy::Ipv4Only).and_then(|v4| Ok([v4, only(LookupIpStrategy::Ipv6Only)?]));
        let both = both.map_err(|error| {
            anyhow::anyhow!("never.names needs a resolver, and /etc/resolv.conf gives none: {error}")
        });
        Ok(Self(both?))
    }

    /// Looks both families of `name` up, where `known` has what they had, and says how long that is good.
    async fn look_up(&self, name: &str, known: &mut [Vec<IpAddr>; 2]) -> Duration {
        let mut again = TTL.1;
        for (resolver, known) in self.0.iter().zip(known) {
            match resolver.lookup_ip(format!("{name}.")).await {
                Ok(answer) => {
                    *known = answer.iter().take(MAX_NAME_ADDRESSES / 2).collect();
                    known.sort_unstable();
                    known.dedup();
                    let left = answer.valid_until().saturating_duration_since(Instant::now().into_std());
                    again = again.min(left.max(TTL.0));
                }
                Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
                    known.clear();
                    again = again.min(RETRY);
                }
                Err(error) => {
                    tracing::warn!(name, %error, "a protected name cannot be resolved; its last addresses stay protected");
                    again = again.min(RETRY);
                }
            }
        }
        again
    }
}

async fn follow_one(resolvers: &Resolvers, name: &str, sequencer: &mpsc::Sender<Message>) {
    let (mut known, mut told) = (<[Vec<IpAddr>; 2]>::default(), None);
    loop {
        let mut again = resolvers.look_up(name, &mut known).await;
        let addresses = known.concat();
        if told.as_ref() != Some(&addresses) {
            match tell(name, &addresses, sequencer).await {
                Ok(()) => told = Some(addresses),
                Err(Some(problem)) => {
                    tracing::error!(
                        name,
                        problem,
                        "the new addresses of a protected name are not protected yet"
                    );
                    again = again.min(RETRY);
                }
                Err(None) => return,
            }
        }
        sleep(again).await;
    }
}

/// Has the log take the addresses of `name`. None when the aggregator is stopping.
async fn tell(
    name: &str,
    addresses: &[IpAddr],
    sequencer: &mpsc::Sender<Message>,
) -> Result<(), Option<String>> {
    tracing::info!(name, ?addresses, "a protected name was resolved");
    let (sender, taken) = oneshot::channel();
    let input = Input::Resolved { name: name.to_owned(), addresses: addresses.to_vec() };
    let submission = Message::Submit(Submission { input, reply: Reply::Taken(sender) });
    sequencer.send(submission).await.map_err(|_| None)?;
    taken.await.map_err(|_| None)?.map_err(Some)
}
