//! `BlocklistService`: the list live, and as pages for people.

use std::sync::Arc;

use sekisho_engine::{Engine, HostRecord, Limit};
use sekisho_model::{Moment, Position, Prefix, Unit, limits::SUBSCRIBER_FRAMES};
use sekisho_store::EventQuery;
use sekisho_wire::{
    Malformed, Reason,
    pb::v1::{
        Event, ExplainRequest, ExplainResponse, GetEntryRequest, GetEntryResponse, GetStatusRequest,
        GetStatusResponse, ListAllowlistRequest, ListAllowlistResponse, ListEntriesRequest,
        ListEntriesResponse, ReachedLimit, WatchRequest, WatchResponse,
        blocklist_service_server::BlocklistService,
    },
    readable,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    events::{self, large},
    grpc::{Context, auth, explain, paging, reading, subscriber},
};

/// Events that an explanation tells.
const HISTORY: usize = 50;

/// Names without an address that the status tells.
const UNRESOLVED: usize = 100;

/// The service.
pub struct Blocklist(pub Context);

#[tonic::async_trait]
impl BlocklistService for Blocklist {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let caller = auth::identify(&request)?;
        let place = Arc::clone(&self.0.subscribers).try_acquire_owned();
        let place = place.map_err(|_| {
            Reason::LimitReached
                .status("this aggregator has as many subscribers as it takes; ask another one")
        })?;
        let (out, stream) = mpsc::channel(SUBSCRIBER_FRAMES);
        let (context, incoming) = (self.0.clone(), request.into_inner());
        tokio::spawn(async move {
            subscriber::serve(context, caller, incoming, out).await;
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<ListEntriesResponse>, Status> {
        auth::operator(&request)?;
        let request = request.into_inner();
        let (size, after) = (paging::size(request.page_size)?, paging::after::<Prefix>(&request.page_token)?);
        let engine = self.0.shared.engine();
        let (page, next_page_token) =
            paging::page(engine.entries_from(after), size, |entry| entry.prefix.to_string());
        let position = Position { epoch: self.0.shared.epoch, revision: engine.revision() };
        let entries = page.into_iter().map(readable::entry).collect();
        Ok(Response::new(ListEntriesResponse {
            entries,
            next_page_token,
            position: Some(readable::position(position)),
        }))
    }

    async fn get_entry(
        &self,
        request: Request<GetEntryRequest>,
    ) -> Result<Response<GetEntryResponse>, Status> {
        auth::operator(&request)?;
        let prefix = readable::prefix(&request.get_ref().prefix)?;
        let engine = self.0.shared.engine();
        let covering = || prefix.is_host().then(|| engine.entry_covering(prefix.address())).flatten();
        let Some(entry) = engine.entry(&prefix).or_else(covering) else {
            return Err(Reason::NotFound.status(format!("{prefix} is not on the blocklist")));
        };
        // A prefix of many units has no witnesses of its own.
        let unit = Some(Unit::of(entry.prefix.address())).filter(|unit| unit.prefix() == entry.prefix);
        let explained = unit.map(|_| engine.explain(entry.prefix.address(), self.0.shared.now()));
        let witnesses = explained.map(|explained| explained.witnesses).unwrap_or_default();
        let witnesses = witnesses.iter().map(explain::witness).collect();
        let standing = engine.explain_standing(&entry.prefix, self.0.shared.now());
        let standing = standing.as_ref().map(explain::standing);
        Ok(Response::new(GetEntryResponse { entry: Some(readable::entry(entry)), witnesses, standing }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        auth::operator(&request)?;
        let named = |problem: String| Malformed::field("address", problem);
        let text = &request.get_ref().address;
        let prefix: Prefix = text.parse().map_err(|error| named(format!("{error}")))?;
        let address = prefix.address();
        if !prefix.is_host() && Unit::of(address).prefix() != prefix {
            return Err(named(format!("{prefix} has many units; name one address, or one IPv6 /64")).into());
        }
        let now = self.0.shared.now();
        let explained = self.0.shared.engine().explain(address, now);
        let (context, about) = (self.0.clone(), explained.unit);
        let history = reading(move || history(&context, about)).await??;
        Ok(Response::new(explain::response(explained, history)))
    }

    async fn list_allowlist(
        &self,
        request: Request<ListAllowlistRequest>,
    ) -> Result<Response<ListAllowlistResponse>, Status> {
        auth::operator(&request)?;
        let request = request.into_inner();
        let (size, after) = (paging::size(request.page_size)?, paging::after::<Prefix>(&request.page_token)?);
        let engine = self.0.shared.engine();
        let (page, next_page_token) =
            paging::page(engine.allowlist_from(after), size, |entry| entry.prefix.to_string());
        let entries = page.into_iter().map(readable::allowed).collect();
        Ok(Response::new(ListAllowlistResponse { entries, next_page_token }))
    }

    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        auth::operator(&request)?;
        let shared = &self.0.shared;
        let problem = shared.problem().borrow().clone();
        let watching = sekisho_model::limits::MAX_SUBSCRIBERS - self.0.subscribers.available_permits();
        let benefit = self.0.roster.benefit();
        let (engine, now) = (shared.engine(), shared.now());
        let (counters, quorums) = (engine.counters(), engine.quorums());
        let position = Position { epoch: shared.epoch, revision: engine.revision() };
        let hosts =
            |until: fn(&HostRecord) -> Moment| engine.hosts().filter(|host| until(host) > now).count();
        Ok(Response::new(GetStatusResponse {
            position: Some(readable::position(position)),
            digest: engine.digest().to_string(),
            entries: large(counters.entries),
            allowlist_entries: large(engine.allowlist_from(None).count()),
            tracked_units: large(counters.tracked_units),
            connected_hosts: large(self.0.roster.reporting()),
            subscribers: large(watching),
            drop_quorum: readable::count(quorums.drop),
            log_writable: problem.is_none(),
            log_problem: problem.unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            quorums: Some(explain::quorums(&quorums)),
            flooded_hosts: large(hosts(|host| host.flooded_until)),
            outage_hosts: large(hosts(|host| host.outage_until)),
            prefix_entries: large(engine.listed_prefixes()),
            limits_reached: limits(&engine),
            syn_acks_reflected: large(benefit.reflected),
            syn_acks_withheld: large(benefit.withheld),
            syn_acks_saved: large(benefit.saved),
            bypassed_hosts: large(self.0.roster.answering(|answers| answers.bypassed)),
            unresolved_names: engine.unresolved_names().take(UNRESOLVED).map(str::to_owned).collect(),
        }))
    }
}

/// The newest events about `prefix`.
fn history(context: &Context, prefix: Prefix) -> Result<Vec<Event>, Status> {
    let query = EventQuery { about: Some(prefix), before: None };
    let page = context.shared.reader.events(&query, HISTORY);
    let page = page.map_err(|error| Reason::LogUnavailable.status(error.to_string()))?;
    let shown = page.events.iter().map(events::shown).collect::<Result<_, _>>();
    shown.map_err(|error| Status::internal(error.to_string()))
}

/// The limits that are reached.
fn limits(engine: &Engine) -> Vec<ReachedLimit> {
    let policy = engine.policy();
    let reached = |(limit, held): (Limit, u64)| ReachedLimit {
        limit: events::limit(limit) as i32,
        max: readable::count(match limit {
            Limit::Entries => policy.max_entries,
            Limit::NewPerMinute => policy.new_per_minute,
        }),
        held: large(held),
    };
    engine.held_back().map(reached).collect()
}
