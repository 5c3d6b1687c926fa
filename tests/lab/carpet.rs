//! Carpet bombing: the addresses of a whole network, each of them once and to one host alone, so that no host
//! sees any address twice and no two hosts the same.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use sekisho_model::Prefix;

use crate::{
    World,
    counter::Counts,
    spoof::{Flood, Plan, Purpose, Spread},
};

/// Most addresses of one network: a /24.
const MOST: usize = 256;

/// What is bombed.
#[derive(Clone, Debug)]
pub struct Carpet {
    net: Prefix,
    victims: Vec<IpAddr>,
}

impl Carpet {
    /// All addresses of the IPv4 network `net` but those in `spared`.
    ///
    /// # Errors
    /// It is no IPv4 network, or wider than a /24.
    pub fn over(net: &str, spared: &[IpAddr]) -> Result<Self> {
        let net: Prefix = net.parse()?;
        let (IpAddr::V4(first), IpAddr::V4(last)) = (net.address(), net.last()) else {
            anyhow::bail!("{net} is no IPv4 network");
        };
        let victims = (first.to_bits()..=last.to_bits()).take(MOST + 1).map(|bits| IpAddr::V4(bits.into()));
        let victims: Vec<IpAddr> = victims.filter(|victim| !spared.contains(victim)).collect();
        ensure!(victims.len() <= MOST, "{net} has more than {MOST} addresses");
        Ok(Self { net, victims })
    }

    /// The network.
    pub fn net(&self) -> Prefix {
        self.net
    }

    /// Those whose addresses are spoofed.
    pub fn victims(&self) -> &[IpAddr] {
        &self.victims
    }

    /// Sends one SYN of each victim to one of the first `hosts` hosts.
    ///
    /// # Errors
    /// There are no raw sockets.
    pub fn start(&self, world: &World, hosts: usize, purpose: Purpose) -> Result<Flood> {
        let any = self.victims.first().context("everybody is spared")?;
        let plan = Plan {
            victims: self.victims.clone(),
            targets: world.hosts.iter().take(hosts).map(|host| host.service(*any)).collect(),
            spread: Spread::Dealt,
            rounds: 1,
            pace: Duration::ZERO,
            purpose,
        };
        Ok(Flood::start(&world.internet, plan)?.0)
    }

    /// The SYN-ACKs to each victim, over all hosts; 0 where there is none.
    pub fn answers(&self, counts: &Counts) -> BTreeMap<IpAddr, u64> {
        let mut answers: BTreeMap<IpAddr, u64> = self.victims.iter().map(|victim| (*victim, 0)).collect();
        for ((_, to), count) in counts {
            if let Some(sum) = answers.get_mut(to) {
                *sum += count;
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_bombed_but_for_who_is_spared() {
        let spared = ["203.0.113.99".parse().unwrap()];
        let carpet = Carpet::over("203.0.113.0/24", &spared).unwrap();
        assert_eq!(carpet.victims().len(), 255);
        assert!(!carpet.victims().contains(&spared[0]));
        assert!(Carpet::over("203.0.112.0/23", &[]).is_err());
        assert!(Carpet::over("2001:db8::/120", &[]).is_err());
    }

    #[test]
    fn answers_are_summed_over_the_hosts() {
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        let carpet = Carpet::over("203.0.113.0/30", &[]).unwrap();
        let counts = Counts::from([
            ((address("198.51.100.11"), address("203.0.113.1")), 2),
            ((address("198.51.100.12"), address("203.0.113.1")), 1),
            ((address("198.51.100.12"), address("203.0.113.9")), 7),
        ]);
        let answers: Vec<u64> = carpet.answers(&counts).into_values().collect();
        assert_eq!(answers, [0, 3, 0, 0]);
    }
}
