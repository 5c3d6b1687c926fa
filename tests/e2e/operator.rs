//! Orders by `sekishoctl`, from the command line to every kernel.

use anyhow::ensure;
use sekisho_lab::{nft, wait};

use crate::support::{SOON, hosts, ip, silent, with_fleet};

#[test]
fn orders_reach_every_kernel_and_are_taken_back() {
    with_fleet(&hosts(3), |fleet| {
        let victim = ip("203.0.113.81");
        fleet.ctl(&["block", "203.0.113.81", "--reason", "told by its owner"])?;
        fleet.blocked_everywhere(victim, SOON)?;
        silent(fleet, victim)?;
        let entries = fleet.ctl(&["get", "entries"])?.to_string();
        for told in ["203.0.113.81", "told by its owner", "ana"] {
            ensure!(entries.contains(told), "{told} is not in {entries}");
        }
        let hosts = fleet.ctl(&["get", "hosts"])?.to_string();
        ensure!(["h1", "h2", "h3"].iter().all(|host| hosts.contains(host)), "{hosts}");
        fleet.ctl(&["describe", "entry", "203.0.113.81"])?;
        fleet.ctl(&["status"])?;

        // An allowance that overlaps takes it off the list at once.
        fleet.ctl(&["allow", "203.0.113.80/28", "--reason", "ours"])?;
        gone(fleet, victim)?;
        ensure!(fleet.ctl(&["get", "allowlist"])?.to_string().contains("203.0.113.80/28"), "not allowed");
        ensure!(
            fleet.ctl(&["block", "203.0.113.81", "--reason", "no"]).is_err(),
            "an allowed address is listed"
        );
        fleet.ctl(&["disallow", "203.0.113.80/28", "--reason", "no longer ours"])?;
        fleet.ctl(&["block", "203.0.113.81", "--reason", "again"])?;
        fleet.blocked_everywhere(victim, SOON)?;
        fleet.ctl(&["unblock", "203.0.113.81", "--reason", "over"])?;
        gone(fleet, victim)
    });
}

fn gone(fleet: &sekisho_lab::Fleet, victim: std::net::IpAddr) -> anyhow::Result<()> {
    wait::until_true(SOON, "it is in no kernel", || {
        let left = fleet.world.hosts.iter().map(|host| nft::is_blocked(&host.namespace, victim));
        Ok(!left.collect::<anyhow::Result<Vec<_>>>()?.contains(&true))
    })
}
