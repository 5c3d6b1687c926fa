//! Promise 8, *no quorum, no entry*, and the allowlist that always wins.

use std::time::Duration;

use anyhow::{Result, ensure};
use sekisho_lab::{Attack, Fleet, attack, nft, wait};
use sekisho_wire::pb::v1::{AllowRequest, operator_service_client::OperatorServiceClient};

use crate::support::{BLOCKED_WITHIN, SOON, answered_probes, hosts, ip, silent, with_fleet};

/// Long enough for what must not happen to happen: an attack that has its quorum takes half as long.
const LONG_ENOUGH: Duration = Duration::from_secs(5);

#[test]
fn no_quorum_no_entry() {
    with_fleet(&hosts(4), |fleet| {
        let victim = ip("203.0.113.31");
        Attack::on(victim, 2).start(fleet)?.0.finish()?;
        wait::until_true(SOON, "both hosts reported it", || {
            Ok(fleet.hosts()?.iter().filter(|host| host.observations > 0).count() == 2)
        })?;
        unlisted(fleet, victim)?;
        // One more host makes the quorum: what the first two saw still counts.
        let third = fleet.world.hosts[2].service(victim);
        let mut plan = Attack::on(victim, 3).plan(fleet);
        plan.targets = vec![third];
        sekisho_lab::spoof::Flood::start(&fleet.world.internet, plan)?.0.finish()?;
        fleet.blocked_everywhere(victim, BLOCKED_WITHIN)?;
        silent(fleet, victim)
    });
}

#[test]
fn the_allowlist_wins_over_any_quorum() {
    with_fleet(&hosts(3), |fleet| {
        let (allowed, listed) = (ip("203.0.113.41"), ip("198.18.0.41"));
        let request = AllowRequest {
            prefix: "203.0.113.32/27".to_owned(),
            reason: "a partner's resolvers".to_owned(),
            ttl: None,
            dry_run: false,
            request_id: String::new(),
        };
        fleet.call(async |channel| Ok(OperatorServiceClient::new(channel).allow(request).await?))?;
        let attack = Attack { victims: vec![allowed, listed], ..Attack::on(allowed, 3) };
        let (flood, _) = attack.start(fleet)?;
        fleet.blocked_everywhere(listed, BLOCKED_WITHIN)?;
        flood.finish()?;
        unlisted(fleet, allowed)?;
        let sent = attack::probe(fleet, allowed, 3, Duration::from_millis(10))?.finish()?;
        wait::until_true(SOON, "SYNs of the allowed address are answered", || {
            Ok(answered_probes(fleet, allowed)? >= sent)
        })
    });
}

/// Checks that `address` is on no list and in no kernel, and stays so.
fn unlisted(fleet: &Fleet, address: std::net::IpAddr) -> Result<()> {
    wait::holds(LONG_ENOUGH, "it is in no kernel", || {
        let blocked = fleet.world.hosts.iter().map(|host| nft::is_blocked(&host.namespace, address));
        Ok(!blocked.collect::<Result<Vec<_>>>()?.contains(&true))
    })?;
    ensure!(fleet.entry_of(address)?.is_none(), "{address} is listed");
    Ok(())
}
