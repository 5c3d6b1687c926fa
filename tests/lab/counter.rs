//! Counts the SYN-ACKs that the hosts send to victims: exactly, in the kernel of the world between.
//!
//! A SYN-ACK goes to the port that its SYN came from, so the port tells which SYNs are answered: an
//! attack's come from low ports, probes (sent after a block, to see whether it holds) from high ones.

use std::{collections::BTreeMap, net::IpAddr, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    namespace::Namespace,
    world::{VICTIMS_V4, VICTIMS_V6},
};

/// The first port that probes come from.
pub const PROBE_PORTS: u16 = 50_000;

/// SYN-ACKs by host address and victim.
pub type Counts = BTreeMap<(IpAddr, IpAddr), u64>;

/// Lays the counters, and lets SYN-ACKs to silent victims vanish. Victims are silent unless awake.
///
/// # Errors
/// What `nft` said.
pub(crate) fn lay(internet: &Namespace) -> Result<()> {
    let v4 = VICTIMS_V4.join(", ");
    let mut script = String::from("add table inet lab\n");
    for (family, kind) in [("4", "ipv4_addr"), ("6", "ipv6_addr")] {
        for set in ["all", "probes"] {
            script += &format!(
                "add set inet lab {set}{family} {{ type {kind} . {kind}; flags dynamic; size 65535; counter; }}\n"
            );
        }
        script += &format!("add set inet lab awake{family} {{ type {kind}; }}\n");
    }
    script += "add chain inet lab count { type filter hook prerouting priority -300; policy accept; }\n";
    for (family, ip, victims) in [("4", "ip", v4.as_str()), ("6", "ip6", VICTIMS_V6)] {
        let answer = format!("{ip} daddr {{ {victims} }} tcp flags & (syn|ack) == (syn|ack)");
        let pair = format!("{{ {ip} saddr . {ip} daddr }}");
        script += &format!("add rule inet lab count {answer} update @all{family} {pair}\n");
        script += &format!(
            "add rule inet lab count {answer} tcp dport >= {PROBE_PORTS} update @probes{family} {pair}\n"
        );
        script += &format!("add rule inet lab count {answer} {ip} daddr != @awake{family} drop\n");
    }
    internet.run(move || {
        let directory = crate::leftovers::directory()?;
        let path = directory.path().join("counters.nft");
        std::fs::write(&path, script)?;
        crate::command::checked(Command::new("nft").arg("-f").arg(&path))
    })??;
    Ok(())
}

/// Every SYN-ACK to a victim so far, retransmits included.
///
/// # Errors
/// What `nft` said.
pub fn all(internet: &Namespace) -> Result<Counts> {
    read(internet, "all")
}

/// The SYN-ACKs so far that answered probes.
///
/// # Errors
/// What `nft` said.
pub fn probes(internet: &Namespace) -> Result<Counts> {
    read(internet, "probes")
}

/// The sum over the hosts for one victim.
pub fn to_victim(counts: &Counts, victim: IpAddr) -> u64 {
    counts.iter().filter(|((_, to), _)| *to == victim).map(|(_, count)| count).sum()
}

/// The sum over the victims for one host, which has one address a family.
pub fn from_host(counts: &Counts, v4: IpAddr, v6: IpAddr) -> u64 {
    counts.iter().filter(|((from, _), _)| *from == v4 || *from == v6).map(|(_, count)| count).sum()
}

/// Lets a victim's machine receive SYN-ACKs (awake) or lose them as under a flood (silent).
///
/// # Errors
/// What `nft` said.
pub fn set_awake(internet: &Namespace, victim: IpAddr, awake: bool) -> Result<()> {
    let verb = if awake { "add" } else { "delete" };
    let family = if victim.is_ipv4() { "4" } else { "6" };
    internet.nft(&format!("{verb} element inet lab awake{family} {{ {victim} }}"))?;
    Ok(())
}

fn read(internet: &Namespace, set: &str) -> Result<Counts> {
    let mut counts = Counts::new();
    for family in ["4", "6"] {
        let text = internet.nft(&format!("-j list set inet lab {set}{family}"))?;
        parse(&text, &mut counts)?;
    }
    Ok(counts)
}

fn parse(text: &str, counts: &mut Counts) -> Result<()> {
    let json: Value = serde_json::from_str(text).context("nft -j printed no JSON")?;
    let objects = json["nftables"].as_array().into_iter().flatten();
    for element in objects.flat_map(|object| object["set"]["elem"].as_array().into_iter().flatten()) {
        let element = &element["elem"];
        let part = |at: usize| -> Option<IpAddr> { element["val"]["concat"][at].as_str()?.parse().ok() };
        let (Some(from), Some(to)) = (part(0), part(1)) else { continue };
        counts.insert((from, to), element["counter"]["packets"].as_u64().unwrap_or(0));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_json() {
        let text = r#"{"nftables": [{"metainfo": {}}, {"set": {"name": "all4", "elem": [{"elem": {"val":
            {"concat": ["198.51.100.11", "203.0.113.7"]}, "counter": {"packets": 6, "bytes": 360}}}]}}]}"#;
        let mut counts = Counts::new();
        parse(text, &mut counts).unwrap();
        let (host, victim) = ("198.51.100.11".parse().unwrap(), "203.0.113.7".parse().unwrap());
        assert_eq!(counts[&(host, victim)], 6);
        assert_eq!(to_victim(&counts, victim), 6);
        assert_eq!(from_host(&counts, host, "::1".parse().unwrap()), 6);
    }
}
