//! The DNS names of the never-list: each is looked up at its records' TTL, and what changed goes into the
//! log. The last good answer is kept while a name cannot be looked up.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{Resolver, TokioResolver, config::LookupIpStrategy};
use sekisho_model::{Input, limits::MAX_NAME_ADDRESSES};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::sequencer::{Message, Reply, Submission};

/// Shortest and longest time between two look-ups of a name, whatever its TTL says.
const TTL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3_600));
/// Time until the next look-up after one that failed.
const RETRY: Duration = Duration::from_secs(15);

/// The two families of a name, each looked up by itself: one that does not answer keeps its last addresses.
struct Resolvers([TokioResolver; 2]);

/// Follows the names of the policy in force until `stop`. A policy that changes them has those that are new
/// looked up at once, and those that stay go on as they were.
///
/// # Errors
/// When there are names already, and the system's resolver configuration cannot be read.
pub fn follow(
    mut names: watch::Receiver<Vec<String>>,
    sequencer: mpsc::Sender<Message>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let resolvers = if names.borrow().is_empty() { None } else { Some(Arc::new(Resolvers::new()?)) };
    let mut followed = Followed { resolvers, sequencer, tasks: HashMap::new() };
    tokio::spawn(async move {
        loop {
            let wanted = names.borrow_and_update().clone();
            let is_done = followed.set(&wanted);
            tokio::select! {
                () = stop.cancelled() => return,
                changed = names.changed() => if changed.is_err() { return },
                () = sleep(RETRY), if !is_done => {}
            }
        }
    });
    Ok(())
}

/// A task for each name; it ends with this.
struct Followed {
    /// None until there are names.
    resolvers: Option<Arc<Resolvers>>,
    sequencer: mpsc::Sender<Message>,
    tasks: HashMap<String, AbortOnDropHandle<()>>,
}

impl Followed {
    /// Follows just `names`. False when that is to be tried again.
    fn set(&mut self, names: &[String]) -> bool {
        let wanted: HashSet<&String> = names.iter().collect();
        self.tasks.retain(|name, _| wanted.contains(name));
        let new: Vec<&String> = wanted.into_iter().filter(|name| !self.tasks.contains_key(*name)).collect();
        if new.is_empty() {
            return true;
        }
        let resolvers = match &self.resolvers {
            Some(resolvers) => resolvers.clone(),
            None => match Resolvers::new() {
                Ok(resolvers) => self.resolvers.insert(Arc::new(resolvers)).clone(),
                Err(error) => {
                    tracing::error!(%error, names = new.len(), "the names of the new policy are not protected yet");
                    return false;
                }
            },
        };
        for name in new {
            let (resolvers, sequencer, name) = (resolvers.clone(), self.sequencer.clone(), name.clone());
            let task = tokio::spawn({
                let name = name.clone();
                async move { follow_one(&resolvers, &name, &sequencer).await }
            });
            self.tasks.insert(name, AbortOnDropHandle::new(task));
        }
        true
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
    let submission = Message::Submit(Box::new(Submission { input, reply: Reply::Taken(sender) }));
    sequencer.send(submission).await.map_err(|_| None)?;
    taken.await.map_err(|_| None)?.map_err(Some)
}
