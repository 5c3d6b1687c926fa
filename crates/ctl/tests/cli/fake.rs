//! An aggregator that answers from lists and scripts, and the program run against it.

mod news;
mod operator;

use std::{
    collections::{BTreeMap, VecDeque},
    pin::Pin,
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
};

use sekisho_daemon::{listener, tls::TlsArgs};
use sekisho_wire::pb::v1::{
    self as pb, blocklist_service_server::BlocklistService, fleet_service_server::FleetService,
};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// What one stream says, and how it ends.
#[derive(Debug)]
pub(crate) struct Script<T = pb::WatchResponse> {
    pub(crate) messages: Vec<T>,
    pub(crate) then: Then,
}

/// Scripts of streams, the next one first.
pub(crate) type Scripts<T> = Mutex<VecDeque<Script<T>>>;

/// How a stream ends.
#[derive(Debug)]
pub(crate) enum Then {
    Close,
    Fail(Status),
    Hold,
}

/// What the aggregator knows, and what it was told.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) entries: Vec<pb::Entry>,
    pub(crate) witnesses: Vec<pb::Witness>,
    pub(crate) allowlist: Vec<pb::AllowlistEntry>,
    pub(crate) hosts: Vec<pb::Host>,
    pub(crate) status: pb::GetStatusResponse,
    pub(crate) explanation: pb::ExplainResponse,
    /// The newest first.
    pub(crate) events: Vec<pb::Event>,
    pub(crate) policy: String,
    /// Items that a page has at most.
    pub(crate) page: usize,
    /// The answer to everything.
    pub(crate) refusal: Option<Status>,
    pub(crate) scripts: Scripts<pb::WatchResponse>,
    pub(crate) starts: Mutex<Vec<pb::WatchStart>>,
    pub(crate) news: Scripts<pb::WatchEventsResponse>,
    pub(crate) replays: Scripts<pb::ReplayResponse>,
    /// Orders as they came, those that were refused too.
    pub(crate) orders: Mutex<Vec<String>>,
    /// Orders that were carried out, by request id.
    pub(crate) done: Mutex<BTreeMap<String, String>>,
    /// Answers to orders that get lost: the order is carried out, and the aggregator stops.
    pub(crate) lost: Mutex<usize>,
    /// What was asked about addresses, events and replays.
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) pages: Mutex<Vec<i32>>,
}

impl World {
    fn allowed(&self) -> Result<(), Status> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    fn page_of<T: Clone>(&self, all: &[T], size: i32, token: &str) -> Result<(Vec<T>, String), Status> {
        self.allowed()?;
        self.pages.lock().unwrap().push(size);
        let size = usize::try_from(size).unwrap().min(self.page);
        let from: usize = if token.is_empty() { 0 } else { token.parse().unwrap() };
        let to = all.len().min(from + size);
        Ok((all[from..to].to_vec(), if to < all.len() { to.to_string() } else { String::new() }))
    }

    fn ask(&self, question: &impl std::fmt::Debug) {
        self.asked.lock().unwrap().push(format!("{question:?}"));
    }
}

#[derive(Clone, Debug)]
struct Service(Arc<World>);

type Played<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What `script` says; one that holds goes on with `held`.
fn played<T: Send + 'static>(
    script: Script<T>,
    held: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> Played<T> {
    let messages = tokio_stream::iter(script.messages.into_iter().map(Ok));
    match script.then {
        Then::Close => Box::pin(messages),
        Then::Fail(status) => Box::pin(messages.chain(tokio_stream::once(Err(status)))),
        Then::Hold => Box::pin(messages.chain(held)),
    }
}

