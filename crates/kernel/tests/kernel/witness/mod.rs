//! An independent witness of our messages: `nft` itself makes a table of the same value, through the nftables crate,
//! and lists tables, whoever made them.

mod declare;
mod rule;
mod shape;

use nftables::helper;
use sekisho_ruleset::{Scaffold, scaffold::TABLE_FAMILY};
use shape::Shape;

/// Has `nft` make a table of this shape.
pub(crate) fn create(scaffold: &Scaffold) {
    let none: [&str; 0] = [];
    let commands = declare::create(scaffold).to_string();
    helper::apply_ruleset_raw(&commands, None::<&str>, none).unwrap();
}

/// What `nft` sees that differs from a table of this shape.
pub(crate) fn difference(scaffold: &Scaffold) -> Option<String> {
    let args = ["--terse", "list", "ruleset", TABLE_FAMILY];
    let listing = helper::get_current_ruleset_raw(None::<&str>, args).unwrap();
    let listing = serde_json::from_str(&listing).unwrap();
    let table = sekisho_ruleset::scaffold::TABLE;
    Shape::of(&listing, table).difference(&Shape::of(&declare::create(scaffold), table))
}
