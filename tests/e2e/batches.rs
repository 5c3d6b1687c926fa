//! Malformed reports: the one stream ends with an error that names the field, and nobody else notices.

use anyhow::{Result, bail, ensure};
use sekisho_lab::{
    Fleet,
    reporter::{self, Reporter},
};
use sekisho_wire::{
    Reason,
    pb::v1::{ObservationBatch, report_request::Kind},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{hosts, ip, with_fleet};

/// A batch that is refused: its name, itself, and the reason and the field that the error must have.
type Case = (&'static str, ObservationBatch, Reason, &'static str);

fn cases() -> Result<Vec<Case>> {
    let good = reporter::batch(2, &[ip("203.0.113.121")])?;
    let with = |change: fn(&mut ObservationBatch)| {
        let mut batch = good.clone();
        change(&mut batch);
        batch
    };
    Ok(vec![
        ("IPv4 of 5 bytes", with(|b| b.ipv4 = vec![1; 5].into()), Reason::MalformedField, "batch.ipv4"),
        ("IPv6 of 9 bytes", with(|b| b.ipv6 = vec![32; 9].into()), Reason::MalformedField, "batch.ipv6"),
        ("a column too short", with(|b| b.sockets.clear()), Reason::MalformedField, "batch.sockets"),
        ("no retransmits", with(|b| b.retransmits = vec![0]), Reason::MalformedField, "batch.retransmits"),
        ("too old", with(|b| b.age_ms = 600_001), Reason::ObservationTooOld, "batch.age_ms"),
        ("in the future", with(|b| b.age_ms = -1), Reason::ObservationFromFuture, "batch.age_ms"),
        ("loopback", with(|b| b.ipv4 = vec![127, 0, 0, 1].into()), Reason::NeverListed, "batch.ipv4"),
        ("out of order", with(|b| b.sequence = 4), Reason::SequenceOutOfOrder, "batch.sequence"),
        ("repeated", with(|b| b.sequence = 1), Reason::SequenceRepeated, "batch.sequence"),
        ("sequence 0", with(|b| b.sequence = 0), Reason::MalformedField, "batch.sequence"),
        ("too many rows", many(10_001), Reason::LimitReached, "batch.ipv4"),
    ])
}

fn many(rows: usize) -> ObservationBatch {
    ObservationBatch {
        sequence: 2,
        ipv4: [203, 0, 113, 9].repeat(rows).into(),
        sockets: vec![1; rows],
        retransmits: vec![1; rows],
        ..Default::default()
    }
}

#[test]
fn malformed_batches_end_their_own_stream_only() {
    with_fleet(&hosts(1), |fleet| {
        for (name, batch, reason, field) in cases()? {
            let status = refused(fleet, batch).map_err(|error| error.context(name))?;
            about(name, &status, reason, field)?;
        }
        let unaffected = fleet.hosts()?.into_iter().find(|host| host.host_id == "h1");
        ensure!(unaffected.is_some_and(|host| host.connected && host.watching), "a bystander was cut off");
        // Everything before the malformed batch kept its effect: two more hosts make the quorum.
        for host in ["x", "y"] {
            acknowledged(fleet, host)?;
        }
        ensure!(fleet.entry_of(ip("203.0.113.120"))?.is_some(), "what came before was lost");
        Ok(())
    });
}

/// Sends a good batch and then `batch`, and returns the status with which the stream ends.
fn refused(fleet: &Fleet, batch: ObservationBatch) -> Result<Status> {
    fleet.call_as(&fleet.certs.agent("bad")?, async |channel| {
        let mut reporter = Reporter::open(channel, 7).await?;
        reporter.send(reporter::batch(1, &[ip("203.0.113.120")])?).await?;
        reporter.durable(1).await?;
        reporter.send(batch).await?;
        reporter.refusal().await
    })
}

fn acknowledged(fleet: &Fleet, host: &str) -> Result<()> {
    fleet.call_as(&fleet.certs.agent(host)?, async |channel| {
        let mut reporter = Reporter::open(channel, 1).await?;
        reporter.send(reporter::batch(1, &[ip("203.0.113.120")])?).await?;
        reporter.durable(1).await
    })
}

fn about(name: &str, status: &Status, reason: Reason, field: &str) -> Result<()> {
    ensure!(status.code() == reason.code(), "{name}: {status:?}");
    ensure!(reason.is_in(status), "{name}: not {}: {status:?}", reason.as_str());
    let named = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    ensure!(named.iter().any(|violation| violation.field == field), "{name}: {field} is not in {named:?}");
    Ok(())
}

#[test]
fn hello_is_first_and_only_first() {
    with_fleet(&hosts(0), |fleet| {
        let files = fleet.certs.agent("rude")?;
        let batch = reporter::batch(1, &[ip("203.0.113.122")])?;
        let status = fleet.call_as(&files, async |channel| {
            match Reporter::open_with(channel, Kind::Batch(batch)).await {
                Ok(mut reporter) => reporter.refusal().await,
                Err(error) => error.downcast::<Status>(),
            }
        })?;
        ensure!(Reason::HelloExpected.is_in(&status), "{status:?}");
        Ok(())
    });
}

#[test]
fn oversized_and_undecodable_messages_are_refused() {
    with_fleet(&hosts(0), |fleet| {
        let files = fleet.certs.agent("big")?;
        let huge = ObservationBatch { sequence: 2, ipv4: vec![9; 2 << 20].into(), ..Default::default() };
        let status = refused(fleet, huge)?;
        ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
        ensure!(Reason::LimitReached.is_in(&status), "{status:?}");
        for (files, method) in [
            (&files, "/sekisho.v1.ObservationService/Report"),
            (&fleet.operator, "/sekisho.v1.OperatorService/Block"),
        ] {
            let send =
                |bytes| fleet.call_as(files, async |channel| crate::raw::call(channel, method, bytes).await);
            let Err(status) = send(vec![0xff; 64])? else { bail!("garbage is taken for a message") };
            ensure!(status.code() == Code::InvalidArgument, "{method}: {status:?}");
            ensure!(Reason::MalformedField.is_in(&status), "{method}: {status:?}");
            let Err(status) = send(vec![0; 2 << 20])? else { bail!("2 MiB are taken") };
            ensure!(status.code() == Code::ResourceExhausted, "{method}: {status:?}");
            ensure!(Reason::LimitReached.is_in(&status), "{method}: {status:?}");
        }
        Ok(())
    });
}
