//! Names over a real log, looked up at a name server that answers as it is told.

use std::{path::Path, sync::Mutex};

use hickory_resolver::{
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};
use sekisho_daemon::readiness::Readiness;
use sekisho_model::Policy;
use tokio::net::UdpSocket;

use super::*;
use crate::{ledger::Ledger, sequencer};

const NAME: &str = "partner.example";

/// What the name server says of one family.
#[derive(Clone, Copy)]
enum Says {
    /// This one address of IPv4, or none for IPv6.
    Address(u8),
    NoRecords,
    NoSuchName,
    Failure,
}

type Zone = Arc<Mutex<[Says; 2]>>;

/// A name server on a port of its own, until the test's runtime ends.
async fn name_server(zone: Zone) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            let says = *zone.lock().unwrap();
            socket.send_to(&reply(&query[..length], says), from).await.unwrap();
        }
    });
    port
}

/// The answer to a query of one question.
fn reply(query: &[u8], zone: [Says; 2]) -> Vec<u8> {
    let end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
    let is_ipv4 = query[end - 4..end - 2] == [0, 1];
    let says = zone[usize::from(!is_ipv4)];
    let (code, count) = match says {
        Says::Address(_) => (0, 1),
        Says::NoRecords => (0, 0),
        Says::Failure => (2, 0),
        Says::NoSuchName => (3, 0),
    };
    let mut reply = [&query[..2], &[0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0], &query[12..end]].concat();
    if let Says::Address(last) = says {
        // The name of the question, its type, the internet, a minute.
        reply.extend([0xc0, 12]);
        reply.extend(&query[end - 4..end]);
        reply.extend([0, 0, 0, 60]);
        let data: &[u8] = match is_ipv4 {
            true => &[0, 4, 192, 0, 2, last],
            false => &[0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last],
        };
        reply.extend(data);
    }
    reply
}

fn resolvers(port: u16) -> Resolvers {
    let mut connection = ConnectionConfig::udp();
    connection.port = port;
    let server = NameServerConfig::new([127, 0, 0, 1].into(), true, vec![connection]);
    let config = ResolverConfig::from_parts(None, vec![], vec![server]);
    Resolvers([LookupIpStrategy::Ipv4Only, LookupIpStrategy::Ipv6Only].map(|strategy| {
        let mut builder = Resolver::builder_with_config(config.clone(), TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.ip_strategy = strategy;
        (options.attempts, options.cache_size, options.use_hosts_file) = (1, 0, ResolveHosts::Never);
        builder.build().unwrap()
    }))
}

/// A log whose policy has the name, with these addresses, opened again: all of it comes from the disk.
fn restarted(dir: &Path, addresses: &[&str]) -> Ledger {
    let mut ledger = Ledger::open(dir, false, 1).unwrap();
    let mut policy = Policy::default();
    policy.never.names = vec![NAME.to_owned()];
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let inputs = vec![Input::Policy(policy), Input::Resolved { name: NAME.to_owned(), addresses }];
    let now = ledger.shared().now();
    ledger.commit(inputs, now).unwrap();
    ledger.checkpoint().unwrap();
    drop(ledger);
    Ledger::open(dir, false, 1).unwrap()
}

/// What is protected after each of these, one after the other, where this was before the restart.
async fn protected_after(before: &[&str], says: &[[Says; 2]]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let ledger = restarted(dir.path(), before);
    let shared = ledger.shared();
    let (sequencer, thread) = sequencer::start(ledger, Readiness::default()).unwrap();
    let zone = Zone::new(Mutex::new(says[0]));
    let resolvers = resolvers(name_server(zone.clone()).await);
    let mut name = Name::new(NAME, &shared);
    let mut protected = Vec::new();
    for says in says {
        *zone.lock().unwrap() = *says;
        name.look_up(&resolvers, &sequencer).await.unwrap();
        let addresses = shared.engine().addresses_of(NAME).unwrap();
        protected.push(addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    }
    drop((name, sequencer));
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    protected
}

#[tokio::test]
async fn a_restart_with_no_name_server_keeps_what_was_protected() {
    let both = ["192.0.2.1", "2001:db8::1"];
    let fails = [Says::Failure, Says::Failure];
    let one_family = [Says::Failure, Says::Address(1)];
    assert_eq!(protected_after(&both, &[fails, one_family]).await, [both.join(" "), both.join(" ")]);
}

#[tokio::test]
async fn a_name_that_is_gone_keeps_its_addresses_and_a_family_that_is_gone_does_not() {
    let both = ["192.0.2.1", "2001:db8::1"];
    let steps = [
        [Says::NoSuchName, Says::NoSuchName],
        [Says::NoRecords, Says::NoRecords],
        [Says::NoRecords, Says::Failure],
        [Says::Address(7), Says::Failure],
        [Says::Address(7), Says::NoRecords],
    ];
    let kept = both.join(" ");
    let expected = [&kept[..], &kept, &kept, "192.0.2.7 2001:db8::1", "192.0.2.7"];
    assert_eq!(protected_after(&both, &steps).await, expected);
}

#[tokio::test]
async fn the_first_answer_is_told() {
    let steps = [[Says::Failure, Says::Failure], [Says::Address(3), Says::NoRecords]];
    assert_eq!(protected_after(&[], &steps).await, ["", "192.0.2.3"]);
}
