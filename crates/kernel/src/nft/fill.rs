//! How full the sets are that the rules fill: each has a size, and what finds no room is not noted.

use sekisho_ruleset::{Fill, SetName};

use super::Nft;
use crate::KernelError;

impl Nft {
    /// How many elements each set has that the rules fill, in constant time; none of them where the kernel does
    /// not say. Elements that have ended count until the kernel sweeps them, as they do for the kernel itself when
    /// it looks for room.
    ///
    /// # Errors
    /// [`KernelError::Missing`] if there is no table.
    pub fn fills(&mut self) -> Result<Vec<Fill>, KernelError> {
        let mut fills = Vec::new();
        for set in SetName::ALL.into_iter().filter(|set| !SetName::FILLED.contains(set)) {
            let Some(elements) = self.count(set)? else { return Ok(Vec::new()) };
            fills.push(Fill { set, elements });
        }
        Ok(fills)
    }
}
