//! What operators read: entries, allowances, orders and moments as text and well-known types.

use std::time::Duration;

use prost_types::Timestamp;
use sekisho_model::{
    Allowed, Digest, Entry, Epoch, Moment, Position, Prefix, Reason, RequestId, Revision, Tier,
    limits::{MAX_ALLOW_TTL, MAX_REASON_BYTES},
};

use crate::{Malformed, pb::v1 as pb};

/// A moment as a Timestamp.
pub fn timestamp(moment: Moment) -> Timestamp {
    let millis = moment.as_millis();
    let nanos = i32::try_from(millis.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    Timestamp { seconds: millis.div_euclid(1_000), nanos }
}

/// A Timestamp as a moment, to the millisecond.
pub fn moment(timestamp: &Timestamp) -> Moment {
    let millis =
        timestamp.seconds.saturating_mul(1_000).saturating_add(i64::from(timestamp.nanos / 1_000_000));
    Moment::from_millis(millis)
}

/// A Duration field; `default` when it is absent.
///
/// # Errors
/// `field` when it is negative or out of the range that protobuf allows.
pub fn duration(
    field: &'static str,
    value: Option<prost_types::Duration>,
    default: Duration,
) -> Result<Duration, Malformed> {
    match value {
        None => Ok(default),
        Some(value) => Duration::try_from(value).map_err(|_| Malformed::field(field, "must not be negative")),
    }
}

/// A prefix as text.
///
/// # Errors
/// `prefix`, with what to write instead.
pub fn prefix(text: &str) -> Result<Prefix, Malformed> {
    text.parse().map_err(|error: sekisho_model::PrefixError| Malformed::field("prefix", error.to_string()))
}

/// An operator's words.
///
/// # Errors
/// `reason` when it is empty, too long, or has control characters.
pub fn reason_text(text: &str) -> Result<String, Malformed> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_REASON_BYTES || text.chars().any(char::is_control) {
        let problem = format!("say why, in 1 to {MAX_REASON_BYTES} bytes without line breaks");
        return Err(Malformed::field("reason", problem));
    }
    Ok(text.to_owned())
}

/// The caller's name for an order; none for the empty one.
///
/// # Errors
/// `request_id`, with what to write instead.
pub fn request_id(text: &str) -> Result<Option<RequestId>, Malformed> {
    let named = |error: sekisho_model::IdentityError| Malformed::field("request_id", error.to_string());
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(named) }
}

/// A position as a message.
pub fn position(position: Position) -> pb::Position {
    pb::Position { epoch: position.epoch.0, revision: position.revision.0 }
}

/// A position from a message; none for the absent one and for epoch 0.
pub fn position_from(position: Option<&pb::Position>) -> Option<Position> {
    let position = position.filter(|position| position.epoch != 0)?;
    Some(Position { epoch: Epoch(position.epoch), revision: Revision(position.revision) })
}

/// A digest as 16 bytes, big-endian.
pub fn digest(digest: Digest) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(&digest.0.to_be_bytes())
}

/// A digest from 16 bytes.
///
/// # Errors
/// `field` when there are not 16.
pub fn digest_from(field: &'static str, bytes: &[u8]) -> Result<Digest, Malformed> {
    let bytes = <[u8; 16]>::try_from(bytes);
    bytes
        .map(|bytes| Digest(u128::from_be_bytes(bytes)))
        .map_err(|_| Malformed::field(field, "must be 16 bytes"))
}

/// An entry as a message.
pub fn entry(entry: &Entry) -> pb::Entry {
    let kind = match &entry.reason {
        Reason::Quorum { hosts, quorum } => {
            pb::reason::Kind::Quorum(pb::QuorumReason { hosts: count(*hosts), quorum: count(*quorum) })
        }
        Reason::Prefix { hosts, quorum, units, least } => pb::reason::Kind::Prefix(pb::PrefixReason {
            hosts: count(*hosts),
            quorum: count(*quorum),
            units: count(*units),
            least_units: count(*least),
        }),
        Reason::Order { operator, text } => {
            pb::reason::Kind::Order(pb::OrderReason { operator: operator.to_string(), text: text.clone() })
        }
    };
    pb::Entry {
        prefix: entry.prefix.to_string(),
        tier: tier(entry.tier) as i32,
        reason: Some(pb::Reason { kind: Some(kind) }),
        create_time: Some(timestamp(entry.created)),
        expire_time: Some(timestamp(entry.expires)),
        renewals: count(entry.renewals),
        repeats: count(entry.repeats),
        revision: entry.revision.0,
    }
}

