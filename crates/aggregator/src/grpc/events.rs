//! `EventService`: what happened, a page at a time or as it comes. A watcher is a cursor into the stored
//! events: it holds no queue, and whoever is slow only lags.

use std::time::Duration;

use sekisho_model::{
    Moment, Prefix, Revision,
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
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::{
    events,
    grpc::{Context, auth, paging, reading, stopping},
};

/// Pages of the store that one call may look at: of the size that is asked for, or of this many events where
/// only some kinds are wanted.
const LOOKS: usize = 50;
const LOOKED_AT: usize = 2_000;
/// Bytes of events after which an answer ends.
const ANSWER_BYTES: usize = 512 << 10;
/// Events that a watcher reads at a time.
const READ: usize = 200;
/// Longest that an event may wait to be taken.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

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
        let before = paging::after::<Token>(&request.page_token)?.map(|token| token.0);
        let since = request.since.map(|since| readable::duration("since", Some(since), Duration::ZERO));
        let oldest = since.transpose()?.map(|since| self.0.shared.now() - since);
        let filter = Filter::of(&request.prefix, &request.kinds)?;
        let context = self.0.clone();
        let page = reading(move || list(&context, &filter, before, oldest, size)).await??;
        Ok(Response::new(page))
    }

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        auth::operator(&request)?;
        let request = request.into_inner();
        let filter = Filter::of(&request.prefix, &request.kinds)?;
        let place = self.0.event_watchers.clone().try_acquire_owned().map_err(|_| {
            Reason::LimitReached
                .status("as many readers follow the events as this aggregator takes; come back later")
        })?;
        let cursor = after(&self.0, request.after.as_ref())?;
        let (out, stream) = mpsc::channel(SUBSCRIBER_FRAMES);
        let mut watcher = Watcher { context: self.0.clone(), out, filter, cursor };
        tokio::spawn(async move {
            if let Err(status) = watcher.run().await {
                // The reader may have gone, or read nothing.
                drop(timeout(TAKEN_WITHIN, watcher.out.send(Err(status))).await);
            }
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Where a watcher begins: at the place that it names, if that is of this log, or now.
fn after(context: &Context, place: Option<&EventPlace>) -> Result<EventId, Status> {
    let place = place.filter(|place| place.epoch == context.shared.epoch.0);
    let Some(place) = place else { return Ok(*context.shared.newest_event().borrow()) };
    let wrong = || Malformed::field("after", "use a place of an answer before");
    let ordinal = u32::try_from(place.ordinal).map_err(|_| wrong())?;
    if place.revision < 0 {
        return Err(wrong().into());
    }
    // Nothing of this log would ever come after it: the reader saw more of it than is here.
    let last = context.shared.engine().index();
    if Revision(place.revision) > last {
        return Err(Reason::Behind.status(format!(
            "this aggregator's log ends at {last}, before the place {}: an older one was restored; start it \
             once with --new-epoch, or begin anew",
            place.revision
        )));
    }
    Ok(EventId { index: Revision(place.revision), ordinal })
}

/// Which events are asked for.
#[derive(Clone, Debug)]
struct Filter {
    about: Option<Prefix>,
    /// None for all.
    kinds: Vec<EventKind>,
}

impl Filter {
    fn of(prefix: &str, kinds: &[i32]) -> Result<Self, Malformed> {
        let about = (!prefix.is_empty()).then(|| readable::prefix(prefix)).transpose()?;
        let kind = |number: &i32| match EventKind::try_from(*number) {
            Ok(EventKind::Unspecified) | Err(_) => {
                Err(Malformed::field("kinds", format!("{number} is no kind of event that is kept here")))
            }
            Ok(kind) => Ok(kind),
        };
        Ok(Self { about, kinds: kinds.iter().map(kind).collect::<Result<_, _>>()? })
    }

    /// The event as a message, if it is asked for.
    fn wanted(&self, stored: &StoredEvent) -> Result<Option<Event>, Status> {
        let is_about = |prefix: &Prefix| stored.about.iter().any(|one| one.overlaps(prefix));
        if self.about.as_ref().is_some_and(|prefix| !is_about(prefix)) {
            return Ok(None);
        }
        let event = events::shown(stored).map_err(|error| Status::internal(error.to_string()))?;
        let is_wanted = self.kinds.is_empty() || self.kinds.contains(&events::kind_of(&event));
        Ok(is_wanted.then_some(event))
    }
}

/// A page of what is asked for. It may be short, and not the last, where much was looked at for little.
fn list(
    context: &Context,
    filter: &Filter,
    mut before: Option<EventId>,
    oldest: Option<Moment>,
    size: usize,
) -> Result<ListEventsResponse, Status> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let most = if filter.kinds.is_empty() { size } else { LOOKED_AT };
    for _ in 0..LOOKS {
        let query = EventQuery { about: filter.about, before };
        let EventPage { events, next } =
            context.shared.reader.events(&query, most).map_err(|error| unreadable(&error))?;
        for event in events {
            if found.len() == size || bytes >= ANSWER_BYTES {
                return Ok(answer(found, before));
            }
            if oldest.is_some_and(|oldest| event.time < oldest) {
                return Ok(answer(found, None));
            }
            if let Some(wanted) = filter.wanted(&event)? {
                bytes += event.bytes.len();
                found.push(wanted);
            }
            before = Some(event.id);
        }
        if next.is_none() {
            return Ok(answer(found, None));
        }
        before = next;
    }
    Ok(answer(found, before))
}

fn answer(events: Vec<Event>, next: Option<EventId>) -> ListEventsResponse {
    let next_page_token = next.map(|next| Token(next).to_string()).unwrap_or_default();
    ListEventsResponse { events, next_page_token }
}

fn unreadable(error: &StoreError) -> Status {
    tracing::error!(%error, "the stored events cannot be read");
    Reason::LogUnavailable.status(format!("the events cannot be read: {error}"))
}

/// A place as the token of a page: everything before it is still to come.
struct Token(EventId);

impl std::fmt::Display for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.0.index, self.0.ordinal)
    }
}

