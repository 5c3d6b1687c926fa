//! The services over a real log on the disk, called as the server calls them.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use sekisho_daemon::readiness::Readiness;
use sekisho_model::{
    Batch, Completed, Input, Observation, Policy, Totals, Unit,
    limits::{EVENT_WATCHERS, MAX_SUBSCRIBERS, SNAPSHOT_SENDERS},
};
use sekisho_wire::{
    Reason,
    pb::v1::{
        BlockRequest, Event, EventKind, EventPlace, ExplainRequest, GetEntryRequest, GetPolicyRequest,
        GetStatusRequest, ListEventsRequest, ReplayRequest, SetPolicyRequest, Tier, WatchEventsRequest,
        blocklist_service_server::BlocklistService, event_service_server::EventService,
        operator_service_server::OperatorService, replay_response, replay_service_server::ReplayService,
    },
};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use crate::{
    events::kind_of,
    grpc::{Context, blocklist::Blocklist, events::Events, operator::Operators, replay::Replays},
    ledger::Ledger,
    roster::Roster,
    sequencer::{self, Message, Reply, Submission},
};

const DEADLINE: Duration = Duration::from_secs(30);

/// An aggregator without a server.
pub(crate) struct World {
    pub(crate) context: Context,
    thread: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::over(Ledger::open(dir.path(), false, 1).unwrap(), dir)
    }

    /// Over a log that something is in.
    pub(crate) fn over(ledger: Ledger, dir: tempfile::TempDir) -> Self {
        let shared = ledger.shared();
        let (sequencer, thread) = sequencer::start(ledger, Readiness::default()).unwrap();
        let context = Context {
            shared,
            roster: Arc::new(Roster::default()),
            sequencer,
            subscribers: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)),
            snapshots: Arc::new(Semaphore::new(SNAPSHOT_SENDERS)),
            event_watchers: Arc::new(Semaphore::new(EVENT_WATCHERS)),
            replays: Arc::new(Semaphore::new(1)),
            stop: CancellationToken::new(),
        };
        Self { context, thread, _dir: dir }
    }

    /// Has the log take `input`, and waits until it did.
    async fn submit(&self, input: Input) {
        let (sender, taken) = oneshot::channel();
        let submission = Submission { input, reply: Reply::Taken(sender) };
        self.context.sequencer.send(Message::Submit(Box::new(submission))).await.unwrap();
        timeout(DEADLINE, taken).await.unwrap().unwrap().unwrap();
    }

    /// Two hosts see `address` stuck, so that it is suppressed.
    async fn attack(&self, address: &str, sequence: u64) {
        for host in ["a", "b"] {
            self.submit(Input::Batch(batch(host, sequence, &[address]))).await;
        }
    }

    async fn block(&self, prefix: &str, request_id: &str) -> Result<(i64, i64), Status> {
        let request = BlockRequest {
            prefix: prefix.into(),
            reason: "drill".into(),
            request_id: request_id.into(),
            tier: Tier::Suppress as i32,
            ..BlockRequest::default()
        };
        let answer = Operators(self.context.clone()).block(Request::new(request)).await?.into_inner();
        let entry = answer.entry.unwrap();
        assert_eq!(entry.tier(), Tier::Suppress);
        Ok((entry.revision, answer.done_revision))
    }

    async fn set_policy(&self, yaml: &str, dry_run: bool) -> Result<String, Status> {
        let request = SetPolicyRequest {
            policy_yaml: yaml.into(),
            reason: "drill".into(),
            dry_run,
            ..Default::default()
        };
        let answer = Operators(self.context.clone()).set_policy(Request::new(request)).await?.into_inner();
        assert_eq!(answer.revision == 0, dry_run);
        Ok(answer.policy_yaml)
    }

    async fn events(&self, request: ListEventsRequest) -> (Vec<Event>, String) {
        let answer =
            Events(self.context.clone()).list_events(Request::new(request)).await.unwrap().into_inner();
        (answer.events, answer.next_page_token)
    }

    pub(crate) async fn stop(self) {
        self.context.sequencer.send(Message::Stop).await.unwrap();
        tokio::task::spawn_blocking(move || self.thread.join()).await.unwrap().unwrap();
    }
}

