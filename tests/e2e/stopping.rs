//! An aggregator that is asked to stop ends within seconds, whoever is connected and whatever they do.

use std::{
    net::{SocketAddr, TcpStream},
    sync::mpsc,
};

use anyhow::{Result, ensure};
use sekisho_lab::{Fleet, programs::PORT, world::AGGREGATOR};
use sekisho_wire::pb::v1::{
    WatchRequest, WatchStart, blocklist_service_client::BlocklistServiceClient, watch_request::Kind,
};
use tokio_stream::StreamExt;

use crate::support::{hosts, with_fleet};

#[test]
fn silent_connections_and_stuck_streams_do_not_keep_it_from_ending() {
    with_fleet(&hosts(1), |fleet| {
        let aggregator = fleet.take_aggregator()?;
        let fleet = &*fleet;
        std::thread::scope(|scope| {
            let (open, opened) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            let stuck = scope.spawn(move || stay_stuck(fleet, open, ended));
            opened.recv()?;
            let to = SocketAddr::from((AGGREGATOR, PORT));
            let _silent = fleet.world.aggregator.run(move || TcpStream::connect(to))??;
            // It fails when the process does not end in time.
            let status = aggregator.stop()?;
            ensure!(status.success(), "it ended with {status}");
            drop(end);
            stuck.join().map_err(|_| anyhow::anyhow!("the stuck subscriber panicked"))?
        })
    });
}

/// Opens a stream, reads its first message, and then keeps the connection without reading.
fn stay_stuck(fleet: &Fleet, open: mpsc::Sender<()>, ended: mpsc::Receiver<()>) -> Result<()> {
    fleet.call(async move |channel| {
        let start = WatchRequest { kind: Some(Kind::Start(WatchStart::default())) };
        let requests = tokio_stream::once(start).chain(tokio_stream::pending());
        let mut stream = BlocklistServiceClient::new(channel).watch(requests).await?.into_inner();
        ensure!(stream.message().await?.is_some(), "the subscriber was not welcomed");
        open.send(())?;
        let _gone = ended.recv(); // The other side says nothing: it ends.
        Ok(())
    })
}
