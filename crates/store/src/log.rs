//! The log as its users see it. Narrow on purpose: append, read from an index, the two ends,
//! identity. Another home, say a distributed log, has to offer no more than this.

use sekisho_model::{Epoch, Moment, Revision};

use crate::StoreError;

/// What is appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Of the payload, for whoever reads it.
    pub format: u16,
    /// Who writes.
    pub writer: u64,
    /// The writer's own count, by which repeats are known.
    pub sequence: u64,
    /// The writer's clock. The log takes the time of the record before where that is later.
    pub time: Moment,
    /// What the log does not look into.
    pub payload: &'a [u8],
}

/// What comes out of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRecord {
    /// Its place: 1 for the first, without gaps.
    pub index: Revision,
    /// Of the payload.
    pub format: u16,
    /// Who wrote it.
    pub writer: u64,
    /// The writer's own count.
    pub sequence: u64,
    /// The log's time: never less than that of the record before.
    pub time: Moment,
    /// As it was appended.
    pub payload: Vec<u8>,
}

/// An ordered, durable record of everything that it was told.
pub trait Log {
    /// Appends one record, and gives its index when it is durable.
    ///
    /// # Errors
    /// After any error it is unknown whether the record is durable, and the log takes no more until
    /// it was opened again; its last index then says.
    fn append(&mut self, record: Record<'_>) -> Result<Revision, StoreError>;

    /// All records from the index `from` on, in order and without gaps. `from` may be one past the
    /// last; 0 is read as 1.
    ///
    /// # Errors
    /// `Outside` where the log does not reach back, or not yet on, to `from`. A damaged or missing
    /// record is the iterator's last item, as an error.
    fn read(
        &self,
        from: Revision,
    ) -> Result<impl Iterator<Item = Result<LoggedRecord, StoreError>>, StoreError>;

    /// The index of the first record that is still there; 0 when the log is empty.
    fn first(&self) -> Revision;

    /// The index of the last record; 0 when the log is empty.
    fn last(&self) -> Revision;

    /// The time of the last record; 1970 when the log is empty.
    fn time(&self) -> Moment;

    /// The life of this log.
    fn epoch(&self) -> Epoch;
}
