//! The never-list's DNS names: their addresses are never listed, by order or by quorum.

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use sekisho_lab::{Attack, Fleet, process::Program, programs, wait};
use sekisho_wire::{
    Reason,
    pb::v1::{BlockRequest, operator_service_client::OperatorServiceClient},
};
use tonic::Status;

use crate::support::{BLOCKED_WITHIN, SOON, hosts, ip, with_fleet};

/// The partner whose address attackers spoof, and another victim.
const PARTNER: &str = "203.0.113.131";
const OTHER: &str = "203.0.113.132";

#[test]
fn the_addresses_of_protected_names_are_never_listed() {
    with_fleet(&hosts(3), |fleet| {
        fleet.take_aggregator()?.stop()?;
        fleet.aggregator = Some(start_with_names(fleet)?);
        wait::until_true(SOON, "the aggregator is ready", || fleet.aggregator_ready())?;
        fleet.all_ready()?;
        wait::until_true(SOON, "an order about the partner is refused", || {
            let refused = block(fleet, PARTNER)?;
            Ok(refused.is_some_and(|status| Reason::NeverListed.is_in(&status)))
        })?;
        let mut attack = Attack::on(ip(PARTNER), 3);
        attack.victims.push(ip(OTHER));
        attack.start(fleet)?.0.finish()?;
        fleet.blocked_everywhere(ip(OTHER), BLOCKED_WITHIN)?;
        ensure!(fleet.entry_of(ip(PARTNER))?.is_none(), "the partner is listed");
        Ok(())
    });
}

/// Asks what a block would do; the refusal, if it is refused.
fn block(fleet: &Fleet, prefix: &str) -> Result<Option<Status>> {
    let request =
        BlockRequest { prefix: prefix.into(), reason: "drill".into(), dry_run: true, ..Default::default() };
    fleet.call(async |channel| Ok(OperatorServiceClient::new(channel).block(request).await.err()))
}

/// The aggregator with a policy that protects the partner's name, and a hosts file of its own that has it.
fn start_with_names(fleet: &Fleet) -> Result<Program> {
    let (policy, names) = (fleet.path("names.yaml"), fleet.path("hosts"));
    fs::write(&policy, "never:\n  names: [partner.example]\n")?;
    fs::write(&names, format!("127.0.0.1 localhost\n{PARTNER} partner.example\n"))?;
    let plain = programs::aggregator(&fleet.path("data"), &policy, &fleet.server)?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
    command.arg(&names).arg(plain.get_program()).args(plain.get_args());
    Program::start("sekisho-aggregator", &fleet.world.aggregator, command, &fleet.path("aggregator.log"))
}
