//! Reading what the kernel holds: sets, single elements, hits and counters.

use std::{net::IpAddr, time::Duration};

use rustix::io::Errno;
use sekisho_model::{Hit, Tier, Unit};
use sekisho_ruleset::{
    Element, SetName,
    scaffold::{COUNTER_DROPPED, COUNTER_FORGOTTEN, COUNTER_MUTED, COUNTER_SUPPRESSED, COUNTER_SYNS, TABLE},
};

use super::{
    Counters, Nft,
    constants::{
        COUNTER_PACKETS, GET_ELEMENT, GET_GENERATION, GET_OBJECT, GET_SET, GET_TABLE, INET, LIST_ELEMENTS,
        LIST_ITEM, LIST_SET, LIST_TABLE, OBJECT_COUNTER, OBJECT_DATA, OBJECT_NAME, OBJECT_TABLE, OBJECT_TYPE,
        SET_COUNT, SET_NAME, SET_TABLE, TABLE_FLAGS, TABLE_NAME, TABLE_OWNER,
    },
    elements::{Listed, assemble, parse},
    encode::key,
};
use crate::{
    KernelError,
    attributes::Attributes,
    link::ONE,
    message::{DUMP, Writer},
};

impl Nft {
    /// Whether this kernel has nf_tables and lets us use it.
    ///
    /// # Errors
    /// [`KernelError::NoNfTables`], [`KernelError::NotPermitted`].
    pub fn usable(&mut self) -> Result<(), KernelError> {
        let ask = self.link.ask(
            |writer, sequence| start(writer, GET_GENERATION, ONE, sequence, |_| ()),
            |errno| match errno {
                // What nfnetlink says of a subsystem that it does not know and cannot load.
                Errno::INVAL | Errno::OPNOTSUPP => KernelError::NoNfTables,
                other => KernelError::of_nf_tables("asking for nf_tables", other),
            },
            |_| (),
        );
        ask.map(drop)
    }

    /// The netlink port of the socket that owns our table; none if the table belongs to nobody.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no table.
    pub fn owner(&mut self) -> Result<Option<u32>, KernelError> {
        Ok(self.table()?.0)
    }

    /// Whether our table belongs to this socket.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no table.
    pub fn owns(&mut self) -> Result<bool, KernelError> {
        Ok(self.owner()? == Some(self.link.port()))
    }

    /// The netlink port of the socket that owns our table, and the table's flags.
    pub(crate) fn table(&mut self) -> Result<(Option<u32>, u32), KernelError> {
        let mut found = (None, 0);
        let name = |body: &mut Writer| body.text(TABLE_NAME, TABLE);
        self.get(GET_TABLE, ONE, name, |attributes| {
            found = (attributes.u32(TABLE_OWNER), attributes.u32(TABLE_FLAGS).unwrap_or(0));
        })?;
        Ok(found)
    }

    /// How many elements `set` has, in constant time; none where the kernel does not say. Elements
    /// that have ended count until the kernel sweeps them, and interval sets count starts and ends.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no such set.
    pub fn count(&mut self, set: SetName) -> Result<Option<u32>, KernelError> {
        self.number_of(self.sides.name(set), SET_COUNT)
    }

    /// A number that the kernel tells of the set of this name.
    pub(super) fn number_of(&mut self, set: &str, attribute: u16) -> Result<Option<u32>, KernelError> {
        let mut number = None;
        let name = |body: &mut Writer| {
            body.text(SET_TABLE, TABLE);
            body.text(SET_NAME, set);
        };
        self.get(GET_SET, ONE, name, |attributes| number = attributes.u32(attribute))?;
        Ok(number)
    }

    /// How long the element of `set` that holds `address` still stays; none if there is none. In
    /// constant time for hash sets.
    ///
    /// # Errors
    /// When the kernel refuses. A set that is missing looks like an address that is not in it.
    pub fn contains(&mut self, set: SetName, address: IpAddr) -> Result<Option<Duration>, KernelError> {
        self.look_up(TABLE, self.sides.name(set), address)
    }

