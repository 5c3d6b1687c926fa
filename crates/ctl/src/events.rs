//! `sekishoctl get events` and `watch events`: what happened, and what happens.

use std::{io, num::NonZeroUsize, time::Duration};

use sekisho_daemon::shutdown;
use sekisho_model::Moment;
use sekisho_wire::pb::v1::{
    EventPlace, ListEventsRequest, WatchEventsRequest, WatchEventsResponse,
    event_service_client::EventServiceClient,
};
use serde::Serialize;
use tokio::time::timeout;
use tonic::{Status, transport::Channel};

use crate::{
    args::{EventsArgs, Format},
    client::{Page, ask, pages},
    errors::{Failure, describe, say},
    event::{Event, Shown},
    retry::{backoff, is_for_good},
    table::{Printer, Show, clean, columns, moment, yaml},
    watch::SILENCE,
};

/// Prints the newest `limit` events, and says so where there are more.
pub(crate) async fn list(
    channel: Channel,
    wanted: &EventsArgs,
    since: Option<Duration>,
    limit: NonZeroUsize,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let client = EventServiceClient::new(channel);
    let fetch = async |page: Page| {
        let request = ListEventsRequest {
            page_size: page.size,
            page_token: page.token,
            prefix: prefix(wanted),
            kinds: kinds(wanted),
            since: since.and_then(|since| since.try_into().ok()),
        };
        let answer = client.clone().list_events(ask(request)).await?.into_inner();
        Ok((answer.events.into_iter().map(Event::from).collect(), answer.next_page_token))
    };
    let mut events: Vec<Event> = pages(Some(limit.saturating_add(1)), fetch).await?;
    let is_cut = events.len() > limit.get();
    events.truncate(limit.get());
    printer.print(&Events { events })?;
    if is_cut {
        say(&format!("these are the newest {limit}; --limit shows more"));
    }
    Ok(())
}

fn prefix(wanted: &EventsArgs) -> String {
    wanted.prefix.map(|prefix| prefix.to_string()).unwrap_or_default()
}

fn kinds(wanted: &EventsArgs) -> Vec<i32> {
    wanted.kinds.iter().map(|kind| *kind as i32).collect()
}

#[derive(Serialize)]
struct Events {
    events: Vec<Event>,
}

impl Show for Events {
    fn show(&self, wide: bool, _now: Moment) -> String {
        table(&self.events, wide)
    }
}

/// Events as columns; `wide` tells each one's place within its revision and what to do about it, too.
pub(crate) fn table(events: &[Event], wide: bool) -> String {
    let mut head = vec!["TIME", "REVISION", "KIND", "ABOUT", "WHAT"];
    if wide {
        head.insert(2, "ORDINAL");
        head.push("DO");
    }
    let row = |event: &Event| {
        let shown = &event.shown;
        let mut row = vec![moment(event.time.as_ref()), event.revision.to_string()];
        if wide {
            row.push(event.ordinal.to_string());
        }
        row.extend([shown.kind.clone(), shown.about.clone(), what(shown, wide)]);
        if wide {
            row.push(shown.advice.clone());
        }
        row
    };
    columns(&head, events.iter().map(row))
}

/// What happened; `wide` names the hosts, too.
fn what(shown: &Shown, wide: bool) -> String {
    if wide && !shown.hosts.is_empty() {
        format!("{} ({})", shown.what, shown.hosts)
    } else {
        shown.what.clone()
    }
}

/// Prints each event as it happens, over broken streams and restarts of the aggregator, until it is
/// interrupted or `limit` of them are printed.
pub(crate) async fn watch(
    channel: Channel,
    wanted: &EventsArgs,
    limit: Option<NonZeroUsize>,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let stop = shutdown::on_signal()?;
    let left = limit.map_or(usize::MAX, NonZeroUsize::get);
    let mut watch = Watch { wanted, left, at: None, failures: 0 };
    tokio::select! {
        () = stop.cancelled() => Ok(()),
        ended = watch.follow(channel, printer) => ended,
    }
}

