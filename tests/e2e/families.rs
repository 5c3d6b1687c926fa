//! IPv6, and IPv4 on dual-stack listeners, where the kernel names the peer `::ffff:a.b.c.d`.

use anyhow::{Context, ensure};
use sekisho_lab::{Attack, nft};

use crate::support::{BLOCKED_WITHIN, hosts, ip, silent, with_fleet};

#[test]
fn an_ipv6_victim_is_blocked_with_its_whole_64() {
    with_fleet(&hosts(3), |fleet| {
        let victim = ip("2001:db8:bad:1::7");
        Attack::on(victim, 3).measure(fleet, BLOCKED_WITHIN)?;
        let entry = fleet.entry_of(victim)?.context("it is not listed")?;
        ensure!(entry.prefix == "2001:db8:bad:1::/64", "{entry:?}");
        silent(fleet, victim)?;
        silent(fleet, ip("2001:db8:bad:1:ffff::1"))?;
        let neighbour = ip("2001:db8:bad:2::7");
        ensure!(!nft::is_blocked(&fleet.world.hosts[0].namespace, neighbour)?, "{neighbour} is blocked too");
        Ok(())
    });
}

#[test]
fn both_families_at_once_and_mapped_addresses_have_one_name() {
    with_fleet(&hosts(3), |fleet| {
        let victims = [ip("203.0.113.21"), ip("203.0.113.22"), ip("2001:db8:bad:3::9")];
        let attack = Attack { victims: victims.to_vec(), ..Attack::on(victims[0], 3) };
        attack.measure(fleet, BLOCKED_WITHIN)?;
        let entries = fleet.entries()?;
        let names: Vec<&str> = entries.iter().map(|entry| entry.prefix.as_str()).collect();
        ensure!(names == ["203.0.113.21", "203.0.113.22", "2001:db8:bad:3::/64"], "{names:?}");
        for victim in victims {
            silent(fleet, victim)?;
        }
        Ok(())
    });
}
