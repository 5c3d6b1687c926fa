//! What an operator reads and orders by `sekishoctl` during a real attack: why, what happened, each order once,
//! and policies that outlive a crash.

use std::fs;

use anyhow::{Context, Result, ensure};
use sekisho_lab::{
    Attack, Fleet, Setup,
    fleet::READY_WITHIN,
    nft,
    process::{self, Program},
    programs::{self, AGGREGATOR_METRICS, PORT},
    wait,
    world::AGGREGATOR,
};
use serde_json::Value;

use crate::support::{BLOCKED_WITHIN, SOON, hosts, ip, with_fleet};

const VICTIM: &str = "203.0.113.121";
const OTHER: &str = "203.0.113.122";

/// The product's own rules: two hosts suppress, three drop.
fn by_the_defaults() -> Setup {
    Setup { policy: "quorum: { suppress: 2, drop: 3 }\n".to_owned(), ..hosts(3) }
}

/// All strings of a JSON list, sorted.
fn sorted<'a>(values: &'a Value, name: impl Fn(&'a Value) -> &'a Value) -> Vec<&'a str> {
    let mut names: Vec<&str> =
        values.as_array().into_iter().flatten().filter_map(|one| name(one).as_str()).collect();
    names.sort_unstable();
    names
}

/// The events of a kind, the newest first.
fn events(fleet: &Fleet, kind: &str) -> Result<Vec<Value>> {
    let all = fleet.ctl(&["get", "events", "--kind", kind])?;
    all["events"].as_array().cloned().with_context(|| format!("no list of events: {all}"))
}

fn revision(fleet: &Fleet) -> Result<i64> {
    Ok(fleet.status()?.position.context("no position")?.revision)
}

