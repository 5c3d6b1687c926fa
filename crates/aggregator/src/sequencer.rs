//! The one writer: takes what has arrived, makes one log entry of it, and answers when it is durable.
//!
//! It runs on a thread of its own, since it waits for the disk. While the log takes nothing, everything
//! is refused at once, nothing is acknowledged, and the store is opened again until it works.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use sekisho_daemon::readiness::Readiness;
use sekisho_engine::{OrderResult, Outcome};
use sekisho_model::{
    Batch, Input, Moment, Order, OrderKind, Policy, Revision,
    limits::{GROUP_COMMIT_BYTES, SEQUENCER_QUEUE, TICK_INTERVAL, TOTALS_INTERVAL},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    ledger::{Ledger, LedgerError},
    shared::Shared,
    tell::tell,
};

/// How long to wait before the store is opened again after a failure.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);
/// Milliseconds between the wall clock and the log's time that are drift, not a step.
const CLOCK_TOLERANCE_MS: u64 = 5_000;
/// Readiness condition of the log.
const CONDITION: &str = "log";

/// What the sequencer is told.
pub enum Message {
    /// Something for the log.
    Submit(Box<Submission>),
    /// Finish what came before, write a checkpoint, and end.
    Stop,
}

/// Something for the log, and who waits for it.
pub struct Submission {
    /// What the engine is to be told.
    pub input: Input,
    /// Whom to tell when it is durable.
    pub reply: Reply,
}

/// Whom to tell when a submission is durable.
pub enum Reply {
    /// Nobody.
    None,
    /// A report stream, which holds a place in flight until then.
    Batch {
        /// Where the stream looks.
        durable: watch::Sender<Durable>,
        /// The stream's place in flight.
        place: OwnedSemaphorePermit,
    },
    /// Whoever must know that it is in the log, or why the log took nothing.
    Taken(oneshot::Sender<Result<(), String>>),
    /// An operator, who gets the revision and what came of the order, or why the log took nothing.
    Order(oneshot::Sender<Result<(Revision, OrderResult), String>>),
}

/// What a report stream knows of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durable {
    /// Everything up to this sequence is durable.
    UpTo(u64),
    /// The log takes nothing; what was not acknowledged must be sent again.
    Failed(String),
}

/// Starts the writer. It ends, with a checkpoint, when it is told to or every sender is gone.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    ledger: Ledger,
    readiness: Readiness,
) -> std::io::Result<(mpsc::Sender<Message>, thread::JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel(SEQUENCER_QUEUE);
    let (runtime, shared) = (Handle::current(), ledger.shared());
    let sequencer = Sequencer {
        ledger,
        shared,
        readiness,
        receiver,
        runtime,
        stopping: false,
        last_tick: Moment::EPOCH,
        clock_stepped: false,
    };
    let thread = thread::Builder::new().name("sequencer".into()).spawn(move || sequencer.run())?;
    Ok((sender, thread))
}

struct Sequencer {
    ledger: Ledger,
    shared: Arc<Shared>,
    readiness: Readiness,
    receiver: mpsc::Receiver<Message>,
    stopping: bool,
    runtime: Handle,
    last_tick: Moment,
    clock_stepped: bool,
}

/// What became of waiting.
enum Arrived {
    Group(Vec<Submission>),
    Nothing,
    Closed,
}

impl Sequencer {
    fn run(mut self) {
        loop {
            let group = match self.wait(self.patience()) {
                Arrived::Group(group) => group,
                Arrived::Nothing => Vec::new(),
                Arrived::Closed => break,
            };
            let committed = self.commit(group).and_then(|()| self.ledger.checkpoint_if_due());
            if let Err(error) = committed
                && !self.stalled(error)
            {
                break;
            }
        }
        if let Err(error) = self.ledger.checkpoint() {
            tracing::error!(%error, "no checkpoint could be written at the end; the next start replays more of the log");
        }
    }

    /// How long nothing may arrive until a tick is due.
    fn patience(&self) -> Duration {
        let due = self.shared.engine().poll_timeout().map(|due| due.max(self.last_tick + TICK_INTERVAL));
        due.map_or(Duration::from_secs(3_600), |due| due.since(self.shared.now()))
    }

    fn wait(&mut self, patience: Duration) -> Arrived {
        if self.stopping {
            return Arrived::Closed;
        }
        let first = self.runtime.block_on(async { timeout(patience, self.receiver.recv()).await });
        let first = match first {
            Ok(Some(Message::Submit(first))) => *first,
            Ok(Some(Message::Stop) | None) => return Arrived::Closed,
            Err(_) => return Arrived::Nothing,
        };
        let mut bytes = size(&first.input);
        let mut group = vec![first];
        while bytes < GROUP_COMMIT_BYTES {
            match self.receiver.try_recv() {
                Ok(Message::Submit(next)) => {
                    bytes += size(&next.input);
                    group.push(*next);
                }
                Ok(Message::Stop) => {
                    self.stopping = true;
                    break;
                }
                Err(_) => break,
            }
        }
        Arrived::Group(group)
    }

