//! A network namespace for each test: the test runs itself again inside it.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Says that this process is the one inside.
const INSIDE: &str = "SEKISHO_TEST_INSIDE";
/// What a process inside that another one started is told.
const WORD: &str = "SEKISHO_TEST_WORD";
/// How long anything may take that a test waits for.
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `test`, which is the one of this name, in a fresh network namespace.
pub(crate) fn in_namespace(name: &str, test: impl FnOnce()) {
    within(&["--net"], name, test);
}

/// The same in a fresh user namespace as well, where nobody is root of the host.
pub(crate) fn in_poor_namespace(name: &str, test: impl FnOnce()) {
    within(&["--user", "--map-root-user", "--net"], name, test);
}

fn within(fresh: &[&str], name: &str, test: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        run("ip", "link set lo up");
        test();
        return;
    }
    let itself = env::current_exe().expect("a path");
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", "120", "unshare"])
        .args(fresh)
        .arg("--")
        .arg(itself)
        .args([name, "--exact", "--nocapture"])
        .env(INSIDE, "1");
    let output = command.output().expect("unshare");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "{name} is no test:\n{told}");
}

/// This test once more, as another process in the namespace of this one, told `word`.
pub(crate) fn again(name: &str, word: &Path) -> Child {
    let itself = env::current_exe().expect("a path");
    let mut command = Command::new(itself);
    command.args([name, "--exact", "--nocapture"]).env(INSIDE, "1").env(WORD, word);
    command.stdout(Stdio::null()).spawn().expect("a process")
}

/// What this process was told by [`again`].
pub(crate) fn told() -> Option<PathBuf> {
    env::var_os(WORD).map(PathBuf::from)
}

/// Runs a program and tells whether it succeeded, and what it wrote.
pub(crate) fn try_run(program: &str, words: &str) -> (bool, String) {
    let output = Command::new(program).args(words.split_whitespace()).output().expect(program);
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs a program and expects success; gives what it wrote.
pub(crate) fn run(program: &str, words: &str) -> String {
    let (well, text) = try_run(program, words);
    assert!(well, "{program} {words}: {text}");
    text
}

/// Tells other threads to end, also when the test fails.
#[derive(Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it when the value goes.
    pub(crate) fn at_the_end(&self) -> impl Drop {
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        End(&self.0)
    }
}

/// Waits until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
