//! Streams to an aggregator that only listens.

use std::time::Duration;

use sekisho_wire::pb::v1::{
    ReportResponse,
    observation_service_server::{ObservationService, ObservationServiceServer},
};
use tokio::{net::TcpListener, time::timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Streaming, transport::Server};

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

/// Passes each hello on, and answers nothing.
struct Listener(mpsc::Sender<ReportHello>);

#[tonic::async_trait]
impl ObservationService for Listener {
    type ReportStream = ReceiverStream<Result<ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (mut incoming, hellos) = (request.into_inner(), self.0.clone());
        let (open, stream) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Ok(Some(message)) = incoming.message().await {
                if let Some(Kind::Hello(hello)) = message.kind {
                    hellos.send(hello).await.unwrap();
                }
            }
            drop(open);
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn own(lasts: &[u8]) -> Vec<IpAddr> {
    lasts.iter().map(|last| [192, 0, 2, *last].into()).collect()
}

#[tokio::test]
async fn an_address_that_comes_later_is_told_on_a_new_stream_of_the_same_session() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (hellos, mut told) = mpsc::channel(4);
    let server = Server::builder().add_service(ObservationServiceServer::new(Listener(hellos)));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let identity = Identity { host: "a".parse().unwrap(), zone: None, session: 7, mode: "observe" };
    let (sender, receiver) = watch::channel(own(&[1]));
    let stop = CancellationToken::new();
    let link = Link::new(vec![url], None);
    let task = tokio::spawn(report(link, identity, Arc::new(Buffer::default()), receiver, stop.clone()));
    for lasts in [&[1][..], &[1, 2], &[2]] {
        sender.send_if_modified(|told| std::mem::replace(told, own(lasts)) != own(lasts));
        let hello = timeout(DEADLINE, told.recv()).await.unwrap().unwrap();
        let addresses: Vec<_> = own(lasts).iter().map(observation::address).collect();
        assert_eq!((hello.session, hello.addresses), (7, addresses));
    }
    stop.cancel();
    timeout(DEADLINE, task).await.unwrap().unwrap();
}