struct Watch<'a> {
    wanted: &'a EventsArgs,
    left: usize,
    /// Everything up to here was told; none before the stream was up.
    at: Option<EventPlace>,
    failures: u32,
}

impl Watch<'_> {
    async fn follow(&mut self, channel: Channel, printer: &mut Printer<'_>) -> Result<(), Failure> {
        while self.left > 0 {
            let broke = self.stream(channel.clone(), printer).await;
            let status = match broke {
                Ok(()) => continue,
                Err(Failure::Refused(status)) if self.at.is_some() && !is_for_good(&status) => status,
                Err(failure) => return Err(failure),
            };
            let place = self.at.map(|at| at.revision).unwrap_or_default();
            say(&format!("{}; following again from revision {place}", describe(&status)));
            tokio::time::sleep(backoff(self.failures)).await;
            self.failures = self.failures.saturating_add(1);
        }
        Ok(())
    }

    /// One stream, from its start until it breaks or enough is printed.
    async fn stream(&mut self, channel: Channel, printer: &mut Printer<'_>) -> Result<(), Failure> {
        let silent = |_| Status::deadline_exceeded("the stream is silent");
        let request =
            WatchEventsRequest { prefix: prefix(self.wanted), kinds: kinds(self.wanted), after: self.at };
        let mut client = EventServiceClient::new(channel);
        let mut stream = timeout(SILENCE, client.watch_events(request)).await.map_err(silent)??.into_inner();
        while self.left > 0 {
            match timeout(SILENCE, stream.message()).await.map_err(silent)?? {
                Some(message) => self.take(message, printer)?,
                None => return Err(Status::unavailable("the aggregator closed the stream").into()),
            }
        }
        Ok(())
    }

    fn take(&mut self, message: WatchEventsResponse, printer: &mut Printer<'_>) -> Result<(), Failure> {
        let Some(place) = message.place else {
            return Err(Failure::Unsound("an event has no place".into()));
        };
        match self.at {
            None => {
                head(printer)?;
                say(&format!("following from revision {}", place.revision));
            }
            Some(at) if at.epoch != place.epoch => {
                say(&format!("the log is another one; following from its revision {}", place.revision));
            }
            Some(_) => {}
        }
        self.at = Some(place);
        self.failures = 0;
        if let Some(event) = message.event {
            print(&Event::from(event), printer)?;
            self.left -= 1;
        }
        Ok(printer.out.flush()?)
    }
}

fn head(printer: &mut Printer<'_>) -> io::Result<()> {
    if printer.for_people() { row(printer, ["TIME", "REVISION", "KIND", "ABOUT"], "WHAT") } else { Ok(()) }
}

fn print(event: &Event, printer: &mut Printer<'_>) -> io::Result<()> {
    match printer.format {
        Format::Json => {
            serde_json::to_writer(&mut printer.out, event)?;
            writeln!(printer.out)
        }
        Format::Yaml => write!(printer.out, "---\n{}", yaml(event)?),
        Format::Table | Format::Wide => {
            let (time, revision) = (moment(event.time.as_ref()), event.revision.to_string());
            let about = if event.shown.about.is_empty() { "-" } else { &event.shown.about };
            let mut what = clean(&what(&event.shown, printer.format == Format::Wide));
            if printer.format == Format::Wide && !event.shown.advice.is_empty() {
                what = format!("{what}; do: {}", event.shown.advice);
            }
            row(printer, [&time, &revision, &event.shown.kind, &clean(about)], &what)
        }
    }
}

/// Columns of fixed width, since what comes next is not known yet.
fn row(printer: &mut Printer<'_>, cells: [&str; 4], what: &str) -> io::Result<()> {
    let [time, revision, kind, about] = cells;
    let text = format!("{time:<24}  {revision:<10}  {kind:<18}  {about:<22}  {what}");
    writeln!(printer.out, "{}", text.trim_end())
}
