//! The records of the log as the engine's inputs.

use sekisho_model::{LogEntry, Revision};
use sekisho_store::LoggedRecord;
use sekisho_wire::log;

/// The format of log payloads that this version writes, and the only one that it reads.
pub const FORMAT: u16 = 1;

/// A record that this version cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log entry {index} cannot be read by this version ({problem}); run the version that wrote it")]
pub struct Unreadable {
    /// Its index.
    pub index: Revision,
    /// What is wrong with it.
    pub problem: String,
}

/// The log entry that a record holds.
///
/// # Errors
/// What this version cannot read of it.
pub fn entry(record: &LoggedRecord) -> Result<LogEntry, Unreadable> {
    let unreadable = |problem: String| Unreadable { index: record.index, problem };
    if record.format != FORMAT {
        return Err(unreadable(format!("format {}", record.format)));
    }
    let inputs = log::decode(&record.payload).map_err(|error| unreadable(error.to_string()))?;
    Ok(LogEntry { index: record.index, time: record.time, inputs })
}

#[cfg(test)]
mod tests {
    use sekisho_model::{Input, Moment};

    use super::*;

    fn record(format: u16, payload: Vec<u8>) -> LoggedRecord {
        let time = Moment::from_millis(7);
        LoggedRecord { index: Revision(3), format, writer: 1, sequence: 1, time, payload }
    }

    #[test]
    fn a_record_becomes_an_entry_and_what_is_newer_is_refused_by_name() {
        let payload = log::encode(&[Input::Tick]);
        let expected =
            LogEntry { index: Revision(3), time: Moment::from_millis(7), inputs: vec![Input::Tick] };
        assert_eq!(entry(&record(FORMAT, payload.clone())), Ok(expected));
        for wrong in [record(FORMAT + 1, payload), record(FORMAT, vec![0xff])] {
            let error = entry(&wrong).unwrap_err().to_string();
            assert!(error.contains("log entry 3 cannot be read by this version"), "{error}");
        }
    }
}
