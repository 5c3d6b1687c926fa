//! `sekisho-aggregator`: the replayed log, the engine and the publisher behind gRPC.

mod app;
mod benefit;
mod clock;
mod events;
mod grpc;
mod ledger;
mod metrics;
mod names;
mod roster;
mod sequencer;
mod settings;
mod shared;
mod tell;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use sekisho_daemon::{config, exit, telemetry};

fn main() -> ExitCode {
    exit::report("sekisho-aggregator", start())
}

fn start() -> anyhow::Result<()> {
    let settings: settings::Settings = config::load()?;
    telemetry::start_log(&settings.log_level, settings.log_format)?;
    exit::abort_on_panic();
    let runtime = tokio::runtime::Runtime::new()?;
    let ended = runtime.block_on(app::run(settings));
    // Tasks of connections that were cut off must not hold the process.
    runtime.shutdown_background();
    ended
}
