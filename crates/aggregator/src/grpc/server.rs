//! The gRPC server: the services, health, and reflection (v1 and v1alpha) with the protocol's comments.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use rustls::ServerConfig;
use sekisho_daemon::listener;
use sekisho_model::limits::MAX_MESSAGE_BYTES;
use sekisho_wire::{
    DESCRIPTORS,
    pb::v1::{
        blocklist_service_server::BlocklistServiceServer, event_service_server::EventServiceServer,
        fleet_service_server::FleetServiceServer, observation_service_server::ObservationServiceServer,
        operator_service_server::OperatorServiceServer, replay_service_server::ReplayServiceServer,
    },
};
use tokio::net::TcpListener;
use tonic::{Code, Status, body::Body, codegen::http::Response, transport::Server};
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;
use tower::util::MapResponseLayer;

use crate::grpc::{
    Context, blocklist::Blocklist, events::Events, fleet::Fleet, operator::Operators, received,
    replay::Replays, report::Reports,
};

/// Streams that one connection may have open.
const MAX_STREAMS: u32 = 64;
/// How often a silent connection is asked whether it lives, and how long it may take to answer.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Listens on `listen`.
///
/// # Errors
/// When the address cannot be bound, with what to do.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(listen).await;
    bound.with_context(|| format!("cannot listen on {listen}; choose a free --listen ADDR:PORT"))
}

/// Serves until the context's stop.
///
/// # Errors
/// When the server ends by itself.
pub async fn serve(
    context: Context,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<BlocklistServiceServer<Blocklist>>().await;
    health.set_serving::<EventServiceServer<Events>>().await;
    health.set_serving::<ReplayServiceServer<Replays>>().await;
    tokio::spawn(report_health(health, context.clone()));
    let descriptors = || {
        // Both versions are named in both, so that either lists all services that there are.
        Builder::configure()
            .include_reflection_service(false)
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
    };
    let stop = context.stop.clone();
    let incoming = listener::accept(listener, tls, stop.clone());
    Server::builder()
        .layer(MapResponseLayer::new(promised))
        .max_concurrent_streams(MAX_STREAMS)
        .http2_keepalive_interval(Some(KEEPALIVE.0))
        .http2_keepalive_timeout(Some(KEEPALIVE.1))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .add_service(
            ObservationServiceServer::new(Reports(context.clone()))
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(
            BlocklistServiceServer::new(Blocklist(context.clone()))
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(
            FleetServiceServer::new(Fleet(context.clone())).max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(
            OperatorServiceServer::new(Operators(context.clone()))
                .max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(
            EventServiceServer::new(Events(context.clone())).max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(ReplayServiceServer::new(Replays(context)).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .add_service(health_service)
        .add_service(descriptors().build_v1()?)
        .add_service(descriptors().build_v1alpha()?)
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
        .context("the gRPC server ended")
}

/// Gives the transport's own errors of unary calls the codes that the protocol promises. Errors of the
/// services carry details, and stay as they are.
fn promised(response: Response<Body>) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.details().is_empty() && status.code() != Code::Ok => {
            received(status).into_http()
        }
        _ => response,
    }
}

/// While the log takes nothing, the services that write to it are not serving; reading goes on.
async fn report_health(health: HealthReporter, context: Context) {
    let mut problem = context.shared.problem();
    loop {
        if problem.borrow_and_update().is_none() {
            health.set_serving::<ObservationServiceServer<Reports>>().await;
            health.set_serving::<OperatorServiceServer<Operators>>().await;
            health.set_serving::<FleetServiceServer<Fleet>>().await;
            health.set_service_status("", tonic_health::ServingStatus::Serving).await;
        } else {
            health.set_not_serving::<ObservationServiceServer<Reports>>().await;
            health.set_not_serving::<OperatorServiceServer<Operators>>().await;
            health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        }
        tokio::select! {
            changed = problem.changed() => if changed.is_err() { return },
            () = context.stop.cancelled() => return,
        }
    }
}
