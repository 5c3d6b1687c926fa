//! Reports: the packed columns of a batch, and the rows that they mean.

use std::{iter, net::IpAddr, time::Duration};

use bytes::Bytes;
use sekisho_model::{
    Batch, Completed, Hit, HostId, Observation, Tier, Totals, Unit,
    limits::{MAX_BATCH_ROWS, MAX_HOST_ADDRESSES, MAX_OBSERVATION_AGE},
    never::is_unlistable,
};

use crate::{Malformed, Reason, answers, pb::v1 as pb, readable};

/// Packs a batch, IPv4 rows first.
pub fn encode(batch: &Batch) -> pb::ObservationBatch {
    let mut seen = Columns::default();
    let (mut sockets, mut retransmits) = (Vec::new(), Vec::new());
    for row in by_family(&batch.observations, |row| row.unit) {
        seen.push(row.unit);
        sockets.push(row.sockets);
        retransmits.push(u32::from(row.retransmits));
    }
    let mut hit = Columns::default();
    let (mut hit_packets, mut hit_tiers) = (Vec::new(), Vec::new());
    for row in by_family(&batch.hits, |row| row.unit) {
        hit.push(row.unit);
        hit_packets.push(row.packets);
        hit_tiers.push(readable::tier(row.tier) as i32);
    }
    if batch.hits.iter().all(|row| row.tier == Tier::Drop) {
        hit_tiers.clear();
    }
    let mut completed = Columns::default();
    let mut completed_connections = Vec::new();
    for row in by_family(&batch.completed, |row| row.unit) {
        completed.push(row.unit);
        completed_connections.push(row.connections);
    }
    pb::ObservationBatch {
        sequence: i64::try_from(batch.sequence).unwrap_or(i64::MAX),
        age_ms: i64::try_from(batch.age.as_millis()).unwrap_or(i64::MAX),
        ipv4: seen.v4.into(),
        ipv6: seen.v6.into(),
        sockets,
        retransmits,
        hit_ipv4: hit.v4.into(),
        hit_ipv6: hit.v6.into(),
        hit_packets,
        totals: Some(totals(&batch.totals)),
        hit_tiers,
        completed_ipv4: completed.v4.into(),
        completed_ipv6: completed.v6.into(),
        completed_connections,
    }
}

/// Unpacks a batch of `host` in its life `session`.
///
/// # Errors
/// The field that is malformed: columns that do not fit each other, a sequence below 1, a negative age,
/// a count that must not be 0, an unknown tier.
pub fn decode(host: HostId, session: u64, batch: &pb::ObservationBatch) -> Result<Batch, Malformed> {
    let sequence = u64::try_from(batch.sequence).ok().filter(|sequence| *sequence > 0);
    let sequence = sequence.ok_or_else(|| Malformed::field("batch.sequence", "must be from 1"))?;
    let units = units("batch.ipv4", &batch.ipv4, "batch.ipv6", &batch.ipv6)?;
    same_length("batch.sockets", batch.sockets.len(), units.len())?;
    same_length("batch.retransmits", batch.retransmits.len(), units.len())?;
    let observations = units.into_iter().zip(&batch.sockets).zip(&batch.retransmits);
    let observations = observations.map(|((unit, sockets), retransmits)| {
        let retransmits = u8::try_from(*retransmits).ok().filter(|count| *count > 0);
        let retransmits =
            retransmits.ok_or_else(|| Malformed::field("batch.retransmits", "must be from 1 to 255"))?;
        Ok(Observation { unit, sockets: *sockets, retransmits })
    });
    Ok(Batch {
        host,
        session,
        sequence,
        age: age(batch.age_ms)?,
        observations: observations.collect::<Result<_, _>>()?,
        hits: hits(batch)?,
        completed: completed(batch)?,
        totals: batch.totals.as_ref().map(totals_from).unwrap_or_default(),
    })
}

/// Without a column of tiers all hits are at drop: the agent, or whoever wrote the log, knew no other.
fn hits(batch: &pb::ObservationBatch) -> Result<Vec<Hit>, Malformed> {
    let units = units("batch.hit_ipv4", &batch.hit_ipv4, "batch.hit_ipv6", &batch.hit_ipv6)?;
    same_length("batch.hit_packets", batch.hit_packets.len(), units.len())?;
    if !batch.hit_tiers.is_empty() {
        same_length("batch.hit_tiers", batch.hit_tiers.len(), units.len())?;
    }
    let tiers = batch.hit_tiers.iter().map(|tier| readable::tier_from("batch.hit_tiers", *tier));
    let tiers = tiers.chain(iter::repeat(Ok(Tier::Drop)));
    let rows = units.into_iter().zip(&batch.hit_packets).zip(tiers);
    rows.map(|((unit, packets), tier)| Ok(Hit { unit, tier: tier?, packets: *packets })).collect()
}

