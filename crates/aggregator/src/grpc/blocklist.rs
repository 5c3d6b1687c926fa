//! `BlocklistService`: the list live, and as pages for people.

use std::sync::Arc;

use sekisho_engine::HostRecord;
use sekisho_model::{Position, Prefix, Unit, limits::SUBSCRIBER_FRAMES};
use sekisho_wire::{
    Malformed, Reason,
    pb::v1::{
        ExplainRequest, ExplainResponse, GetEntryRequest, GetEntryResponse, GetStatusRequest,
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
    grpc::{Context, auth, events, explain, log_unavailable, paging, stopping, subscriber},
    trail,
};

/// Events that an explanation ends with, at most.
const HISTORY: usize = 50;

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
        let picture = engine.explain(entry.prefix.address(), self.0.shared.now());
        let witnesses = picture.witnesses.iter().map(explain::witness).collect();
        Ok(Response::new(GetEntryResponse { entry: Some(readable::entry(entry)), witnesses }))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        auth::operator(&request)?;
        let prefix = readable::prefix(&request.get_ref().address)?;
        let unit = Unit::of(prefix.address()).prefix();
        if !(prefix.is_host() || prefix == unit) {
            let problem = format!("{prefix} has many addresses; ask about one of them");
            return Err(Malformed::field("address", problem).into());
        }
        let shared = self.0.shared.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let picture = explain::explanation(&shared.engine().explain(prefix.address(), shared.now()));
            events::history(&shared, unit, HISTORY).map(|history| ExplainResponse { history, ..picture })
        });
        let answer = asked.await.map_err(|_| stopping())?;
        let answer = answer.map_err(|error| log_unavailable(&error.to_string()))?;
        Ok(Response::new(answer))
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
        let engine = shared.engine();
        let (counters, allowed) = (engine.counters(), engine.allowlist_from(None).count());
        let problem = shared.problem().borrow().clone();
        let position = Position { epoch: shared.epoch, revision: engine.revision() };
        let watching = sekisho_model::limits::MAX_SUBSCRIBERS - self.0.subscribers.available_permits();
        let quorums = engine.quorums();
        let now = shared.now();
        let hosts = |is: &dyn Fn(&HostRecord) -> bool| count(engine.hosts().filter(|host| is(host)).count());
        let reached = |(limit, held)| ReachedLimit {
            limit: trail::limit(limit) as i32,
            max: readable::count(match limit {
                sekisho_engine::Limit::Entries => engine.policy().max_entries,
                sekisho_engine::Limit::NewPerMinute => engine.policy().new_per_minute,
            }),
            held: count(held),
        };
        Ok(Response::new(GetStatusResponse {
            position: Some(readable::position(position)),
            digest: engine.digest().to_string(),
            entries: count(counters.entries),
            allowlist_entries: count(allowed),
            tracked_units: count(counters.tracked_units),
            connected_hosts: count(self.0.roster.reporting()),
            subscribers: count(watching),
            drop_quorum: readable::count(quorums.drop),
            log_writable: problem.is_none(),
            log_problem: problem.unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            quorums: Some(explain::quorums(&quorums)),
            flooded_hosts: hosts(&|host| host.flooded_until > now),
            outage_hosts: hosts(&|host| host.outage_until > now),
            prefix_entries: count(engine.listed_prefixes()),
            limits_reached: engine.held_back().map(reached).collect(),
        }))
    }
}

fn count(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
