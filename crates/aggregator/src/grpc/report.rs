//! `ObservationService`: one session an agent. What is malformed ends that session and nothing else.

use std::{sync::Arc, time::Duration};

use sekisho_model::{
    HostId, Input, Zone,
    limits::{MAX_HOSTS, STREAM_BATCHES_IN_FLIGHT},
};
use sekisho_wire::{
    Malformed, Reason,
    identity::Caller,
    observation,
    pb::v1::{
        ObservationBatch, ReportHello, ReportRequest, ReportResponse,
        observation_service_server::ObservationService, report_request::Kind,
    },
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    grpc::{Context, auth, log_unavailable, received, stopping},
    sequencer::{Durable, Message, Reply, Submission},
};

/// Longest wait for the first message of a stream.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// The service.
pub struct Reports(pub Context);

#[tonic::async_trait]
impl ObservationService for Reports {
    type ReportStream = ReceiverStream<Result<ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let caller = auth::identify(&request)?;
        if let Some(Caller::Operator(_)) = &caller {
            auth::agent(caller.as_ref(), "")?;
        }
        let (answers, stream) = mpsc::channel(4);
        let (context, incoming) = (self.0.clone(), request.into_inner());
        tokio::spawn(async move {
            if let Err(status) = converse(context, caller, incoming, &answers).await {
                drop(answers.send(Err(status)).await); // The agent may have gone.
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// One agent's stream, from its hello on.
struct Session {
    context: Context,
    host: HostId,
    session: u64,
    /// The last sequence that was taken on this stream.
    last: Option<u64>,
    durable: watch::Sender<Durable>,
    places: Arc<Semaphore>,
    /// Cancelled when the host opens another stream.
    replaced: CancellationToken,
}

async fn converse(
    context: Context,
    caller: Option<Caller>,
    mut incoming: Streaming<ReportRequest>,
    answers: &mpsc::Sender<Result<ReportResponse, Status>>,
) -> Result<(), Status> {
    let first = timeout(HELLO_TIMEOUT, incoming.message()).await;
    let first =
        first.map_err(|_| Reason::HelloExpected.status("no hello came within 10 s"))?.map_err(received)?;
    let Some(Kind::Hello(hello)) = first.and_then(|message| message.kind) else {
        return Err(Reason::HelloExpected.status_about(
            "the first message must be a hello",
            Some("hello"),
            [],
        ));
    };
    let mut session = Session::begin(context, caller.as_ref(), hello).await?;
    let result = session.run(&mut incoming, answers).await;
    session.end().await;
    result
}

impl Session {
    async fn begin(context: Context, caller: Option<&Caller>, hello: ReportHello) -> Result<Self, Status> {
        let host = auth::agent(caller, &hello.host_id)?;
        if hello.session == 0 {
            return Err(Malformed::field("hello.session", "must not be 0").into());
        }
        let zone: Option<Zone> = match hello.zone.as_str() {
            "" => None,
            zone => Some(zone.parse().map_err(|error| Malformed::field("hello.zone", format!("{error}")))?),
        };
        let addresses = observation::addresses("hello.addresses", &hello.addresses)?;
        if let Some(problem) = context.shared.problem().borrow().as_ref() {
            return Err(log_unavailable(problem));
        }
        // The log forgets no host: who was refused would be again, and the log need not hear it each time.
        if context.roster.get(&host).is_refused && context.shared.engine().host(&host).is_none() {
            return Err(refused());
        }
        let durable = context.shared.engine().durable_sequence(&host, hello.session);
        let replaced = CancellationToken::new();
        context.roster.update(&host, |presence| {
            // One stream a host: a second one is a host that came back before its first one was missed.
            if let Some(before) = presence.report_stream.replace(replaced.clone()) {
                before.cancel();
            }
            presence.reporting += 1;
            presence.mode = hello.mode.chars().take(16).collect();
            presence.agent_version = hello.agent_version.chars().take(64).collect();
        });
        let session = Self {
            host: host.clone(),
            session: hello.session,
            last: None,
            durable: watch::Sender::new(Durable::UpTo(durable)),
            places: Arc::new(Semaphore::new(STREAM_BATCHES_IN_FLIGHT)),
            replaced,
            context,
        };
        let joined = session.join(Input::HostJoined { host, zone, addresses }).await;
        if let Err(status) = joined.and_then(|()| session.admitted()) {
            session.end().await;
            return Err(status);
        }
        Ok(session)
    }

    /// Waits until the log has it that the host is here: its own addresses are protected by that.
    async fn join(&self, input: Input) -> Result<(), Status> {
        let (sender, taken) = oneshot::channel();
        self.submit(input, Reply::Taken(sender)).await?;
        taken.await.map_err(|_| stopping())?.map_err(|problem| log_unavailable(&problem))
    }

    /// Whether the engine knows the host now: one that it has no room for must not believe that it counts.
    fn admitted(&self) -> Result<(), Status> {
        let is_known = self.context.shared.engine().host(&self.host).is_some();
        self.context.roster.update(&self.host, |presence| presence.is_refused = !is_known);
        if is_known { Ok(()) } else { Err(refused()) }
    }

    /// Takes batches and tells what is durable, until one side ends.
    async fn run(
        &mut self,
        incoming: &mut Streaming<ReportRequest>,
        answers: &mpsc::Sender<Result<ReportResponse, Status>>,
    ) -> Result<(), Status> {
        let (mut durable, stop) = (self.durable.subscribe(), self.context.stop.clone());
        durable.mark_changed();
        loop {
            // Whether there is a place in flight: without one, the agent's messages stay in its own buffer.
            let places = self.places.clone();
            tokio::select! {
                biased;
                () = stop.cancelled() => return Err(stopping()),
                () = self.replaced.cancelled() => {
                    return Err(Reason::Replaced.status("this host has opened another report stream; only the newest counts"));
                }
                changed = durable.changed() => {
                    changed.map_err(|_| stopping())?;
                    let state = durable.borrow_and_update().clone();
                    match state {
                        Durable::UpTo(sequence) => {
                            let durable_sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
                            if answers.send(Ok(ReportResponse { durable_sequence })).await.is_err() {
                                return Ok(());
                            }
                        }
                        Durable::Failed(problem) => return Err(log_unavailable(&problem)),
                    }
                }
                message = async {
                    let place = places.acquire_owned().await;
                    (place, incoming.message().await)
                } => {
                    let (Ok(place), message) = message else { return Err(stopping()) };
                    match message.map_err(received)? {
                        None => return Ok(()),
                        Some(ReportRequest { kind: Some(Kind::Batch(batch)) }) => self.take(batch, place).await?,
                        Some(_) => {
                            return Err(Reason::MalformedField.status_about("after the hello only batches may come", Some("batch"), []));
                        }
                    }
                }
            }
        }
    }

    async fn take(
        &mut self,
        batch: ObservationBatch,
        place: tokio::sync::OwnedSemaphorePermit,
    ) -> Result<(), Status> {
        let sequence = batch.sequence;
        let named = |malformed: Malformed| {
            let text = format!("batch {sequence}: {malformed}");
            malformed.reason.status_about(text, Some(malformed.field), [("sequence", sequence.to_string())])
        };
        let batch = observation::decode(self.host.clone(), self.session, &batch).map_err(named)?;
        self.in_order(batch.sequence).map_err(named)?;
        observation::admit(&batch).map_err(named)?;
        self.last = Some(batch.sequence);
        let (totals, at) = (batch.totals, self.context.shared.now());
        self.context.roster.update(&self.host, |presence| {
            (presence.totals, presence.last_report) = (totals, Some(at));
            presence.benefit.told(self.session, &totals.answers);
        });
        self.submit(Input::Batch(batch), Reply::Batch { durable: self.durable.clone(), place }).await
    }

    fn in_order(&self, sequence: u64) -> Result<(), Malformed> {
        let wrong = |reason, problem| Err(Malformed { reason, field: "batch.sequence", problem });
        match self.last {
            Some(last) if sequence <= last => wrong(
                Reason::SequenceRepeated,
                format!("{sequence} was sent before; the next is {}", last + 1),
            ),
            Some(last) if sequence != last + 1 => wrong(
                Reason::SequenceOutOfOrder,
                format!("{sequence} came after {last}; the next is {}", last + 1),
            ),
            _ => Ok(()),
        }
    }

    async fn submit(&self, input: Input, reply: Reply) -> Result<(), Status> {
        let submission = Message::Submit(Box::new(Submission { input, reply }));
        self.context.sequencer.send(submission).await.map_err(|_| stopping())
    }

    async fn end(self) {
        let left = self.context.roster.update(&self.host, |presence| {
            presence.reporting -= 1;
            presence.reporting == 0 && !presence.is_refused
        });
        if left {
            // While stopping there may be nobody left to take it: the next start says it for all.
            drop(self.submit(Input::HostLeft { host: self.host.clone() }, Reply::None).await);
        }
    }
}

/// There is no room for one more host.
fn refused() -> Status {
    Reason::LimitReached.status(format!(
        "{MAX_HOSTS} hosts are known, and this one is not: its reports would not count; give it the name of one that is gone"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::Ledger, tests::World};

    fn joined(number: usize) -> Input {
        let host = format!("host-{number}").parse().unwrap();
        Input::HostJoined { host, zone: None, addresses: Vec::new() }
    }

    fn hello(host: &str) -> ReportHello {
        ReportHello { host_id: host.into(), session: 1, ..ReportHello::default() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_host_that_there_is_no_room_for_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path(), false, 1).unwrap();
        let now = ledger.shared().now();
        ledger.commit((0..MAX_HOSTS).map(joined).collect(), now).unwrap();
        let world = World::over(ledger, dir);
        let begin = async |host| Session::begin(world.context.clone(), None, hello(host)).await;
        let Err(status) = begin("one-more").await else { panic!("it was taken") };
        assert!(Reason::LimitReached.is_in(&status), "{status:?}");
        let index = world.context.shared.engine().index();
        let Err(status) = begin("one-more").await else { panic!("it was taken") };
        assert!(Reason::LimitReached.is_in(&status), "{status:?}");
        assert_eq!(world.context.shared.engine().index(), index, "the log hears it once");
        assert_eq!(world.context.roster.reporting(), 0);
        begin("host-7").await.unwrap().end().await;
        world.stop().await;
    }
}