fn completed(batch: &pb::ObservationBatch) -> Result<Vec<Completed>, Malformed> {
    let (v4, v6) = (&batch.completed_ipv4, &batch.completed_ipv6);
    let units = units("batch.completed_ipv4", v4, "batch.completed_ipv6", v6)?;
    let field = "batch.completed_connections";
    same_length(field, batch.completed_connections.len(), units.len())?;
    let row = |(unit, connections): (Unit, &u32)| match *connections {
        0 => Err(Malformed::field(field, "must be at least 1")),
        connections => Ok(Completed { unit, connections }),
    };
    units.into_iter().zip(&batch.completed_connections).map(row).collect()
}

/// Checks what only a batch from the network must keep. The log is not asked again: what was taken
/// once stays readable when a limit changes.
///
/// # Errors
/// More than [`MAX_BATCH_ROWS`] rows, an age over [`MAX_OBSERVATION_AGE`], an address that can never be
/// listed.
pub fn admit(batch: &Batch) -> Result<(), Malformed> {
    let rows = batch.observations.len() + batch.hits.len() + batch.completed.len();
    if rows > MAX_BATCH_ROWS {
        let problem = format!("{rows} rows; at most {MAX_BATCH_ROWS} a batch");
        return Err(Malformed { reason: Reason::LimitReached, field: "batch.ipv4", problem });
    }
    if batch.age > MAX_OBSERVATION_AGE {
        let (age, max) = (batch.age.as_millis(), MAX_OBSERVATION_AGE.as_millis());
        let problem = format!("{age} is over {max} ms: too old to count");
        return Err(Malformed { reason: Reason::ObservationTooOld, field: "batch.age_ms", problem });
    }
    let seen = batch.observations.iter().map(|row| ("batch.ipv4", "batch.ipv6", row.unit));
    let hit = batch.hits.iter().map(|row| ("batch.hit_ipv4", "batch.hit_ipv6", row.unit));
    let completed =
        batch.completed.iter().map(|row| ("batch.completed_ipv4", "batch.completed_ipv6", row.unit));
    match seen.chain(hit).chain(completed).find(|(.., unit)| is_unlistable(&unit.prefix())) {
        Some((v4, v6, unit)) => Err(Malformed {
            reason: Reason::NeverListed,
            field: if matches!(unit, Unit::V4(_)) { v4 } else { v6 },
            problem: format!("{} can never be listed, so no agent may report it", unit.prefix()),
        }),
        None => Ok(()),
    }
}

/// The totals as a message.
pub fn totals(totals: &Totals) -> pb::HostTotals {
    let count = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    pb::HostTotals {
        half_open: count(totals.half_open),
        cookies_sent_full: count(totals.cookies_sent_full),
        cookies_sent: count(totals.cookies_sent),
        truncated: count(totals.truncated),
        dropped_packets: count(totals.dropped_packets),
        completed: count(totals.completed),
        stuck_units: count(totals.stuck_units),
        answers: Some(answers::encode(&totals.answers)),
    }
}

/// The totals of a message; a negative count is 0.
pub fn totals_from(totals: &pb::HostTotals) -> Totals {
    let count = |value: i64| u64::try_from(value).unwrap_or(0);
    Totals {
        half_open: count(totals.half_open),
        cookies_sent_full: count(totals.cookies_sent_full),
        cookies_sent: count(totals.cookies_sent),
        truncated: count(totals.truncated),
        dropped_packets: count(totals.dropped_packets),
        completed: count(totals.completed),
        stuck_units: count(totals.stuck_units),
        answers: totals.answers.as_ref().map(answers::decode).unwrap_or_default(),
    }
}

/// An address as 4 or 16 bytes.
pub fn address(address: &IpAddr) -> Bytes {
    match address {
        IpAddr::V4(v4) => Bytes::copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => Bytes::copy_from_slice(&v6.octets()),
    }
}

/// Addresses of 4 or 16 bytes each.
///
/// # Errors
/// `field` when one has another length, or there are more than [`MAX_HOST_ADDRESSES`].
pub fn addresses(field: &'static str, list: &[Bytes]) -> Result<Vec<IpAddr>, Malformed> {
    if list.len() > MAX_HOST_ADDRESSES {
        let problem = format!("{} addresses; at most {MAX_HOST_ADDRESSES}", list.len());
        return Err(Malformed { reason: Reason::LimitReached, field, problem });
    }
    list.iter()
        .map(|bytes| match (<[u8; 4]>::try_from(&bytes[..]), <[u8; 16]>::try_from(&bytes[..])) {
            (Ok(v4), _) => Ok(IpAddr::from(v4)),
            (_, Ok(v6)) => Ok(IpAddr::from(v6).to_canonical()),
            _ => Err(Malformed::field(
                field,
                format!("an address of {} bytes; 4 or 16 are right", bytes.len()),
            )),
        })
        .collect()
}

