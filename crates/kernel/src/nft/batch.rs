//! One nf_tables batch, message by message: all of it is carried out, or nothing.

use super::constants::{BATCH_BEGIN, BATCH_END, INET, SUBSYSTEM};
use crate::message::{ACK, Writer};

/// The bytes of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What is to be sent in one go.
    pub bytes: Vec<u8>,
    /// The sequence number of the last message between the ends, which alone is acknowledged.
    pub acknowledged: u32,
    /// How many messages there are, and so sequence numbers, from the first one on.
    pub messages: u32,
}

/// Writes a batch.
pub(crate) struct BatchWriter {
    pub(crate) writer: Writer,
    first: u32,
    next: u32,
    last: Option<usize>,
}

impl BatchWriter {
    /// Begins one whose messages are numbered from `first` on.
    pub(crate) fn new(first: u32) -> Self {
        Self::over(Vec::new(), first)
    }

    /// The same, in the room of a batch that is not needed any more.
    pub(crate) fn over(mut bytes: Vec<u8>, first: u32) -> Self {
        bytes.clear();
        let mut batch = Self { writer: Writer { bytes }, first, next: first, last: None };
        batch.frame(BATCH_BEGIN);
        batch
    }

    /// Writes a message about our family.
    pub(crate) fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Writer)) {
        let sequence = self.sequence();
        let start = self.writer.message(kind, flags, sequence, |inner| {
            inner.bytes.extend([INET, 0, 0, 0]);
            body(inner);
        });
        self.last = Some(start);
    }

    /// Ends it.
    pub(crate) fn done(mut self) -> Batch {
        let acknowledged = self.next.wrapping_sub(1);
        if let Some(start) = self.last {
            self.writer.add_flags(start, ACK);
        }
        self.frame(BATCH_END);
        Batch { bytes: self.writer.bytes, acknowledged, messages: self.next.wrapping_sub(self.first) }
    }

    fn sequence(&mut self) -> u32 {
        let sequence = self.next;
        self.next = self.next.wrapping_add(1);
        sequence
    }

    /// Begins or ends the batch: `struct nfgenmsg` with the subsystem as its resource.
    fn frame(&mut self, kind: u16) {
        let sequence = self.sequence();
        self.writer.message(kind, 0, sequence, |body| {
            body.bytes.extend([0, 0]);
            body.bytes.extend(SUBSYSTEM.to_be_bytes());
        });
    }
}
