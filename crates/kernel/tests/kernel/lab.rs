//! A network namespace for each test, with nothing in it but loopback, and the tools to play an
//! attack in it. Needs root.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
    panic,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket},
    thread::UnshareFlags,
};

/// How long anything may take that a test waits for.
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs `test` on a thread of its own in a fresh network namespace with loopback up.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    assert!(rustix::process::geteuid().is_root(), "this test makes network namespaces: run it as root");
    let run = move || {
        // SAFETY: only the network namespace of this fresh thread changes, which owns no socket yet;
        // file descriptors, memory and every other thread stay as they are.
        #[expect(unsafe_code, reason = "there is no safe call for it")]
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }.expect("unshare(CLONE_NEWNET)");
        ip("link set lo up");
        test();
    };
    if let Err(failure) = thread::spawn(run).join() {
        panic::resume_unwind(failure);
    }
}

/// Runs `ip` with these words.
pub(crate) fn ip(words: &str) {
    run("ip", words);
}

/// Runs a program and expects success; gives what it wrote.
pub(crate) fn run(program: &str, words: &str) -> String {
    let output = Command::new(program).args(words.split_whitespace()).output().expect(program);
    assert!(output.status.success(), "{program} {words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
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

/// Sends packets whose source is whatever it is told.
pub(crate) struct Spoofer(OwnedFd);

impl Spoofer {
    pub(crate) fn new() -> Self {
        Self(socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW)).expect("a raw socket"))
    }

    /// Sends a SYN from `source` to `target`.
    pub(crate) fn syn(&self, source: Ipv4Addr, target: SocketAddrV4) -> io::Result<usize> {
        let packet = syn(source, target);
        Ok(sendto(&self.0, &packet, SendFlags::empty(), &SocketAddrV4::new(*target.ip(), 0))?)
    }
}

/// An IPv4 packet with a TCP SYN (RFC 9293, section 3.1); the kernel fills in the IP checksum.
fn syn(source: Ipv4Addr, target: SocketAddrV4) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(40_000u16.to_be_bytes());
    tcp.extend(target.port().to_be_bytes());
    tcp.extend(1u32.to_be_bytes());
    tcp.extend(0u32.to_be_bytes());
    tcp.extend([5 << 4, 0x02]);
    tcp.extend(65_535u16.to_be_bytes());
    tcp.extend([0; 4]);
    let mut pseudo = Vec::new();
    pseudo.extend(source.octets());
    pseudo.extend(target.ip().octets());
    pseudo.extend([0, 6, 0, 20]);
    pseudo.extend(&tcp);
    let sum: u32 = pseudo.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap();
    tcp[16..18].copy_from_slice(&checksum.to_be_bytes());
    let mut packet = vec![0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0];
    packet.extend(source.octets());
    packet.extend(target.ip().octets());
    packet.extend(tcp);
    packet
}

/// The address that this text says.
pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
