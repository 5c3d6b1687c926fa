//! Who may do what: by the certificate, never by what a message says.

use anyhow::{Result, ensure};
use sekisho_lab::{
    Fleet,
    certs::{Certs, Files},
    grpc, programs,
    reporter::Reporter,
};
use sekisho_wire::{
    Reason,
    pb::v1::{
        BlockRequest, GetStatusRequest, ListEntriesRequest, ListHostsRequest, ReportHello,
        blocklist_service_client::BlocklistServiceClient, fleet_service_client::FleetServiceClient,
        operator_service_client::OperatorServiceClient, report_request::Kind,
    },
};
use tonic::{Code, Status, transport::Channel};

use crate::support::{hosts, with_fleet};

#[test]
fn agents_may_report_and_follow_and_nothing_else() {
    with_fleet(&hosts(0), |fleet| {
        let agent = fleet.certs.agent("h1")?;
        let refusals = fleet.call_as(&agent, async |channel| Ok(operators_calls(channel).await))?;
        for (call, answer) in refusals {
            let Err(status) = answer else { anyhow::bail!("an agent may call {call}") };
            ensure!(status.code() == Code::PermissionDenied, "{call}: {status:?}");
            ensure!(Reason::NotPermitted.is_in(&status), "{call}: {status:?}");
        }
        ensure!(fleet.entries()?.is_empty(), "an agent's order was carried out");
        Ok(())
    });
}

async fn operators_calls(channel: Channel) -> Vec<(&'static str, Result<(), Status>)> {
    let block = BlockRequest { prefix: "203.0.113.91".into(), reason: "x".into(), ..Default::default() };
    let mut orders = OperatorServiceClient::new(channel.clone());
    let mut list = BlocklistServiceClient::new(channel.clone());
    let mut fleet = FleetServiceClient::new(channel);
    vec![
        ("Block", orders.block(block).await.map(drop)),
        ("Unblock", orders.unblock(sekisho_wire::pb::v1::UnblockRequest::default()).await.map(drop)),
        ("Allow", orders.allow(sekisho_wire::pb::v1::AllowRequest::default()).await.map(drop)),
        ("Disallow", orders.disallow(sekisho_wire::pb::v1::DisallowRequest::default()).await.map(drop)),
        ("ListEntries", list.list_entries(ListEntriesRequest::default()).await.map(drop)),
        ("GetStatus", list.get_status(GetStatusRequest {}).await.map(drop)),
        ("ListHosts", fleet.list_hosts(ListHostsRequest::default()).await.map(drop)),
    ]
}

#[test]
fn operators_may_not_report_and_nobody_may_speak_for_another_host() {
    with_fleet(&hosts(0), |fleet| {
        let hello = |host: &str| ReportHello { session: 1, host_id: host.to_owned(), ..Default::default() };
        let as_operator = first_answer(fleet, &fleet.operator, hello(""))?;
        ensure!(Reason::NotPermitted.is_in(&as_operator), "{as_operator:?}");
        let as_another = first_answer(fleet, &fleet.certs.agent("h1")?, hello("h2"))?;
        ensure!(Reason::HostMismatch.is_in(&as_another), "{as_another:?}");
        let nobody = fleet.certs.caller("nobody", "spiffe://lab/admin/eve")?;
        let as_nobody = first_answer(fleet, &nobody, hello(""))?;
        ensure!(as_nobody.code() == Code::PermissionDenied, "{as_nobody:?}");
        Ok(())
    });
}

/// The status that a hello gets, from the call itself or from its stream.
fn first_answer(fleet: &Fleet, files: &Files, hello: ReportHello) -> Result<Status> {
    fleet.call_as(files, async |channel| match Reporter::open_with(channel, Kind::Hello(hello)).await {
        Ok(mut reporter) => reporter.refusal().await,
        Err(error) => error.downcast::<Status>(),
    })
}

#[test]
fn without_a_certificate_of_the_authority_nobody_gets_in() {
    with_fleet(&hosts(0), |fleet| {
        let own = fleet.certs.agent("h1")?;
        let strangers = Certs::new(&fleet.path("strangers"))?.operator("eve")?;
        // The stranger knows our authority, and is not known by it.
        let stranger = Files { ca: own.ca.clone(), ..strangers };
        for (files, identity) in [(&own, false), (&stranger, true)] {
            let answer = grpc::block_on(&fleet.world.aggregator, async || {
                let channel = if identity {
                    grpc::channel(files).await?
                } else {
                    grpc::nameless_channel(files).await?
                };
                grpc::status(channel).await
            });
            ensure!(answer.is_err(), "let in: {answer:?}");
        }
        Ok(())
    });
}

#[test]
fn tls_1_2_is_refused() {
    with_fleet(&hosts(0), |fleet| {
        let files = &fleet.operator;
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let (ca, cert, key) = (path(&files.ca), path(&files.cert), path(&files.key));
        let url = format!("{}/", programs::url());
        let curl = |version: &str, max: &str| {
            let arguments = [
                "-sS",
                "-o",
                "/dev/null",
                "--http2-prior-knowledge",
                version,
                "--tls-max",
                max,
                "--cacert",
                &ca,
                "--cert",
                &cert,
                "--key",
                &key,
                &url,
            ];
            fleet.world.aggregator.command("curl", &arguments)
        };
        curl("--tlsv1.3", "1.3")?;
        let Err(error) = curl("--tlsv1.2", "1.2") else { anyhow::bail!("TLS 1.2 is taken") };
        let told = format!("{error:#}").to_lowercase();
        ensure!(told.contains("protocol version"), "{told}");
        Ok(())
    });
}
