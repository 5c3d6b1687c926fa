//! The subscription's messages.

use bytes::Bytes;
use sekisho_model::{
    Delta, Digest, Member, Moment, Position, Revision,
    feed::{Announcement, RefusalReason, Response},
};

use crate::{
    Malformed, packed,
    pb::v1::{self as pb, watch_request, watch_response},
    readable::{digest, digest_from, moment, position, position_from, timestamp},
};

/// A welcome, ready to send.
pub fn welcome(now: Moment, at: Position) -> pb::WatchResponse {
    let welcome = pb::WatchWelcome { server_time: Some(timestamp(now)), position: Some(position(at)) };
    response(watch_response::Kind::Welcome(welcome))
}

/// A delta whose changes are packed already.
pub fn delta(previous: Revision, revision: Revision, after: Digest, packed: Bytes) -> pb::WatchResponse {
    let delta = pb::Delta { previous: previous.0, revision: revision.0, digest: digest(after), packed };
    response(watch_response::Kind::Delta(delta))
}

/// The start of a snapshot.
pub fn snapshot_begin(at: Position, members: usize, of: Digest) -> pb::WatchResponse {
    let members = i64::try_from(members).unwrap_or(i64::MAX);
    let begin = pb::SnapshotBegin { position: Some(position(at)), members, digest: digest(of) };
    response(watch_response::Kind::SnapshotBegin(begin))
}

/// A part of a snapshot.
pub fn snapshot_chunk(members: &[Member]) -> pb::WatchResponse {
    response(watch_response::Kind::SnapshotChunk(pb::SnapshotChunk {
        packed: packed::encode_members(members),
    }))
}

/// The end of a snapshot.
pub fn snapshot_end() -> pb::WatchResponse {
    response(watch_response::Kind::SnapshotEnd(pb::SnapshotEnd {}))
}

/// A bookmark.
pub fn bookmark(at: Position, of: Digest) -> pb::WatchResponse {
    let bookmark = pb::Bookmark { position: Some(position(at)), digest: digest(of) };
    response(watch_response::Kind::Bookmark(bookmark))
}

fn response(kind: watch_response::Kind) -> pb::WatchResponse {
    pb::WatchResponse { kind: Some(kind) }
}

/// Reads what an aggregator says.
///
/// # Errors
/// The field that is missing or malformed.
pub fn announcement(message: &pb::WatchResponse) -> Result<Announcement, Malformed> {
    use watch_response::Kind;
    let kind = message.kind.as_ref().ok_or_else(|| Malformed::field("kind", "unknown message"))?;
    Ok(match kind {
        Kind::Welcome(welcome) => {
            let now = welcome
                .server_time
                .as_ref()
                .ok_or_else(|| Malformed::field("welcome.server_time", "missing"))?;
            Announcement::Welcome { now: moment(now), position: required(welcome.position.as_ref())? }
        }
        Kind::Delta(delta) => Announcement::Delta(Delta {
            previous: Revision(delta.previous),
            revision: Revision(delta.revision),
            changes: packed::decode(&delta.packed)?,
            digest: digest_from("delta.digest", &delta.digest)?,
        }),
        Kind::SnapshotBegin(begin) => Announcement::SnapshotBegin {
            position: required(begin.position.as_ref())?,
            members: u64::try_from(begin.members).unwrap_or(0),
            digest: digest_from("snapshot_begin.digest", &begin.digest)?,
        },
        Kind::SnapshotChunk(chunk) => Announcement::SnapshotChunk(packed::decode_members(&chunk.packed)?),
        Kind::SnapshotEnd(_) => Announcement::SnapshotEnd,
        Kind::Bookmark(bookmark) => Announcement::Bookmark {
            position: required(bookmark.position.as_ref())?,
            digest: digest_from("bookmark.digest", &bookmark.digest)?,
        },
    })
}

fn required(position: Option<&pb::Position>) -> Result<Position, Malformed> {
    position_from(position).ok_or_else(|| Malformed::field("position", "missing"))
}

/// What a subscriber says, as a message. `host_id` is for laboratories without certificates.
pub fn request(from: &Response, host_id: &str) -> pb::WatchRequest {
    let kind = match from {
        Response::Start { applied } => watch_request::Kind::Start(pb::WatchStart {
            position: applied.map(|(at, _)| position(at)),
            digest: applied.map(|(_, of)| digest(of)).unwrap_or_default(),
            host_id: host_id.to_owned(),
        }),
        Response::Applied { position: at, digest: of } => watch_request::Kind::Applied(pb::WatchApplied {
            position: Some(position(*at)),
            digest: digest(*of),
        }),
        Response::Refused { revision, reason, message } => watch_request::Kind::Refused(pb::WatchRefused {
            revision: revision.0,
            reason: refusal(*reason) as i32,
            message: message.clone(),
        }),
    };
    pb::WatchRequest { kind: Some(kind) }
}

