//! Half-open sockets of a new entry: they are ended, and not one of their queued SYN-ACKs goes out after the
//! block; where the kernel cannot end them, the rule on output holds the SYN-ACKs back.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, TcpStream},
};

use crate::{
    lab::{Place, Witness, address, own, run, sysctl, wait_for},
    suppress::{commit, half_open, listener, service, spoof, with_server},
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use sekisho_kernel::{Destroyed, Diag, HalfOpen, KernelError, Nft};
use sekisho_model::{Prefix, limits::MAX_COMPLETED_PREFIXES};

const LISTED: &str = "add element drop4 203.0.113.7 timeout 600s\n\
                      add element dropnet4 198.51.100.0/24 timeout 600s\n\
                      add element drop6 2001:db8:bad::7 timeout 600s\n\
                      add element dropnet6 2001:db8:bad:1::/64 timeout 600s";
const PREFIXES: [&str; 4] = ["203.0.113.7", "198.51.100.0/24", "2001:db8:bad::7", "2001:db8:bad:1::/64"];
const VICTIMS: [&str; 5] =
    ["203.0.113.7", "198.51.100.1", "198.51.100.9", "2001:db8:bad::7", "2001:db8:bad:1::9"];
/// Not listed.
const OTHERS: [&str; 2] = ["203.0.113.8", "2001:db8:bad:2::9"];
/// SYNs of each: all together fit into the listener's backlog of 128.
const SYNS: u16 = 15;

fn prefixes(texts: &[&str]) -> Vec<Prefix> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn found(prefixes: &[Prefix]) -> Vec<HalfOpen> {
    let mut found = Vec::new();
    Diag::open().unwrap().half_open_of(prefixes, |socket| found.push(socket)).unwrap();
    found
}

/// Ends what is half-open of these prefixes; gives how many sockets that were.
fn end(texts: &[&str]) -> u64 {
    let found = found(&prefixes(texts));
    let done = Diag::open().unwrap().destroy(&found).unwrap();
    assert_eq!(done, Destroyed { ended: found.len() as u64, gone: 0 });
    done.ended
}

/// Lets the SYNs of everybody come in, at the kernel's default R, before anything is listed.
fn stuck(outside: &Place, witness: &Witness, port_of: &std::net::TcpListener) -> u64 {
    sysctl("net/ipv4/tcp_synack_retries", "5");
    for victim in VICTIMS.iter().chain(&OTHERS).map(|text| address(text)) {
        spoof(outside, victim, service(port_of, victim), SYNS);
    }
    let all = u64::from(SYNS) * (VICTIMS.len() + OTHERS.len()) as u64;
    wait_for("all to be half-open", || (half_open() == all && witness.total() == all).then_some(()));
    all
}

/// Waits until the timers of all have come round twice, which those of the others show; then the listed ones
/// must have got nothing but their first SYN-ACK.
fn nothing_more_went_out(witness: &Witness) {
    let others = OTHERS.map(address);
    wait_for("two retransmits to those that are not listed", || {
        let sent = witness.sent();
        others.iter().all(|other| sent[other] >= 3 * u64::from(SYNS)).then_some(())
    });
    let sent = witness.sent();
    for victim in VICTIMS.map(address) {
        assert_eq!(sent[&victim], u64::from(SYNS), "{victim} in {sent:?}");
    }
}

#[test]
fn not_one_queued_syn_ack_goes_out_after_the_block() {
    with_server(|outside| {
        let (listener, witness) = (listener(), Witness::new());
        let all = stuck(outside, &witness, &listener);
        commit(LISTED);
        let listed = u64::from(SYNS) * VICTIMS.len() as u64;
        assert_eq!(end(&PREFIXES), listed);
        assert_eq!(half_open(), all - listed, "they are gone at once");
        nothing_more_went_out(&witness);
        let counters = Nft::open().unwrap().counters().unwrap();
        assert_eq!(counters.muted, 0, "nothing was left for the rule on output to hold back");
    });
}

#[test]
fn where_sockets_cannot_be_ended_the_rule_on_output_holds_their_syn_acks_back() {
    with_server(|outside| {
        let (listener, witness) = (listener(), Witness::new());
        let all = stuck(outside, &witness, &listener);
        commit(LISTED);
        nothing_more_went_out(&witness);
        let listed = u64::from(SYNS) * VICTIMS.len() as u64;
        assert_eq!(Nft::open().unwrap().counters().unwrap().muted, listed);
        assert_eq!(half_open(), all - listed, "a SYN-ACK that cannot be sent ends its handshake");
    });
}

#[test]
fn any_number_of_prefixes_may_be_asked_for() {
    with_server(|outside| {
        let (listener, witness) = (listener(), Witness::new());
        stuck(outside, &witness, &listener);
        let peers = |asked: &[Prefix]| -> BTreeSet<IpAddr> {
            found(asked).iter().map(|socket| socket.row.victim.to_canonical()).collect()
        };
        let few = prefixes(&PREFIXES);
        let unrelated =
            (0xc612_0000u32..).map(|low| Prefix::host(IpAddr::V4(std::net::Ipv4Addr::from_bits(low))));
        let many: Vec<Prefix> =
            few.iter().copied().chain(unrelated.take(2 * MAX_COMPLETED_PREFIXES)).collect();
        assert_eq!(peers(&few), BTreeSet::from(VICTIMS.map(address)));
        assert_eq!(peers(&many), peers(&few));
        assert!(peers(&[]).is_empty());
    });
}

#[test]
fn established_connections_of_the_prefix_live_on() {
    with_server(|outside| {
        let listener = listener();
        let client = address("198.51.100.9");
        let to = service(&listener, client);
        outside.run(move || own(client, "wire"));
        let connected = outside.run(move || TcpStream::connect(to).unwrap());
        let (mut served, _) = listener.accept().unwrap();
        spoof(outside, address("198.51.100.10"), to, SYNS);
        wait_for("the handshakes", || (half_open() == u64::from(SYNS)).then_some(()));
        commit("add element dropnet4 198.51.100.0/24 timeout 600s");
        assert_eq!(end(&["198.51.100.0/24"]), u64::from(SYNS));
        std::io::Write::write_all(&mut served, b"x").unwrap();
        let mut heard = [0];
        std::io::Read::read_exact(&mut &connected, &mut heard).unwrap();
        assert_eq!(&heard, b"x");
    });
}

#[test]
fn a_socket_that_is_gone_is_no_failure() {
    with_server(|outside| {
        let listener = listener();
        let victim = address("203.0.113.7");
        spoof(outside, victim, service(&listener, victim), 100);
        wait_for("the handshakes", || (half_open() == 100).then_some(()));
        let found = found(&prefixes(&["203.0.113.7"]));
        let mut diag = Diag::open().unwrap();
        assert_eq!(diag.destroy(&found).unwrap(), Destroyed { ended: 100, gone: 0 });
        // The same ports again: another socket, which the old one's cookie does not name.
        spoof(outside, victim, service(&listener, victim), 50);
        wait_for("the new handshakes", || (half_open() == 50).then_some(()));
        assert_eq!(diag.destroy(&found).unwrap(), Destroyed { ended: 0, gone: 100 });
        assert_eq!(half_open(), 50);
    });
}

#[test]
fn it_needs_the_capability_and_says_so() {
    with_server(|outside| {
        let listener = listener();
        let victim = address("203.0.113.7");
        spoof(outside, victim, service(&listener, victim), 1);
        wait_for("the handshake", || (half_open() == 1).then_some(()));
        let found = found(&prefixes(&["203.0.113.7"]));
        let mut diag = Diag::open().unwrap();
        assert!(diag.can_destroy().unwrap(), "this kernel is built without CONFIG_INET_DIAG_DESTROY");
        let mut lesser = capabilities(None).unwrap();
        lesser.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, lesser).unwrap();
        assert!(matches!(Diag::open().unwrap().destroy(&found), Err(KernelError::NotPermitted)));
        assert_eq!(half_open(), 1);
    });
}

#[test]
fn a_listener_of_one_family_alone_is_served_too() {
    with_server(|outside| {
        let four = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let victim = address("203.0.113.7");
        let to = SocketAddr::new(service(&four, victim).ip(), four.local_addr().unwrap().port());
        spoof(outside, victim, to, SYNS);
        wait_for("the handshakes", || (half_open() == u64::from(SYNS)).then_some(()));
        assert_eq!(end(&["203.0.113.0/24"]), u64::from(SYNS));
        assert_eq!(run("ss", "-Htn state syn-recv"), "");
    });
}
