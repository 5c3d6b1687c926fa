//! The policy file: YAML with no unknown keys, errors that name the line and what is allowed, and the way
//! back. `docs/policy.md` explains each key.

mod file;
mod values;
mod words;

use std::{
    fs,
    io::{self, Read},
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
    #[error("{}: it is too long; a policy has at most {MAX_FILE_BYTES} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
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
    let mut text = String::new();
    // A device has no length: it is read up to the limit, and no further.
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(LoadError::TooLong { path: path.into() });
    }
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
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let there = usize::try_from(line).ok().and_then(|line| text.lines().nth(line.saturating_sub(1)));
        let said = error.without_snippet().to_string();
        PolicyFileError { line, problem: words::meant(&said, there.unwrap_or_default(), column) }
    })?;
    let policy = file.policy();
    policy.check().map_err(|error| PolicyFileError {
        line: words::line_of(text, error.key),
        problem: error.to_string(),
    })?;
    Ok(policy)
}

/// A policy as the text of a policy file, every key: [`parse`] gives the same policy again.
pub fn to_yaml(policy: &Policy) -> String {
    sekisho_wire::policy::yaml(policy)
}

#[cfg(test)]
mod tests;
