//! A fleet in a world: one aggregator and an agent on each host, as real processes with certificates.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use sekisho_model::{Prefix, Tier};
use sekisho_wire::pb::v1::{Entry, GetStatusResponse, Host};
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::{
    certs::{Certs, Files},
    command, grpc, http, leftovers, nft,
    process::Program,
    programs::{self, AGENT_METRICS, AGGREGATOR_METRICS, Mode},
    wait,
    world::World,
};

/// Longest that a program may take to get ready.
pub const READY_WITHIN: Duration = Duration::from_secs(20);

/// How the fleet is set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Hosts, each with an agent.
    pub hosts: u8,
    /// What the agents do.
    pub mode: Mode,
    /// The policy file's text.
    pub policy: String,
    /// Further flags of the agents.
    pub agent: &'static [&'static str],
}

impl Default for Setup {
    fn default() -> Self {
        Self { hosts: 5, mode: Mode::Enforce, policy: policy("5m", "10m"), agent: &[] }
    }
}

/// A policy by which three hosts drop a single address and nothing else is listed, for tests that are not about
/// the decision.
pub fn policy(window: &str, ttl: &str) -> String {
    format!(
        "window: {window}\nquorum: {{ suppress: 3, drop: 3 }}\nprefix: {{ tier: none }}\nttl: {{ base: {ttl} }}\n\
         limits: {{ new_per_minute: 1000000, host_units_per_minute: 10000000 }}\n"
    )
}

/// The running fleet. Dropping it ends every process, and then the world.
pub struct Fleet {
    /// The agents that run, by host name.
    pub agents: BTreeMap<String, Program>,
    /// The aggregator, while it runs.
    pub aggregator: Option<Program>,
    /// An operator's files.
    pub operator: Files,
    /// The authority.
    pub certs: Certs,
    /// Where everything stands.
    pub world: World,
    /// The aggregator's own files.
    pub server: Files,
    directory: TempDir,
}

impl Fleet {
    /// Lays a world and starts the aggregator and every agent, all ready on return.
    ///
    /// # Errors
    /// Whatever did not get ready, with the end of its log.
    pub fn start(setup: &Setup) -> Result<Self> {
        let mut fleet = Self::lay(setup)?;
        fleet.start_aggregator()?;
        for host in fleet.host_names() {
            fleet.start_agent(&host, setup.mode, setup.agent)?;
        }
        fleet.all_ready()?;
        Ok(fleet)
    }

    /// Lays a world with certificates and a policy, and starts nothing.
    ///
    /// # Errors
    /// Not root, or a command failed.
    pub fn lay(setup: &Setup) -> Result<Self> {
        let directory = leftovers::directory()?;
        let certs = Certs::new(&directory.path().join("tls"))?;
        fs::write(directory.path().join("policy.yaml"), &setup.policy)?;
        fs::create_dir(directory.path().join("data"))?;
        let (server, operator) = (certs.aggregator()?, certs.operator("ana")?);
        let world = World::new(setup.hosts)?;
        Ok(Self { agents: BTreeMap::new(), aggregator: None, operator, certs, world, server, directory })
    }

    /// Where the run's files are: `data`, `policy.yaml`, `state-<host>`, `tls`, `<program>.log`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The hosts' names.
    pub fn host_names(&self) -> Vec<String> {
        self.world.hosts.iter().map(|host| host.name.clone()).collect()
    }

    /// Starts the aggregator and waits until it is ready.
    ///
    /// # Errors
    /// It did not get ready.
    pub fn start_aggregator(&mut self) -> Result<()> {
        let data = self.path("data");
        let command = programs::aggregator(&data, &self.path("policy.yaml"), &self.server)?;
        let log = self.path("aggregator.log");
        let mut program = Program::start("sekisho-aggregator", &self.world.aggregator, command, &log)?;
        program.ready(READY_WITHIN, || self.aggregator_ready())?;
        self.aggregator = Some(program);
        Ok(())
    }

