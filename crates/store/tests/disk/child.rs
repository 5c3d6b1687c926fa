//! This test binary, started again as a process of its own.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write, stderr, stdin},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

const ROLE: &str = "SEKISHO_STORE_TEST_ROLE";
const PLACE: &str = "SEKISHO_STORE_TEST_DIR";
/// Longest wait for a line of a child.
const DEADLINE: Duration = Duration::from_secs(60);

/// The child's entry; nothing in an ordinary run.
#[test]
fn child() {
    let Ok(role) = env::var(ROLE) else { return };
    let dir = PathBuf::from(env::var_os(PLACE).unwrap());
    match role.as_str() {
        "append" => crate::crash::append(&dir),
        "hold" => hold(&dir),
        "read" => crate::reading::read_only(&dir),
        other => {
            assert_eq!(other, "fill");
            crate::full::fill(&dir);
        }
    }
}

/// Tells the parent. Standard error, since the test harness writes to standard output.
pub(crate) fn say(line: &str) {
    stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Holds the directory until the parent closes the pipe.
fn hold(dir: &Path) {
    let _store = crate::work::open(dir).unwrap();
    say("held");
    let _ = stdin().read(&mut [0]);
}

/// The command that starts this binary as a child, with `wrapper` before it.
pub(crate) fn command(wrapper: &[&str], role: &str, dir: &Path) -> Command {
    let exe = env::current_exe().unwrap();
    let mut words = wrapper.iter().map(Into::into).chain([exe.into_os_string()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", "child::child", "--nocapture"]);
    command.env(ROLE, role).env(PLACE, dir);
    command
}

/// A running child and what it says.
pub(crate) struct Running {
    pub(crate) child: Child,
    lines: Receiver<String>,
}

impl Running {
    pub(crate) fn start(role: &str, dir: &Path) -> Self {
        let mut command = command(&[], role, dir);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (to, lines) = channel();
        let pipe = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || pipe.lines().map_while(Result::ok).try_for_each(|line| to.send(line)));
        Self { child, lines }
    }

    /// The next line; `None` when the child has closed its end.
    pub(crate) fn line(&self) -> Option<String> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => Some(line),
            Err(error) => {
                assert_eq!(error, RecvTimeoutError::Disconnected, "the child says nothing");
                None
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
