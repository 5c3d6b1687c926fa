//! What to type to look around in a laboratory that is left running.

use anyhow::Result;
use sekisho_lab::{
    Fleet, leftovers,
    programs::{self, PORT},
    world::AGGREGATOR,
};

/// Prints the commands, and waits for Ctrl-C; the clean-up then ends this process.
pub(crate) fn until_interrupted(fleet: &Fleet) -> Result<()> {
    let aggregator = fleet.world.aggregator.name();
    let tls = &fleet.operator;
    let grpcurl = format!(
        "ip netns exec {aggregator} grpcurl -cacert {} -cert {} -key {}",
        tls.ca.display(),
        tls.cert.display(),
        tls.key.display()
    );
    let at = format!("{AGGREGATOR}:{PORT}");
    println!("\nEverything is left running until Ctrl-C. To look around:\n");
    println!("# the services, their comments, the list");
    println!("{grpcurl} {at} list");
    println!("{grpcurl} {at} describe sekisho.v1.BlocklistService");
    println!("{grpcurl} {at} sekisho.v1.BlocklistService/ListEntries");
    println!("\n# the same through the operator's command line");
    for arguments in [&["get", "entries"][..], &["get", "hosts"], &["status"]] {
        let command = programs::ctl(tls, arguments)?;
        println!("ip netns exec {aggregator} {}", programs::shown(&command));
    }
    if let Some(host) = fleet.world.hosts.first() {
        let name = host.namespace.name();
        println!("\n# what is in force on {}, and its half-open handshakes", host.name);
        println!("ip netns exec {name} nft list table inet sekisho");
        println!("ip netns exec {name} ss -nt state syn-recv");
        println!("ip netns exec {name} curl -s http://{}/metrics", programs::AGENT_METRICS);
    }
    println!("\n# logs, policy, certificates\nls {}", fleet.path("").display());
    while !leftovers::interrupted() {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    // The world is being removed; its remover ends the process.
    loop {
        std::thread::park();
    }
}
