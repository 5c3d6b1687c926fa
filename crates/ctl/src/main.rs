//! `sekishoctl`: the operator's command line. It reads what the aggregator knows, gives orders, and
//! follows the list; it decides nothing by itself.

mod args;
mod client;
mod convert;
mod describe;
mod errors;
mod event;
mod events;
mod explain;
mod follow;
mod get;
mod line;
mod orders;
mod policy;
mod prose;
mod replay;
mod retry;
mod run;
mod status;
mod table;
mod view;
mod watch;
mod words;

fn main() -> std::process::ExitCode {
    errors::end(run::run())
}
