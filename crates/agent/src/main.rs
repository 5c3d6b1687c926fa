//! `sekisho-agent`: watches half-open handshakes and keeps the blocklist in the kernel.

use std::process::ExitCode;

use sekisho_daemon::exit;

fn main() -> ExitCode {
    exit::report("sekisho-agent", sekisho_agent::start())
}
