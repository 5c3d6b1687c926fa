//! Random histories over a world so small that everything meets everything, and how they are run.
//!
//! A history is made from one number, so that a failing one can be made again. `SEKISHO_HISTORIES` says how
//! many are tried, `SEKISHO_SEED` with which number to begin.

mod dice;
mod inputs;
mod make;
mod run;
mod show;
mod shrink;

pub(super) use dice::Dice;
pub(super) use inputs::{stuck_units, units};
pub(super) use make::{History, batch, order, reports, world};
pub(super) use run::{Verdict, for_all, for_all_of};
pub(super) use show::told;
