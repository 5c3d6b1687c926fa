//! One network namespace: made by `ip netns`, so that people can look into it, and entered by threads.

use std::{
    fs::File,
    os::fd::AsFd,
    process::{Child, Command},
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{command, leftovers};

/// A network namespace of this run; dropping it ends the processes in it and removes it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one, with its loopback up. `name` must be new within this run.
    ///
    /// # Errors
    /// Not root, or `ip` failed.
    pub fn new(name: &str) -> Result<Self> {
        leftovers::prepare()?;
        let name = leftovers::namespace_name(name);
        command::run("ip", &format!("netns add {name}"))?;
        let made = Self { name };
        made.ip("link set lo up")?;
        Ok(made)
    }

    /// Its name, as `ip netns exec` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` in it.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        command::run("ip", &format!("-n {} {arguments}", self.name))
    }

    /// Sets a sysctl in it: `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/proc/sys/{key}");
        let value = value.to_owned();
        self.run(move || std::fs::write(&path, value).with_context(|| format!("cannot set {path}")))?
    }

    /// Runs `nft` in it with `script` on its standard input.
    ///
    /// # Errors
    /// What `nft` said.
    pub fn nft(&self, arguments: &str) -> Result<String> {
        self.command("nft", &arguments.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a command in it to its end.
    ///
    /// # Errors
    /// The program is missing or failed: what it wrote to stderr.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program);
        command.args(arguments);
        self.run(move || command::checked(&mut command))?
    }

    /// Starts a process in it. A child lives in the namespaces of the thread that starts it.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&self, mut command: Command) -> Result<Child> {
        self.run(move || command.spawn().with_context(|| format!("cannot start {command:?}")))?
    }

    /// Runs `work` on a thread in it, and waits.
    ///
    /// # Errors
    /// The namespace cannot be entered, or `work` panicked.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let file = self.open()?;
        thread::scope(|scope| {
            let worker = scope.spawn(|| enter(&file).map(|()| work()));
            worker.join().map_err(|_| anyhow!("a thread in {} panicked", self.name))?
        })
    }

    /// Runs `work` on a thread in it, for as long as it takes.
    ///
    /// # Errors
    /// The namespace is gone.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let file = self.open()?;
        Ok(thread::spawn(move || {
            enter(&file)?;
            work()
        }))
    }

    fn open(&self) -> Result<File> {
        let path = format!("/run/netns/{}", self.name);
        File::open(&path).with_context(|| format!("cannot open {path}"))
    }
}

fn enter(file: &File) -> Result<()> {
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .context("cannot enter a network namespace")
}

impl Drop for Namespace {
    fn drop(&mut self) {
        leftovers::remove_namespace(&self.name);
    }
}
