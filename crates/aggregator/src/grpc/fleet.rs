//! `FleetService`: the hosts, from the log and from the present.

use sekisho_engine::HostRecord;
use sekisho_model::HostId;
use sekisho_wire::{
    Malformed, Reason, observation,
    pb::v1::{
        GetHostRequest, GetHostResponse, Host, ListHostsRequest, ListHostsResponse,
        fleet_service_server::FleetService,
    },
    readable,
};
use tonic::{Request, Response, Status};

use crate::grpc::{Context, auth, explain::while_it_lasts, paging};

/// The service.
pub struct Fleet(pub Context);

#[tonic::async_trait]
impl FleetService for Fleet {
    async fn list_hosts(
        &self,
        request: Request<ListHostsRequest>,
    ) -> Result<Response<ListHostsResponse>, Status> {
        auth::operator(&request)?;
        let request = request.into_inner();
        let (size, after) = (paging::size(request.page_size)?, paging::after::<HostId>(&request.page_token)?);
        let engine = self.0.shared.engine();
        let hosts = engine.hosts().filter(|host| after.as_ref().is_none_or(|after| host.id > *after));
        let (page, next_page_token) = paging::page(hosts, size, |host| host.id.to_string());
        let hosts = page.into_iter().map(|record| self.host(record)).collect();
        Ok(Response::new(ListHostsResponse { hosts, next_page_token }))
    }

    async fn get_host(&self, request: Request<GetHostRequest>) -> Result<Response<GetHostResponse>, Status> {
        auth::operator(&request)?;
        let id: HostId = request
            .get_ref()
            .host_id
            .parse()
            .map_err(|error| Malformed::field("host_id", format!("{error}")))?;
        let engine = self.0.shared.engine();
        let record = engine
            .host(&id)
            .ok_or_else(|| Reason::NotFound.status(format!("no host {id} has ever reported")))?;
        Ok(Response::new(GetHostResponse { host: Some(self.host(record)) }))
    }
}

impl Fleet {
    fn host(&self, record: &HostRecord) -> Host {
        let (presence, now) = (self.0.roster.get(&record.id), self.0.shared.now());
        let seen = presence.last_report.unwrap_or(record.last_seen);
        let totals = if presence.last_report.is_some() { presence.totals } else { record.totals };
        Host {
            host_id: record.id.to_string(),
            zone: record.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
            connected: presence.reporting > 0,
            mode: presence.mode,
            agent_version: presence.agent_version,
            addresses: record.addresses.iter().map(ToString::to_string).collect(),
            last_report_time: Some(readable::timestamp(seen)),
            observations: i64::try_from(record.observations).unwrap_or(i64::MAX),
            watching: presence.watching > 0,
            applied: presence.applied.map(|(position, _)| readable::position(position)),
            applied_time: presence.applied.map(|(_, at)| readable::timestamp(at)),
            refusal: presence.refusal,
            totals: Some(observation::totals(&totals)),
            flooded_until_time: while_it_lasts(record.flooded_until, now),
            outage_until_time: while_it_lasts(record.outage_until, now),
            limited: record.is_limited,
        }
    }
}
