//! The small HTTP door: `/metrics`, `/healthz` (the process lives), `/readyz` (it does its job).

use std::net::SocketAddr;

use anyhow::Context;
use axum::{Router, http::StatusCode, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{readiness::Readiness, telemetry::Metrics};

/// Serves until `stop`.
///
/// # Errors
/// When the address cannot be bound, with what to do.
pub async fn serve(
    listen: SocketAddr,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}; choose a free --metrics-listen ADDR:PORT"))?;
    let bound = listener.local_addr()?;
    let ready = move || {
        let problems = readiness.problems();
        async move {
            if problems.is_empty() {
                (StatusCode::OK, "ok\n".to_owned())
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, problems)
            }
        }
    };
    let routes = Router::new()
        .route("/metrics", get(move || async move { metrics.text() }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready));
    tokio::spawn(async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the metrics listener ended");
        }
    });
    Ok(bound)
}
