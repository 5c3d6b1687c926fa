//! Single abilities of nf_tables, tried on a table that sleeps and has no chain. Most are tried by one transaction
//! that makes the table and deletes it, so that it is never there; reading needs it for a moment.

use std::hash::{BuildHasher, RandomState};

use rustix::io::Errno;

use crate::{
    KernelError,
    attributes::Attributes,
    link::{Link, ONE},
    message::{ACK, CREATE, Writer},
    namespace,
};

/// `NETLINK_NETFILTER`.
const PROTOCOL: isize = 12;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`.
const BATCH: [u16; 2] = [0x10, 0x11];
/// `NFPROTO_INET`.
const INET: u8 = 1;
/// `NFT_MSG_NEWTABLE`, `NFT_MSG_DELTABLE`.
const TABLE: [u16; 2] = [SUBSYSTEM << 8, SUBSYSTEM << 8 | 2];
/// `NFT_MSG_NEWSET`, `NFT_MSG_GETSET`.
const SET: [u16; 2] = [SUBSYSTEM << 8 | 9, SUBSYSTEM << 8 | 10];
/// `NFT_MSG_NEWSETELEM`, `NFT_MSG_GETSETELEM`, `NFT_MSG_DESTROYSETELEM`.
const ELEMENT: [u16; 3] = [SUBSYSTEM << 8 | 12, SUBSYSTEM << 8 | 13, SUBSYSTEM << 8 | 30];
/// `NFT_TABLE_F_DORMANT`: no chain of it ever sees a packet.
const DORMANT: u32 = 1;
/// `NFT_TABLE_F_OWNER`.
const OWNER: u32 = 2;
/// `NFT_TABLE_F_PERSIST`.
const PERSIST: u32 = 4;
/// `NFT_SET_TIMEOUT`.
const WITH_TIMEOUT: u32 = 0x10;
/// nft's number for IPv4 addresses.
const IPV4: u32 = 7;
/// The one set of the table.
const NAME: &str = "addresses";
/// The one element.
const ADDRESS: [u8; 4] = [203, 0, 113, 7];
/// A timeout and another one, in milliseconds.
const TIMEOUTS: [u64; 2] = [100_000, 900_000];

/// What nf_tables can do; none for what could not be found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// A table can belong to one socket, which alone may change it (Linux 5.12).
    pub owner: Option<bool>,
    /// Such a table stays when its socket is closed (Linux 6.9).
    pub persist: Option<bool>,
    /// An element can be removed whether it is there or not (Linux 6.3).
    pub destroy: Option<bool>,
    /// Adding an element again sets its timeout (Linux 6.12).
    pub timeout_update: Option<bool>,
    /// The kernel tells how many elements a set has.
    pub count: Option<bool>,
    /// Whether it was tried in a network namespace of its own.
    pub apart: bool,
}

/// Finds it out: in a fresh network namespace where one can be made, and else in this one.
///
/// # Errors
/// When nf_tables cannot be asked at all.
pub fn tables() -> Result<Tables, KernelError> {
    match namespace::in_fresh(|| Scratch::open()?.tables()) {
        Ok(found) => found.map(|found| Tables { apart: true, ..found }),
        Err(_) => Scratch::open()?.tables(),
    }
}

struct Scratch {
    link: Link,
    table: String,
}

impl Scratch {
    fn open() -> Result<Self, KernelError> {
        let random = RandomState::new().hash_one(std::process::id());
        Ok(Self { link: Link::open(PROTOCOL)?, table: format!("sekisho-probe-{random:016x}") })
    }

    fn tables(&mut self) -> Result<Tables, KernelError> {
        // What is refused here is refused for another reason than being unknown.
        if let Some(errno) = self.passing(DORMANT, |_, _| ())? {
            return Err(KernelError::of_nf_tables("trying a table that sleeps", errno));
        }
        let owner = self.passing(DORMANT | OWNER, |_, _| ())?;
        let persist = self.passing(DORMANT | OWNER | PERSIST, |_, _| ())?;
        let destroy = self.passing(DORMANT, |batch, table| {
            batch.set(table);
            batch.element(table, ELEMENT[2], None);
        })?;
        let (timeout_update, count) = self.lasting()?;
        Ok(Tables {
            owner: Some(owner.is_none()),
            persist: Some(persist.is_none()),
            destroy: Some(destroy.is_none()),
            timeout_update,
            count,
            apart: false,
        })
    }

    /// Makes the table and deletes it in one transaction, with something in between.
    fn passing(
        &mut self,
        flags: u32,
        between: impl FnOnce(&mut Batch, &str),
    ) -> Result<Option<Errno>, KernelError> {
        let table = self.table.clone();
        self.send(|batch| {
            batch.table(&table, flags);
            between(batch, &table);
            batch.delete(&table);
        })
    }

    /// Whether a timeout is updated, and whether elements are counted: to be read of a table that is there.
    fn lasting(&mut self) -> Result<(Option<bool>, Option<bool>), KernelError> {
        let table = self.table.clone();
        let made = self.send(|batch| {
            batch.table(&table, DORMANT);
            batch.set(&table);
            batch.element(&table, ELEMENT[0], Some(TIMEOUTS[0]));
        })?;
        if made.is_some() {
            return Ok((None, None));
        }
        let again = self.send(|batch| batch.element(&table, ELEMENT[0], Some(TIMEOUTS[1])));
        let (timeout, count) = (self.timeout(), self.count());
        // First of all it must go.
        let deleted = self.send(|batch| batch.delete(&table))?;
        if let Some(errno) = deleted {
            return Err(KernelError::of_nf_tables("deleting the table that was tried", errno));
        }
        let updated = again?.is_none() && timeout? == Some(TIMEOUTS[1]);
        Ok((Some(updated), Some(count? == Some(1))))
    }

    fn timeout(&mut self) -> Result<Option<u64>, KernelError> {
        let mut timeout = None;
        let body = |body: &mut Writer, table: &str| element(body, table, None);
        self.read(ELEMENT[1], body, |answer| {
            timeout = timeout.or(answer.nested(3).nested(1).u64(4));
        })?;
        Ok(timeout)
    }

    fn count(&mut self) -> Result<Option<u32>, KernelError> {
        let mut count = None;
        let body = |body: &mut Writer, table: &str| {
            body.text(1, table);
            body.text(2, NAME);
        };
        self.read(SET[1], body, |answer| count = count.or(answer.u32(20)))?;
        Ok(count)
    }

    fn read(
        &mut self,
        kind: u16,
        body: impl FnOnce(&mut Writer, &str),
        mut each: impl FnMut(Attributes<'_>),
    ) -> Result<(), KernelError> {
        let table = &self.table;
        let write = |writer: &mut Writer, sequence| {
            writer.message(kind, ONE, sequence, |inner| {
                inner.bytes.extend([INET, 0, 0, 0]);
                body(inner, table);
            });
        };
        let refused = |errno| KernelError::of_nf_tables("reading the table that was tried", errno);
        self.link
            .ask(write, refused, |message| each(Attributes(message.payload.get(4..).unwrap_or(&[]))))
            .map(drop)
    }

    /// Sends a batch; gives the first error.
    fn send(&mut self, fill: impl FnOnce(&mut Batch)) -> Result<Option<Errno>, KernelError> {
        let mut batch = Batch { writer: Writer::default(), next: self.link.sequences(8) };
        batch.frame(BATCH[0]);
        fill(&mut batch);
        batch.frame(BATCH[1]);
        self.link.send(&batch.writer.bytes)?;
        Ok(self.link.acknowledgements()?.into_iter().find_map(|(_, errno)| errno))
    }
}

/// At most 6 messages between its beginning and its end.
struct Batch {
    writer: Writer,
    next: u32,
}

impl Batch {
    fn sequence(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next.wrapping_sub(1)
    }

    fn frame(&mut self, kind: u16) {
        let sequence = self.sequence();
        self.writer.message(kind, 0, sequence, |body| {
            body.bytes.extend([0, 0]);
            body.bytes.extend(SUBSYSTEM.to_be_bytes());
        });
    }

    fn message(&mut self, kind: u16, flags: u16, body: impl FnOnce(&mut Writer)) {
        let sequence = self.sequence();
        self.writer.message(kind, ACK | flags, sequence, |inner| {
            inner.bytes.extend([INET, 0, 0, 0]);
            body(inner);
        });
    }

    fn table(&mut self, table: &str, flags: u32) {
        self.message(TABLE[0], CREATE, |body| {
            body.text(1, table);
            body.attribute(2, &[&flags.to_be_bytes()]);
        });
    }

    fn delete(&mut self, table: &str) {
        self.message(TABLE[1], 0, |body| body.text(1, table));
    }

    /// A hash set of IPv4 addresses with timeouts.
    fn set(&mut self, table: &str) {
        self.message(SET[0], CREATE, |body| {
            body.text(1, table);
            body.text(2, NAME);
            for (kind, value) in [(3, WITH_TIMEOUT), (4, IPV4), (5, 4), (10, 1)] {
                body.attribute(kind, &[&value.to_be_bytes()]);
            }
        });
    }

    fn element(&mut self, table: &str, kind: u16, timeout: Option<u64>) {
        let flags = if kind == ELEMENT[0] { CREATE } else { 0 };
        self.message(kind, flags, |body| element(body, table, timeout));
    }
}

/// Writes what names the element, with a timeout if it is to have one.
fn element(body: &mut Writer, table: &str, timeout: Option<u64>) {
    body.text(1, table);
    body.text(2, NAME);
    body.nest(3, |list| {
        list.nest(1, |item| {
            item.nest(1, |key| key.attribute(1, &[&ADDRESS]));
            if let Some(timeout) = timeout {
                item.attribute(4, &[&timeout.to_be_bytes()]);
            }
        });
    });
}
