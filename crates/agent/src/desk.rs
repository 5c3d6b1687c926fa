//! The keeper's thread, and the handle by which tasks ask it things, one at a time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use sekisho_kernel::KernelError;
use sekisho_model::{
    Completed, Prefix,
    feed::{Announcement, Response},
};
use tokio::sync::{mpsc, oneshot};

use crate::keeper::{Counts, Keeper, KeeperError, Reading, Verdict};

/// Questions that may wait: one of the feed, one of the hits, one of the guard, one of the passes for
/// counter-evidence, one of the end.
const WAITING: usize = 5;

enum Question {
    Begin(oneshot::Sender<Response>),
    Hear(Box<Announcement>, oneshot::Sender<(Verdict, Option<Duration>)>),
    Hits(oneshot::Sender<Result<Reading, KeeperError>>),
    Listed(usize, oneshot::Sender<Vec<Prefix>>),
    Object(Vec<Completed>),
    Check(oneshot::Sender<Result<(), KeeperError>>),
    Flush(oneshot::Sender<Result<(), KernelError>>),
}

/// Asks the keeper.
#[derive(Clone, Debug)]
pub struct Desk {
    questions: mpsc::Sender<Question>,
    counts: Arc<Mutex<Counts>>,
}

/// The keeper's thread has ended.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the thread that keeps the kernel has ended; restart the agent")]
pub struct Closed;

impl Desk {
    /// Gives `keeper` a thread. It ends when every handle is gone.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn open(mut keeper: Keeper) -> std::io::Result<Self> {
        let (questions, mut received) = mpsc::channel(WAITING);
        let counts = Arc::new(Mutex::new(keeper.counts()));
        let told = counts.clone();
        thread::Builder::new().name("keeper".into()).spawn(move || {
            while let Some(question) = received.blocking_recv() {
                answer(&mut keeper, question);
                *told.lock().unwrap_or_else(PoisonError::into_inner) = keeper.counts();
            }
        })?;
        Ok(Self { questions, counts })
    }

    /// What to say first on a new stream.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn begin(&self) -> Result<Response, Closed> {
        self.ask(Question::Begin).await
    }

    /// Has a message judged and put in force; tells also how long the stream may then stay silent.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn hear(&self, message: Announcement) -> Result<(Verdict, Option<Duration>), Closed> {
        self.ask(|reply| Question::Hear(Box::new(message), reply)).await
    }

    /// What was hit since the last reading, and what the rules have counted.
    ///
    /// # Errors
    /// [`Closed`]; the inner error is the kernel's.
    pub async fn hits(&self) -> Result<Result<Reading, KeeperError>, Closed> {
        self.ask(Question::Hits).await
    }

    /// The next `limit` entries of the blocklist to look for counter-evidence against.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn listed(&self, limit: usize) -> Result<Vec<Prefix>, Closed> {
        self.ask(|reply| Question::Listed(limit, reply)).await
    }

    /// Says against which entries this host has counter-evidence.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn object(&self, found: Vec<Completed>) -> Result<(), Closed> {
        self.questions.send(Question::Object(found)).await.map_err(|_| Closed)
    }

    /// Has what another program has changed put right.
    ///
    /// # Errors
    /// [`Closed`]; the inner error is what could not be put right.
    pub async fn check(&self) -> Result<Result<(), KeeperError>, Closed> {
        self.ask(Question::Check).await
    }

    /// Takes all blocks out of the kernel.
    ///
    /// # Errors
    /// [`Closed`]; the inner error is the kernel's.
    pub async fn flush(&self) -> Result<Result<(), KernelError>, Closed> {
        self.ask(Question::Flush).await
    }

    /// What was done since the start.
    pub fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        self.questions.send(question(reply)).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

/// Answers a question. Whoever asked may have gone meanwhile: what was done stays done.
fn answer(keeper: &mut Keeper, question: Question) {
    match question {
        Question::Begin(reply) => drop(reply.send(keeper.begin_stream())),
        Question::Hear(message, reply) => {
            let verdict = keeper.handle(*message);
            drop(reply.send((verdict, keeper.patience())));
        }
        Question::Hits(reply) => drop(reply.send(keeper.read_hits())),
        Question::Listed(limit, reply) => drop(reply.send(keeper.listed(limit))),
        Question::Object(found) => keeper.object(&found),
        Question::Check(reply) => drop(reply.send(keeper.check())),
        Question::Flush(reply) => drop(reply.send(keeper.flush())),
    }
}
