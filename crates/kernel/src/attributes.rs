//! Netlink attributes (`struct nlattr`): a walk over received bytes that takes any bytes, and writing
//! them.

use crate::message::{Writer, u16_at};

/// Bytes of `struct nlattr`.
const HEADER: usize = 4;
/// `NLA_TYPE_MASK`: without the bits for "nested" and "network order".
const TYPE_MASK: u16 = 0x3fff;
/// `NLA_F_NESTED`.
pub(crate) const NESTED: u16 = 0x8000;

/// The attributes in a buffer, as type and content; ends at the first that is not whole.
#[derive(Clone)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The content of the first attribute of this type.
    pub(crate) fn find(&self, kind: u16) -> Option<&'a [u8]> {
        Iterator::find(&mut self.clone(), |(found, _)| *found == kind).map(|(_, content)| content)
    }

    /// The attributes inside the first one of this type; none of them if there is no such.
    pub(crate) fn nested(&self, kind: u16) -> Self {
        Self(self.find(kind).unwrap_or(&[]))
    }

    /// A number in network order.
    pub(crate) fn u32(&self, kind: u16) -> Option<u32> {
        self.find(kind)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    /// A number in network order.
    pub(crate) fn u64(&self, kind: u16) -> Option<u64> {
        self.find(kind)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A text that ends with a zero byte.
    pub(crate) fn text(&self, kind: u16) -> Option<&'a str> {
        let bytes = self.find(kind)?;
        std::str::from_utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes)).ok()
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & TYPE_MASK;
        let content = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, content))
    }
}

impl Writer {
    /// Writes an attribute with these parts as its content, padded to 4 bytes.
    pub(crate) fn attribute(&mut self, kind: u16, parts: &[&[u8]]) {
        let length = HEADER + parts.iter().map(|part| part.len()).sum::<usize>();
        self.bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Writes a text with its zero byte.
    pub(crate) fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, &[text.as_bytes(), b"\0"]);
    }

    /// Writes an attribute that holds what `body` writes. Whoever calls keeps it under 64 KiB, the
    /// most that an attribute's length can say.
    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NESTED).to_ne_bytes());
        body(self);
        let length = u16::try_from(self.bytes.len() - start);
        debug_assert!(length.is_ok(), "an attribute is over 64 KiB");
        self.put(start, &length.unwrap_or(u16::MAX).to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.text(1, "drop4");
        writer.nest(3, |body| body.attribute(4, &[&7u64.to_be_bytes()]));
        writer.attribute(5, &[&9u32.to_be_bytes()]);
        let read = Attributes(&writer.bytes);
        assert_eq!(read.text(1), Some("drop4"));
        assert_eq!(read.nested(3).u64(4), Some(7));
        assert_eq!(read.u32(5), Some(9));
        assert_eq!(read.u32(6), None);
        assert_eq!(read.nested(6).u32(1), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let read = Attributes(&bytes);
            read.text(1);
            read.u32(1);
            prop_assert!(read.nested(1).count() <= bytes.len());
        }
    }
}
