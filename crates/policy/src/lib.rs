//! The policy file: YAML with no unknown keys, errors that name the line and what is allowed, and the way
//! back. `docs/policy.md` explains each key.

mod file;
mod values;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use sekisho_model::Policy;

/// Longest policy file, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// What is wrong with the text of a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct PolicyFileError {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there, and what is allowed.
    pub problem: String,
}

/// Why a policy file gives no policy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// It is too long.
    #[error("{}: it has {bytes} bytes; a policy has at most {MAX_FILE_BYTES}", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// Its text is no policy.
    #[error("{}:{}: {}", path.display(), wrong.line, wrong.problem)]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: PolicyFileError,
    },
}

/// Reads the policy in `path`.
///
/// # Errors
/// One line: the file, the line in it, what is wrong and what is allowed.
pub fn load(path: &Path) -> Result<Policy, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.into(), error };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(LoadError::TooLong { path: path.into(), bytes });
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    parse(&text).map_err(|wrong| LoadError::Wrong { path: path.into(), wrong })
}

/// Reads a policy. What is left out has its default.
///
/// # Errors
/// The first line that is wrong, and what is allowed there.
pub fn parse(text: &str) -> Result<Policy, PolicyFileError> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Policy::default());
    }
    let file: file::File = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        let problem = error.without_snippet().to_string();
        PolicyFileError { line, problem: problem.lines().next().unwrap_or_default().to_owned() }
    })?;
    let policy = file.policy();
    policy
        .check()
        .map_err(|error| PolicyFileError { line: line_of(text, error.key), problem: error.to_string() })?;
    Ok(policy)
}

/// A policy as the text of a policy file, every key: [`parse`] gives the same policy again.
pub fn to_yaml(policy: &Policy) -> String {
    sekisho_wire::policy::yaml(policy)
}

/// The line of the last part of `key` (as `quorum.drop`), below the line of its first part.
fn line_of(text: &str, key: &str) -> u64 {
    let mut rest = text.lines().zip(1..).peekable();
    let mut at = 1;
    for part in key.split('.') {
        let has = |line: &str| {
            line.match_indices(part)
                .any(|(start, _)| line[start + part.len()..].trim_start().starts_with(':'))
        };
        while let Some((line, number)) = rest.peek() {
            if has(line) {
                at = *number;
                break;
            }
            rest.next();
        }
    }
    at
}

#[cfg(test)]
mod tests;
