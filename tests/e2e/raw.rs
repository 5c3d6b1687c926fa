//! gRPC frames with any bytes in them, also such as no generated client would send.

use anyhow::Result;
use bytes::{Buf as _, BufMut as _};
use sekisho_wire::pb::v1::ReportResponse;
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::Channel,
};

/// Sends `bytes` as the first message of a call of `method`, and returns how it ends.
pub(crate) async fn call(
    channel: Channel,
    method: &'static str,
    bytes: Vec<u8>,
) -> Result<Result<(), Status>> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await?;
    let path = PathAndQuery::from_static(method);
    let request = Request::new(tokio_stream::iter([bytes]));
    let mut answers = match grpc.streaming(request, path, Bytes).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return Ok(Err(status)),
    };
    loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Ok(Ok(())),
            Err(status) => return Ok(Err(status)),
        }
    }
}

/// Bytes as they are, out; nothing of interest, in.
#[derive(Clone, Copy)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = ReportResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = ReportResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<ReportResponse>, Status> {
        from.advance(from.remaining());
        Ok(Some(ReportResponse::default()))
    }
}