#[tonic::async_trait]
impl BlocklistService for Service {
    type WatchStream = Played<pb::WatchResponse>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Played<pb::WatchResponse>>, Status> {
        self.0.allowed()?;
        let mut said = request.into_inner();
        let Some(pb::watch_request::Kind::Start(start)) = said.message().await?.and_then(|first| first.kind)
        else {
            return Err(Status::invalid_argument("start is not first"));
        };
        self.0.starts.lock().unwrap().push(start);
        let script = self.0.scripts.lock().unwrap().pop_front();
        let script = script.ok_or_else(|| Status::permission_denied("the script is over"))?;
        // The requests are held too, so that the stream stays open in both directions.
        Ok(Response::new(played(script, said.map(|_| Err(Status::aborted("unexpected"))))))
    }

    async fn list_entries(
        &self,
        request: Request<pb::ListEntriesRequest>,
    ) -> Result<Response<pb::ListEntriesResponse>, Status> {
        let request = request.into_inner();
        let (entries, next_page_token) =
            self.0.page_of(&self.0.entries, request.page_size, &request.page_token)?;
        Ok(Response::new(pb::ListEntriesResponse { entries, next_page_token, position: None }))
    }

    async fn get_entry(
        &self,
        request: Request<pb::GetEntryRequest>,
    ) -> Result<Response<pb::GetEntryResponse>, Status> {
        self.0.allowed()?;
        let prefix = request.into_inner().prefix;
        let entry = self.0.entries.iter().find(|entry| entry.prefix == prefix).cloned();
        let entry = entry.ok_or_else(|| sekisho_wire::Reason::NotFound.status("no such entry"))?;
        let (witnesses, standing) = (self.0.witnesses.clone(), self.0.explanation.standing.clone());
        Ok(Response::new(pb::GetEntryResponse { entry: Some(entry), witnesses, standing }))
    }

    async fn explain(
        &self,
        request: Request<pb::ExplainRequest>,
    ) -> Result<Response<pb::ExplainResponse>, Status> {
        self.0.allowed()?;
        self.0.ask(request.get_ref());
        Ok(Response::new(self.0.explanation.clone()))
    }

    async fn list_allowlist(
        &self,
        request: Request<pb::ListAllowlistRequest>,
    ) -> Result<Response<pb::ListAllowlistResponse>, Status> {
        let request = request.into_inner();
        let (entries, next_page_token) =
            self.0.page_of(&self.0.allowlist, request.page_size, &request.page_token)?;
        Ok(Response::new(pb::ListAllowlistResponse { entries, next_page_token }))
    }

    async fn get_status(
        &self,
        _: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        self.0.allowed()?;
        Ok(Response::new(self.0.status.clone()))
    }
}

#[tonic::async_trait]
impl FleetService for Service {
    async fn list_hosts(
        &self,
        request: Request<pb::ListHostsRequest>,
    ) -> Result<Response<pb::ListHostsResponse>, Status> {
        let request = request.into_inner();
        let (hosts, next_page_token) =
            self.0.page_of(&self.0.hosts, request.page_size, &request.page_token)?;
        Ok(Response::new(pb::ListHostsResponse { hosts, next_page_token }))
    }

    async fn get_host(
        &self,
        request: Request<pb::GetHostRequest>,
    ) -> Result<Response<pb::GetHostResponse>, Status> {
        self.0.allowed()?;
        let name = request.into_inner().host_id;
        let host = self.0.hosts.iter().find(|host| host.host_id == name).cloned();
        let host = host.ok_or_else(|| sekisho_wire::Reason::NotFound.status("no such host"))?;
        Ok(Response::new(pb::GetHostResponse { host: Some(host) }))
    }
}

