//! An agent made by hand: says exactly what a test wants said, well-formed or not.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result, bail};
use sekisho_model::{Batch, HostId, Observation, Totals, Unit};
use sekisho_wire::{
    observation::encode,
    pb::v1::{
        ObservationBatch, ReportHello, ReportRequest, ReportResponse,
        observation_service_client::ObservationServiceClient, report_request::Kind,
    },
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// One report stream.
pub struct Reporter {
    requests: mpsc::Sender<ReportRequest>,
    answers: Streaming<ReportResponse>,
}

impl Reporter {
    /// Opens a stream and says hello.
    ///
    /// # Errors
    /// The aggregator refuses the stream.
    pub async fn open(channel: Channel, session: u64) -> Result<Self> {
        let hello = ReportHello { session, mode: "observe".to_owned(), ..ReportHello::default() };
        Self::open_with(channel, Kind::Hello(hello)).await
    }

    /// Opens a stream with any first message.
    ///
    /// # Errors
    /// The aggregator refuses the stream.
    pub async fn open_with(channel: Channel, first: Kind) -> Result<Self> {
        let (requests, queue) = mpsc::channel(16);
        requests.send(ReportRequest { kind: Some(first) }).await?;
        let mut client = ObservationServiceClient::new(channel).max_encoding_message_size(64 << 20);
        let answers = timeout(ANSWER_WITHIN, client.report(ReceiverStream::new(queue)));
        let answers = answers.await.context("the stream does not open")??;
        Ok(Self { requests, answers: answers.into_inner() })
    }

    /// Sends a batch as it is.
    ///
    /// # Errors
    /// The stream has ended.
    pub async fn send(&self, batch: ObservationBatch) -> Result<()> {
        let request = ReportRequest { kind: Some(Kind::Batch(batch)) };
        self.requests.send(request).await.context("the stream has ended")
    }

    /// Waits until everything up to `sequence` is durable.
    ///
    /// # Errors
    /// The status with which the stream ended.
    pub async fn durable(&mut self, sequence: i64) -> Result<()> {
        loop {
            match self.answer().await? {
                Ok(Some(answer)) if answer.durable_sequence >= sequence => return Ok(()),
                Ok(Some(_)) => {}
                Ok(None) => bail!("the stream ended before {sequence} was acknowledged"),
                Err(status) => return Err(status.into()),
            }
        }
    }

    /// Waits for the error that ends the stream.
    ///
    /// # Errors
    /// It ends without one, or not at all.
    pub async fn refusal(&mut self) -> Result<Status> {
        loop {
            match self.answer().await? {
                Ok(Some(_)) => {}
                Ok(None) => bail!("the stream ended without an error"),
                Err(status) => return Ok(status),
            }
        }
    }

    /// The next answer, or how the stream ended.
    ///
    /// # Errors
    /// Nothing comes.
    pub async fn answer(&mut self) -> Result<Result<Option<ReportResponse>, Status>> {
        timeout(ANSWER_WITHIN, self.answers.message()).await.context("the aggregator says nothing")
    }
}

/// A well-formed batch that saw each of `victims` stuck once.
///
/// # Errors
/// Never: the host's name, which is not sent, is a constant.
pub fn batch(sequence: u64, victims: &[IpAddr]) -> Result<ObservationBatch> {
    let row = |victim: &IpAddr| Observation { unit: Unit::of(*victim), sockets: 1, retransmits: 2 };
    let host: HostId = "unsent".parse()?;
    let batch = Batch {
        host,
        session: 0,
        sequence,
        age: Duration::ZERO,
        observations: victims.iter().map(row).collect(),
        hits: Vec::new(),
        completed: Vec::new(),
        totals: Totals::default(),
    };
    Ok(encode(&batch))
}
