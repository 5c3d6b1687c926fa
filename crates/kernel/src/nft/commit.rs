//! Putting a transaction into the kernel.

use sekisho_ruleset::{Op, Range, Removal, SetName, Transaction};

use super::{Nft, encode};
use crate::KernelError;
use rustix::io::Errno;
use std::net::{IpAddr, Ipv4Addr};

impl Nft {
    /// Carries out all of `transaction`, or nothing of it.
    ///
    /// Blocks while the kernel works: 1 to 2 ms a thousand addresses, 10 to 25 ms for any change to
    /// an interval set of 100,000.
    ///
    /// # Errors
    /// The first thing that the kernel found wrong; nothing was changed then.
    pub fn commit(&mut self, transaction: &Transaction, removal: Removal) -> Result<(), KernelError> {
        if transaction.is_empty() {
            return Ok(());
        }
        match self.try_commit(transaction, removal)? {
            None => Ok(()),
            // The whole batch is refused at its first message for want of the capability; a message
            // with elements is refused since the table has another owner.
            Some((0, Errno::PERM)) => Err(KernelError::NotPermitted),
            Some((_, Errno::PERM)) => Err(KernelError::Owned(self.owner()?.unwrap_or(0))),
            Some((_, errno)) => Err(KernelError::of_nf_tables("changing sets of table inet sekisho", errno)),
        }
    }

    /// Finds out how this kernel removes elements, by removing one that cannot be there. Needs the
    /// table.
    ///
    /// # Errors
    /// When the kernel refuses for another reason than not knowing the message.
    pub fn probe_removal(&mut self) -> Result<Removal, KernelError> {
        let range = Range::single(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let probe = Transaction::new(vec![Op::Remove { set: SetName::Drop4, range }])
            .map_err(|_| KernelError::Answer("the probe is malformed"))?;
        match self.commit(&probe, Removal::Destroy) {
            Ok(()) => Ok(Removal::Destroy),
            Err(KernelError::Os { source, .. })
                if matches!(source.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) =>
            {
                Ok(Removal::AddThenDelete)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends the batch; gives the first error and the number of the message that it is about,
    /// counted from the first of the batch.
    fn try_commit(
        &mut self,
        transaction: &Transaction,
        removal: Removal,
    ) -> Result<Option<(u32, Errno)>, KernelError> {
        let first = self.0.sequences(1);
        let batch = encode(transaction, removal, first);
        self.0.sequences(batch.messages.saturating_sub(1));
        self.0.send(&batch.bytes)?;
        // The kernel has done it all inside the send: what it has to say is there.
        let answers = self.0.acknowledgements()?;
        let ours = |sequence: u32| sequence.wrapping_sub(first) < batch.messages;
        let failed = answers.iter().find_map(|(sequence, errno)| {
            errno.filter(|_| ours(*sequence)).map(|errno| (sequence.wrapping_sub(first), errno))
        });
        if failed.is_none() && !answers.contains(&(batch.acknowledged, None)) {
            return Err(KernelError::Answer("a transaction was neither acknowledged nor refused"));
        }
        Ok(failed)
    }
}
