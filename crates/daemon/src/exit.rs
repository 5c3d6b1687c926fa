//! How a program ends: 0 when all went well, 64 (`EX_USAGE` of sysexits.h) when it was told something
//! wrong, 1 for everything else.

use std::process::ExitCode;

/// The operator told the program something wrong: one line that names the place and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A wrong flag, policy or configuration.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// Says on standard error, in one line, what ended the program, and gives its exit code.
pub fn report(program: &str, result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
    eprintln!("{program}: {line}");
    if error.downcast_ref::<Usage>().is_some() { ExitCode::from(64) } else { ExitCode::FAILURE }
}

/// Lets a panic of any thread end the process, after its message: a service that has lost a thread must
/// be started again instead of looking well.
pub fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
