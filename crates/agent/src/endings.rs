//! Ends the half-open sockets of new entries at drop, on a thread of its own, since each look walks over every
//! socket of the host. Until it comes round, and where the kernel cannot do it, the rule on output holds
//! their SYN-ACKs back.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sekisho_kernel::{Diag, HalfOpen, KernelError};
use sekisho_model::{
    Prefix,
    limits::{MAX_ENDED_SOCKETS, MAX_ENDING_PREFIXES},
};
use sekisho_observe::{is_leftover, poll_interval};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What waits to be ended, and counts for the metrics.
#[derive(Debug, Default)]
pub struct Endings {
    waiting: Mutex<Vec<Prefix>>,
    more: Notify,
    /// Passes that were made.
    pub passes: AtomicU64,
    /// Passes that failed.
    pub failed: AtomicU64,
    /// Half-open sockets that were ended.
    pub ended: AtomicU64,
    /// New entries that were left to the rule on output: too many waited.
    pub left: AtomicU64,
}

impl Endings {
    /// These have come into force at drop.
    pub fn ask(&self, mut prefixes: Vec<Prefix>) {
        if prefixes.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        let room = MAX_ENDING_PREFIXES.saturating_sub(waiting.len());
        let left = prefixes.len().saturating_sub(room);
        prefixes.truncate(room);
        waiting.append(&mut prefixes);
        self.left.fetch_add(left as u64, Ordering::Relaxed);
        self.more.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Prefix>> {
        // A list of plain values is whole whatever happened to its last holder.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread. It ends soon after `stop`; none where the kernel does not end sockets.
///
/// # Errors
/// When the kernel has no sock_diag, or the thread cannot be started.
pub fn start(
    endings: Arc<Endings>,
    stop: CancellationToken,
) -> anyhow::Result<Option<thread::JoinHandle<()>>> {
    let mut diag = Diag::open()?;
    if !diag.can_destroy()? {
        tracing::info!(
            "this kernel ends no sockets (CONFIG_INET_DIAG_DESTROY); those of new entries go at their next timer"
        );
        return Ok(None);
    }
    let runtime = Handle::current();
    let run = move || run(diag, &endings, &stop, &runtime);
    Ok(Some(thread::Builder::new().name("endings".into()).spawn(run)?))
}

fn run(mut diag: Diag, endings: &Endings, stop: &CancellationToken, runtime: &Handle) {
    loop {
        runtime.block_on(async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = endings.more.notified() => {}
            }
        });
        if stop.is_cancelled() {
            return;
        }
        let begun = Instant::now();
        let asked = std::mem::take(&mut *endings.waiting());
        endings.passes.fetch_add(1, Ordering::Relaxed);
        match pass(&mut diag, &asked) {
            Ok((ended, whole)) => {
                endings.ended.fetch_add(ended, Ordering::Relaxed);
                if ended > 0 {
                    tracing::debug!(
                        entries = asked.len(),
                        ended,
                        "half-open sockets of new entries are ended"
                    );
                }
                if !whole {
                    endings.ask(asked);
                }
            }
            Err(error) => {
                endings.failed.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, "half-open sockets of new entries cannot be ended; they go at their next timer");
                reopen(&mut diag, stop, runtime);
            }
        }
        rest(begun.elapsed(), stop, runtime);
    }
}

/// Ends what is left over of these; gives how many sockets that were, and whether those were all.
fn pass(diag: &mut Diag, asked: &[Prefix]) -> Result<(u64, bool), KernelError> {
    let (mut sockets, mut whole): (Vec<HalfOpen>, bool) = (Vec::new(), true);
    diag.half_open_of(asked, |socket| {
        if !is_leftover(&socket.row) {
            return;
        }
        whole = sockets.len() < MAX_ENDED_SOCKETS;
        if whole {
            sockets.push(socket);
        }
    })?;
    Ok((diag.destroy(&sockets)?.ended, whole))
}

/// After a failure the socket may be in the middle of an answer.
fn reopen(diag: &mut Diag, stop: &CancellationToken, runtime: &Handle) {
    match Diag::open() {
        Ok(fresh) => *diag = fresh,
        Err(error) => {
            tracing::error!(%error, "sock_diag cannot be opened again");
            runtime.block_on(async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(Duration::from_secs(1)) => {}
                }
            });
        }
    }
}

/// Passes take no more of a core than those of the sensor: what comes meanwhile goes together.
fn rest(cost: Duration, stop: &CancellationToken, runtime: &Handle) {
    let rest = poll_interval(cost).saturating_sub(cost);
    drop(runtime.block_on(async { timeout(rest, stop.cancelled()).await }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_the_rest_counted() {
        let endings = Endings::default();
        let prefix: Prefix = "203.0.113.7".parse().unwrap();
        endings.ask(vec![prefix; MAX_ENDING_PREFIXES - 1]);
        endings.ask(vec![prefix; 3]);
        assert_eq!(endings.waiting().len(), MAX_ENDING_PREFIXES);
        assert_eq!(endings.left.load(Ordering::Relaxed), 2);
    }
}
