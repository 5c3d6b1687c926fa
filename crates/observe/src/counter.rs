//! Completed connections become counter-evidence: which units have honest clients, each told now and then.

use alloc::{collections::BTreeMap, vec::Vec};
use core::net::IpAddr;

use sekisho_model::{
    Completed, Moment, Unit,
    limits::{COMPLETED_AGAIN, MAX_COMPLETED_TOLD, MAX_COMPLETED_UNITS},
    never::is_unlistable,
};

/// What one pass brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Units that were not told of for [`COMPLETED_AGAIN`], sorted.
    pub completed: Vec<Completed>,
    /// Connections and units that were left out, since there are too many.
    pub truncated: u64,
}

/// Counts the connections of a pass, and remembers what was told.
#[derive(Clone, Debug, Default)]
pub struct CounterEvidence {
    found: BTreeMap<Unit, u32>,
    told: BTreeMap<Unit, Moment>,
    truncated: u64,
}

impl CounterEvidence {
    /// Takes one connection of the current pass, by its peer.
    pub fn connection(&mut self, peer: IpAddr) {
        let unit = Unit::of(peer);
        if is_unlistable(&unit.prefix()) {
            return;
        }
        let room = self.found.len() < MAX_COMPLETED_UNITS;
        match self.found.get_mut(&unit) {
            Some(count) => *count = count.saturating_add(1),
            None if room => drop(self.found.insert(unit, 1)),
            None => self.truncated += 1,
        }
    }

    /// Ends the pass at `now`, and tells what is due.
    pub fn end_pass(&mut self, now: Moment) -> Proof {
        self.told.retain(|_, at| now.since(*at) < COMPLETED_AGAIN);
        let mut proof = Proof { completed: Vec::new(), truncated: core::mem::take(&mut self.truncated) };
        for (unit, connections) in core::mem::take(&mut self.found) {
            if self.told.contains_key(&unit) {
                continue;
            }
            if self.told.len() >= MAX_COMPLETED_TOLD {
                proof.truncated += 1;
                continue;
            }
            self.told.insert(unit, now);
            proof.completed.push(Completed { unit, connections });
        }
        proof
    }
}

#[cfg(test)]
mod tests {
    use core::{net::Ipv4Addr, time::Duration};

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::EPOCH + Duration::from_secs(seconds)
    }

    fn pass(evidence: &mut CounterEvidence, peers: &[&str], now: Moment) -> Vec<(Unit, u32)> {
        peers.iter().for_each(|peer| evidence.connection(peer.parse().unwrap()));
        evidence.end_pass(now).completed.iter().map(|row| (row.unit, row.connections)).collect()
    }

    fn unit(text: &str) -> Unit {
        Unit::of(text.parse().unwrap())
    }

    #[test]
    fn connections_are_counted_by_unit() {
        let mut evidence = CounterEvidence::default();
        let peers = ["203.0.113.7", "::ffff:203.0.113.7", "2001:db8::1", "2001:db8::2", "203.0.113.8"];
        let wanted = [(unit("203.0.113.7"), 2), (unit("203.0.113.8"), 1), (unit("2001:db8::"), 2)];
        assert_eq!(pass(&mut evidence, &peers, at(0)), wanted);
        assert_eq!(pass(&mut evidence, &["127.0.0.1", "fe80::1", "::1"], at(1)), [], "nobody lists them");
    }

    #[test]
    fn what_stays_true_is_told_once_a_minute() {
        let mut evidence = CounterEvidence::default();
        let told: Vec<u64> = (0..=130)
            .filter(|second| !pass(&mut evidence, &["203.0.113.7"], at(*second)).is_empty())
            .collect();
        assert_eq!(told, [0, 60, 120]);
        assert_eq!(pass(&mut evidence, &["203.0.113.7", "203.0.113.8"], at(131)), [(unit("203.0.113.8"), 1)]);
        assert_eq!(pass(&mut evidence, &[], at(190)), []);
    }

    #[test]
    fn there_are_limits_and_what_is_over_them_is_counted() {
        let mut evidence = CounterEvidence::default();
        let many = u32::try_from(MAX_COMPLETED_UNITS).unwrap();
        let mut second = 0;
        let mut told = 0;
        while told < MAX_COMPLETED_TOLD {
            for n in 0..many + 7 {
                evidence.connection(Ipv4Addr::from_bits(0x0100_0000 + second * many + n).into());
            }
            let proof = evidence.end_pass(at(u64::from(second)));
            assert_eq!(proof.truncated, 7);
            told += proof.completed.len();
            second += 1;
        }
        assert_eq!(told, MAX_COMPLETED_TOLD);
        evidence.connection("203.0.113.7".parse().unwrap());
        assert_eq!(evidence.end_pass(at(u64::from(second))), Proof { completed: Vec::new(), truncated: 1 });
    }
}