fn age(millis: i64) -> Result<Duration, Malformed> {
    u64::try_from(millis).map(Duration::from_millis).map_err(|_| Malformed {
        reason: Reason::ObservationFromFuture,
        field: "batch.age_ms",
        problem: format!("{millis} is negative: seen in the future"),
    })
}

fn units(
    v4: &'static str,
    v4_bytes: &[u8],
    v6: &'static str,
    v6_bytes: &[u8],
) -> Result<Vec<Unit>, Malformed> {
    let (fours, rest4) = v4_bytes.as_chunks::<4>();
    let (sixes, rest6) = v6_bytes.as_chunks::<8>();
    for (field, size, rest) in [(v4, 4, rest4.len()), (v6, 8, rest6.len())] {
        if rest != 0 {
            return Err(Malformed::field(field, format!("length must be a multiple of {size}")));
        }
    }
    let fours = fours.iter().map(|bytes| Unit::V4(u32::from_be_bytes(*bytes)));
    let sixes = sixes.iter().map(|bytes| Unit::V6(u64::from_be_bytes(*bytes)));
    Ok(fours.chain(sixes).collect())
}

fn same_length(field: &'static str, length: usize, rows: usize) -> Result<(), Malformed> {
    if length == rows {
        return Ok(());
    }
    Err(Malformed::field(field, format!("{length} values for {rows} rows; there must be one for each")))
}

fn by_family<T>(rows: &[T], unit: impl Fn(&T) -> Unit + Copy) -> impl Iterator<Item = &T> {
    let of = move |four: bool| rows.iter().filter(move |row| matches!(unit(row), Unit::V4(_)) == four);
    of(true).chain(of(false))
}

#[derive(Default)]
struct Columns {
    v4: Vec<u8>,
    v6: Vec<u8>,
}