/// Reads what a subscriber says.
///
/// # Errors
/// The field that is missing or malformed.
pub fn said(message: &pb::WatchRequest) -> Result<Response, Malformed> {
    use watch_request::Kind;
    let kind = message.kind.as_ref().ok_or_else(|| Malformed::field("kind", "unknown message"))?;
    Ok(match kind {
        Kind::Start(start) => {
            let applied = position_from(start.position.as_ref());
            let applied = applied.map(|at| digest_from("start.digest", &start.digest).map(|of| (at, of)));
            Response::Start { applied: applied.transpose()? }
        }
        Kind::Applied(applied) => Response::Applied {
            position: required(applied.position.as_ref())?,
            digest: digest_from("applied.digest", &applied.digest)?,
        },
        Kind::Refused(refused) => Response::Refused {
            revision: Revision(refused.revision),
            reason: refusal_from(refused.reason()),
            message: refused.message.chars().filter(|char| !char.is_control()).take(512).collect(),
        },
    })
}

fn refusal(reason: RefusalReason) -> pb::RefusalReason {
    match reason {
        RefusalReason::DigestMismatch => pb::RefusalReason::DigestMismatch,
        RefusalReason::OutOfOrder => pb::RefusalReason::OutOfOrder,
        RefusalReason::Undecodable => pb::RefusalReason::Undecodable,
        RefusalReason::Kernel => pb::RefusalReason::Kernel,
    }
}

fn refusal_from(reason: pb::RefusalReason) -> RefusalReason {
    match reason {
        pb::RefusalReason::DigestMismatch => RefusalReason::DigestMismatch,
        pb::RefusalReason::OutOfOrder => RefusalReason::OutOfOrder,
        pb::RefusalReason::Kernel => RefusalReason::Kernel,
        pb::RefusalReason::Undecodable | pb::RefusalReason::Unspecified => RefusalReason::Undecodable,
    }
}

#[cfg(test)]
mod tests {
    use sekisho_model::{Change, Epoch, List, Tier};

    use super::*;

    fn at(revision: i64) -> Position {
        Position { epoch: Epoch(9), revision: Revision(revision) }
    }

    #[test]
    fn every_announcement_round_trips() {
        let expires = Moment::from_millis(5_000);
        let member =
            Member { prefix: "203.0.113.7".parse().unwrap(), list: List::Block(Tier::Drop), expires };
        let gentle =
            Member { prefix: "203.0.113.8".parse().unwrap(), list: List::Block(Tier::Suppress), expires };
        let changes = vec![Change::Put(member), Change::Put(gentle)];
        let sum = Digest::of([&member, &gentle]);
        let pairs = [
            (welcome(expires, at(4)), Announcement::Welcome { now: expires, position: at(4) }),
            (
                delta(Revision(4), Revision(7), sum, packed::encode(&changes)),
                Announcement::Delta(Delta {
                    previous: Revision(4),
                    revision: Revision(7),
                    changes,
                    digest: sum,
                }),
            ),
            (
                snapshot_begin(at(7), 2, sum),
                Announcement::SnapshotBegin { position: at(7), members: 2, digest: sum },
            ),
            (snapshot_chunk(&[member, gentle]), Announcement::SnapshotChunk(vec![member, gentle])),
            (snapshot_end(), Announcement::SnapshotEnd),
            (bookmark(at(8), sum), Announcement::Bookmark { position: at(8), digest: sum }),
        ];
        for (message, meant) in pairs {
            assert_eq!(announcement(&message).unwrap(), meant);
        }
    }

    #[test]
    fn every_response_round_trips() {
        let refused =
            |reason| Response::Refused { revision: Revision(3), reason, message: "set full".into() };
        for response in [
            Response::Start { applied: None },
            Response::Start { applied: Some((at(3), Digest(77))) },
            Response::Applied { position: at(3), digest: Digest(77) },
            refused(RefusalReason::DigestMismatch),
            refused(RefusalReason::OutOfOrder),
            refused(RefusalReason::Undecodable),
            refused(RefusalReason::Kernel),
        ] {
            assert_eq!(said(&request(&response, "edge-1")).unwrap(), response);
        }
    }

    #[test]
    fn missing_parts_are_named() {
        assert_eq!(said(&pb::WatchRequest { kind: None }).unwrap_err().field, "kind");
        let short = pb::WatchApplied { position: Some(position(at(1))), digest: vec![1; 3].into() };
        let short = pb::WatchRequest { kind: Some(watch_request::Kind::Applied(short)) };
        assert_eq!(said(&short).unwrap_err().field, "applied.digest");
        assert_eq!(announcement(&pb::WatchResponse { kind: None }).unwrap_err().field, "kind");
    }
}