    /// Whether the aggregator says that it is ready.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn aggregator_ready(&self) -> Result<bool> {
        Ok(http::get(&self.world.aggregator, AGGREGATOR_METRICS, "/readyz")?.status == 200)
    }

    /// A second aggregator on the same data, which must refuse to start where that is in use or damaged,
    /// or where the policy is wrong.
    ///
    /// # Errors
    /// It is not built.
    pub fn second_aggregator(&self, policy: &Path) -> Result<Command> {
        programs::aggregator_aside(&self.path("data"), policy, &self.server)
    }

    /// Starts the agent of a host, without waiting.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_agent(&mut self, host: &str, mode: Mode, more: &[&str]) -> Result<()> {
        let state = self.path(&format!("state-{host}"));
        fs::create_dir_all(&state)?;
        let command = programs::agent(mode, &state, &self.certs.agent(host)?, more)?;
        let log = self.path(&format!("agent-{host}.log"));
        let namespace = &self.world.host(host)?.namespace;
        let program = Program::start(&format!("sekisho-agent on {host}"), namespace, command, &log)?;
        self.agents.insert(host.to_owned(), program);
        Ok(())
    }

    /// Waits until every agent that runs is ready: connected, with the list in force.
    ///
    /// # Errors
    /// One did not get ready.
    pub fn all_ready(&mut self) -> Result<()> {
        for (host, program) in &mut self.agents {
            let namespace = &self.world.host(host)?.namespace;
            let look = || Ok(http::get(namespace, AGENT_METRICS, "/readyz")?.status == 200);
            program.ready(READY_WITHIN, look)?;
        }
        let expected = self.agents.len();
        wait::until_true(READY_WITHIN, "every agent reports and follows", || {
            let hosts = self.hosts()?;
            Ok(hosts
                .iter()
                .filter(|host| host.connected && (host.watching || host.mode == "observe"))
                .count()
                == expected)
        })
    }

    /// Takes an agent out of the fleet's hands, to kill or stop it.
    ///
    /// # Errors
    /// It does not run.
    pub fn take_agent(&mut self, host: &str) -> Result<Program> {
        self.agents.remove(host).with_context(|| format!("no agent runs on {host}"))
    }

    /// Takes the aggregator out of the fleet's hands, to kill or stop it.
    ///
    /// # Errors
    /// It does not run.
    pub fn take_aggregator(&mut self) -> Result<Program> {
        self.aggregator.take().context("no aggregator runs")
    }

    /// One of an agent's metrics, summed over its series; 0 before its first value.
    ///
    /// # Errors
    /// The agent does not answer.
    pub fn agent_metric(&self, host: &str, name: &str) -> Result<f64> {
        let answer = http::get(&self.world.host(host)?.namespace, AGENT_METRICS, "/metrics")?;
        Ok(http::metric(&answer.body, name).unwrap_or(0.0))
    }

    /// Calls the aggregator as the operator.
    ///
    /// # Errors
    /// Nobody listens, or what `work` says.
    pub fn call<T: Send>(&self, work: impl AsyncFnOnce(Channel) -> Result<T> + Send) -> Result<T> {
        self.call_as(&self.operator, work)
    }

    /// Calls the aggregator with anybody's files, from its own namespace.
    ///
    /// # Errors
    /// Nobody listens, or what `work` says.
    pub fn call_as<T: Send>(
        &self,
        files: &Files,
        work: impl AsyncFnOnce(Channel) -> Result<T> + Send,
    ) -> Result<T> {
        grpc::block_on(&self.world.aggregator, async || work(grpc::channel(files).await?).await)
    }

    /// The entries on the list.
    ///
    /// # Errors
    /// What the aggregator said.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        self.call(grpc::entries)
    }

    /// The hosts as the aggregator knows them.
    ///
    /// # Errors
    /// What the aggregator said.
    pub fn hosts(&self) -> Result<Vec<Host>> {
        self.call(grpc::hosts)
    }

    /// How the aggregator is.
    ///
    /// # Errors
    /// What it said.
    pub fn status(&self) -> Result<GetStatusResponse> {
        self.call(grpc::status)
    }

    /// The entry that covers `address`, if there is one.
    ///
    /// # Errors
    /// What the aggregator said.
    pub fn entry_of(&self, address: IpAddr) -> Result<Option<Entry>> {
        let covers = |entry: &Entry| entry.prefix.parse::<Prefix>().is_ok_and(|at| at.contains(address));
        Ok(self.entries()?.into_iter().find(covers))
    }

    /// Runs `sekishoctl -o json` as the operator.
    ///
    /// # Errors
    /// It failed, or printed no JSON.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = programs::ctl(&self.operator, arguments)?;
        command.args(["-o", "json"]);
        let text = self.world.aggregator.run(move || command::checked(&mut command))??;
        serde_json::from_str(&text).with_context(|| format!("sekishoctl {arguments:?} printed no JSON"))
    }

    /// Waits until a block that covers `address` is in force on these hosts.
    ///
    /// # Errors
    /// It is not, at the deadline.
    pub fn blocked_on(&self, hosts: &[&str], address: IpAddr, deadline: Duration) -> Result<()> {
        wait::until_true(deadline, &format!("{address} is blocked on {hosts:?}"), || {
            for host in hosts {
                if !nft::is_blocked(&self.world.host(host)?.namespace, address)? {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Waits until an entry at `tier` that covers `address` is in force on every host.
    ///
    /// # Errors
    /// It is not, at the deadline.
    pub fn listed_everywhere(&self, tier: Tier, address: IpAddr, deadline: Duration) -> Result<()> {
        wait::until_true(deadline, &format!("{address} is at {tier} on every host"), || {
            let tiers = self.world.hosts.iter().map(|host| nft::tier_at(&host.namespace, address));
            Ok(tiers.collect::<Result<Vec<_>>>()?.iter().all(|at| *at == Some(tier)))
        })
    }

    /// Waits until a block that covers `address` is in force on every host.
    ///
    /// # Errors
    /// It is not, at the deadline.
    pub fn blocked_everywhere(&self, address: IpAddr, deadline: Duration) -> Result<()> {
        let names = self.host_names();
        self.blocked_on(&names.iter().map(String::as_str).collect::<Vec<_>>(), address, deadline)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("SEKISHO_LAB_KEEP_LOGS").is_some() {
            self.keep_logs();
        }
    }
}

impl Fleet {
    /// What failed is best explained by the programs themselves: their logs outlive the laboratory.
    fn keep_logs(&self) {
        let kept = std::env::temp_dir().join(format!("sekisho-logs-{}", std::process::id()));
        let names = fs::read_dir(self.directory.path()).into_iter().flatten().flatten();
        for entry in names.filter(|entry| entry.path().extension().is_some_and(|end| end == "log")) {
            let world = self.world.internet.name();
            let to = kept.join(format!("{world}-{}", entry.file_name().to_string_lossy()));
            // This may run while panicking: a log that cannot be kept must not make it worse.
            let _best_effort = fs::create_dir_all(&kept).and_then(|()| fs::copy(entry.path(), to));
        }
    }
}
