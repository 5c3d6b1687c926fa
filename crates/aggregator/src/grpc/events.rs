//! `EventService`: the audit trail as pages, and live. A watcher is a cursor into what is stored: nobody waits
//! for it, and it misses nothing.

use std::time::Duration;

use sekisho_model::{
    Prefix, Revision,
    limits::{BOOKMARK_INTERVAL, SUBSCRIBER_FRAMES},
};
use sekisho_store::{EventId, EventPage, EventQuery, StoreError, StoredEvent};
use sekisho_wire::{
    Malformed, Reason,
    pb::v1::{
        Event, EventKind, EventPlace, ListEventsRequest, ListEventsResponse, WatchEventsRequest,
        WatchEventsResponse, event_service_server::EventService,
    },
    readable,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    grpc::{Context, auth, paging, stopping},
    shared::Shared,
    trail,
};

/// Pages of the store that one call looks through for the kinds that are asked for.
const PAGES: usize = 16;
/// Events that a watcher takes at a time.
const WATCHED: usize = 256;

/// The service.
pub struct Events(pub Context);

#[tonic::async_trait]
impl EventService for Events {
    type WatchEventsStream = ReceiverStream<Result<WatchEventsResponse, Status>>;

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        auth::operator(&request)?;
        let request = request.into_inner();
        let size = paging::size(request.page_size)?;
        let filter = Filter::new(&request.prefix, &request.kinds)?;
        let oldest = match request.since {
            None => None,
            some => Some(self.0.shared.now() - readable::duration("since", some, Duration::ZERO)?),
        };
        let before = before(&request.page_token)?;
        let shared = self.0.shared.clone();
        let listed = tokio::task::spawn_blocking(move || {
            let query = EventQuery { about: filter.prefix, before };
            list(&shared, query, size, |event| oldest.is_none_or(|oldest| event.time >= oldest), &filter)
        });
        let (events, next) = listed.await.map_err(|_| stopping())?.map_err(unreadable)?;
        Ok(Response::new(ListEventsResponse { events, next_page_token: next.map(token).unwrap_or_default() }))
    }

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        auth::operator(&request)?;
        let request = request.into_inner();
        let filter = Filter::new(&request.prefix, &request.kinds)?;
        let place = self.0.subscribers.clone().try_acquire_owned();
        let place = place.map_err(|_| {
            Reason::LimitReached
                .status("this aggregator has as many subscribers as it takes; ask another one")
        })?;
        let after = request.after.filter(|after| after.epoch == self.0.shared.epoch.0);
        let after = after.map(|after| EventId {
            index: Revision(after.revision),
            ordinal: u32::try_from(after.ordinal).unwrap_or(0),
        });
        let (out, stream) = mpsc::channel(SUBSCRIBER_FRAMES);
        let context = self.0.clone();
        tokio::spawn(async move {
            if let Err(status) = watch(&context, after, &filter, &out).await {
                drop(out.send(Err(status)).await); // The operator may have gone.
            }
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Which events are asked for.
#[derive(Clone, Debug)]
struct Filter {
    prefix: Option<Prefix>,
    kinds: Vec<EventKind>,
}

impl Filter {
    fn new(prefix: &str, kinds: &[i32]) -> Result<Self, Malformed> {
        let prefix = if prefix.is_empty() { None } else { Some(readable::prefix(prefix)?) };
        let known =
            |kind: &i32| EventKind::try_from(*kind).ok().filter(|kind| *kind != EventKind::Unspecified);
        let kinds: Option<Vec<EventKind>> = kinds.iter().map(known).collect();
        let kinds = kinds.ok_or_else(|| Malformed::field("kinds", "unknown kind; ask without it"))?;
        Ok(Self { prefix, kinds })
    }

    fn takes(&self, event: &Event) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&trail::kind_of(event))
    }

    fn is_about(&self, event: &StoredEvent) -> bool {
        self.prefix.is_none_or(|prefix| event.about.iter().any(|about| about.overlaps(&prefix)))
    }
}

/// The newest `most` events about `prefix`.
///
/// # Errors
/// The store's.
pub fn history(shared: &Shared, prefix: Prefix, most: usize) -> Result<Vec<Event>, StoreError> {
    let query = EventQuery { about: Some(prefix), before: None };
    let page = shared.reader.events(&query, most)?;
    Ok(page.events.iter().map(trail::readable).collect())
}

/// A page of events, and before which one the next begins.
fn list(
    shared: &Shared,
    mut query: EventQuery,
    size: usize,
    is_young: impl Fn(&StoredEvent) -> bool,
    filter: &Filter,
) -> Result<(Vec<Event>, Option<EventId>), StoreError> {
    let mut found = Vec::new();
    for _ in 0..PAGES {
        let EventPage { events, next } = shared.reader.events(&query, size - found.len())?;
        for event in &events {
            if !is_young(event) {
                return Ok((found, None));
            }
            let event = trail::readable(event);
            if filter.takes(&event) {
                found.push(event);
            }
        }
        query.before = next;
        if next.is_none() || found.len() >= size {
            break;
        }
    }
    Ok((found, query.before))
}

/// Tells a watcher what is stored after its place, and then what comes.
async fn watch(
    context: &Context,
    after: Option<EventId>,
    filter: &Filter,
    out: &mpsc::Sender<Result<WatchEventsResponse, Status>>,
) -> Result<(), Status> {
    let shared = &context.shared;
    let mut newest = shared.newest_event();
    let mut at = after.unwrap_or_else(|| *newest.borrow_and_update());
    let answer = |event, at: EventId| WatchEventsResponse {
        event,
        place: Some(EventPlace {
            epoch: shared.epoch.0,
            revision: at.index.0,
            ordinal: i32::try_from(at.ordinal).unwrap_or(i32::MAX),
        }),
    };
    let gone = |_| stopping();
    out.send(Ok(answer(None, at))).await.map_err(gone)?;
    loop {
        let reader = shared.reader.clone();
        let read = tokio::task::spawn_blocking(move || reader.events_after(at, WATCHED));
        let events = read.await.map_err(|_| stopping())?.map_err(unreadable)?;
        for stored in &events {
            at = stored.id;
            let event =
                Some(trail::readable(stored)).filter(|event| filter.is_about(stored) && filter.takes(event));
            if event.is_some() {
                out.send(Ok(answer(event, at))).await.map_err(gone)?;
            }
        }
        if !events.is_empty() {
            continue;
        }
        tokio::select! {
            () = context.stop.cancelled() => return Err(stopping()),
            () = out.closed() => return Ok(()),
            changed = timeout(BOOKMARK_INTERVAL, newest.changed()) => match changed {
                Ok(changed) => changed.map_err(|_| stopping())?,
                Err(_) => out.send(Ok(answer(None, at))).await.map_err(gone)?,
            },
        }
    }
}

fn before(token: &str) -> Result<Option<EventId>, Malformed> {
    let Some(token) = paging::after::<String>(token)? else { return Ok(None) };
    let parts = token.split_once('.').and_then(|(index, ordinal)| {
        Some(EventId { index: Revision(index.parse().ok()?), ordinal: ordinal.parse().ok()? })
    });
    let wrong =
        || Malformed::field("page_token", "use next_page_token of the answer before, or leave it out");
    parts.map(Some).ok_or_else(wrong)
}

fn token(id: EventId) -> String {
    format!("{}.{}", id.index.0, id.ordinal)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn unreadable(error: StoreError) -> Status {
    tracing::error!(%error, "the events cannot be read");
    Reason::LogUnavailable.status(format!("the events cannot be read: {error}"))
}
