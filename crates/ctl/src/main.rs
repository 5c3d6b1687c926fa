//! `sekishoctl`: the operator's command line. It reads what the aggregator knows, gives orders, and
//! follows the list; it decides nothing by itself.

mod args;
mod client;
mod convert;
mod describe;
mod errors;
mod follow;
mod get;
mod line;
mod orders;
mod run;
mod status;
mod table;
mod view;
mod watch;

fn main() -> std::process::ExitCode {
    errors::end(run::run())
}