/// A running fake; it stops when dropped.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) address: String,
    pub(crate) world: Arc<World>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// A plaintext fake.
    pub(crate) fn plain(world: World) -> Self {
        Self::start(world, TlsArgs { insecure: true, ..TlsArgs::default() })
    }

    /// A fake on a free port of loopback.
    pub(crate) fn start(world: World, tls: TlsArgs) -> Self {
        let (world, stop) = (Arc::new(world), CancellationToken::new());
        let (service, stopped) = (Service(world.clone()), stop.clone());
        let (sender, bound) = mpsc::channel();
        let serve = async move {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            sender.send(socket.local_addr().unwrap().to_string()).unwrap();
            let incoming = listener::accept(socket, tls.server().unwrap(), stopped.clone());
            let served = Server::builder()
                .add_service(pb::blocklist_service_server::BlocklistServiceServer::new(service.clone()))
                .add_service(pb::fleet_service_server::FleetServiceServer::new(service.clone()))
                .add_service(pb::operator_service_server::OperatorServiceServer::new(service.clone()))
                .add_service(pb::event_service_server::EventServiceServer::new(service.clone()))
                .add_service(pb::replay_service_server::ReplayServiceServer::new(service))
                .serve_with_incoming(incoming);
            tokio::select! {
                () = stopped.cancelled() => {}
                served = served => served.unwrap(),
            }
        };
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve);
        });
        Self { address: bound.recv().unwrap(), world, stop, thread: Some(thread) }
    }

    /// The program, told to talk to this fake without TLS.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = program();
        command.env("SEKISHO_AGGREGATOR", format!("http://{}", self.address)).arg("--insecure");
        command.args(words(args));
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, args: &str) -> Ran {
        ran(&mut self.command(args))
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program, without any setting of the environment.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekishoctl"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end.
pub(crate) fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Words by spaces; `_` inside a word stands for a space.
pub(crate) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(|word| word.replace('_', " ")).collect()
}

/// A moment after 1970.
pub(crate) fn seconds(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

/// An entry by quorum that is due in the far future.
pub(crate) fn entry(prefix: &str) -> pb::Entry {
    let quorum = pb::QuorumReason { hosts: 4, quorum: 3 };
    pb::Entry {
        prefix: prefix.into(),
        tier: pb::Tier::Drop as i32,
        reason: Some(pb::Reason { kind: Some(pb::reason::Kind::Quorum(quorum)) }),
        create_time: seconds(1_700_000_000),
        expire_time: seconds(32_503_680_000),
        renewals: 2,
        repeats: 1,
        revision: 41,
    }
}

/// An allowance for ever.
pub(crate) fn allowance(prefix: &str) -> pb::AllowlistEntry {
    pb::AllowlistEntry {
        prefix: prefix.into(),
        operator: "ana".into(),
        reason: "monitoring".into(),
        create_time: seconds(1_700_000_000),
        expire_time: None,
        revision: 7,
    }
}

/// A host that stands at revision 40 of epoch 9.
pub(crate) fn host(name: &str) -> pb::Host {
    pb::Host {
        host_id: name.into(),
        zone: "east".into(),
        connected: true,
        mode: "enforce".into(),
        agent_version: "0.1.0".into(),
        addresses: vec!["198.51.100.7".into()],
        last_report_time: seconds(1_700_000_000),
        observations: 12,
        watching: true,
        applied: Some(pb::Position { epoch: 9, revision: 40 }),
        applied_time: seconds(1_700_000_000),
        refusal: String::new(),
        totals: Some(pb::HostTotals {
            half_open: 5,
            dropped_packets: 77,
            sensors: vec![pb::Sensor::SockDiag as i32, pb::Sensor::Tracepoint as i32],
            truncated_by: vec![pb::Truncation::TraceOverrun as i32],
            answers: Some(pb::HostAnswers { withheld: 9, retries: 2, ..pb::HostAnswers::default() }),
            ..pb::HostTotals::default()
        }),
        ..pb::Host::default()
    }
}

/// An event of a revision, at its time.
pub(crate) fn event(revision: i64, kind: pb::event::Kind) -> pb::Event {
    pb::Event { revision, ordinal: 0, time: seconds(1_700_000_000 + revision), kind: Some(kind) }
}

/// A listing as an event.
pub(crate) fn listing(revision: i64, prefix: &str) -> pb::Event {
    let host_ids = vec!["edge-1".into(), "edge-2".into()];
    event(revision, pb::event::Kind::Listed(pb::EntryListed { entry: Some(entry(prefix)), host_ids }))
}
