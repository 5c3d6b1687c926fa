//! Where the fields of a record are: the `format` file of a tracepoint, and that of a page, as the running kernel
//! gives them.

/// A place in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its offset.
    pub(super) at: usize,
    size: usize,
}

impl Field {
    /// A number of up to 8 bytes, in the machine's order.
    pub(super) fn number(self, record: &[u8]) -> Option<u64> {
        let bytes = record.get(self.at..self.at.checked_add(self.size)?)?;
        let mut number = [0; 8];
        let place = if cfg!(target_endian = "little") {
            number.get_mut(..self.size)
        } else {
            number.get_mut(8usize.checked_sub(self.size)?..)
        };
        place?.copy_from_slice(bytes);
        Some(u64::from_ne_bytes(number))
    }

    /// The field of this name, which stands before a `;` or a `[`.
    fn find(text: &str, name: &str) -> Option<Self> {
        text.lines().find_map(|line| {
            let mut parts = line.trim().strip_prefix("field:")?.split(';');
            let declared = parts.next()?.split('[').next()?;
            if declared.split_whitespace().last()? != name {
                return None;
            }
            let at = parts.next()?.trim().strip_prefix("offset:")?.parse().ok()?;
            let size = parts.next()?.trim().strip_prefix("size:")?.parse().ok()?;
            Some(Self { at, size })
        })
    }

    fn of_size(self, size: usize) -> Option<Self> {
        (self.size == size).then_some(self)
    }
}

/// The layout of `tcp:tcp_retransmit_synack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) id: u64,
    pub(super) kind: Field,
    pub(super) local: Field,
    pub(super) local_port: Field,
    pub(super) peer: Field,
    pub(super) peer_port: Field,
}

impl Layout {
    /// None if a field is missing or has another size.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let id = text.lines().find_map(|line| line.strip_prefix("ID:"))?.trim().parse().ok()?;
        Some(Self {
            id,
            kind: Field::find(text, "common_type")?.of_size(2)?,
            local: Field::find(text, "saddr_v6")?.of_size(16)?,
            local_port: Field::find(text, "sport")?.of_size(2)?,
            peer: Field::find(text, "daddr_v6")?.of_size(16)?,
            peer_port: Field::find(text, "dport")?.of_size(2)?,
        })
    }
}

/// The head of a page of the ring buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// How much of the page is filled, and flags.
    pub(super) commit: Field,
    /// Where the records begin.
    pub(super) data: usize,
}

impl Head {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let commit = Field::find(text, "commit").filter(|field| matches!(field.size, 4 | 8))?;
        Some(Self { commit, data: Field::find(text, "data")?.at })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) const FORMAT: &str = "name: tcp_retransmit_synack\nID: 2275\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\n\
        \tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n\
        \tfield:__u16 sport;\toffset:24;\tsize:2;\tsigned:0;\n\
        \tfield:__u16 dport;\toffset:26;\tsize:2;\tsigned:0;\n\
        \tfield:__u8 saddr[4];\toffset:30;\tsize:4;\tsigned:0;\n\
        \tfield:__u8 saddr_v6[16];\toffset:38;\tsize:16;\tsigned:0;\n\
        \tfield:__u8 daddr_v6[16];\toffset:54;\tsize:16;\tsigned:0;\n\n\
        print fmt: \"sport=%hu dport=%hu\", REC->sport, REC->dport\n";

    pub(crate) const PAGE: &str = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
        \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
        \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
        \tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n";

    #[test]
    fn fields_are_found_by_name() {
        let layout = Layout::parse(FORMAT).unwrap();
        assert_eq!((layout.id, layout.kind.at, layout.local_port.at, layout.peer.at), (2275, 0, 24, 54));
        assert_eq!(Head::parse(PAGE), Some(Head { commit: Field { at: 8, size: 8 }, data: 16 }));
        assert_eq!(Layout::parse(&FORMAT.replace("daddr_v6", "daddr_v7")), None);
        assert_eq!(Layout::parse(&FORMAT.replace("size:2", "size:4")), None);
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in ".*", at: usize, size: usize, record: Vec<u8>) {
            Layout::parse(&text);
            Head::parse(&format!("field: x commit; {text}\nfield: {text}"));
            Field { at, size }.number(&record);
            Field { at: 0, size: size % 12 }.number(&record);
        }
    }
}
