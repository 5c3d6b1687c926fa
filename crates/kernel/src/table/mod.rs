//! The table itself: making it, judging one that is there, removing it, all through `nft`.

mod declare;
mod rule;
mod shape;

use std::process::{Command, Stdio};

use nftables::helper::{self, NftablesError};
use sekisho_ruleset::{
    Scaffold,
    scaffold::{OLDER, TABLE, TABLE_FAMILY},
};

use crate::{KernelError, Nft};
use shape::Shape;

/// What there is under our table's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A table just as we make it, whatever its sets hold.
    Ours,
    /// A table just as an earlier version made it, whatever its sets hold: [`upgrade`] makes it ours.
    Older(&'static Scaffold),
    /// Another table, or ours after somebody edited it.
    Foreign {
        /// The first difference.
        what: String,
    },
}

/// Whether everything is there that enforcing needs.
///
/// # Errors
/// What is missing, and what an operator can do about it: [`KernelError::NoProgram`],
/// [`KernelError::NoNfTables`], [`KernelError::NotPermitted`], [`KernelError::Owned`].
pub fn check() -> Result<(), KernelError> {
    let version = Command::new("nft").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.map_err(|_| KernelError::NoProgram)?;
    let mut nft = Nft::open()?;
    nft.usable()?;
    match nft.owner() {
        Ok(None) | Err(KernelError::Missing) => Ok(()),
        Ok(Some(port)) => Err(KernelError::Owned(port)),
        Err(error) => Err(error),
    }
}

/// Makes the table, in one transaction.
///
/// # Errors
/// [`KernelError::Exists`] if it is there already, [`KernelError::Foreign`] if another one of its name
/// is.
pub fn install() -> Result<(), KernelError> {
    match inspect()? {
        Found::Absent => apply("making table inet sekisho", &declare::create()),
        Found::Ours | Found::Older(_) => Err(KernelError::Exists),
        Found::Foreign { what } => Err(KernelError::Foreign(what)),
    }
}

/// Makes the table, and deletes one of the name that is there, in one transaction. The new sets are
/// empty.
///
/// # Errors
/// When `nft` fails; the old table stays then.
pub fn replace() -> Result<(), KernelError> {
    apply("making table inet sekisho anew", &declare::replace())
}

/// Makes a table that is just `old` ours, in one transaction: what its sets hold stays, so that nothing that
/// is blocked gets through meanwhile.
///
/// # Errors
/// When `nft` fails; the old table stays then.
pub fn upgrade(old: &Scaffold) -> Result<(), KernelError> {
    apply("bringing table inet sekisho to this version", &declare::upgrade(old))
}

/// Deletes the table and all that is in it, if there is one.
///
/// # Errors
/// When `nft` fails.
pub fn remove() -> Result<(), KernelError> {
    apply("deleting table inet sekisho", &declare::remove())
}

/// What there is under our table's name. Never lists elements, however many there are.
///
/// # Errors
/// When `nft` fails.
pub fn inspect() -> Result<Found, KernelError> {
    // Listing the one table would read all elements only to leave them out; listing all tables of
    // the family tersely does not (nft 1.0.6).
    let args = ["--terse", "list", "ruleset", TABLE_FAMILY];
    let text = helper::get_current_ruleset_raw(None::<&str>, args)
        .map_err(|error| failed("listing the tables", error))?;
    let listing = serde_json::from_str(&text).map_err(|_| KernelError::Answer("nft's listing is no JSON"))?;
    let found = Shape::of(&listing, TABLE);
    if found.is_empty() {
        return Ok(Found::Absent);
    }
    let Some(what) = found.difference(&Shape::of(&declare::create(), TABLE)) else { return Ok(Found::Ours) };
    let older = OLDER.iter().find(|old| found == Shape::of(&declare::create_as(old), TABLE));
    Ok(older.map_or(Found::Foreign { what }, Found::Older))
}

fn apply(doing: &'static str, commands: &serde_json::Value) -> Result<(), KernelError> {
    let none: [&str; 0] = [];
    let applied = helper::apply_ruleset_raw(&commands.to_string(), None::<&str>, none);
    applied.map(drop).map_err(|error| failed(doing, error))
}

fn failed(doing: &'static str, error: NftablesError) -> KernelError {
    match error {
        NftablesError::NftExecution { inner, .. } if inner.kind() == std::io::ErrorKind::NotFound => {
            KernelError::NoProgram
        }
        NftablesError::NftFailed { stderr, .. } if stderr.contains("Operation not permitted") => {
            KernelError::NotPermitted
        }
        NftablesError::NftFailed { stderr, .. } => KernelError::Program { doing, stderr },
        other => KernelError::Program { doing, stderr: other.to_string() },
    }
}
