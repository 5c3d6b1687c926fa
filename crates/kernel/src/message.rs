//! Netlink messages (`linux/netlink.h`): a walk over received bytes that takes any bytes, and the
//! bytes of a header.

use rustix::io::Errno;

/// Bytes of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;
/// `NLMSG_ERROR`: an errno, 0 for an acknowledgement.
pub(crate) const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub(crate) const DONE: u16 = 3;
/// `NLM_F_REQUEST`.
pub(crate) const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`.
pub(crate) const ACK: u16 = 0x4;
/// `NLM_F_DUMP_INTR`: the dump is a mixture of before and after a change.
pub(crate) const DUMP_INTR: u16 = 0x10;
/// `NLM_F_DUMP`: root and match.
pub(crate) const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`: what is there already is an error.
pub(crate) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`.
pub(crate) const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: behind what is there.
pub(crate) const APPEND: u16 = 0x800;
/// `NLM_F_ACK_TLVS`: an error tells more in attributes.
const TOLD: u16 = 0x200;
/// Bytes of an error before its attributes: an errno and the header of the message that it is about.
const ERROR_HEADER: usize = 20;
/// `NLMSGERR_ATTR_OFFS`: where in the message the bad attribute begins.
const ERROR_OFFSET: u16 = 2;

/// One message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    pub(crate) payload: &'a [u8],
}

impl Message<'_> {
    /// The errno of an [`ERROR`] or [`DONE`] message; none if it says success.
    pub(crate) fn errno(&self) -> Option<Errno> {
        let code = self.payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes));
        match code {
            -4_095..0 => Some(Errno::from_raw_os_error(-code)),
            // No kernel says so (`MAX_ERRNO` of linux/err.h), and rustix would not take it.
            i32::MIN..-4_095 => Some(Errno::IO),
            0.. => None,
        }
    }
}

impl Message<'_> {
    /// Where in the message that failed the attribute begins that an [`ERROR`] is about, where it is told.
    pub(crate) fn bad_attribute(&self) -> Option<usize> {
        let attributes = (self.flags & TOLD != 0).then(|| self.payload.get(ERROR_HEADER..))??;
        let offset = crate::attributes::Attributes(attributes).find(ERROR_OFFSET)?;
        Some(u32::from_ne_bytes(*offset.first_chunk()?) as usize)
    }
}

/// The messages in a buffer; ends at the first that is not whole.
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = u32::from_ne_bytes(*self.0.first_chunk()?) as usize;
        let payload = self.0.get(HEADER..length)?;
        let message = Message {
            kind: u16_at(self.0, 4)?,
            flags: u16_at(self.0, 6)?,
            sequence: u32_at(self.0, 8)?,
            payload,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    }
}

/// The 16-bit number at `offset`, in the machine's order.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u16::from_ne_bytes(*chunk))
}

/// The 32-bit number at `offset`, in the machine's order.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_ne_bytes(*chunk))
}

/// A buffer that messages are written into, one after the other.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
}

impl Writer {
    /// Writes one message, with what `body` writes as its payload; gives its offset.
    pub(crate) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        body: impl FnOnce(&mut Self),
    ) -> usize {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        body(self);
        // Every body is padded to 4 bytes already, and none is near 4 GiB.
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.put(start, &length.to_ne_bytes());
        start
    }

    /// Sets further flags on the message at `start`.
    pub(crate) fn add_flags(&mut self, start: usize, flags: u16) {
        let old = u16_at(&self.bytes, start + 6).unwrap_or(0);
        self.put(start + 6, &(old | flags).to_ne_bytes());
    }

    /// Overwrites what stands at `offset`.
    pub(crate) fn put(&mut self, offset: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(offset..offset + value.len()) {
            place.copy_from_slice(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.message(7, ACK, 1, |body| body.bytes.extend([1, 2, 3, 4]));
        let second = writer.message(8, 0, 2, |_| ());
        writer.add_flags(second, DUMP);
        let read: Vec<_> =
            Messages(&writer.bytes).map(|m| (m.kind, m.flags, m.sequence, m.payload.len())).collect();
        assert_eq!(read, [(7, ACK | REQUEST, 1, 4), (8, DUMP | REQUEST, 2, 0)]);
    }

    #[test]
    fn errors_are_negative_errnos() {
        let errno =
            |code: i32| Message { kind: ERROR, flags: 0, sequence: 0, payload: &code.to_ne_bytes() }.errno();
        assert_eq!(errno(0), None);
        assert_eq!(errno(-libc::ENOENT), Some(Errno::NOENT));
        assert_eq!(Message { kind: DONE, flags: 0, sequence: 0, payload: &[] }.errno(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(mut bytes: Vec<u8>, length in 0u32..64) {
            prop_assert!(Messages(&bytes).count() <= bytes.len());
            if let Some(head) = bytes.first_chunk_mut::<4>() {
                *head = length.to_ne_bytes();
            }
            for message in Messages(&bytes) {
                message.errno();
            }
        }
    }
}
