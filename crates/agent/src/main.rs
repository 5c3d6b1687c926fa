//! `sekisho-agent`: watches half-open handshakes and keeps the blocklist in the kernel.

mod addresses;
mod answers;
mod app;
mod buffer;
mod check;
mod completed;
mod desk;
mod endings;
mod fill;
mod follow;
mod hits;
mod journal;
mod keeper;
mod link;
mod manners;
mod metrics;
mod objections;
mod report;
mod retries;
mod sensor;
mod settings;

use std::process::ExitCode;

use sekisho_daemon::{config, exit, telemetry};

fn main() -> ExitCode {
    exit::report("sekisho-agent", start())
}

fn start() -> anyhow::Result<()> {
    let settings: settings::Settings = config::load()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if let Some(check::Command::Check(args)) = &settings.command {
        return runtime.block_on(check::run(&settings, args));
    }
    telemetry::start_log(&settings.log_level, settings.log_format)?;
    exit::abort_on_panic();
    runtime.block_on(app::run(settings))
}