impl Columns {
    fn push(&mut self, unit: Unit) {
        match unit {
            Unit::V4(bits) => self.v4.extend(bits.to_be_bytes()),
            Unit::V6(bits) => self.v6.extend(bits.to_be_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn listable(four: bool, bits: u64) -> Unit {
        #[expect(clippy::cast_possible_truncation, reason = "any 24 bits serve")]
        let low = bits as u32 & 0x00ff_ffff;
        if four { Unit::V4(0xc600_0000 | low) } else { Unit::V6(0x2001_0db8_0000_0000 | u64::from(low)) }
    }

    fn any_batch() -> impl Strategy<Value = Batch> {
        let row = (any::<bool>(), any::<u64>(), any::<u32>(), 1u8..);
        let hit = (any::<bool>(), any::<u64>(), any::<bool>(), any::<u64>());
        let completed = (any::<bool>(), any::<u64>(), 1u32..);
        let totals = (any::<i64>(), any::<i64>()).prop_map(|(completed, stuck)| Totals {
            completed: completed.unsigned_abs() >> 1,
            stuck_units: stuck.unsigned_abs() >> 1,
            ..Totals::default()
        });
        (1u64..1 << 60, 0u64..600_000, vec(row, 0..50), vec(hit, 0..50), vec(completed, 0..50), totals)
            .prop_map(|(sequence, age, rows, hits, completed, totals)| {
                let observation = |(four, bits, sockets, retransmits)| Observation {
                    unit: listable(four, bits),
                    sockets,
                    retransmits,
                };
                let mut observations: Vec<_> = rows.into_iter().map(observation).collect();
                observations.sort_by_key(|row| row.unit);
                let mut hits: Vec<_> = hits
                    .into_iter()
                    .map(|(four, bits, gentle, packets)| {
                        let tier = if gentle { Tier::Suppress } else { Tier::Drop };
                        Hit { unit: listable(four, bits), tier, packets }
                    })
                    .collect();
                hits.sort_by_key(|row| row.unit);
                let mut completed: Vec<_> = completed
                    .into_iter()
                    .map(|(four, bits, connections)| Completed { unit: listable(four, bits), connections })
                    .collect();
                completed.sort_by_key(|row| row.unit);
                let host = "edge-1".parse().unwrap();
                let age = Duration::from_millis(age);
                Batch { host, session: 7, sequence, age, observations, hits, completed, totals }
            })
    }

    fn good() -> pb::ObservationBatch {
        let observations = vec![Observation { unit: listable(true, 7), sockets: 1, retransmits: 1 }];
        let hits = vec![Hit { unit: listable(true, 8), tier: Tier::Suppress, packets: 3 }];
        let completed = vec![Completed { unit: listable(true, 9), connections: 2 }];
        let (age, totals) = (Duration::ZERO, Totals::default());
        let host = "edge-1".parse().unwrap();
        encode(&Batch { host, session: 1, sequence: 1, age, observations, hits, completed, totals })
    }

    fn refused(change: impl FnOnce(&mut pb::ObservationBatch)) -> (Reason, &'static str) {
        let mut batch = good();
        change(&mut batch);
        let decoded = decode("edge-1".parse().unwrap(), 1, &batch);
        let malformed = decoded.and_then(|batch| admit(&batch)).unwrap_err();
        (malformed.reason, malformed.field)
    }

    fn many_rows(batch: &mut pb::ObservationBatch) {
        // With the hit and the counter-evidence of a good batch it is one too many.
        batch.ipv4 = vec![198; 4 * (MAX_BATCH_ROWS - 1)].into();
        batch.sockets = vec![1; MAX_BATCH_ROWS - 1];
        batch.retransmits = vec![1; MAX_BATCH_ROWS - 1];
    }

    #[test]
    fn malformed_batches_name_their_field() {
        assert!(decode("edge-1".parse().unwrap(), 1, &good()).is_ok());
        assert_eq!(refused(|b| b.ipv4 = vec![1; 5].into()), (Reason::MalformedField, "batch.ipv4"));
        assert_eq!(refused(|b| b.ipv6 = vec![1; 9].into()), (Reason::MalformedField, "batch.ipv6"));
        assert_eq!(refused(|b| b.sequence = 0), (Reason::MalformedField, "batch.sequence"));
        assert_eq!(refused(|b| b.sequence = -1), (Reason::MalformedField, "batch.sequence"));
        assert_eq!(refused(|b| b.sockets.push(1)), (Reason::MalformedField, "batch.sockets"));
        assert_eq!(refused(|b| b.retransmits[0] = 0), (Reason::MalformedField, "batch.retransmits"));
        assert_eq!(refused(|b| b.retransmits[0] = 256), (Reason::MalformedField, "batch.retransmits"));
        assert_eq!(refused(|b| b.hit_packets.push(1)), (Reason::MalformedField, "batch.hit_packets"));
        assert_eq!(refused(|b| b.age_ms = -1), (Reason::ObservationFromFuture, "batch.age_ms"));
        assert_eq!(refused(|b| b.age_ms = 600_001), (Reason::ObservationTooOld, "batch.age_ms"));
        assert_eq!(refused(|b| b.ipv4 = vec![127, 0, 0, 1].into()), (Reason::NeverListed, "batch.ipv4"));
        assert_eq!(refused(many_rows), (Reason::LimitReached, "batch.ipv4"));
    }

    #[test]
    fn malformed_hits_and_counter_evidence_name_their_field() {
        let malformed = |field| (Reason::MalformedField, field);
        assert_eq!(refused(|b| b.hit_tiers.push(1)), malformed("batch.hit_tiers"));
        assert_eq!(refused(|b| b.hit_tiers[0] = 9), malformed("batch.hit_tiers"));
        assert_eq!(refused(|b| b.completed_ipv4 = vec![1; 3].into()), malformed("batch.completed_ipv4"));
        assert_eq!(refused(|b| b.completed_ipv6 = vec![1; 9].into()), malformed("batch.completed_ipv6"));
        assert_eq!(refused(|b| b.completed_connections[0] = 0), malformed("batch.completed_connections"));
        assert_eq!(refused(|b| b.completed_connections.push(1)), malformed("batch.completed_connections"));
        let never = refused(|b| b.completed_ipv4 = vec![127, 0, 0, 1].into());
        assert_eq!(never, (Reason::NeverListed, "batch.completed_ipv4"));
    }

    #[test]
    fn hits_of_an_agent_that_knows_one_tier_are_at_drop() {
        let mut old = good();
        old.hit_tiers.clear();
        let batch = decode("edge-1".parse().unwrap(), 1, &old).unwrap();
        assert_eq!(batch.hits, [Hit { unit: listable(true, 8), tier: Tier::Drop, packets: 3 }]);
        assert!(encode(&batch).hit_tiers.is_empty(), "and cost nothing");
    }

    proptest! {
        #[test]
        fn batches_round_trip(batch in any_batch()) {
            prop_assert_eq!(decode(batch.host.clone(), batch.session, &encode(&batch)).unwrap(), batch);
        }

        #[test]
        fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
            use prost::Message;
            if let Ok(batch) = pb::ObservationBatch::decode(&bytes[..]) {
                let _ = decode("edge-1".parse().unwrap(), 1, &batch);
            }
        }
    }
}
