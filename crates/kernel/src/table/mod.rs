//! The table itself: making it, judging one that is there, removing it, all over the socket that the elements go
//! through too, so that the table can belong to it.

pub(crate) mod constants;
mod expression;
pub(crate) mod make;
mod rule;
mod shape;

use sekisho_ruleset::{
    SCAFFOLD, Scaffold, SetName, Sides, Transaction, Ways,
    scaffold::{OLDER, TABLE},
};

use crate::{
    KernelError, Nft,
    link::ONE,
    message::{DUMP, Writer},
    nft::{
        constants::{GET_OBJECT, GET_SET, GET_TABLE, OBJECT_TABLE, SET_TABLE, TABLE_NAME},
        start, steps,
    },
};
use constants::{GET_CHAIN, GET_RULE, OWNER, PERSIST, RULE_TABLE};
use shape::Shape;

/// What there is under our table's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A table just as we make it, whatever its sets hold.
    Ours,
    /// A table just as an earlier version made it, whatever its sets hold: [`Nft::upgrade`] makes it ours.
    Older(&'static Scaffold),
    /// A table just as we make it but for its rules: [`Nft::upgrade`] from [`SCAFFOLD`] makes it ours.
    Edited {
        /// The first difference.
        what: String,
    },
    /// Another table, or ours after somebody edited more than its rules.
    Foreign {
        /// The first difference.
        what: String,
    },
}

/// Whose a table is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Anybody's who may change the firewall.
    #[default]
    Anybody,
    /// The socket's that makes it, until that is closed: nobody else changes it, also not by flushing everything.
    /// Needs a kernel that has [`owner`](crate::nft::Features::owner).
    Socket,
}

impl Owner {
    fn flags(self) -> u32 {
        match self {
            Self::Anybody => 0,
            Self::Socket => OWNER | PERSIST,
        }
    }
}

