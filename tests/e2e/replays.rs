//! What another policy would have done about a real attack: asked of the aggregator, and of a copy of its data.

use std::{fs, path::Path};

use anyhow::{Result, ensure};
use sekisho_lab::{Attack, Fleet, Setup, command, process, wait};
use serde_json::{Value, json};

use crate::support::{BLOCKED_WITHIN, SOON, hosts, ip, with_fleet};

const VICTIM: &str = "203.0.113.131";
const IN_FORCE: &str = "quorum: { suppress: 2, drop: 3 }\n";

#[test]
fn a_replay_tells_what_a_stricter_policy_would_not_have_listed() {
    with_fleet(&Setup { policy: IN_FORCE.to_owned(), ..hosts(3) }, |fleet| {
        Attack::on(ip(VICTIM), 3).measure(fleet, BLOCKED_WITHIN)?;
        wait::until_true(SOON, "it is dropped", || {
            Ok(fleet.ctl(&["explain", VICTIM])?["entry"]["tier"] == "TIER_DROP")
        })?;
        let (same, stricter) = (fleet.path("same.yaml"), fleet.path("stricter.yaml"));
        fs::write(&same, IN_FORCE)?;
        fs::write(&stricter, "quorum: { suppress: 4, drop: 5 }\n")?;
        let none = online(fleet, &same)?;
        ensure!(none["differences"] == json!([]) && none["summary"]["inBoth"] == 1, "{none}");
        let fewer = online(fleet, &stricter)?;
        only_fewer(&fewer)?;

        // A copy that is made while the aggregator writes may not be whole; a copy of what is at rest is.
        let (data, copied) = (fleet.path("data"), fleet.path("copy"));
        fleet.take_aggregator()?.stop()?;
        copy(&data, &copied)?;
        fleet.start_aggregator()?;
        let before = fleet.status()?;
        for directory in [&copied, &data] {
            let read = offline(directory, &stricter)?;
            only_fewer(&read)?;
            ensure!(started(&read) == started(&fewer), "{read}\n{fewer}");
            let none = offline(directory, &same)?;
            ensure!(none["differences"] == json!([]) && none["summary"]["inBoth"] == 1, "{none}");
        }
        ensure!(fleet.aggregator_ready()?, "it was disturbed");
        let after = fleet.status()?;
        ensure!(after.log_writable && after.entries == before.entries, "{before:?}\n{after:?}");
        // It still takes orders, and the replay by the aggregator is as before.
        fleet.ctl(&["block", "203.0.113.132", "--reason", "told by its owner"])?;
        let later = online(fleet, &stricter)?;
        ensure!(later["differences"] == fewer["differences"], "{later}\n{fewer}");
        Ok(())
    });
}

/// Checks that the victim is the one difference.
fn only_fewer(replayed: &Value) -> Result<()> {
    let difference = &replayed["differences"][0];
    ensure!(difference["prefix"] == VICTIM, "{replayed}");
    ensure!(difference["kind"] == "REPLAY_DIFFERENCE_KIND_FEWER", "{replayed}");
    ensure!(difference["happened"]["tier"] == "TIER_DROP", "{replayed}");
    ensure!(difference.get("wouldHave").is_none(), "{replayed}");
    ensure!(replayed["summary"]["differences"] == 1, "{replayed}");
    Ok(())
}

fn started(replayed: &Value) -> &Value {
    &replayed["differences"][0]["happened"]["startTime"]
}

fn online(fleet: &Fleet, policy: &Path) -> Result<Value> {
    fleet.ctl(&["replay", "--since", "1h", "--policy", &policy.to_string_lossy()])
}

/// By the program alone: no aggregator is named, no certificate, and it is in no namespace of the laboratory.
fn offline(directory: &Path, policy: &Path) -> Result<Value> {
    let mut command = process::command("sekishoctl")?;
    command.args(["replay", "--since", "1h", "-o", "json", "--data-dir"]).arg(directory);
    command.arg("--policy").arg(policy);
    Ok(serde_json::from_str(&command::checked(&mut command)?)?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
