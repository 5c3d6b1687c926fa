//! Everything that can be wrong with a list or a transaction before a kernel sees it.

use alloc::string::String;

use sekisho_model::Prefix;

use crate::{Range, SetName};

/// Why changes or a transaction are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesetError {
    /// Two entries of the blocklist share an address: the kernel would refuse the second.
    #[error("refused: {new} and {old} are both on the blocklist and overlap; nothing was changed")]
    Overlap {
        /// What should be listed.
        new: Prefix,
        /// What is or should be listed as well.
        old: Prefix,
    },
    /// An entry of the blocklist shares an address with the allowlist, which always wins.
    #[error("refused: {block} is on the blocklist, but {allow} of it is allowlisted; nothing was changed")]
    Allowlisted {
        /// The entry of the blocklist.
        block: Prefix,
        /// The part of the allowlist that it meets.
        allow: Range,
    },
    /// A set was given an element of the other address family.
    #[error("{range} is not of the address family of set {set}")]
    Family {
        /// The set.
        set: SetName,
        /// The element.
        range: Range,
    },
    /// A hash set was given more than one address.
    #[error("set {set} takes single addresses, not {range}")]
    NotAnAddress {
        /// The set.
        set: SetName,
        /// The element.
        range: Range,
    },
    /// A set of ranges was given a renewal: kernels differ in what they make of one.
    #[error("elements of set {0} are not renewed, but removed and added")]
    NotAHash(SetName),
    /// The kernel's rules fill this set, transactions don't.
    #[error("set {0} is filled by the kernel's own rules, not by transactions")]
    Dynamic(SetName),
    /// The timeout is zero, which would mean "for ever".
    #[error("{range} in set {set} has no timeout; every element must end by itself")]
    Timeout {
        /// The set.
        set: SetName,
        /// The element.
        range: Range,
    },
    /// The text is not a transaction.
    #[error(
        "\"{0}\" is not `add element SET RANGE timeout 60s`, `renew element …`, `remove element SET RANGE` or `clear set SET`"
    )]
    Unreadable(String),
}