impl Nft {
    /// Whether everything is there that enforcing needs, and the table is nobody else's.
    ///
    /// # Errors
    /// What is missing, and what an operator can do about it: [`KernelError::NoNfTables`],
    /// [`KernelError::NotPermitted`], [`KernelError::Owned`].
    pub fn check(&mut self) -> Result<(), KernelError> {
        self.usable()?;
        match self.owner() {
            Ok(Some(port)) if port != self.link.port() => Err(KernelError::Owned(port)),
            Ok(_) | Err(KernelError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the table with what `contents` puts into it, in one transaction.
    ///
    /// # Errors
    /// [`KernelError::Exists`] if there is one of its name.
    pub fn install(&mut self, owner: Owner, contents: &Transaction) -> Result<(), KernelError> {
        let mut batch = self.batch();
        make::create(&mut batch, &SCAFFOLD, owner.flags(), Sides::default());
        steps(&mut batch, contents, Ways::ANY, Sides::default());
        match self.carry_out(&batch.done(), "making table inet sekisho") {
            Err(KernelError::Overlap(_)) => Err(KernelError::Exists),
            done => done.map(|()| self.sides = Sides::default()),
        }
    }

    /// Deletes the table of our name that is there, and makes ours with what `contents` puts into it, in one
    /// transaction.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is none. Where it fails, the old table stays.
    pub fn replace(&mut self, owner: Owner, contents: &Transaction) -> Result<(), KernelError> {
        let mut batch = self.batch();
        make::delete_table(&mut batch, TABLE);
        make::create(&mut batch, &SCAFFOLD, owner.flags(), Sides::default());
        steps(&mut batch, contents, Ways::ANY, Sides::default());
        self.carry_out(&batch.done(), "making table inet sekisho anew")?;
        self.sides = Sides::default();
        Ok(())
    }

    /// Makes a table that is just `old` ours, in one transaction: what its sets hold stays, so that nothing that
    /// is blocked gets through meanwhile.
    ///
    /// # Errors
    /// When the kernel refuses; the old table stays then.
    pub fn upgrade(&mut self, old: &Scaffold) -> Result<(), KernelError> {
        let mut batch = self.batch();
        make::rules_anew(&mut batch, old, &SCAFFOLD, self.sides);
        self.carry_out(&batch.done(), "bringing table inet sekisho to this version")
    }

    /// Takes a table for this socket that was made as a socket's and whose socket is closed. True if it is ours
    /// now; a table that never belonged to a socket cannot.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no table, [`KernelError::Owned`] if it is another socket's.
    pub fn claim(&mut self) -> Result<bool, KernelError> {
        match self.table()? {
            (Some(port), _) if port == self.link.port() => Ok(true),
            (None, flags) if flags & PERSIST != 0 => {
                let mut batch = self.batch();
                make::table(&mut batch, TABLE, flags | OWNER | PERSIST, 0);
                self.carry_out(&batch.done(), "taking table inet sekisho over")?;
                Ok(true)
            }
            (Some(port), _) => Err(KernelError::Owned(port)),
            (None, _) => Ok(false),
        }
    }

    /// Deletes the table and all that is in it, if there is one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn remove(&mut self) -> Result<(), KernelError> {
        let mut batch = self.batch();
        make::delete_table(&mut batch, TABLE);
        match self.carry_out(&batch.done(), "deleting table inet sekisho") {
            Err(KernelError::Missing) => Ok(()),
            done => done,
        }
    }

    /// What there is under our table's name, and which sets lie aside in it. Never lists elements, however many
    /// there are. Remembers on which sides the sets are that the rules look at.
    ///
    /// # Errors
    /// [`KernelError::Inconsistent`] if somebody changed the firewall meanwhile.
    pub fn inspect(&mut self) -> Result<(Found, Vec<SetName>), KernelError> {
        let before = self.generation()?;
        let mut found = match self.shape() {
            Err(KernelError::Missing) => Shape::default(),
            looked => looked?,
        };
        // A mixture of before and after that is just ours is nothing to worry about.
        let (sides, steady) = (found.sides(), self.generation()? == before);
        let asides = found.take_asides();
        if !steady && found.difference(&Shape::of(&SCAFFOLD, sides)).is_some() {
            return Err(KernelError::Inconsistent);
        }
        if found.is_empty() {
            self.sides = Sides::default();
            return Ok((Found::Absent, Vec::new()));
        }
        let wanted = Shape::of(&SCAFFOLD, sides);
        let Some(what) = found.difference(&wanted) else {
            self.sides = sides;
            return Ok((Found::Ours, asides));
        };
        let older = OLDER.iter().find(|old| found.difference(&Shape::of(old, sides)).is_none());
        if older.is_some() {
            self.sides = sides;
        }
        let edited = found.differs_by_rules_only(&wanted);
        if edited {
            self.sides = sides;
        }
        Ok(match older {
            Some(older) => (Found::Older(older), asides),
            None if edited => (Found::Edited { what }, asides),
            None => (Found::Foreign { what }, asides),
        })
    }

    fn shape(&mut self) -> Result<Shape, KernelError> {
        let mut shape = Shape::default();
        let asked = [
            (GET_TABLE, ONE, TABLE_NAME),
            (GET_SET, DUMP, SET_TABLE),
            // The kernel lists the chains of all tables.
            (GET_CHAIN, DUMP, constants::CHAIN_TABLE),
            (GET_RULE, DUMP, RULE_TABLE),
            (GET_OBJECT, DUMP, OBJECT_TABLE),
        ];
        for (message, flags, attribute) in asked {
            let body = |body: &mut Writer| body.text(attribute, TABLE);
            self.link.ask(
                |writer, sequence| start(writer, message, flags, sequence, body),
                |errno| KernelError::of_nf_tables("looking at table inet sekisho", errno),
                |message| shape.take(&message),
            )?;
        }
        Ok(shape)
    }
}
