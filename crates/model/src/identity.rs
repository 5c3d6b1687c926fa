//! Names of hosts, zones and operators: short, printable, and the same in every room.

use alloc::{boxed::Box, string::String};
use core::{fmt, str::FromStr};

use crate::limits::MAX_NAME_BYTES;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a name; use 1 to {MAX_NAME_BYTES} letters, digits, '.', '_' or '-'")]
pub struct IdentityError {
    text: String,
}

fn checked(text: &str) -> Result<Box<str>, IdentityError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.into())
    } else {
        Err(IdentityError { text: text.chars().take(MAX_NAME_BYTES).collect() })
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdentityError;

            fn from_str(text: &str) -> Result<Self, IdentityError> {
                checked(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }
    };
}

name! {
    /// One agent's identity: the last segment of its certificate's `spiffe://…/agent/<host>`.
    HostId
}
name! {
    /// A failure domain given by the operator's configuration: a site, a provider, a rack.
    Zone
}
name! {
    /// One operator's identity: the last segment of its certificate's `spiffe://…/operator/<name>`.
    OperatorId
}
name! {
    /// A caller's own name for one order, by which a repeat is known.
    RequestId
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn names_are_short_and_printable() {
        assert_eq!("edge-1.tokyo".parse::<HostId>().unwrap().as_str(), "edge-1.tokyo");
        for bad in ["", "a b", "a/b", "ä", &"x".repeat(MAX_NAME_BYTES + 1)] {
            assert!(bad.parse::<Zone>().unwrap_err().to_string().contains("is not a name"));
        }
    }
}
