//! Hash sets that are filled aside, in many small transactions, until one more turns the rules to them: packets see
//! all of it at once, and no transaction is a long one.

use sekisho_ruleset::{Element, SCAFFOLD, SetName, Sides, Transaction, Ways};

use super::{
    Nft,
    constants::SET_COUNT,
    encode::{STEPS, additions, steps},
};
use crate::{KernelError, table::make};

impl Nft {
    /// Makes the `set` aside, empty, whether one is there or not.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no table.
    pub fn begin_aside(&mut self, set: SetName) -> Result<(), KernelError> {
        let name = self.name_aside(set)?;
        let there = match self.number_of(name, SET_COUNT) {
            Ok(_) => true,
            Err(KernelError::Missing) => false,
            Err(error) => return Err(error),
        };
        let mut batch = self.batch();
        if there {
            make::delete_set(&mut batch, name);
        }
        make::set(&mut batch, set, name);
        self.carry_out(&batch.done(), "making a set aside")
    }

    /// Adds elements to the `set` aside, in one transaction: no packet sees them yet. A few thousand at a time are
    /// fastest, since the kernel grows the set between transactions only.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no such set, [`KernelError::Full`].
    pub fn fill_aside(&mut self, set: SetName, elements: &[Element]) -> Result<(), KernelError> {
        let name = self.name_aside(set)?;
        self.add_to(name, elements)
    }

    /// Adds elements to the `set` that the rules look at, in one transaction, whether they are there or not: those
    /// that are keep the time that they have, or get the new one, by what the kernel does.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no such set, [`KernelError::Full`].
    pub fn add_again(&mut self, set: SetName, elements: &[Element]) -> Result<(), KernelError> {
        self.add_to(self.sides.name(set), elements)
    }

    fn add_to(&mut self, name: &str, elements: &[Element]) -> Result<(), KernelError> {
        if elements.is_empty() {
            return Ok(());
        }
        let room = std::mem::take(&mut self.room);
        let mut batch = super::batch::BatchWriter::over(room, self.link.next_sequence());
        elements.chunks(STEPS).for_each(|some| additions(&mut batch, name, some));
        let batch = batch.done();
        let done = self.carry_out(&batch, "filling a set of table inet sekisho");
        self.room = batch.bytes;
        done
    }

    /// Turns the rules to the `sets` aside, deletes those that they looked at, and carries out `rest`, all in one
    /// transaction.
    ///
    /// # Errors
    /// The first thing that the kernel found wrong; the rules look at the old sets then.
    pub fn turn(&mut self, sets: &[SetName], rest: &Transaction, ways: Ways) -> Result<(), KernelError> {
        let turned = sets.iter().fold(self.sides, |sides, set| sides.turned(*set));
        let mut batch = self.batch();
        make::rules_anew(&mut batch, &SCAFFOLD, &SCAFFOLD, turned);
        sets.iter().for_each(|set| make::delete_set(&mut batch, self.sides.name(*set)));
        steps(&mut batch, rest, ways, turned);
        self.carry_out(&batch.done(), "turning the rules to new sets")?;
        self.sides = turned;
        Ok(())
    }

    /// Deletes these sets aside: what is left of a filling that came to no end.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if one is not there.
    pub fn delete_asides(&mut self, sets: &[SetName]) -> Result<(), KernelError> {
        if sets.is_empty() {
            return Ok(());
        }
        let mut batch = self.batch();
        for set in sets {
            make::delete_set(&mut batch, self.name_aside(*set)?);
        }
        self.carry_out(&batch.done(), "deleting sets aside")
    }

    fn name_aside(&self, set: SetName) -> Result<&'static str, KernelError> {
        let sides: Sides = self.sides;
        sides.aside(set).ok_or(KernelError::Answer("a set of ranges cannot be filled aside"))
    }
}
