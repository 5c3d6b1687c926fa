//! Nobody takes the rules away: whatever other programs do to the firewall, what is listed is blocked again
//! within a second or so, without a change of the list to wait for.

use std::time::Duration;

use anyhow::{Result, ensure};
use sekisho_lab::{Fleet, Setup, nft, programs::Mode, wait};

use crate::support::{SOON, hosts, ip, silent, with_fleet};

/// Generous for a busy machine; the agent looks every 0.1 s.
const BACK_WITHIN: Duration = Duration::from_secs(5);

/// A fleet of one host with one address blocked by order.
fn with_a_block(victim: &str, test: impl FnOnce(&mut Fleet) -> Result<()>) {
    // These tests edit the table by hand, which its owner would keep them from.
    with_fleet(&Setup { agent: &["--table-owner", "never"], ..hosts(1) }, |fleet| {
        fleet.ctl(&["block", victim, "--reason", "drill"])?;
        fleet.blocked_everywhere(ip(victim), SOON)?;
        test(fleet)
    });
}

/// The rules and sets, without what is counted or held in them.
fn rules(fleet: &Fleet) -> Result<String> {
    fleet.world.hosts[0].namespace.nft("-s -t list ruleset inet")
}

fn back_in_force(fleet: &Fleet, victim: &str, whole: &str) -> Result<()> {
    let namespace = &fleet.world.hosts[0].namespace;
    wait::until_true(BACK_WITHIN, "rules and block are back", || {
        Ok(nft::holds(namespace, "drop4", ip(victim)) && rules(fleet)? == whole)
    })?;
    silent(fleet, ip(victim))
}

#[test]
fn a_flushed_firewall_is_put_back() {
    with_a_block("203.0.113.121", |fleet| {
        let whole = rules(fleet)?;
        for edit in [
            "flush ruleset",
            "delete table inet sekisho",
            "flush set inet sekisho drop4",
            "flush chain inet sekisho syn",
            "flush table inet sekisho",
        ] {
            fleet.world.hosts[0].namespace.nft(edit)?;
            back_in_force(fleet, "203.0.113.121", &whole).map_err(|error| error.context(edit))?;
        }
        ensure!(fleet.agent_metric("h1", "sekisho_kernel_repairs_total")? >= 5.0, "a repair was not counted");
        Ok(())
    });
}

/// Where the kernel takes it, the table belongs to the agent: a flush of everything does not even touch it.
#[test]
fn an_owned_table_is_not_flushed_by_others() {
    with_fleet(&hosts(1), |fleet| {
        let victim = ip("203.0.113.124");
        fleet.ctl(&["block", "203.0.113.124", "--reason", "drill"])?;
        fleet.blocked_everywhere(victim, SOON)?;
        let whole = rules(fleet)?;
        fleet.world.hosts[0].namespace.nft("flush ruleset")?;
        back_in_force(fleet, "203.0.113.124", &whole)
    });
}

#[test]
fn a_strangers_element_in_the_way_is_taken_out() {
    with_a_block("203.0.113.122", |fleet| {
        let host = &fleet.world.hosts[0].namespace;
        host.nft("add element inet sekisho dropnet4 { 20.1.0.0/25 timeout 1h }")?;
        fleet.ctl(&["block", "20.1.0.0/24", "--reason", "drill"])?;
        fleet.ctl(&["block", "20.2.0.9", "--reason", "drill"])?;
        fleet.blocked_everywhere(ip("20.1.0.200"), SOON)?;
        fleet.blocked_everywhere(ip("20.2.0.9"), SOON)?;
        wait::until_true(SOON, "the host says that all is in force", || {
            let at = fleet.status()?.position;
            Ok(fleet.hosts()?.iter().all(|host| host.applied == at && host.refusal.is_empty()))
        })
    });
}

#[test]
fn a_second_agent_in_the_same_namespace_is_refused() {
    with_a_block("203.0.113.123", |fleet| {
        let first = fleet.take_agent("h1")?;
        fleet.start_agent(
            "h1",
            Mode::Enforce,
            &["--state-dir", "/tmp/sekisho-second", "--metrics-listen", "127.0.0.1:0"],
        )?;
        let mut second = fleet.take_agent("h1")?;
        let status = second.wait(SOON)?;
        ensure!(!status.success(), "it ended with {status}");
        let told = second.log()?;
        ensure!(told.contains("another agent enforces in this network namespace"), "{told}");
        fleet.blocked_everywhere(ip("203.0.113.123"), SOON)?;
        first.stop()?;
        Ok(())
    });
}