/// An allowance as a message; one that lasts for ever has no `expire_time`.
pub fn allowed(allowed: &Allowed) -> pb::AllowlistEntry {
    let ends = allowed.expires < allowed.created + MAX_ALLOW_TTL;
    pb::AllowlistEntry {
        prefix: allowed.prefix.to_string(),
        operator: allowed.operator.to_string(),
        reason: allowed.text.clone(),
        create_time: Some(timestamp(allowed.created)),
        expire_time: ends.then(|| timestamp(allowed.expires)),
        revision: allowed.revision.0,
    }
}

/// A tier as a message.
pub fn tier(tier: Tier) -> pb::Tier {
    match tier {
        Tier::Suppress => pb::Tier::Suppress,
        Tier::Drop => pb::Tier::Drop,
    }
}

/// A tier from a message; [`Tier::Drop`] for the unspecified one, which callers that know no other send.
///
/// # Errors
/// `field` for a tier that this version does not know.
pub fn tier_from(field: &'static str, number: i32) -> Result<Tier, Malformed> {
    match pb::Tier::try_from(number) {
        Ok(pb::Tier::Suppress) => Ok(Tier::Suppress),
        Ok(pb::Tier::Drop | pb::Tier::Unspecified) => Ok(Tier::Drop),
        Err(_) => Err(Malformed::field(field, format!("unknown tier {number}; a newer version knows it"))),
    }
}

/// A count that is small by its limits.
pub fn count(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reasons_are_asked_for() {
        assert_eq!(reason_text("  under attack ").unwrap(), "under attack");
        for bad in ["", "   ", "a\nb", &"x".repeat(513)] {
            assert_eq!(reason_text(bad).unwrap_err().field, "reason");
        }
    }

    #[test]
    fn tiers_round_trip_and_a_newer_one_is_refused() {
        for there in [Tier::Suppress, Tier::Drop] {
            assert_eq!(tier_from("tier", tier(there) as i32), Ok(there));
        }
        assert_eq!(tier_from("tier", 0), Ok(Tier::Drop), "what was sent before there were two");
        assert!(tier_from("tier", 9).unwrap_err().problem.contains("unknown tier 9"));
    }

    #[test]
    fn request_ids_are_names_or_absent() {
        assert_eq!(request_id(""), Ok(None));
        assert_eq!(request_id("deploy-7").unwrap().unwrap().as_str(), "deploy-7");
        assert_eq!(request_id("a b").unwrap_err().field, "request_id");
    }

    #[test]
    fn each_reason_is_told_in_full() {
        let told = |reason| {
            let (created, expires) = (Moment::EPOCH, Moment::from_millis(9));
            let (prefix, tier) = ("203.0.113.0/24".parse().unwrap(), Tier::Suppress);
            let (renewals, repeats, revision) = (0, 0, Revision(3));
            let message =
                entry(&Entry { prefix, tier, reason, created, expires, renewals, repeats, revision });
            assert_eq!(message.tier(), pb::Tier::Suppress);
            message.reason.unwrap().kind.unwrap()
        };
        let quorum = pb::QuorumReason { hosts: 4, quorum: 3 };
        assert_eq!(told(Reason::Quorum { hosts: 4, quorum: 3 }), pb::reason::Kind::Quorum(quorum));
        let bombed = pb::PrefixReason { hosts: 4, quorum: 2, units: 9, least_units: 5 };
        let reason = Reason::Prefix { hosts: 4, quorum: 2, units: 9, least: 5 };
        assert_eq!(told(reason), pb::reason::Kind::Prefix(bombed));
        let order = pb::OrderReason { operator: "ana".into(), text: "drill".into() };
        let reason = Reason::Order { operator: "ana".parse().unwrap(), text: "drill".into() };
        assert_eq!(told(reason), pb::reason::Kind::Order(order));
    }

    #[test]
    fn an_allowance_for_ever_shows_no_end() {
        let created = Moment::from_millis(1_000);
        let mut value = Allowed {
            prefix: "203.0.113.7".parse().unwrap(),
            operator: "ana".parse().unwrap(),
            text: "monitoring".into(),
            created,
            expires: created + MAX_ALLOW_TTL,
            revision: Revision(1),
        };
        assert_eq!(allowed(&value).expire_time, None);
        value.expires = created + Duration::from_secs(60);
        assert!(allowed(&value).expire_time.is_some());
    }

    proptest! {
        #[test]
        fn moments_round_trip(millis in -60_000_000_000_000i64..60_000_000_000_000) {
            let there = timestamp(Moment::from_millis(millis));
            prop_assert!((0..1_000_000_000).contains(&there.nanos));
            prop_assert_eq!(moment(&there), Moment::from_millis(millis));
        }

        #[test]
        fn positions_and_digests_round_trip(epoch in 1i64.., revision: i64, bits: u128) {
            let there = Position { epoch: Epoch(epoch), revision: Revision(revision) };
            prop_assert_eq!(position_from(Some(&position(there))), Some(there));
            prop_assert_eq!(digest_from("digest", &digest(Digest(bits))), Ok(Digest(bits)));
        }
    }
}
