//! The values of a policy file: each reads its text, or says what is allowed.

use std::{fmt::Display, str::FromStr, time::Duration};

use sekisho_model::Tier;
use serde::{Deserialize, Deserializer, de::Error as _};

/// A value that is written as text.
pub(crate) struct Text<T>(pub(crate) T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(D::Error::custom)
    }
}

/// A duration of whole milliseconds, as the log keeps it.
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |error| format!("\"{text}\" is no duration ({error}); write 30s, 5m or 24h");
        let span = humantime::parse_duration(text).map_err(wrong)?;
        if span.subsec_nanos() % 1_000_000 == 0 {
            Ok(Self(span))
        } else {
            Err(format!("\"{text}\" is no whole number of milliseconds; write 30s, 5m or 1500ms"))
        }
    }
}

/// A share, in thousandths.
pub(crate) struct Fraction(pub(crate) u32);

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom("quorum.fraction: must be from 0 to 1, in steps of 0.001");
        let share = f64::deserialize(from).map_err(|_| wrong())?;
        // Compared as numbers: what is written in decimals is seldom exact in binary.
        let steps = (0..=1_000_u32).find(|steps| (share * 1_000.0 - f64::from(*steps)).abs() < 1e-6);
        steps.map(Self).ok_or_else(wrong)
    }
}

/// What is done to a prefix under carpet bombing.
pub(crate) struct PrefixTier(pub(crate) Option<Tier>);

impl FromStr for PrefixTier {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self(None)),
            "suppress" => Ok(Self(Some(Tier::Suppress))),
            "drop" => Ok(Self(Some(Tier::Drop))),
            _ => Err(format!("prefix.tier: must be none, suppress or drop, not \"{text}\"")),
        }
    }
}

/// A DNS name, in lower case and without the dot at its end.
pub(crate) struct Name(pub(crate) String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let text = text.trim_end_matches('.');
        let label = |label: &str| {
            !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
        };
        // "127.1" and "0x7f000001" are other ways to write an address, and no names.
        let last = text.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        let hex = last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let is_number = hex || last.bytes().all(|byte| byte.is_ascii_digit());
        let good = !is_number
            && (1..=253).contains(&text.len())
            && text.bytes().all(plain)
            && text.split('.').all(label);
        let wrong = || {
            format!("\"{text}\" is no DNS name; write api.example.com, and addresses under never.prefixes")
        };
        good.then(|| Self(text.to_ascii_lowercase())).ok_or_else(wrong)
    }
}
