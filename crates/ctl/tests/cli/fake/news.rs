//! The fake's events and replays: pages of a list, and streams by script.

use sekisho_wire::pb::v1::{
    self as pb, event_service_server::EventService, replay_service_server::ReplayService,
};
use tonic::{Request, Response, Status};

use crate::fake::{Played, Scripts, Service, played};

/// The next stream of `scripts`.
fn next<T: Send + 'static>(scripts: &Scripts<T>) -> Result<Response<Played<T>>, Status> {
    let script = scripts.lock().unwrap().pop_front();
    let script = script.ok_or_else(|| Status::permission_denied("the script is over"))?;
    Ok(Response::new(played(script, tokio_stream::pending())))
}

#[tonic::async_trait]
impl EventService for Service {
    type WatchEventsStream = Played<pb::WatchEventsResponse>;

    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let request = request.into_inner();
        self.0.ask(&request);
        let (events, next_page_token) =
            self.0.page_of(&self.0.events, request.page_size, &request.page_token)?;
        Ok(Response::new(pb::ListEventsResponse { events, next_page_token }))
    }

    async fn watch_events(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        self.0.ask(request.get_ref());
        self.0.allowed()?;
        next(&self.0.news)
    }
}

#[tonic::async_trait]
impl ReplayService for Service {
    type ReplayStream = Played<pb::ReplayResponse>;

    async fn replay(
        &self,
        request: Request<pb::ReplayRequest>,
    ) -> Result<Response<Self::ReplayStream>, Status> {
        self.0.ask(request.get_ref());
        self.0.allowed()?;
        next(&self.0.replays)
    }
}
