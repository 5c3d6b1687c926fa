//! Short commands (`ip`, `nft`, `sysctl`): run to the end, with an error that says what was run.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Runs `program` with `arguments` split at blanks, and returns what it printed.
///
/// # Errors
/// The program is missing or failed: what it wrote to stderr.
pub fn run(program: &str, arguments: &str) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace());
    checked(&mut command)
}

/// Runs a prepared command to its end, and returns what it printed.
///
/// # Errors
/// The program is missing or failed: what it wrote to stderr.
pub fn checked(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} ended with {}: {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a prepared command to its end, whatever that is.
///
/// # Errors
/// The program cannot be started.
pub fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("cannot start {command:?}; is it installed? (build/install)"))
}
