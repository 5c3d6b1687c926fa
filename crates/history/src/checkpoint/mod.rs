//! The engine's state as bytes and back: parts of bounded size, each behind its length.

mod head;
mod hosts;
mod lists;
mod old;
mod units;

#[cfg(test)]
mod tests;

use std::str::FromStr;

use prost::Message;
use sekisho_engine::Checkpoint;
use sekisho_wire::{Malformed, pb::log::v1 as pb};

/// The format that is written: with tiers, prefixes and counter-evidence. 1 is read as well.
const FORMAT: u32 = 2;
/// Rows of one part.
const ROWS: usize = 10_000;
/// Rows of one part, where a row may be long.
const LONG_ROWS: usize = 100;

/// Encodes a checkpoint, part by part.
pub fn encode(state: &Checkpoint) -> Vec<Vec<u8>> {
    let head = pb::CheckpointPart { head: Some(head::encode(state)), ..Default::default() };
    let mut parts = vec![head.encode_length_delimited_to_vec()];
    macro_rules! list {
        ($field:ident, $rows:expr, $size:expr, $encode:expr) => {
            parts.extend($rows.chunks($size).map(|rows| {
                let part =
                    pb::CheckpointPart { $field: rows.iter().map($encode).collect(), ..Default::default() };
                part.encode_length_delimited_to_vec()
            }));
        };
    }
    list!(hosts, state.hosts, LONG_ROWS, hosts::encode);
    list!(names, state.names, LONG_ROWS, lists::name);
    list!(entries, state.entries, ROWS, lists::entry);
    list!(standings, state.standings, ROWS, lists::standing);
    list!(allowlist, state.allowlist, ROWS, lists::allowed);
    list!(holds, state.holds, ROWS, lists::hold);
    list!(past, state.past, ROWS, lists::past);
    list!(requests, state.requests, LONG_ROWS, lists::request);
    list!(counter, state.counter, ROWS, units::counter);
    list!(blocks, state.blocks, ROWS, ToString::to_string);
    list!(recent, state.recent, ROWS, lists::recent);
    parts.extend(state.units.chunks(ROWS).map(|rows| {
        let part = pb::CheckpointPart { units: Some(units::encode(rows)), ..Default::default() };
        part.encode_length_delimited_to_vec()
    }));
    parts
}

/// Decodes a checkpoint.
///
/// # Errors
/// The field that this version cannot read.
pub fn decode(mut bytes: &[u8]) -> Result<Checkpoint, Malformed> {
    let unreadable = |error: prost::DecodeError| Malformed::field("checkpoint", error.to_string());
    let first = pb::CheckpointPart::decode_length_delimited(&mut bytes).map_err(unreadable)?;
    let head = first.head.as_ref().ok_or_else(|| Malformed::field("checkpoint.head", "missing"))?;
    if head.format > FORMAT {
        let problem = format!("{}: a newer version wrote this; run that version", head.format);
        return Err(Malformed::field("checkpoint.head.format", problem));
    }
    let mut state = head::decode(head)?;
    let mut old = old::Sightings::default();
    while !bytes.is_empty() {
        let mut part = pb::CheckpointPart::decode_length_delimited(&mut bytes).map_err(unreadable)?;
        old.take(&mut part);
        take(&mut state, part)?;
    }
    old.put(&mut state, head.format)?;
    Ok(state)
}

fn take(state: &mut Checkpoint, part: pb::CheckpointPart) -> Result<(), Malformed> {
    macro_rules! list {
        ($field:ident, $decode:expr) => {
            for row in part.$field {
                state.$field.push($decode(row)?);
            }
        };
    }
    list!(hosts, |row| hosts::decode(&row));
    list!(names, lists::name_from);
    list!(entries, lists::entry_from);
    list!(standings, |row| lists::standing_from(&row));
    list!(allowlist, lists::allowed_from);
    list!(holds, |row| lists::hold_from(&row));
    list!(past, |row| lists::past_from(&row));
    list!(requests, |row| lists::request_from(&row));
    list!(counter, |row| units::counter_from(&row));
    list!(blocks, |row: String| parse("blocks", &row));
    list!(recent, |row| lists::recent_from(&row));
    if let Some(packed) = &part.units {
        units::decode(packed, &mut state.units)?;
    }
    Ok(())
}

fn parse<T: FromStr<Err: ToString>>(field: &'static str, text: &str) -> Result<T, Malformed> {
    text.parse().map_err(|error: T::Err| Malformed::field(field, error.to_string()))
}

fn small(field: &'static str, value: u32) -> Result<u8, Malformed> {
    u8::try_from(value).map_err(|_| Malformed::field(field, format!("{value} is over 255")))
}
