//! A real program in a namespace: its log in a file, its end within a deadline, ended by its own number.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{namespace::Namespace, wait};

/// Longest that a program may take to stop when asked.
pub const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A running program; dropping it kills it.
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

/// Where the programs are: `SEKISHO_BIN_DIR`, or where this very program was built.
///
/// # Errors
/// They are not there: how to build them.
pub fn binary(name: &str) -> Result<PathBuf> {
    let directory = match std::env::var_os("SEKISHO_BIN_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => {
            let own = std::env::current_exe()?;
            let directory = own.parent().context("the running program has no directory")?;
            // Tests are one level further down.
            let above = directory.parent().filter(|_| directory.ends_with("deps"));
            above.unwrap_or(directory).to_owned()
        }
    };
    let path = directory.join(name);
    if !path.exists() {
        bail!("{} is not there: run `make build`, or set SEKISHO_BIN_DIR", path.display());
    }
    Ok(path)
}

/// A command for one of the project's programs, with nothing of this process's environment that could
/// change what it does.
///
/// # Errors
/// It is not built.
pub fn command(name: &str) -> Result<Command> {
    let mut command = Command::new(binary(name)?);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    if let Some(level) = std::env::var_os("RUST_LOG") {
        command.env("RUST_LOG", level);
    }
    Ok(command)
}

impl Program {
    /// Starts `command` in `namespace`; what it prints is appended to `log`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, namespace: &Namespace, mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        command.stdout(file.try_clone()?).stderr(file);
        // A group of its own: Ctrl-C in the terminal reaches the laboratory, which then cleans up.
        command.process_group(0);
        let child = namespace.start(command)?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far, over all its lives with this log.
    ///
    /// # Errors
    /// The log is gone.
    pub fn log(&self) -> Result<String> {
        fs::read_to_string(&self.log).with_context(|| format!("no log of {}", self.name))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// The kernel does not know it.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for it to be ready, and fails at once if it ends instead.
    ///
    /// # Errors
    /// It ended, or was not ready in time: with the end of its log.
    pub fn ready(&mut self, deadline: Duration, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
        let name = self.name.clone();
        let ready =
            wait::until_true(deadline, &format!("{name} is ready"), || Ok(!self.is_running()? || look()?));
        if let Err(error) = ready {
            bail!("{error:#}\n{}", self.log_end());
        }
        if let Some(status) = self.child.try_wait()? {
            bail!("{name} ended with {status} instead of getting ready\n{}", self.log_end());
        }
        Ok(())
    }

    /// Sends a signal to it.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid().cast_signed()).context("no process number")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It is gone already.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    /// It does not end within [`STOP_WITHIN`].
    pub fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(STOP_WITHIN)
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// It still runs at the deadline.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let what = format!("{} ends", self.name);
        wait::until(deadline, &what, || Ok(self.child.try_wait()?)).with_context(|| self.log_end())
    }

    fn log_end(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(20)..];
        format!("the end of its log:\n{}", last.join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
