//! What a story expects.

use crate::words::{self, Wrong};

/// One expectation.
#[derive(Clone, Debug)]
pub enum Expectation {
    /// Exactly these entries, each as `PREFIX TIER` or `PREFIX TIER until TIME`.
    Listed(Vec<String>),
    /// This event came of the last statement, or of the time since.
    Event(String),
    /// So many events of the whole story begin with these words.
    Count(usize, String),
    /// Nothing of the whole story was ever dropped.
    NothingDropped,
    /// So many hosts list an IPv4 unit by chance.
    Chance(u32),
}

/// Reads what follows `expect`.
pub fn read(text: &str) -> Result<Expectation, Wrong> {
    let words: Vec<&str> = text.split_whitespace().collect();
    match &words[..] {
        ["nothing", "listed"] => Ok(Expectation::Listed(Vec::new())),
        ["nothing", "dropped"] => Ok(Expectation::NothingDropped),
        ["listed", ..] => entries(text.trim_start_matches("listed ")),
        ["event", rest @ ..] if !rest.is_empty() => Ok(Expectation::Event(rest.join(" "))),
        [count, "events" | "event", rest @ ..] if !rest.is_empty() => {
            Ok(Expectation::Count(words::number(count)?, rest.join(" ")))
        }
        ["chance", "bound", bound] => Ok(Expectation::Chance(words::number(bound)?)),
        _ => Err(format!("\"expect {text}\" is not understood")),
    }
}

fn entries(text: &str) -> Result<Expectation, Wrong> {
    let entry = |entry: &str| -> Result<String, Wrong> {
        let words: Vec<&str> = entry.split_whitespace().collect();
        match words[..] {
            [prefix, tier] => Ok(format!("{} {}", words::prefix(prefix)?, words::tier(tier)?)),
            [prefix, tier, "until", time] => {
                let (prefix, tier) = (words::prefix(prefix)?, words::tier(tier)?);
                Ok(format!("{prefix} {tier} until {}", words::written(words::time(time)?)))
            }
            _ => Err(format!("\"{entry}\" is not understood; write PREFIX TIER until TIME")),
        }
    };
    text.split(", ").map(entry).collect::<Result<_, _>>().map(Expectation::Listed)
}

/// Whether what is listed is exactly what is expected: an end that is not told may be any.
pub fn is_as_expected(expected: &[String], found: &[String]) -> bool {
    let is_it = |expected: &String, found: &String| {
        found == expected || found.split_once(" until ").is_some_and(|(head, _)| head == expected)
    };
    let count = expected.len() == found.len();
    count && found.iter().all(|found| expected.iter().filter(|one| is_it(one, found)).count() == 1)
}
