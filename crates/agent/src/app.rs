//! Wires the agent together: settings to rooms, rooms to each other, and the order in which all of it
//! starts and stops.

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use anyhow::Context;
use sekisho_daemon::{
    client, exit::usage, http, readiness::Readiness, shutdown, telemetry::Metrics, tls::TlsArgs,
};
use sekisho_model::{HostId, limits::HITS_INTERVAL};
use sekisho_wire::identity::{Caller, caller};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    buffer::Buffer,
    completed::{self, CompletedCounts, Lately},
    desk::Desk,
    endings::Endings,
    follow, guard,
    journal::Journal,
    keeper::Keeper,
    link::Link,
    manners::Manners,
    metrics::{self, RuleCounts},
    report::{self, Identity},
    sensor::{self, SensorCounts},
    settings::{Mode, Settings, TableOwner},
};

/// Runs until a signal.
///
/// # Errors
/// What keeps it from starting, and what to do.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let tls = settings.tls.client()?;
    let host = host(settings.host_id.as_ref(), &settings.tls)?;
    if settings.aggregator.is_empty() {
        return Err(usage("no aggregator: give --aggregator https://HOST:PORT"));
    }
    let urls =
        settings.aggregator.iter().map(|url| client::url(url, tls.is_some())).collect::<Result<_, _>>()?;
    let link = Link::new(urls, tls);
    let wish = settings.wish();
    wish.check(settings.mode == Mode::Enforce)?;
    let state_dir = settings.state_dir_to_enforce()?;
    if settings.tls.insecure {
        tracing::warn!(
            "--insecure: plaintext, and any host may claim this one's name; for laboratories only"
        );
    }
    let stop = shutdown::on_signal().context("signals cannot be handled")?;
    let (readiness, telemetry) = (Readiness::default(), Metrics::new("sekisho-agent")?);
    let metrics_at =
        http::serve(settings.metrics_listen, telemetry.clone(), readiness.clone(), stop.clone()).await?;
    let own = settings.table_owner == TableOwner::Auto;
    let (desk, endings) = state_dir.map(|dir| open_desk(dir, own)).transpose()?.unzip();
    let (buffer, counts) = (Arc::new(Buffer::default()), Arc::new(SensorCounts::default()));
    let (rules, lately) = (Arc::new(RuleCounts::default()), Arc::new(Lately::default()));
    let sought = Arc::new(CompletedCounts::default());
    let meter = telemetry.meter();
    metrics::of_the_sensors(&meter, &counts, &sought, &buffer);
    metrics::of_the_answers(&meter, &counts);
    let sensor = sensor::start(
        &settings.sensors,
        buffer.clone(),
        counts.clone(),
        lately.clone(),
        readiness.clone(),
        stop.clone(),
    )?;
    let seeker = completed::start(lately, desk.clone(), counts.clone(), sought, stop.clone())?;
    let tasks = TaskTracker::new();
    if let Some(desk) = &desk {
        metrics::of_the_kernel(&meter, &rules, desk);
        readiness.unmet(follow::CONDITION, "nothing was heard of the list yet");
        tasks.spawn(follow::run(link.clone(), desk.clone(), host.clone(), readiness.clone(), stop.clone()));
        tasks.spawn(guard::run(desk.clone(), readiness.clone(), stop.clone()));
        tasks.spawn(read_hits(desk.clone(), counts.clone(), rules, stop.clone()));
    }
    let manners = match endings.zip(state_dir) {
        Some((endings, dir)) => Manners::enforcing(&endings, wish, dir, &counts, &meter, &stop)?,
        None => Manners::observing(settings.state_dir.as_deref(), &counts),
    };
    let identity = Identity { host, zone: settings.zone, session: session(), mode: settings.mode.as_str() };
    tracing::info!(host = %identity.host, mode = identity.mode, metrics = %metrics_at, "started");
    tasks.spawn(report::run(link, identity, buffer, stop.clone()));
    shutdown::notify_ready();

    stop.cancelled().await;
    tasks.close();
    tasks.wait().await;
    tokio::task::spawn_blocking(move || {
        sensor.join().and_then(|()| seeker.join()).and_then(|()| manners.join())
    })
    .await?
    .map_err(|_| anyhow::anyhow!("a thread panicked"))?;
    end(desk, settings.flush_on_exit).await
}

/// This host's name: by its certificate, which a given name must then agree with.
fn host(given: Option<&HostId>, tls: &TlsArgs) -> anyhow::Result<HostId> {
    let Some(uris) = tls.own_uris()? else {
        let given = given.cloned();
        return given
            .ok_or_else(|| usage("no name: with --insecure, give this host's name with --host-id NAME"));
    };
    match caller(&uris).map_err(|error| usage(format!("--tls-cert: {error}")))? {
        Caller::Agent(host) if given.is_none_or(|given| *given == host) => Ok(host),
        Caller::Agent(host) => {
            Err(usage(format!("--host-id must be {host}, as the certificate says, or be left out")))
        }
        Caller::Operator(name) => Err(usage(format!(
            "--tls-cert is the operator {name}'s; an agent needs spiffe://<trust-domain>/agent/<host>"
        ))),
    }
}

fn open_desk(dir: &Path, own: bool) -> anyhow::Result<(Desk, Arc<Endings>)> {
    let (journal, remembered) = Journal::open(dir)?;
    let keeper = Keeper::start(journal, remembered, own)?;
    let endings = keeper.endings();
    Ok((Desk::open(keeper)?, endings))
}

/// A random number, not 0.
fn session() -> u64 {
    RandomState::new().hash_one(std::process::id()).max(1)
}

/// Reads the kernel's hits now and then, for the sensor's next report.
async fn read_hits(desk: Desk, counts: Arc<SensorCounts>, rules: Arc<RuleCounts>, stop: CancellationToken) {
    let mut ticks = interval(HITS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let read = match desk.hits().await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                tracing::warn!(%error, "hits cannot be read; blocks that are still hit may expire early");
                continue;
            }
            Err(closed) => {
                tracing::error!(%closed, "hits are not read any more");
                return;
            }
        };
        counts.dropped.store(read.counters.all_dropped(), Ordering::Relaxed);
        counts.hits().extend(read.hits);
        rules.take(&read.counters);
        rules.fills.take(&read.fills);
        counts.answers.take_rules(&read.counters);
    }
}

/// The end: the blocks stay until they expire, unless the operator wants them gone.
async fn end(desk: Option<Desk>, flush: bool) -> anyhow::Result<()> {
    let Some(desk) = desk else { return Ok(()) };
    if flush {
        desk.flush()
            .await?
            .context("the blocks could not be taken out; try: nft delete table inet sekisho")?;
        tracing::info!("all blocks are taken out of the kernel");
    } else {
        tracing::info!("the blocks stay in the kernel until they expire");
    }
    Ok(())
}
