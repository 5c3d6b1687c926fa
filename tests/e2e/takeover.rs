//! An agent after an upgrade: it takes over the table that the version before it left in the kernel.

use anyhow::ensure;
use sekisho_lab::{Fleet, nft, programs::Mode, wait};

use crate::support::{SOON, hosts, ip};

/// The table that version 0.1.0 made.
const BEFORE_SUPPRESS: &str = include_str!("../../crates/kernel/tests/kernel/before_suppress.nft");

fn blocked(fleet: &Fleet) -> anyhow::Result<bool> {
    let namespace = &fleet.world.hosts[0].namespace;
    Ok(nft::is_blocked(namespace, ip("203.0.113.7"))? && nft::is_blocked(namespace, ip("198.51.100.200"))?)
}

/// No aggregator is needed: a takeover must not wait for one.
#[test]
fn a_table_of_the_version_before_is_taken_over_with_what_it_blocks() {
    let mut fleet = Fleet::lay(&hosts(1)).unwrap();
    let file = fleet.path("before.nft");
    std::fs::write(&file, BEFORE_SUPPRESS).unwrap();
    for script in [
        format!("-f {}", file.display()),
        "add element inet sekisho drop4 { 203.0.113.7 timeout 1h }".to_owned(),
        "add element inet sekisho dropnet4 { 198.51.100.192/26 timeout 1h }".to_owned(),
    ] {
        fleet.world.hosts[0].namespace.nft(&script).unwrap();
    }
    assert!(blocked(&fleet).unwrap());
    fleet.start_agent("h1", Mode::Enforce, &[]).unwrap();
    let upgraded = wait::until(SOON, "the table has the new tier", || {
        ensure!(blocked(&fleet)?, "something is not blocked any more");
        Ok(nft::text(&fleet.world.hosts[0].namespace)?.contains("set suppressnet6").then_some(()))
    });
    upgraded.unwrap();
    let agent = fleet.take_agent("h1").unwrap();
    let told = wait::until_true(SOON, "the agent says so", || {
        Ok(agent.log()?.contains("an earlier version's table is brought to this one's"))
    });
    told.unwrap();
    agent.stop().unwrap();
    assert!(blocked(&fleet).unwrap());
}
