//! The agent's parts. What is public is so for tests and benchmarks of the way to the kernel.

pub mod desk;
pub mod guard;
pub mod hits;
pub mod journal;
pub mod keeper;

mod addresses;
mod answers;
mod app;
mod buffer;
mod check;
mod completed;
mod endings;
mod fill;
mod follow;
mod link;
mod manners;
mod metrics;
mod objections;
mod report;
mod retries;
mod sensor;
mod settings;

use sekisho_daemon::{config, exit, telemetry};

/// Runs the agent until a signal.
///
/// # Errors
/// What keeps it from starting, and what to do.
pub fn start() -> anyhow::Result<()> {
    let settings: settings::Settings = config::load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let Some(check::Command::Check(args)) = &settings.command {
        return runtime.block_on(check::run(&settings, args));
    }
    telemetry::start_log(&settings.log_level, settings.log_format)?;
    exit::abort_on_panic();
    runtime.block_on(app::run(settings))
}
