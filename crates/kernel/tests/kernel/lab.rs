//! A network namespace for each test, with nothing in it but loopback, and the tools to play an
//! attack in it. Needs root.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::OwnedFd,
    panic,
    process::Command,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket},
    thread::UnshareFlags,
};
use sekisho_kernel::{Nft, table::Owner};
use sekisho_ruleset::Transaction;

/// Ours, in [`with_server`].
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// How long anything may take that a test waits for.
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `test` on a thread of its own in a fresh network namespace with loopback up.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    assert!(rustix::process::geteuid().is_root(), "this test makes network namespaces: run it as root");
    let run = move || {
        enter_fresh_namespace();
        test();
    };
    if let Err(failure) = thread::spawn(run).join() {
        panic::resume_unwind(failure);
    }
}

/// Runs `test` in a namespace in which `SERVER` is ours, and packets to anybody else go to a link where nobody is.
pub(crate) fn with_server(test: impl FnOnce() + Send + 'static) {
    in_namespace(|| {
        ip("link add name void type veth peer name beyond");
        // Without ARP: a neighbour that does not answer would end the handshakes.
        ip("link set void arp off up");
        ip("link set beyond arp off up");
        ip(&format!("addr add {SERVER}/32 dev void"));
        ip("route add default dev void");
        for name in ["all", "lo", "void"] {
            sysctl(&format!("net/ipv4/conf/{name}/rp_filter"), "0");
        }
        sysctl("net/ipv4/conf/lo/accept_local", "1");
        test();
    });
}

/// Moves the calling thread into a new network namespace with loopback up.
fn enter_fresh_namespace() {
    // SAFETY: only the network namespace of this fresh thread changes, which owns no socket yet;
    // file descriptors, memory and every other thread stay as they are.
    #[expect(unsafe_code, reason = "there is no safe call for it")]
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.expect("unshare(CLONE_NEWNET)");
    ip("link set lo up");
}

/// Runs `ip` with these words.
pub(crate) fn ip(words: &str) {
    run("ip", words);
}

/// Gives this namespace an address, and waits until it takes packets for it: the kernel makes the route to an
/// IPv6 address a little later.
pub(crate) fn own(address: IpAddr, link: &str) {
    let (length, family, more) = if address.is_ipv4() { (32, "-4", "") } else { (128, "-6", " nodad") };
    ip(&format!("{family} addr add {address}/{length} dev {link}{more}"));
    let route = || run("ip", &format!("{family} route show table local {address}"));
    wait_for("the address to be ours", || route().contains("local").then_some(()));
}

/// Runs a program and expects success; gives what it wrote.
pub(crate) fn run(program: &str, words: &str) -> String {
    let output = Command::new(program).args(words.split_whitespace()).output().expect(program);
    assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Makes our table, with empty sets.
pub(crate) fn install() {
    let mut nft = Nft::open().expect("nf_tables");
    nft.install(Owner::Anybody, &Transaction::default()).expect("no table is there yet");
}

/// Sets a sysctl of this namespace.
pub(crate) fn sysctl(name: &str, value: &str) {
    let path = format!("/proc/sys/{name}");
    std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Waits until `look` finds something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Another network namespace, with a thread of its own in it.
pub(crate) struct Place {
    thread: i32,
    work: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

impl Place {
    /// One with nothing in it but loopback. It goes with the value.
    pub(crate) fn new() -> Self {
        let (work, todo) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            enter_fresh_namespace();
            tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            todo.into_iter().for_each(|each| each());
        });
        Self { thread: told.recv().expect("a namespace"), work }
    }

    /// Joins it to the namespace of the caller by a link that has this name at both ends. Whatever goes over
    /// the link finds its way: without ARP a frame is sent to its sender's own address, which both ends share.
    pub(crate) fn join(&self, link: &'static str) {
        ip(&format!("link add {link} type veth peer name {link} netns {}", self.thread));
        let up = move || {
            ip(&format!("link set {link} address 02:00:00:00:00:01 arp off up"));
            sysctl(&format!("net/ipv4/conf/{link}/rp_filter"), "0");
        };
        up();
        self.run(up);
    }

    /// Runs `work` in it.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        let work = Box::new(move || drop(tell.send(work())));
        self.work.send(work).expect("the place is there");
        told.recv().expect("what runs there does not panic")
    }
}

