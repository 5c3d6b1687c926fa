//! Wires the aggregator together: settings to rooms, rooms to each other, and the order in which all of it
//! starts and stops.

use std::{
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use sekisho_daemon::{exit::usage, http, readiness::Readiness, shutdown, telemetry::Metrics};
use sekisho_model::{
    HostId, Input, Policy,
    limits::{EVENT_WATCHERS, MAX_SUBSCRIBERS, SNAPSHOT_SENDERS},
};
use sekisho_policy::LoadError;
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
    let policy = settings.policy.as_deref().map(load_policy).transpose()?;
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
    names::follow(shared.clone(), sequencer.clone(), stop.clone())?;
    let context = Context {
        shared,
        roster,
        sequencer: sequencer.clone(),
        subscribers: Arc::new(Semaphore::new(MAX_SUBSCRIBERS)),
        snapshots: Arc::new(Semaphore::new(SNAPSHOT_SENDERS)),
        event_watchers: Arc::new(Semaphore::new(EVENT_WATCHERS)),
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

/// Opens the log; tells it the policy if it is another one, and that no host is connected yet.
fn open(dir: &Path, new_epoch: bool, policy: Option<Policy>) -> anyhow::Result<Ledger> {
    let seed = RandomState::new().hash_one(0);
    let mut ledger = Ledger::open(dir, new_epoch, seed)?;
    let shared = ledger.shared();
    // Without a file, what is in force stays: the last file's, or what an operator ordered since.
    let other = policy.filter(|policy| shared.engine().policy() != policy);
    let mut inputs: Vec<Input> = other.map(Input::Policy).into_iter().collect();
    let connected: Vec<HostId> =
        shared.engine().hosts().filter(|host| host.connected).map(|host| host.id.clone()).collect();
    inputs.extend(connected.into_iter().map(|host| Input::HostLeft { host }));
    if !inputs.is_empty() {
        let now = shared.now();
        ledger.commit(inputs, now)?;
    }
    Ok(ledger)
}

/// The policy in `path`.
fn load_policy(path: &Path) -> anyhow::Result<Policy> {
    sekisho_policy::load(path).map_err(|error| match error {
        LoadError::Wrong { .. } => usage(error.to_string()),
        other => usage(format!("--policy {other}")),
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use sekisho_model::{Moment, Order, OrderKind};

    use super::*;

    /// A policy that differs from the default in its quorum.
    fn policy(drop_quorum: u32) -> Policy {
        Policy { drop_quorum, ..Policy::default() }
    }

    #[test]
    fn an_ordered_policy_survives_a_restart_unless_a_file_says_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let started = |file: Option<Policy>| {
            let ledger = open(dir.path(), false, file).unwrap();
            let drop_quorum = ledger.shared().engine().policy().drop_quorum;
            (ledger, drop_quorum)
        };
        assert_eq!(started(None).1, 3, "the default, at first");
        let (mut ledger, _) = started(Some(policy(5)));
        let kind = OrderKind::SetPolicy(Box::new(policy(7)));
        let order = Order { operator: "ana".parse().unwrap(), text: "drill".into(), request: None, kind };
        let now = ledger.shared().now() + Duration::from_secs(1);
        ledger.commit(vec![Input::Order(order)], now.max(Moment::EPOCH)).unwrap();
        drop(ledger);
        assert_eq!(started(None).1, 7);
        assert_eq!(started(Some(policy(5))).1, 5, "the file wins at each start");
        assert_eq!(started(None).1, 5);
    }

    #[test]
    fn a_wrong_policy_file_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.yaml");
        let missing = load_policy(&path).unwrap_err().to_string();
        assert!(missing.starts_with(&format!("--policy {}", path.display())), "{missing}");
        fs::write(&path, "window: 5m\nquorum: { drop: 0 }\n").unwrap();
        let wrong = load_policy(&path).unwrap_err().to_string();
        assert!(wrong.contains("p.yaml:2: quorum.drop"), "{wrong}");
    }
}