impl std::str::FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (index, ordinal) = text.split_once('.').ok_or(())?;
        let index = index.parse().ok().filter(|index| *index >= 0).ok_or(())?;
        Ok(Self(EventId { index: Revision(index), ordinal: ordinal.parse().map_err(|_| ())? }))
    }
}

/// Nobody is left to tell.
fn gone() -> Status {
    Status::cancelled("the reader went")
}

struct Watcher {
    context: Context,
    out: mpsc::Sender<Result<WatchEventsResponse, Status>>,
    filter: Filter,
    cursor: EventId,
}

impl Watcher {
    async fn run(&mut self) -> Result<(), Status> {
        let mut newest = self.context.shared.newest_event();
        self.send(None).await?;
        let mut due = Instant::now() + BOOKMARK_INTERVAL;
        loop {
            let (reader, cursor) = (self.context.shared.reader.clone(), self.cursor);
            let head = *newest.borrow_and_update();
            let events = reading(move || reader.events_after(cursor, READ))
                .await?
                .map_err(|error| unreadable(&error))?;
            let is_up_to_date = events.is_empty();
            for event in events {
                self.cursor = event.id;
                if let Some(wanted) = self.filter.wanted(&event)? {
                    self.send(Some(wanted)).await?;
                    due = Instant::now() + BOOKMARK_INTERVAL;
                }
            }
            if Instant::now() >= due {
                self.send(None).await?;
                due = Instant::now() + BOOKMARK_INTERVAL;
            }
            if is_up_to_date {
                // Where nothing is up to the newest, all of it was forgotten.
                self.cursor = cursor.max(head);
                let (stop, cursor) = (self.context.stop.clone(), self.cursor);
                tokio::select! {
                    () = stop.cancelled() => return Err(stopping()),
                    () = self.out.closed() => return Err(gone()),
                    news = newest.wait_for(|newest| *newest > cursor) => drop(news.map_err(|_| stopping())?),
                    () = sleep_until(due) => {}
                }
            }
        }
    }

    async fn send(&self, event: Option<Event>) -> Result<(), Status> {
        let place = EventPlace {
            epoch: self.context.shared.epoch.0,
            revision: self.cursor.index.0,
            ordinal: i32::try_from(self.cursor.ordinal).unwrap_or(i32::MAX),
        };
        let message = WatchEventsResponse { event, place: Some(place) };
        let sent = tokio::select! {
            () = self.context.stop.cancelled() => return Err(stopping()),
            sent = timeout(TAKEN_WITHIN, self.out.send(Ok(message))) => sent,
        };
        let taken = sent.map_err(|_| {
            Reason::LimitReached
                .status("nothing was read for 60 s; go on from the last place when you can read")
        })?;
        taken.map_err(|_| gone())
    }
}