/// Sends packets whose source is whatever it is told.
pub(crate) struct Spoofer {
    v4: OwnedFd,
    v6: OwnedFd,
}

impl Spoofer {
    pub(crate) fn new() -> Self {
        let open = |family| socket(family, SocketType::RAW, Some(ipproto::RAW)).expect("a raw socket");
        Self { v4: open(AddressFamily::INET), v6: open(AddressFamily::INET6) }
    }

    /// Sends a SYN from port 40000 of `source` to `target`.
    pub(crate) fn syn(&self, source: Ipv4Addr, target: SocketAddrV4) -> io::Result<usize> {
        self.syn_from(SocketAddrV4::new(source, 40_000).into(), target.into(), 1)
    }

    /// Sends a SYN with this sequence number.
    pub(crate) fn syn_from(
        &self,
        source: SocketAddr,
        target: SocketAddr,
        sequence: u32,
    ) -> io::Result<usize> {
        let packet = syn(source, target, sequence);
        let socket = if source.is_ipv4() { &self.v4 } else { &self.v6 };
        Ok(sendto(socket, &packet, SendFlags::empty(), &SocketAddr::new(target.ip(), 0))?)
    }
}

/// A packet with a TCP SYN (RFC 9293, section 3.1); the kernel fills in the IP header's checksum.
pub(crate) fn syn(source: SocketAddr, target: SocketAddr, sequence: u32) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(source.port().to_be_bytes());
    tcp.extend(target.port().to_be_bytes());
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(0u32.to_be_bytes());
    tcp.extend([5 << 4, 0x02]);
    tcp.extend(65_535u16.to_be_bytes());
    tcp.extend([0; 4]);
    let (mut packet, addresses) = match (source.ip(), target.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            (vec![0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0], [from.octets(), to.octets()].concat())
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            (vec![0x60, 0, 0, 0, 0, 20, 6, 64], [from.octets(), to.octets()].concat())
        }
        _ => panic!("{source} and {target} are of two families"),
    };
    let pseudo = [&addresses[..], &[0, 6, 0, 20], &tcp].concat();
    let sum: u32 = pseudo.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(addresses);
    packet.extend(tcp);
    packet
}

/// Counts the SYN-ACKs that leave this namespace, by where they go, in a table of its own.
pub(crate) struct Witness;

impl Witness {
    pub(crate) fn new() -> Self {
        let rule = |family: &str, ip: &str| {
            format!(
                "add set inet witness sent{family} {{ type ipv{family}_addr; flags dynamic; size 65535; }}; \
                 add rule inet witness out tcp flags & (syn|ack) == (syn|ack) \
                 update @sent{family} {{ {ip} daddr counter }}; "
            )
        };
        run(
            "nft",
            &format!(
                "add table inet witness; add chain inet witness out {{ type filter hook postrouting priority 0; }}; {}{}",
                rule("4", "ip"),
                rule("6", "ip6")
            ),
        );
        Self
    }

    /// How many went to each address.
    pub(crate) fn sent(&self) -> BTreeMap<IpAddr, u64> {
        let mut sent = BTreeMap::new();
        for set in ["sent4", "sent6"] {
            let listed = run("nft", &format!("-j list set inet witness {set}"));
            let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
            let objects = listed["nftables"].as_array().unwrap();
            for each in objects.iter().filter_map(|object| object["set"]["elem"].as_array()).flatten() {
                let address = each["elem"]["val"].as_str().unwrap().parse().unwrap();
                sent.insert(address, each["elem"]["counter"]["packets"].as_u64().unwrap());
            }
        }
        sent
    }

    /// How many went out in all.
    pub(crate) fn total(&self) -> u64 {
        self.sent().values().sum()
    }
}

/// The address that this text says.
pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
