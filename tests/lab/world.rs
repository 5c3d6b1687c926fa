//! The world: hosts, an aggregator's place, an honest client and a victim's machine, joined by a bridge
//! that plays the internet.
//!
//! The bridge's namespace is everybody's router. It sends the spoofed SYNs, counts the SYN-ACKs that
//! leave the hosts, and lets those for silent victims vanish: it never rejects, and its own kernel
//! never answers them, since a RST would end the half-open handshakes that all is about.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::Result;

use crate::{namespace::Namespace, server::Server, wait};

/// The port that every host serves.
pub const SERVICE_PORT: u16 = 80;
/// Where the aggregator stands.
pub const AGGREGATOR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 250);
/// Victims are spoofed from here: 203.0.113.0/24 and 198.18.0.0/15 (RFC 2544, RFC 5737).
pub const VICTIMS_V4: [&str; 2] = ["203.0.113.0/24", "198.18.0.0/15"];
/// And from here (RFC 3849).
pub const VICTIMS_V6: &str = "2001:db8:bad::/48";
/// A victim that is a real machine.
pub const VICTIM_MACHINE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 99);
/// An honest client's machine.
pub const CLIENT_MACHINE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// Longest that the links may take.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

static WORLDS: AtomicU32 = AtomicU32::new(1);

/// One host of the fleet: a namespace with a real TCP listener in it.
pub struct Host {
    /// Its name: `h1`.
    pub name: String,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
    /// What it serves.
    pub server: Server,
}

impl Host {
    /// The address of its service, in the family of `peer`.
    pub fn service(&self, peer: IpAddr) -> SocketAddr {
        let own = if peer.is_ipv4() { IpAddr::V4(self.v4) } else { IpAddr::V6(self.v6) };
        SocketAddr::new(own, SERVICE_PORT)
    }
}

/// Everything that is there before the first program starts. Dropping it removes all of it.
pub struct World {
    /// The hosts, `h1` first.
    pub hosts: Vec<Host>,
    /// The aggregator's namespace.
    pub aggregator: Namespace,
    /// The honest client's namespace.
    pub client: Namespace,
    /// The namespace of the victim that is a real machine.
    pub victim: Namespace,
    /// The bridge's: the router, the spoofer and the counter.
    pub internet: Namespace,
}

impl World {
    /// Lays a world with this many hosts (at most 99).
    ///
    /// # Errors
    /// Not root, or a command failed.
    pub fn new(hosts: u8) -> Result<Self> {
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let internet = Namespace::new(&format!("{number}-net"))?;
        lay_internet(&internet)?;
        let leaf = |name: &str| Namespace::new(&format!("{number}-{name}"));
        let aggregator = leaf("agg")?;
        join(&internet, &aggregator, "agg", &format!("{AGGREGATOR}/24"), "2001:db8:51::250/64")?;
        let client = leaf("client")?;
        join(&internet, &client, "client", &format!("{CLIENT_MACHINE}/24"), "2001:db8:c::10/64")?;
        let victim = leaf("victim")?;
        join(&internet, &victim, "victim", &format!("{VICTIM_MACHINE}/32"), "2001:db8:bad:ffff::99/64")?;
        let hosts = (1..=hosts.min(99)).map(|at| {
            let name = format!("h{at}");
            let namespace = leaf(&name)?;
            let v4 = Ipv4Addr::new(198, 51, 100, 10 + at);
            let v6: Ipv6Addr = format!("2001:db8:51::{}", 10 + at).parse()?;
            join(&internet, &namespace, &name, &format!("{v4}/24"), &format!("{v6}/64"))?;
            let server = Server::start(&namespace, SERVICE_PORT)?;
            Ok(Host { name, namespace, v4, v6, server })
        });
        let hosts = hosts.collect::<Result<_>>()?;
        let world = Self { hosts, aggregator, client, victim, internet };
        world.settle()?;
        Ok(world)
    }

