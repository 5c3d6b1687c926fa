//! The report stream: sends what the buffer holds, and takes out of it what is durable.

use std::{net::IpAddr, sync::Arc};

use sekisho_model::{Batch, HostId, Zone};
use sekisho_wire::{
    Reason, observation,
    pb::v1::{
        ReportHello, ReportRequest, observation_service_client::ObservationServiceClient,
        report_request::Kind,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    addresses,
    buffer::{Buffer, Outgoing, Rows},
    link::Link,
};

/// Who reports.
#[derive(Clone, Debug)]
pub struct Identity {
    /// This host, as its certificate says.
    pub host: HostId,
    /// The failure domain.
    pub zone: Option<Zone>,
    /// A random number of this life, not 0.
    pub session: u64,
    /// "observe" or "enforce".
    pub mode: &'static str,
}

/// Reports until `stop`, over any number of streams.
pub async fn run(link: Link, identity: Identity, buffer: Arc<Buffer>, stop: CancellationToken) {
    let own = addresses::follow(link.urls(), stop.clone()).await;
    report(link, identity, buffer, own, stop).await;
}

async fn report(
    mut link: Link,
    identity: Identity,
    buffer: Arc<Buffer>,
    mut own: watch::Receiver<Vec<IpAddr>>,
    stop: CancellationToken,
) {
    loop {
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = stream(&mut link, &identity, &buffer, &mut own) => ended,
        };
        let Err(error) = ended else {
            tracing::info!("what this host must not see listed has changed; telling it on a new stream");
            continue;
        };
        judge(&error, &buffer);
        let wait = link.failed();
        tracing::warn!(
            reason = format!("{error:#}"),
            waiting = buffer.len(),
            again_in_ms = wait.as_millis(),
            "the report stream ended; what was not acknowledged is sent again"
        );
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(wait) => {}
        }
    }
}

/// One stream, until it breaks; or until the host's addresses change, which only a hello can tell.
async fn stream(
    link: &mut Link,
    identity: &Identity,
    buffer: &Buffer,
    own: &mut watch::Receiver<Vec<IpAddr>>,
) -> anyhow::Result<()> {
    let channel = link.connect().await?;
    buffer.rewind();
    let (sender, requests) = mpsc::channel(1);
    let addresses = own.borrow_and_update().clone();
    sender.send(ReportRequest { kind: Some(Kind::Hello(hello(identity, &addresses))) }).await?;
    let mut client = ObservationServiceClient::new(channel);
    let mut answers = client.report(ReceiverStream::new(requests)).await?.into_inner();
    loop {
        // A batch is only taken out when there is room for it on the stream.
        let next = async { (sender.reserve().await, buffer.next().await) };
        tokio::select! {
            answer = answers.message() => {
                let Some(answer) = answer? else { anyhow::bail!("the aggregator closed the stream") };
                buffer.acknowledge(u64::try_from(answer.durable_sequence).unwrap_or(0));
                link.worked();
            }
            Ok(()) = own.changed() => return Ok(()),
            (permit, outgoing) = next => permit?.send(request(identity, outgoing)),
        }
    }
}

fn hello(identity: &Identity, addresses: &[IpAddr]) -> ReportHello {
    ReportHello {
        host_id: identity.host.to_string(),
        zone: identity.zone.as_ref().map(ToString::to_string).unwrap_or_default(),
        session: identity.session,
        addresses: addresses.iter().map(observation::address).collect(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: identity.mode.to_owned(),
    }
}

fn request(identity: &Identity, outgoing: Outgoing) -> ReportRequest {
    let Outgoing { sequence, age, rows: Rows { observations, hits, completed, totals } } = outgoing;
    let (host, session) = (identity.host.clone(), identity.session);
    let batch = Batch { host, session, sequence, age, observations, hits, completed, totals };
    ReportRequest { kind: Some(Kind::Batch(observation::encode(&batch))) }
}

/// Takes a batch out of the buffer that the aggregator will never take.
fn judge(error: &anyhow::Error, buffer: &Buffer) {
    let Some(status) = error.downcast_ref::<Status>() else { return };
    let poison = status.code() == Code::InvalidArgument
        || (status.code() == Code::ResourceExhausted && Reason::LimitReached.is_in(status));
    let sequence =
        status.get_details_error_info().and_then(|info| info.metadata.get("sequence")?.parse().ok());
    if let Some(sequence) = sequence.filter(|_| poison) {
        tracing::error!(sequence, %status, "the aggregator refuses a batch for good; it is dropped, please report this");
        buffer.refuse(sequence);
    }
}

#[cfg(test)]
mod tests;
