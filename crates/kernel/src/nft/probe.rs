//! What this kernel's nf_tables can do, found out by trying it in a table of another name: version numbers tell
//! little, since distributions bring features to older kernels.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use sekisho_ruleset::{Removal, SetName, Ways};

use super::{
    Nft,
    constants::{
        DESTROY_ELEMENT, ELEMENT_EXPIRATION, ELEMENT_TIMEOUT, GET_SET, LIST_ELEMENTS, LIST_ITEM, LIST_SET,
        LIST_TABLE, NEW_ELEMENT, SET_COUNT, SET_NAME, SET_TABLE,
    },
    encode::key,
};
use crate::{
    KernelError,
    link::ONE,
    message::{CREATE, Writer},
    table::{
        constants::{DORMANT, OWNER, PERSIST},
        make,
    },
};

/// The timeout of the probe's element, and a longer one that it is renewed with.
const SHORT: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(6_000);
/// The set that the probe makes one like.
const LIKE: SetName = SetName::Drop4;

/// What this kernel can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// How elements are changed.
    pub ways: Ways,
    /// Whether a table can belong to a socket and stay when that is closed (Linux 6.9).
    pub owner: bool,
    /// Whether the number of a set's elements is told (Linux 6.12).
    pub counts: bool,
}

impl Nft {
    /// Finds out what this kernel can do. Nothing of it stays, and no packet meets any of it.
    ///
    /// # Errors
    /// When the kernel refuses for another reason than not knowing what is asked for.
    pub fn probe(&mut self) -> Result<Features, KernelError> {
        let name = format!("sekisho-probe-{:08x}", RandomState::new().hash_one(std::process::id()) >> 32);
        let owner = self.takes_owners(&name)?;
        self.make_scratch(&name, owner)?;
        let found = self.try_out(&name);
        let mut batch = self.batch();
        make::delete_table(&mut batch, &name);
        self.carry_out(&batch.done(), "removing the probe")?;
        let (ways, counts) = found?;
        Ok(Features { ways, owner, counts })
    }

    /// Makes a table that belongs to this socket and takes it away again, in one transaction.
    fn takes_owners(&mut self, name: &str) -> Result<bool, KernelError> {
        let mut batch = self.batch();
        make::table(&mut batch, name, DORMANT | OWNER | PERSIST, 0);
        make::delete_table(&mut batch, name);
        known(self.carry_out(&batch.done(), "trying the owner flag"))
    }

    fn make_scratch(&mut self, name: &str, owner: bool) -> Result<(), KernelError> {
        let mut batch = self.batch();
        // Should this process die just now, the kernel takes an owned table away with it.
        make::table(&mut batch, name, if owner { DORMANT | OWNER } else { DORMANT }, 0);
        make::set_in(&mut batch, name, LIKE, LIKE.as_str());
        self.carry_out(&batch.done(), "making a probe")
    }

    fn try_out(&mut self, name: &str) -> Result<(Ways, bool), KernelError> {
        let destroys = known(self.one(name, DESTROY_ELEMENT, None, "trying to remove what is not there"))?;
        self.one(name, NEW_ELEMENT, Some(SHORT), "adding a probe's element")?;
        let renewed = known(self.one(name, NEW_ELEMENT, Some(LONG), "renewing a probe's element"))?;
        let remaining = self.look_up(name, LIKE.as_str(), ADDRESS)?;
        let renews = renewed && remaining.is_some_and(|left| left > SHORT);
        let mut counts = false;
        let set = |body: &mut Writer| {
            body.text(SET_TABLE, name);
            body.text(SET_NAME, LIKE.as_str());
        };
        self.get(GET_SET, ONE, set, |attributes| counts = attributes.u32(SET_COUNT) == Some(1))?;
        let removal = if destroys { Removal::Destroy } else { Removal::AddThenDelete };
        Ok((Ways { removal, renews }, counts))
    }

    /// Carries out one message about the probe's element.
    fn one(
        &mut self,
        table: &str,
        message: u16,
        timeout: Option<Duration>,
        doing: &'static str,
    ) -> Result<(), KernelError> {
        let mut batch = self.batch();
        let flags = if message == NEW_ELEMENT { CREATE } else { 0 };
        batch.message(message, flags, |body| {
            body.text(LIST_TABLE, table);
            body.text(LIST_SET, LIKE.as_str());
            body.nest(LIST_ELEMENTS, |list| {
                list.nest(LIST_ITEM, |item| {
                    key(item, ADDRESS);
                    if let Some(timeout) = timeout {
                        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
                        item.attribute(ELEMENT_TIMEOUT, &[&millis]);
                        item.attribute(ELEMENT_EXPIRATION, &[&millis]);
                    }
                });
            });
        });
        self.carry_out(&batch.done(), doing)
    }
}

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Whether the kernel knew what it was asked for.
fn known(done: Result<(), KernelError>) -> Result<bool, KernelError> {
    match done {
        Ok(()) => Ok(true),
        Err(KernelError::Os { source, .. })
            if matches!(source.raw_os_error(), Some(libc::EINVAL | libc::EOPNOTSUPP)) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
