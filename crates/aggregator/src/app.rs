//! Wires the aggregator together: settings to rooms, rooms to each other, and the order in which all of it
//! starts and stops.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use sekisho_daemon::{exit::usage, http, readiness::Readiness, shutdown, telemetry::Metrics};
use sekisho_model::{
    HostId, Input, Policy,
    limits::{MAX_SUBSCRIBERS, SNAPSHOT_SENDERS},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    grpc::{Context, server},
    ledger::Ledger,
    metrics, names,
    roster::Roster,
    sequencer::{self, Message},
    settings::Settings,
};

/// How long connections have to end when the process stops.
const GRACE: Duration = Duration::from_secs(3);

/// Runs until a signal.
///
/// # Errors
/// What keeps it from starting, and what to do.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let tls = settings.tls.server()?;
    let data_dir = settings.data_dir.ok_or_else(|| usage("no data directory: give --data-dir DIR"))?;
    let policy = settings.policy.as_deref().map(sekisho_policy::load).transpose();
    let policy = policy.map_err(|error| usage(format!("--policy {error}")))?;
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
    names::follow(&shared, &sequencer, &stop)?;
    let context = Context {
        shared,
        roster,
        sequencer: sequencer.clone(),
        subscribers: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)),
        snapshots: Arc::new(Semaphore::new(SNAPSHOT_SENDERS)),
        replays: Arc::new(Semaphore::new(1)),
        stop: stop.clone(),
    };
    readiness.met("start");
    tracing::info!(listen = %listener.local_addr()?, metrics = %settings.metrics_listen, "ready");
    shutdown::notify_ready();
    let served = serve(context, listener, tls, &stop).await;
    stop.cancel();
    // What is under way in the log is finished, and a checkpoint written, whoever is still connected.
    drop(sequencer.send(Message::Stop).await);
    let joined = tokio::task::spawn_blocking(move || thread.join()).await?;
    joined.map_err(|_| anyhow::anyhow!("the sequencer panicked"))?;
    served
}

/// Serves until `stop`, and then for [`GRACE`] whoever does not go by itself.
async fn serve(
    context: Context,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let served = server::serve(context, listener, tls);
    let overtime = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = served => served,
        () = overtime => {
            tracing::warn!("some connections did not end by themselves; they are cut off");
            Ok(())
        }
    }
}

/// Opens the log; tells it the policy that was given if it is another one, and that no host is connected yet.
/// Without one, what is in force stays, an operator's order as well.
fn open(dir: &std::path::Path, new_epoch: bool, policy: Option<Policy>) -> anyhow::Result<Ledger> {
    let seed = RandomState::new().hash_one(0);
    let mut ledger = Ledger::open(dir, new_epoch, seed)?;
    let shared = ledger.shared();
    let mut inputs = Vec::new();
    if let Some(policy) = policy.filter(|policy| shared.engine().policy() != policy) {
        inputs.push(Input::Policy(policy));
    }
    let connected: Vec<HostId> =
        shared.engine().hosts().filter(|host| host.connected).map(|host| host.id.clone()).collect();
    inputs.extend(connected.into_iter().map(|host| Input::HostLeft { host }));
    if !inputs.is_empty() {
        let now = shared.now();
        ledger.commit(inputs, now)?;
    }
    Ok(ledger)
}