fn batch(host: &str, sequence: u64, addresses: &[&str]) -> Batch {
    let row =
        |address: &&str| Observation { unit: Unit::of(address.parse().unwrap()), sockets: 1, retransmits: 1 };
    Batch {
        host: host.parse().unwrap(),
        session: 1,
        sequence,
        age: Duration::ZERO,
        observations: addresses.iter().map(row).collect(),
        hits: vec![],
        completed: vec![],
        totals: Totals::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_carried_out_once_and_answered_again() {
    let world = World::start();
    let (revision, before) = world.block("198.18.0.0/24", "deploy-7").await.unwrap();
    assert_eq!(before, 0);
    let log = world.context.shared.engine().index();
    assert_eq!(world.block("198.18.0.0/24", "deploy-7").await.unwrap(), (revision, revision));
    assert_eq!(world.context.shared.engine().index(), log, "a repeat is not logged again");
    let other = world.block("198.18.1.0/24", "deploy-7").await.unwrap_err();
    assert!(Reason::RequestReused.is_in(&other), "{other}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_judged_ordered_and_read_again() {
    let world = World::start();
    let planned = world.set_policy("quorum: { drop: 9 }", true).await.unwrap();
    assert!(planned.contains("drop: 9"));
    assert_eq!(*world.context.shared.engine().policy(), Policy::default(), "a dry run changes nothing");
    let set = world.set_policy("quorum: { drop: 9 }", false).await.unwrap();
    let read = Operators(world.context.clone()).get_policy(Request::new(GetPolicyRequest {})).await.unwrap();
    assert_eq!(read.into_inner().policy_yaml, set);
    assert_eq!(sekisho_policy::parse(&set).unwrap(), *world.context.shared.engine().policy());
    for wrong in ["quorum: { drop: 0 }", "quorums: {}", &"#".repeat((512 << 10) + 1)] {
        let error = world.set_policy(wrong, false).await.unwrap_err();
        assert!(Reason::PolicyInvalid.is_in(&error), "{error}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_listed_by_page_kind_and_prefix() {
    let world = World::start();
    for (n, address) in ["203.0.113.7", "198.51.100.9", "192.0.2.1"].into_iter().enumerate() {
        world.attack(address, n as u64 + 1).await;
    }
    world.block("198.18.0.0/24", "").await.unwrap();
    let (all, _) = world.events(ListEventsRequest::default()).await;
    assert!(all.is_sorted_by_key(|one| std::cmp::Reverse((one.revision, one.ordinal))), "the newest first");
    let (mut paged, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListEventsRequest { page_size: 2, page_token: token, ..Default::default() };
        let (page, next) = world.events(request).await;
        paged.extend(page);
        token = next;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, all);
    let kinds = vec![EventKind::OrderTaken as i32];
    let (orders, _) = world.events(ListEventsRequest { kinds, ..Default::default() }).await;
    assert_eq!(orders.iter().map(kind_of).collect::<Vec<_>>(), [EventKind::OrderTaken]);
    let prefix = "203.0.113.0/24".to_owned();
    let (inside, _) = world.events(ListEventsRequest { prefix, ..Default::default() }).await;
    assert_eq!(inside.iter().map(kind_of).collect::<Vec<_>>(), [EventKind::Listed]);
    let wrong = ListEventsRequest { page_token: "x".into(), ..Default::default() };
    let wrong = Events(world.context.clone()).list_events(Request::new(wrong)).await.unwrap_err();
    assert!(Reason::MalformedField.is_in(&wrong));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_hears_of_what_comes_and_resumes_where_it_stood() {
    let world = World::start();
    let watch = async |after| {
        let request = WatchEventsRequest { after, ..Default::default() };
        Events(world.context.clone()).watch_events(Request::new(request)).await.unwrap().into_inner()
    };
    let mut stream = watch(None).await;
    let first = timeout(DEADLINE, stream.next()).await.unwrap().unwrap().unwrap();
    assert!(first.event.is_none() && first.place.is_some(), "it says at once where it stands");
    world.block("198.18.0.0/24", "").await.unwrap();
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let message = timeout(DEADLINE, stream.next()).await.unwrap().unwrap().unwrap();
        kinds.extend(message.event.as_ref().map(kind_of));
    }
    assert_eq!(kinds, [EventKind::OrderTaken, EventKind::Listed]);
    drop(stream);
    let mut again = watch(first.place).await;
    let mut resumed = Vec::new();
    while resumed.len() < 2 {
        let message = timeout(DEADLINE, again.next()).await.unwrap().unwrap().unwrap();
        resumed.extend(message.event.as_ref().map(kind_of));
    }
    assert_eq!(resumed, kinds);
    let free = || world.context.event_watchers.available_permits();
    assert!(free() < EVENT_WATCHERS);
    drop(again);
    let all_gone = async {
        while free() < EVENT_WATCHERS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), all_gone)
        .await
        .expect("who went gives the place up, with no news to send");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_was_further_than_the_log_is_told() {
    let world = World::start();
    world.block("198.18.0.0/24", "").await.unwrap();
    let (epoch, last) = (world.context.shared.epoch.0, world.context.shared.engine().index().0);
    let watch = async |revision, ordinal| {
        let after = Some(EventPlace { epoch, revision, ordinal });
        let request = WatchEventsRequest { after, ..Default::default() };
        Events(world.context.clone()).watch_events(Request::new(request)).await.map(drop)
    };
    assert!(watch(last, 9).await.is_ok(), "what comes next is told");
    for beyond in [last + 1, 1 << 60] {
        let refused = watch(beyond, 0).await.unwrap_err();
        assert!(Reason::Behind.is_in(&refused) && refused.message().contains("--new-epoch"), "{refused}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_watch_and_one_replays() {
    let world = World::start();
    world.block("198.18.0.0/24", "").await.unwrap();
    let all = u32::try_from(EVENT_WATCHERS).unwrap();
    let places = world.context.event_watchers.clone().acquire_many_owned(all).await.unwrap();
    let watch = Events(world.context.clone()).watch_events(Request::new(WatchEventsRequest::default())).await;
    assert!(Reason::LimitReached.is_in(&watch.err().unwrap()));
    let place = world.context.replays.clone().acquire_owned().await.unwrap();
    let replay = Replays(world.context.clone()).replay(Request::new(ReplayRequest::default())).await;
    let refused = replay.err().unwrap();
    assert!(Reason::LimitReached.is_in(&refused));
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    drop((places, place));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_explained_with_its_history_and_the_status_tells_the_quorums() {
    let world = World::start();
    world.attack("203.0.113.7", 1).await;
    let explain = async |address: &str| {
        let request = Request::new(ExplainRequest { address: address.into() });
        Blocklist(world.context.clone()).explain(request).await
    };
    let picture = explain("203.0.113.7").await.unwrap().into_inner();
    assert_eq!((picture.hosts, picture.witnesses.len()), (2, 2));
    assert_eq!(picture.entry.unwrap().tier(), Tier::Suppress);
    let standing = picture.standing.unwrap();
    let mut keepers: Vec<_> =
        standing.keepers.iter().map(|one| (&one.host_id[..], one.renews, one.away)).collect();
    keepers.sort_unstable();
    assert_eq!(keepers, [("a", true, true), ("b", true, true)], "they report, but have no stream");
    let seconds = |time: Option<prost_types::Timestamp>| time.unwrap().seconds;
    let quiet = seconds(standing.quiet_time) - seconds(standing.active_time);
    assert_eq!(quiet, i64::try_from(Policy::default().ttl_quiet.as_secs()).unwrap());
    assert_eq!(picture.history.iter().map(kind_of).collect::<Vec<_>>(), [EventKind::Listed]);
    assert!(Reason::MalformedField.is_in(&explain("203.0.113.0/24").await.unwrap_err()));
    let status =
        Blocklist(world.context.clone()).get_status(Request::new(GetStatusRequest {})).await.unwrap();
    let status = status.into_inner();
    assert_eq!((status.entries, status.quorums.unwrap().policy_drop, status.drop_quorum), (1, 3, 3));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_shows_who_keeps_it_up() {
    let world = World::start();
    world.set_policy("quorum: { suppress: 3, drop: 4 }", false).await.unwrap();
    for (number, host) in (0u8..).zip(["a", "b", "c"]) {
        let addresses: Vec<String> = (1..=8).map(|n| format!("203.0.113.{}", number * 8 + n)).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        world.submit(Input::Batch(batch(host, 1, &addresses))).await;
    }
    let request = Request::new(GetEntryRequest { prefix: "203.0.113.7".into() });
    let entry = Blocklist(world.context.clone()).get_entry(request).await.unwrap().into_inner();
    assert!(entry.entry.unwrap().prefix.starts_with("203.0.113.") && entry.witnesses.is_empty());
    let mut keepers: Vec<String> =
        entry.standing.unwrap().keepers.into_iter().map(|one| one.host_id).collect();
    keepers.sort_unstable();
    assert_eq!(keepers, ["a", "b", "c"]);
    let same = world.set_policy("quorum: { suppress: 3, drop: 4 }", false).await.unwrap_err();
    assert!(Reason::Unchanged.is_in(&same), "{same}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_tells_the_difference_and_then_the_summary() {
    let world = World::start();
    world.attack("203.0.113.7", 1).await;
    let replay = async |policy_yaml: &str| {
        let request = ReplayRequest { policy_yaml: policy_yaml.into(), since: None };
        let mut stream =
            Replays(world.context.clone()).replay(Request::new(request)).await.unwrap().into_inner();
        let mut kinds = Vec::new();
        while let Some(message) = timeout(DEADLINE, stream.next()).await.unwrap() {
            kinds.extend(message.unwrap().kind);
        }
        kinds
    };
    let told = replay("quorum: { suppress: 3 }").await;
    let Some(replay_response::Kind::Summary(summary)) = told.last() else { panic!("{told:?}") };
    assert_eq!((summary.happened, summary.would_have, summary.differences), (1, 0, 1));
    let same = replay("").await;
    let Some(replay_response::Kind::Summary(summary)) = same.last() else { panic!("{same:?}") };
    assert_eq!((summary.happened, summary.would_have, summary.differences), (1, 1, 0));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_are_logged_now_and_then_and_rows_always() {
    let world = World::start();
    let shared = world.context.shared.clone();
    let index = || shared.engine().index().0;
    world.submit(Input::Batch(batch("a", 1, &[]))).await;
    let first = index();
    assert!(first > 0, "the first of a session tells where its totals stand");
    world.submit(Input::Batch(batch("a", 2, &[]))).await;
    assert_eq!(index(), first, "the log knows them");
    world.submit(Input::Batch(batch("a", 3, &["203.0.113.7"]))).await;
    assert_eq!(index(), first + 1);
    let completed = vec![Completed { unit: Unit::of("203.0.113.7".parse().unwrap()), connections: 1 }];
    world.submit(Input::Batch(Batch { completed, ..batch("a", 4, &[]) })).await;
    assert_eq!(index(), first + 2, "counter-evidence is a row");
    world.stop().await;
}