    /// Waits until the links carry packets, which takes the kernel up to two seconds.
    fn settle(&self) -> Result<()> {
        let hosts = self.hosts.iter().flat_map(|host| [IpAddr::V4(host.v4), IpAddr::V6(host.v6)]);
        for address in hosts.chain([IpAddr::V4(AGGREGATOR), IpAddr::V4(VICTIM_MACHINE)]) {
            let to = SocketAddr::new(address, SERVICE_PORT);
            wait::until_true(SETTLED_WITHIN, &format!("{address} is in reach"), || {
                self.client.run(|| in_reach(to))
            })?;
        }
        Ok(())
    }

    /// The host called `name`.
    ///
    /// # Errors
    /// There is none.
    pub fn host(&self, name: &str) -> Result<&Host> {
        let found = self.hosts.iter().find(|host| host.name == name);
        found.ok_or_else(|| anyhow::anyhow!("there is no host {name}"))
    }
}

/// Whether somebody answers at `to`: also a refusal is an answer.
fn in_reach(to: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&to, Duration::from_millis(300)) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    }
}

/// The bridge, the routes and what vanishes.
fn lay_internet(internet: &Namespace) -> Result<()> {
    quiet(internet)?;
    internet.ip("link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0")?;
    internet.sysctl("net/ipv4/ip_forward", "1")?;
    internet.sysctl("net/ipv6/conf/all/forwarding", "1")?;
    internet.sysctl("net/ipv4/conf/all/send_redirects", "0")?;
    internet.sysctl("net/ipv4/conf/br0/send_redirects", "0")?;
    for address in ["198.51.100.1/24", "192.0.2.1/24"] {
        internet.ip(&format!("address add {address} dev br0"))?;
    }
    for address in ["2001:db8:51::1/64", "2001:db8:c::1/64", "2001:db8:bad:ffff::1/64"] {
        internet.ip(&format!("-6 address add {address} dev br0 nodad"))?;
    }
    internet.ip("link set br0 up")?;
    // Answers to spoofed addresses end here, in silence.
    for net in VICTIMS_V4 {
        internet.ip(&format!("route add blackhole {net}"))?;
    }
    internet.ip(&format!("-6 route add blackhole {VICTIMS_V6}"))?;
    internet.ip(&format!("route add {VICTIM_MACHINE}/32 dev br0"))?;
    crate::counter::lay(internet)
}

/// Joins `leaf` to the bridge by a pair of veth devices, and gives it its addresses and routes.
fn join(internet: &Namespace, leaf: &Namespace, name: &str, v4: &str, v6: &str) -> Result<()> {
    let (to, from) = (leaf.name(), internet.name());
    quiet(leaf)?;
    crate::command::run("ip", &format!("-n {from} link add v-{name} type veth peer name eth0 netns {to}"))?;
    internet.ip(&format!("link set v-{name} master br0 up"))?;
    leaf.ip(&format!("address add {v4} dev eth0"))?;
    leaf.ip(&format!("-6 address add {v6} dev eth0 nodad"))?;
    leaf.ip("link set eth0 up")?;
    let router4 = if v4.starts_with("192.0.2.") { "192.0.2.1" } else { "198.51.100.1" };
    leaf.ip(&format!("route add default via {router4} dev eth0 onlink"))?;
    let (net, _) = v6.rsplit_once("::").unwrap_or((v6, ""));
    leaf.ip(&format!("-6 route add default via {net}::1 dev eth0"))?;
    Ok(())
}

/// Where connections of the laboratory's own machines come from: below the ports of probes, so that no
/// answer to one is taken for an answer to a probe.
const OWN_PORTS: &str = "32768 49999";

/// No reverse path filter (spoofed sources come in), no redirects (all goes through the router, which
/// counts), no waiting for duplicate addresses.
fn quiet(namespace: &Namespace) -> Result<()> {
    namespace.sysctl("net/ipv4/ip_local_port_range", OWN_PORTS)?;
    for key in ["all/rp_filter", "default/rp_filter"] {
        namespace.sysctl(&format!("net/ipv4/conf/{key}"), "0")?;
    }
    for key in ["ipv4/conf/all", "ipv4/conf/default", "ipv6/conf/all", "ipv6/conf/default"] {
        namespace.sysctl(&format!("net/{key}/accept_redirects"), "0")?;
    }
    for device in ["all", "default"] {
        namespace.sysctl(&format!("net/ipv6/conf/{device}/accept_dad"), "0")?;
    }
    Ok(())
}
