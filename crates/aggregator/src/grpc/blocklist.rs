//! `BlocklistService`: the list live, and as pages for people.

use std::{net::IpAddr, sync::Arc};

use sekisho_model::{Entry, Position, Prefix, Unit, limits::SUBSCRIBER_FRAMES};
use sekisho_wire::{
    Reason,
    pb::v1::{
        GetEntryRequest, GetEntryResponse, GetStatusRequest, GetStatusResponse, ListAllowlistRequest,
        ListAllowlistResponse, ListEntriesRequest, ListEntriesResponse, WatchRequest, WatchResponse, Witness,
        blocklist_service_server::BlocklistService,
    },
    readable,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::grpc::{Context, auth, paging, subscriber};

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
        let witnesses = unit(entry).map(|unit| engine.witnesses(unit)).unwrap_or_default();
        let witness = |witness: sekisho_engine::Witness| Witness {
            host_id: witness.host.to_string(),
            seen_time: Some(readable::timestamp(witness.seen)),
            retransmits: i32::from(witness.retransmits),
            hit: witness.is_hit,
        };
        let witnesses = witnesses.into_iter().map(witness).collect();
        Ok(Response::new(GetEntryResponse { entry: Some(readable::entry(entry)), witnesses }))
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
        Ok(Response::new(GetStatusResponse {
            position: Some(readable::position(position)),
            digest: engine.digest().to_string(),
            entries: count(counters.entries),
            allowlist_entries: count(allowed),
            tracked_units: count(counters.tracked_units),
            connected_hosts: count(self.0.roster.reporting()),
            subscribers: count(watching),
            drop_quorum: i32::try_from(engine.policy().drop_quorum).unwrap_or(i32::MAX),
            log_writable: problem.is_none(),
            log_problem: problem.unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}

/// The unit that an entry is about; none for a prefix of many units.
fn unit(entry: &Entry) -> Option<Unit> {
    let address: IpAddr = entry.prefix.address();
    Some(Unit::of(address)).filter(|unit| unit.prefix() == entry.prefix)
}

fn count(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
