//! Wires the aggregator together: settings to rooms, rooms to each other, and the order in which all of it
//! starts and stops.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use anyhow::Context as _;
use sekisho_daemon::{exit::usage, http, readiness::Readiness, shutdown, telemetry::Metrics};
use sekisho_model::{
    HostId, Input, Policy,
    limits::{MAX_SUBSCRIBERS, SNAPSHOT_SENDERS},
};
use tokio::sync::{Semaphore, mpsc};

use crate::{
    grpc::{Context, server},
    ledger::{Ledger, now},
    metrics, names, policy,
    roster::Roster,
    sequencer::{self, Submission},
    settings::Settings,
    shared::Shared,
};

/// Runs until a signal.
///
/// # Errors
/// What keeps it from starting, and what to do.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let tls = settings.tls.server()?;
    let data_dir = settings.data_dir.ok_or_else(|| usage("no data directory: give --data-dir DIR"))?;
    let policy = settings.policy.as_deref().map(policy::load).transpose()?;
    let stop = shutdown::on_signal().context("signals cannot be handled")?;
    if settings.tls.insecure {
        tracing::warn!(
            "--insecure: plaintext, and every caller is who it claims to be; for laboratories only"
        );
    }
    let readiness = Readiness::default();
    readiness.unmet("start", "the log is being replayed");
    let telemetry = Metrics::new("sekisho-aggregator")?;
    http::serve(settings.metrics_listen, telemetry.clone(), readiness.clone(), stop.clone()).await?;
    let listener = server::bind(settings.listen).await?;

    let ledger = tokio::task::spawn_blocking(move || open(&data_dir, settings.new_epoch, policy)).await??;
    let (shared, roster) = (ledger.shared(), Arc::new(Roster::default()));
    metrics::register(&telemetry.meter(), &shared, &roster);
    let (sequencer, thread) = sequencer::start(ledger, readiness.clone())?;
    follow_names(&shared, &sequencer, &stop)?;
    let context = Context {
        shared,
        roster,
        sequencer,
        subscribers: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)),
        snapshots: Arc::new(Semaphore::new(SNAPSHOT_SENDERS)),
        stop: stop.clone(),
    };
    readiness.met("start");
    tracing::info!(listen = %listener.local_addr()?, metrics = %settings.metrics_listen, "ready");
    shutdown::notify_ready();
    let served = server::serve(context, listener, tls).await;
    stop.cancel();
    // The last sender went with the server's tasks: the writer ends with a checkpoint.
    tokio::task::spawn_blocking(move || thread.join())
        .await?
        .map_err(|_| anyhow::anyhow!("the sequencer panicked"))?;
    served
}

/// Opens the log; tells it the policy if it is another one, and that no host is connected yet.
fn open(dir: &std::path::Path, new_epoch: bool, policy: Option<Policy>) -> anyhow::Result<Ledger> {
    let seed = RandomState::new().hash_one(0);
    let mut ledger = Ledger::open(dir, new_epoch, seed)?;
    let shared = ledger.shared();
    let mut inputs = Vec::new();
    let policy = policy.unwrap_or_default();
    if *shared.engine().policy() != policy {
        inputs.push(Input::Policy(policy));
    }
    let connected: Vec<HostId> =
        shared.engine().hosts().filter(|host| host.connected).map(|host| host.id.clone()).collect();
    inputs.extend(connected.into_iter().map(|host| Input::HostLeft { host }));
    if !inputs.is_empty() {
        ledger.commit(inputs, now())?;
    }
    Ok(ledger)
}

fn follow_names(
    shared: &Shared,
    sequencer: &mpsc::Sender<Submission>,
    stop: &tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    let names = shared.engine().policy().never.names.clone();
    names::follow(names, sequencer, stop)
}