    /// The same, in the set of this name.
    pub(super) fn look_up(
        &mut self,
        table: &str,
        set: &str,
        address: IpAddr,
    ) -> Result<Option<Duration>, KernelError> {
        let mut found = None;
        let body = |body: &mut Writer| {
            list(body, table, set);
            body.nest(LIST_ELEMENTS, |list| list.nest(LIST_ITEM, |item| key(item, address)));
        };
        let refused = |errno| KernelError::of_nf_tables("looking up an element", errno);
        let answer = self.link.ask(
            |writer, sequence| start(writer, GET_ELEMENT, ONE, sequence, body),
            refused,
            |message| found = found.or_else(|| parse(message.payload).next().map(|listed| listed.remaining)),
        );
        match answer {
            Ok(_) => Ok(found),
            Err(KernelError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everything that `set` holds, in no order.
    ///
    /// The kernel's listing of a hash set takes quadratic time: 0.2 s at 100,000 elements, 46 s at a
    /// million. For small sets, and for taking over a table of which nothing is known. While a hash
    /// set grows or shrinks, which the kernel does after big transactions and tells nobody, a listing
    /// may leave elements out: compare with [`Self::count`].
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no such set, [`KernelError::Inconsistent`] if it changed
    /// meanwhile.
    pub fn read_set(&mut self, set: SetName) -> Result<Vec<Element>, KernelError> {
        match self.list(set)? {
            (_, true) => Err(KernelError::Inconsistent),
            (listed, false) => Ok(assemble(set, listed)),
        }
    }

    /// The units of which packets were dropped within the last
    /// [`HIT_SET_TIMEOUT`](sekisho_model::limits::HIT_SET_TIMEOUT), with the packets counted since
    /// they came into the set. A unit that was away for so long comes back with its count at 1; one whose
    /// entry has changed its tier meanwhile may be there twice.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no table.
    pub fn hits(&mut self) -> Result<Vec<Hit>, KernelError> {
        let mut hits = Vec::new();
        for tier in [Tier::Suppress, Tier::Drop] {
            for set in SetName::hits(tier) {
                // Transactions do not touch these sets: one in between does no harm.
                let (listed, _) = self.list(set)?;
                let hit = |each: &Listed| Hit { unit: Unit::of(each.key), tier, packets: each.packets };
                hits.extend(listed.iter().map(hit));
            }
        }
        Ok(hits)
    }

    /// What the rules have counted.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if a counter is not there.
    pub fn counters(&mut self) -> Result<Counters, KernelError> {
        Ok(Counters {
            syns: self.counter(COUNTER_SYNS)?,
            dropped: self.counter(COUNTER_DROPPED)?,
            muted: self.counter(COUNTER_MUTED)?,
            suppressed: self.counter(COUNTER_SUPPRESSED)?,
            forgotten: self.counter(COUNTER_FORGOTTEN)?,
        })
    }

    fn counter(&mut self, name: &str) -> Result<u64, KernelError> {
        let mut packets = 0;
        let body = |body: &mut Writer| {
            body.text(OBJECT_TABLE, TABLE);
            body.text(OBJECT_NAME, name);
            body.attribute(OBJECT_TYPE, &[&OBJECT_COUNTER.to_be_bytes()]);
        };
        self.get(GET_OBJECT, ONE, body, |attributes| {
            packets = attributes.nested(OBJECT_DATA).u64(COUNTER_PACKETS).unwrap_or(0);
        })?;
        Ok(packets)
    }

    /// Lists a set; true if a transaction came in between, so that what is listed may be part before
    /// and part after it.
    ///
    /// The kernel marks no listing of elements as interrupted (`NLM_F_DUMP_INTR`), but stamps each
    /// message with the generation of its beginning: all must have one, and it must still stand when
    /// the last has come.
    fn list(&mut self, set: SetName) -> Result<(Vec<Listed>, bool), KernelError> {
        let name = self.sides.name(set);
        let (mut listed, mut generation, mut mixed) = (Vec::new(), None, false);
        let interrupted = self.link.ask(
            |writer, sequence| start(writer, GET_ELEMENT, DUMP, sequence, |body| list(body, TABLE, name)),
            |errno| KernelError::of_nf_tables("listing a set", errno),
            |message| {
                let stamp = stamp(message.payload);
                mixed |= *generation.get_or_insert(stamp) != stamp;
                listed.extend(parse(message.payload));
            },
        )?;
        let now = self.generation()?;
        mixed |= generation.is_some_and(|generation| generation != now);
        Ok((listed, interrupted || mixed))
    }

    /// The low 16 bits of the number of transactions that this kernel has carried out: who knows its own
    /// sees whether somebody else has changed the firewall.
    ///
    /// # Errors
    /// The kernel's.
    pub fn generation(&mut self) -> Result<Option<u16>, KernelError> {
        let mut generation = None;
        self.link.ask(
            |writer, sequence| start(writer, GET_GENERATION, ONE, sequence, |_| ()),
            |errno| KernelError::of_nf_tables("asking for the generation", errno),
            |message| generation = stamp(message.payload),
        )?;
        Ok(generation)
    }

    /// Asks for one thing, and gives the attributes of the answer to `each`.
    pub(crate) fn get(
        &mut self,
        message: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer),
        mut each: impl FnMut(Attributes<'_>),
    ) -> Result<(), KernelError> {
        let ask = self.link.ask(
            |writer, sequence| start(writer, message, flags, sequence, body),
            |errno| KernelError::of_nf_tables("reading table inet sekisho", errno),
            |message| each(Attributes(message.payload.get(4..).unwrap_or(&[]))),
        );
        ask.map(drop)
    }
}

/// Writes a message about our family.
pub(crate) fn start(
    writer: &mut Writer,
    message: u16,
    flags: u16,
    sequence: u32,
    body: impl FnOnce(&mut Writer),
) {
    writer.message(message, flags, sequence, |inner| {
        inner.bytes.extend([INET, 0, 0, 0]);
        body(inner);
    });
}

/// The resource of `struct nfgenmsg`, in which nf_tables gives its generation.
fn stamp(payload: &[u8]) -> Option<u16> {
    payload.get(2..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn list(body: &mut Writer, table: &str, set: &str) {
    body.text(LIST_TABLE, table);
    body.text(LIST_SET, set);
}
