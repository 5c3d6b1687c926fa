//! The DNS names of the never-list: each is looked up at its records' TTL, and what changed goes into the
//! log. The last good answer is kept while a name cannot be looked up, over a restart as well.

mod known;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use hickory_resolver::{Resolver, TokioResolver, config::LookupIpStrategy};
use sekisho_model::Input;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use self::known::{Answer, Known};
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

/// Follows the names of the policy in force until `stop`. A policy that changes them has those that are new
/// looked up at once, and those that stay go on as they were.
///
/// # Errors
/// When there are names already, and the system's resolver configuration cannot be read.
pub fn follow(
    shared: Arc<Shared>,
    sequencer: mpsc::Sender<Message>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let mut names: watch::Receiver<Vec<String>> = shared.names();
    let resolvers = if names.borrow().is_empty() { None } else { Some(Arc::new(Resolvers::new()?)) };
    let mut followed = Followed { shared, resolvers, sequencer, tasks: HashMap::new() };
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
    shared: Arc<Shared>,
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
            let followed = Name::new(name, &self.shared);
            let (resolvers, sequencer) = (resolvers.clone(), self.sequencer.clone());
            let task = tokio::spawn(async move { followed.follow(&resolvers, &sequencer).await });
            self.tasks.insert(name.clone(), AbortOnDropHandle::new(task));
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

    /// Looks both families of `name` up, and says how long the answers are good.
    async fn look_up(&self, name: &str) -> ([Answer; 2], Duration) {
        let Self([v4, v6]) = self;
        let ((v4, v4_good), (v6, v6_good)) = tokio::join!(look_up(v4, name), look_up(v6, name));
        ([v4, v6], v4_good.min(v6_good))
    }
}

/// Looks one family of `name` up, and says how long the answer is good.
async fn look_up(resolver: &TokioResolver, name: &str) -> (Answer, Duration) {
    match resolver.lookup_ip(format!("{name}.")).await {
        Ok(answer) => {
            let left = answer.valid_until().saturating_duration_since(Instant::now().into_std());
            (Answer::Addresses(answer.iter().collect()), left.clamp(TTL.0, TTL.1))
        }
        Err(error) if error.is_no_records_found() || error.is_nx_domain() => (Answer::Nothing, RETRY),
        Err(error) => {
            tracing::warn!(name, %error, "a name on the never-list cannot be resolved; what is known of it stays protected");
            (Answer::Failed, RETRY)
        }
    }
}

/// One name, and what is known of it.
struct Name {
    name: String,
    shared: Arc<Shared>,
    known: Known,
}

impl Name {
    /// Begins with what the engine protects: a look-up that fails must not take it away.
    fn new(name: &str, shared: &Arc<Shared>) -> Self {
        let known = Known::of(&shared.engine().addresses_of(name).unwrap_or_default());
        Self { name: name.to_owned(), shared: shared.clone(), known }
    }

    async fn follow(mut self, resolvers: &Resolvers, sequencer: &mpsc::Sender<Message>) {
        while let Some(again) = self.look_up(resolvers, sequencer).await {
            sleep(again).await;
        }
    }

    /// One look-up, and what it changes is told; returns when to do the next one. None when the aggregator is
    /// stopping.
    async fn look_up(
        &mut self,
        resolvers: &Resolvers,
        sequencer: &mpsc::Sender<Message>,
    ) -> Option<Duration> {
        let (answers, again) = resolvers.look_up(&self.name).await;
        let has_some = self.known.learn(answers);
        // Asked each time: a policy may have left the name out and taken it in again meanwhile.
        let protected = self.shared.engine().addresses_of(&self.name);
        let (addresses, left_out) = self.known.addresses(protected.as_deref().unwrap_or_default());
        self.warn(has_some, &addresses, left_out);
        if protected.is_none_or(|protected| protected == addresses) {
            return Some(again);
        }
        match tell(&self.name, &addresses, sequencer).await {
            Ok(()) => Some(again),
            Err(Some(problem)) => {
                tracing::error!(
                    name = self.name,
                    problem,
                    "the new addresses of a protected name are not protected yet"
                );
                Some(again.min(RETRY))
            }
            Err(None) => None,
        }
    }

    /// Says where the name does not protect what it should.
    fn warn(&self, has_some: bool, addresses: &[IpAddr], left_out: usize) {
        let name = &self.name;
        self.shared.set_left_out(name, left_out);
        if addresses.is_empty() {
            tracing::warn!(
                name,
                "a name on the never-list has no address yet: it protects nothing; is it written right? put its records right, or take it off never.names"
            );
        } else if !has_some {
            tracing::warn!(
                name,
                "a name on the never-list has no addresses by its DNS zone any more; its last ones stay protected: take it off never.names, or put its records right"
            );
        }
        if left_out > 0 {
            tracing::warn!(
                name,
                protected = addresses.len(),
                left_out,
                "a name on the never-list has more addresses than are protected of one name; put the others under never.prefixes"
            );
        }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.shared.set_left_out(&self.name, 0);
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

#[cfg(test)]
mod tests;
