//! `sekisho-agent check`: what works on this host, what does not, and what to do about it. It changes nothing:
//! what must be tried is tried in a network namespace of its own, or in a transaction that leaves nothing.

mod firewall;
mod host;
mod reach;
mod show;
mod sight;

use std::io::Write;

use clap::{Args, Subcommand, ValueEnum};

use crate::settings::Settings;

/// What to do instead of running the agent.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Says what works on this host, what does not, and what to do about it; fails if enforcing cannot work
    Check(CheckArgs),
}

/// How to say it.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// How to write it
    #[arg(short, long, value_name = "FORM", default_value = "text")]
    pub output: Form,
}

/// A form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A line for each thing, for people
    Text,
    /// One object, for programs
    Json,
}

/// How it is with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Works,
    /// It is not there, and the agent does without it.
    Absent,
    /// It should be looked at.
    Suspicious,
    /// It could not be found out.
    Unknown,
    /// It does not work, and enforcing needs it.
    Fails,
}

/// One thing that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its name.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do, if there is something to do.
    pub advice: Option<String>,
}

impl Finding {
    fn new(name: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { name, state, found: found.into(), advice: None }
    }

    fn works(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, State::Works, found)
    }

    fn fails(name: &'static str, found: &impl ToString) -> Self {
        Self::new(name, State::Fails, found.to_string())
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// Looks at everything, says it, and fails if enforcing cannot work.
///
/// # Errors
/// Then, with the names of what stands in the way.
pub async fn run(settings: &Settings, args: &CheckArgs) -> anyhow::Result<()> {
    let mut findings = host::look(settings.state_dir.as_deref());
    findings.extend(sight::look());
    findings.extend(firewall::look());
    findings.extend(reach::look(settings).await);
    let text = match args.output {
        Form::Text => show::text(&findings),
        Form::Json => show::json(&findings)?,
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    let failing = failing(&findings);
    anyhow::ensure!(failing.is_empty(), "enforcing cannot work here: {}", failing.join(", "));
    Ok(())
}

fn failing(findings: &[Finding]) -> Vec<&'static str> {
    let fails = findings.iter().filter(|finding| finding.state == State::Fails);
    fails.map(|finding| finding.name).collect()
}
