//! Putting a batch into the kernel.

use rustix::io::Errno;
use sekisho_ruleset::{Transaction, Ways};

use super::{
    Nft,
    batch::{Batch, BatchWriter},
    constants::{LIST_ELEMENTS, LIST_SET},
    elements::listed,
    encode,
};
use crate::{
    KernelError,
    attributes::Attributes,
    error::Place,
    link::Acknowledgement,
    message::{HEADER, Messages},
};

/// Bytes of `struct nlattr`.
const ATTRIBUTE_HEADER: usize = 4;

impl Nft {
    /// Carries out all of `transaction`, or nothing of it.
    ///
    /// Blocks while the kernel works: 1 to 2 ms a thousand addresses, 10 to 25 ms for any change to
    /// an interval set of 100,000.
    ///
    /// # Errors
    /// The first thing that the kernel found wrong; nothing was changed then.
    pub fn commit(&mut self, transaction: &Transaction, ways: Ways) -> Result<(), KernelError> {
        if transaction.is_empty() {
            return Ok(());
        }
        let batch = encode(transaction, ways, self.sides, self.link.next_sequence());
        self.carry_out(&batch, "changing sets of table inet sekisho")
    }

    /// Begins a batch.
    pub(crate) fn batch(&self) -> BatchWriter {
        BatchWriter::new(self.link.next_sequence())
    }

    /// Carries out a batch that was begun just now: all of it, or nothing.
    pub(crate) fn carry_out(&mut self, batch: &Batch, doing: &'static str) -> Result<(), KernelError> {
        match self.try_batch(batch)? {
            None => Ok(()),
            // The whole batch is refused at its first message for want of the capability; any other message
            // since the table has another owner.
            Some(Acknowledgement { errno: Some(Errno::PERM), sequence, .. }) => {
                let first = Messages(&batch.bytes).next().map(|message| message.sequence);
                if first == Some(sequence) {
                    return Err(KernelError::NotPermitted);
                }
                Err(KernelError::Owned(self.owner()?.unwrap_or(0)))
            }
            Some(told) => {
                let errno = told.errno.unwrap_or(Errno::IO);
                Err(KernelError::of_element(doing, errno, place(batch, &told)))
            }
        }
    }

    /// Sends the batch; gives the first thing that is wrong with it.
    fn try_batch(&mut self, batch: &Batch) -> Result<Option<Acknowledgement>, KernelError> {
        let first = self.link.sequences(batch.messages);
        self.link.send(&batch.bytes)?;
        // The kernel has done it all inside the send: what it has to say is there.
        let answers = self.link.acknowledgements()?;
        let ours = |sequence: u32| sequence.wrapping_sub(first) < batch.messages;
        let failed = answers.iter().find(|each| each.errno.is_some() && ours(each.sequence));
        let well = |each: &Acknowledgement| each.sequence == batch.acknowledged && each.errno.is_none();
        if failed.is_none() && !answers.iter().any(well) {
            return Err(KernelError::Answer("a transaction was neither acknowledged nor refused"));
        }
        Ok(failed.copied())
    }
}

/// The element of a batch that is wrong.
fn place(batch: &Batch, told: &Acknowledgement) -> Place {
    let message = Messages(&batch.bytes).find(|message| message.sequence == told.sequence);
    let found = message.and_then(|message| {
        let attributes = Attributes(message.payload.get(4..)?);
        let set = attributes.text(LIST_SET)?;
        attributes.find(LIST_ELEMENTS)?;
        // The offset is that of the element's attribute, from the beginning of the message.
        let item = told.bad_attribute?.checked_sub(HEADER)? + ATTRIBUTE_HEADER;
        Some((set.to_owned(), listed(&Attributes(message.payload.get(item..)?))?.key))
    });
    Place(found)
}