/// What `sekishoctl` says on standard error, for a call that must fail.
fn failing(fleet: &Fleet, arguments: &[&str]) -> Result<String> {
    match fleet.ctl(arguments) {
        Ok(answer) => anyhow::bail!("{arguments:?} was taken: {answer}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[test]
fn an_attack_is_explained_and_told_with_its_hosts() {
    with_fleet(&by_the_defaults(), |fleet| {
        Attack::on(ip(VICTIM), 3).measure(fleet, BLOCKED_WITHIN)?;
        wait::until_true(SOON, "it is dropped", || {
            Ok(fleet.ctl(&["explain", VICTIM])?["entry"]["tier"] == "TIER_DROP")
        })?;
        let why = fleet.ctl(&["explain", VICTIM])?;
        let entry = &why["entry"];
        ensure!(entry["prefix"] == VICTIM && entry["reason"]["quorum"]["hosts"] == 3, "{why}");
        ensure!(sorted(&why["witnesses"], |one| &one["hostId"]) == ["h1", "h2", "h3"], "{why}");
        let quorums = &why["quorums"];
        ensure!(quorums["policySuppress"] == 2 && quorums["policyDrop"] == 3, "{why}");
        let history = why["history"].to_string();
        ensure!(history.contains("listed"), "its listing is not in its history: {why}");

        // Two hosts are enough to suppress, so what is listed names at least two of the three.
        let listed = events(fleet, "listed")?;
        let [listed] = &listed[..] else { anyhow::bail!("not one listing: {listed:?}") };
        let hosts = sorted(&listed["listed"]["hostIds"], |one| one);
        ensure!(hosts.len() >= 2 && hosts.iter().all(|host| ["h1", "h2", "h3"].contains(host)), "{listed}");
        ensure!(listed["listed"]["entry"]["prefix"] == VICTIM, "{listed}");

        let missing = fleet.ctl(&["explain", OTHER])?;
        ensure!(missing.get("entry").is_none() && missing["hosts"] == 0, "{missing}");
        ensure!(missing["quorums"]["suppress"] == 2 && missing["wanted"] == "TIER_UNSPECIFIED", "{missing}");
        let prose = prose(fleet, &["explain", OTHER])?;
        for told in
            ["It takes 2 hosts to suppress it", "2 hosts missing", "3 hosts missing", "No host sees it"]
        {
            ensure!(prose.contains(told), "{told} is not in {prose}");
        }
        Ok(())
    });
}

/// What people read.
fn prose(fleet: &Fleet, arguments: &[&str]) -> Result<String> {
    let mut command = programs::ctl(&fleet.operator, arguments)?;
    fleet.world.aggregator.run(move || sekisho_lab::command::checked(&mut command))?
}

#[test]
fn events_are_watched_as_they_happen() {
    with_fleet(&by_the_defaults(), |fleet| {
        let log = fleet.path("watch.log");
        let watch = ["watch", "events", "--kind", "listed", "--limit", "1", "-o", "json"];
        let command = programs::ctl(&fleet.operator, &watch)?;
        let mut watching = Program::start("sekishoctl watch", &fleet.world.aggregator, command, &log)?;
        wait::until_true(SOON, "it follows", || Ok(watching.log()?.contains("following from revision")))?;
        fleet.ctl(&["block", VICTIM, "--reason", "told by its owner"])?;
        ensure!(watching.wait(SOON)?.success(), "it failed: {}", watching.log()?);
        let told = watching.log()?;
        let event = told.lines().find(|line| line.starts_with('{')).with_context(|| told.clone())?;
        let event: Value = serde_json::from_str(event)?;
        ensure!(event["listed"]["entry"]["prefix"] == VICTIM, "{event}");
        ensure!(event["listed"]["entry"]["reason"]["order"]["operator"] == "ana", "{event}");
        Ok(())
    });
}

#[test]
fn an_order_is_carried_out_once_by_its_request() {
    with_fleet(&by_the_defaults(), |fleet| {
        let order = ["block", VICTIM, "--reason", "told by its owner", "--request-id", "ticket-7"];
        let (first, again) = (fleet.ctl(&order)?, fleet.ctl(&order)?);
        ensure!(first["doneRevision"] == 0 && first["requestId"] == "ticket-7", "{first}");
        ensure!(again["doneRevision"] == first["entry"]["revision"], "{first}\n{again}");
        ensure!(again["entry"] == first["entry"], "{first}\n{again}");
        let taken = events(fleet, "order-taken")?;
        let [taken] = &taken[..] else { anyhow::bail!("not one order: {taken:?}") };
        let told = &taken["orderTaken"]["order"];
        ensure!(told["operator"] == "ana" && told["reason"] == "told by its owner", "{taken}");
        ensure!(told["requestId"] == "ticket-7" && told["block"]["prefix"] == VICTIM, "{taken}");

        let other = ["block", OTHER, "--reason", "another", "--request-id", "ticket-7"];
        let refused = failing(fleet, &other)?;
        ensure!(refused.contains("REQUEST_REUSED"), "{refused}");
        ensure!(fleet.entry_of(ip(OTHER))?.is_none(), "it is listed");
        // Also over a crash.
        fleet.take_aggregator()?.kill()?;
        fleet.start_aggregator()?;
        let later = fleet.ctl(&order)?;
        ensure!(later["doneRevision"] == first["entry"]["revision"], "{later}");
        ensure!(events(fleet, "order-taken")?.len() == 1, "it was carried out again");
        Ok(())
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    with_fleet(&by_the_defaults(), |fleet| {
        let allowed = "198.18.7.0/24";
        fleet.ctl(&["block", VICTIM, "--reason", "told by its owner"])?;
        fleet.ctl(&["allow", allowed, "--reason", "ours"])?;
        let stricter = written(fleet, "stricter.yaml", "quorum: { suppress: 4, drop: 5 }\n")?;
        let before = lists(fleet)?;
        for order in [
            &["block", OTHER][..],
            &["unblock", VICTIM],
            &["allow", "203.0.113.112/28"],
            &["disallow", allowed],
            &["apply", "policy", "--file", &stricter],
        ] {
            let dry = [order, &["--reason", "a try", "--dry-run"]].concat();
            let said = fleet.ctl(&dry)?;
            ensure!(said["doneRevision"] == 0, "{order:?}: {said}");
            ensure!(lists(fleet)? == before, "{order:?} changed something");
        }
        let taken = events(fleet, "order-taken")?;
        ensure!(taken.len() == 2, "a dry run is told as an order: {taken:?}");
        ensure!(!nft::is_blocked(&fleet.world.hosts[0].namespace, ip(OTHER))?, "{OTHER} is blocked");
        Ok(())
    });
}

/// What orders could change.
fn lists(fleet: &Fleet) -> Result<[Value; 3]> {
    Ok([fleet.ctl(&["get", "entries"])?, fleet.ctl(&["get", "allowlist"])?, fleet.ctl(&["get", "policy"])?])
}

fn written(fleet: &Fleet, name: &str, policy: &str) -> Result<String> {
    let path = fleet.path(name);
    fs::write(&path, policy)?;
    Ok(path.to_string_lossy().into_owned())
}

#[test]
fn an_ordered_policy_is_in_force_at_once_and_after_a_crash() {
    with_fleet(&by_the_defaults(), |fleet| {
        // Ordered entries and events are there before and after.
        fleet.ctl(&["block", OTHER, "--reason", "told by its owner"])?;
        let stricter = written(fleet, "stricter.yaml", "quorum: { suppress: 3, drop: 4 }\n")?;
        fleet.ctl(&["apply", "policy", "--file", &stricter, "--reason", "a drill"])?;
        in_force(fleet)?;
        let changed = events(fleet, "policy-changed")?;
        ensure!(changed[0]["policyChanged"]["operator"] == "ana", "{changed:?}");
        let told = fleet.ctl(&["get", "events"])?;
        let at = revision(fleet)?;

        fleet.take_aggregator()?.kill()?;
        fleet.aggregator = Some(start_without_policy(fleet)?);
        fleet.all_ready()?;
        in_force(fleet)?;
        ensure!(revision(fleet)? >= at, "it went back");
        let (told, after) = (told.to_string(), fleet.ctl(&["get", "events"])?);
        let kept =
            after["events"].as_array().into_iter().flatten().filter(|one| told.contains(&one.to_string()));
        ensure!(kept.count() >= 4, "events are gone: {told}\n{after}");

        // Three hosts dropped it by the policy before; now they suppress it.
        Attack::on(ip(VICTIM), 3).start(fleet)?.0.finish()?;
        wait::until_true(SOON, "it is listed", || Ok(fleet.entry_of(ip(VICTIM))?.is_some()))?;
        let entry = fleet.ctl(&["explain", VICTIM])?;
        ensure!(entry["entry"]["tier"] == "TIER_SUPPRESS", "{entry}");
        Ok(())
    });
}

/// Checks that the stricter policy is.
fn in_force(fleet: &Fleet) -> Result<()> {
    let policy = fleet.ctl(&["get", "policy"])?;
    let text = policy["policyYaml"].as_str().unwrap_or_default();
    ensure!(text.contains("suppress: 3") && text.contains("drop: 4"), "{text}");
    let why = fleet.ctl(&["explain", VICTIM])?;
    ensure!(why["quorums"]["suppress"] == 3 && why["quorums"]["drop"] == 4, "{why}");
    Ok(())
}

/// Starts the aggregator by its data alone.
fn start_without_policy(fleet: &Fleet) -> Result<Program> {
    let mut command = process::command("sekisho-aggregator")?;
    command.arg("--listen").arg(format!("{AGGREGATOR}:{PORT}"));
    command.arg("--metrics-listen").arg(AGGREGATOR_METRICS.to_string());
    command.arg("--data-dir").arg(fleet.path("data"));
    let tls = &fleet.server;
    for (flag, file) in [("--tls-cert", &tls.cert), ("--tls-key", &tls.key), ("--tls-ca", &tls.ca)] {
        command.arg(flag).arg(file);
    }
    let log = fleet.path("aggregator.log");
    let mut program = Program::start("sekisho-aggregator", &fleet.world.aggregator, command, &log)?;
    program.ready(READY_WITHIN, || fleet.aggregator_ready())?;
    Ok(program)
}