    /// Makes a group durable and answers it. What the log implies already is answered with the rest, so
    /// that no acknowledgement overtakes one before it.
    fn commit(&mut self, group: Vec<Submission>) -> Result<(), LedgerError> {
        self.watch_clock();
        let now = self.shared.now();
        let (mut inputs, mut replies) = (Vec::new(), Vec::new());
        for Submission { mut input, reply } in group {
            let is_news = match &mut input {
                Input::Batch(batch) => self.is_news(batch, now),
                _ => true,
            };
            replies.push((reply, sequence(&input)));
            if is_news {
                inputs.push(input);
            }
        }
        if self.tick_is_due(now) {
            inputs.push(Input::Tick);
        }
        if inputs.is_empty() {
            answer(replies, Revision::default(), Outcome::default());
            return Ok(());
        }
        self.last_tick = now;
        match self.ledger.commit(inputs, now) {
            Ok((revision, outcome)) => {
                tell(&outcome);
                answer(replies, revision, outcome);
                Ok(())
            }
            Err(error) => {
                refuse(replies, &error.to_string());
                Err(error)
            }
        }
    }

    /// Strips what the log implies already, and says whether what is left belongs into it: rows do, and from
    /// time to time the totals, by which the engine knows what a host usually completes.
    fn is_news(&self, batch: &mut Batch, now: Moment) -> bool {
        let engine = self.shared.engine();
        engine.strip_known(batch, now);
        let rows = batch.observations.len() + batch.hits.len() + batch.completed.len();
        let host = engine.host(&batch.host).filter(|host| host.session == batch.session);
        let taken = host.and_then(|host| host.meter.taken);
        rows > 0 || taken.is_none_or(|taken| now.since(taken) >= TOTALS_INTERVAL)
    }

    /// A record of its own.
    fn probe(&mut self) -> Result<(Revision, Outcome), LedgerError> {
        let now = self.shared.now();
        self.ledger.commit(vec![Input::Tick], now)
    }

    /// Says once when the wall clock has stepped away from the log's.
    fn watch_clock(&mut self) {
        let ahead = self.shared.follow_wall_clock();
        let stepped = ahead.unsigned_abs() > CLOCK_TOLERANCE_MS;
        if stepped && !self.clock_stepped {
            tracing::error!(
                ahead_ms = ahead,
                "the wall clock stepped away from the log's time, which goes on steadily; restart when the wall clock is right"
            );
        }
        self.clock_stepped = stepped;
    }

    fn tick_is_due(&self, now: Moment) -> bool {
        let due = self.shared.engine().poll_timeout();
        due.is_some_and(|due| due <= now) && now >= self.last_tick + TICK_INTERVAL
    }

    /// Refuses everything until the log takes a record again. False when there is nobody left to serve.
    fn stalled(&mut self, mut error: LedgerError) -> bool {
        loop {
            let problem = error.to_string();
            tracing::error!(%problem, "the log takes nothing; nothing is acknowledged until it does");
            self.readiness.unmet(CONDITION, &problem);
            self.shared.set_problem(Some(problem.clone()));
            if !self.refuse_for(REOPEN_INTERVAL, &problem) {
                return false;
            }
            // A record of its own proves that the disk takes writes, which opening alone does not.
            let retried = self.ledger.reopen().and_then(|()| self.probe());
            match retried {
                Ok((_, outcome)) => {
                    tell(&outcome);
                    tracing::info!("the log takes records again");
                    self.shared.set_problem(None);
                    self.readiness.met(CONDITION);
                    return true;
                }
                Err(again) => error = again,
            }
        }
    }
}

impl Sequencer {
    /// Refuses what arrives during `span`. False when there is nobody left to serve.
    fn refuse_for(&mut self, span: Duration, problem: &str) -> bool {
        let until = Instant::now() + span;
        loop {
            match self.wait(until.saturating_duration_since(Instant::now())) {
                Arrived::Closed => return false,
                Arrived::Nothing => return true,
                Arrived::Group(group) => {
                    refuse(group.into_iter().map(|submission| (submission.reply, 0)).collect(), problem);
                }
            }
        }
    }
}

/// Roughly the bytes of an input in the log.
fn size(input: &Input) -> usize {
    match input {
        Input::Batch(batch) => {
            64 + 12 * (batch.observations.len() + batch.hits.len() + batch.completed.len())
        }
        Input::Policy(policy) => 256 + policy_size(policy),
        Input::Order(Order { kind: OrderKind::SetPolicy(policy), .. }) => 256 + policy_size(policy),
        _ => 256,
    }
}

/// Roughly the bytes of a policy's never-list.
fn policy_size(policy: &Policy) -> usize {
    let names: usize = policy.never.names.iter().map(String::len).sum();
    names + 20 * policy.never.prefixes.len()
}

fn sequence(input: &Input) -> u64 {
    if let Input::Batch(batch) = input { batch.sequence } else { 0 }
}

fn answer(replies: Vec<(Reply, u64)>, revision: Revision, outcome: Outcome) {
    let mut orders = outcome.orders.into_iter();
    for (reply, sequence) in replies {
        match reply {
            Reply::None => {}
            Reply::Batch { durable, place } => {
                durable.send_replace(Durable::UpTo(sequence));
                drop(place);
            }
            Reply::Taken(sender) => drop(sender.send(Ok(()))),
            Reply::Order(sender) => {
                if let Some(result) = orders.next() {
                    drop(sender.send(Ok((revision, result)))); // The caller may have gone.
                }
            }
        }
    }
}

fn refuse(replies: Vec<(Reply, u64)>, problem: &str) {
    for (reply, _) in replies {
        match reply {
            Reply::None => {}
            Reply::Batch { durable, .. } => drop(durable.send_replace(Durable::Failed(problem.to_owned()))),
            Reply::Taken(sender) => drop(sender.send(Err(problem.to_owned()))),
            Reply::Order(sender) => drop(sender.send(Err(problem.to_owned()))),
        }
    }
}
