//! The host: its kernel, what this process may do there, and where it remembers things.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use sekisho_kernel::{
    KernelError,
    probe::{self, Suspect},
    sysctl,
};

use super::{Finding, State};

/// What is written to try the state directory.
const TRIAL: &str = "check.trial";

/// All of it.
pub fn look(state_dir: Option<&Path>) -> Vec<Finding> {
    vec![
        Finding::works("kernel", format!("Linux {}", probe::release())),
        rights(),
        directory(state_dir),
        retries(),
        routing(probe::suspects()),
    ]
}

fn rights() -> Finding {
    let name = "capabilities";
    match probe::rights() {
        Err(error) => Finding::fails(name, &error),
        Ok(rights) if !rights.net_admin => Finding::fails(name, &"no CAP_NET_ADMIN")
            .advise("run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN"),
        Ok(rights) if !rights.sys_admin => {
            Finding::works(name, "CAP_NET_ADMIN; no CAP_SYS_ADMIN, which only --synack-retries-pods needs")
        }
        Ok(_) => Finding::works(name, "CAP_NET_ADMIN, CAP_SYS_ADMIN"),
    }
}

fn directory(dir: Option<&Path>) -> Finding {
    let name = "state directory";
    let Some(dir) = dir else {
        return Finding::new(name, State::Unknown, "none is given")
            .advise("give --state-dir DIR, which enforcing needs");
    };
    match write_and_sync(dir) {
        Ok(()) => Finding::works(name, format!("{} takes files and keeps them", dir.display())),
        Err(error) => Finding::fails(name, &format!("{}: {error}", dir.display()))
            .advise("make it writable, or give another --state-dir"),
    }
}

/// Writes a file to the disk, and takes it away. A directory that is not there yet is made, as the agent would.
fn write_and_sync(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let path = dir.join(TRIAL);
    let mut file = File::create(&path)?;
    let written = file.write_all(b"trial\n").and_then(|()| file.sync_all());
    let removed = fs::remove_file(&path);
    written.and(removed)?;
    File::open(dir)?.sync_all()
}

fn retries() -> Finding {
    let name = "tcp_synack_retries";
    let (value, writable) = (sysctl::synack_retries(), sysctl::synack_retries_writable());
    match (value, writable) {
        (Err(error), _) => Finding::new(name, State::Unknown, error.to_string()),
        (Ok(0), _) => Finding::new(name, State::Suspicious, "it is 0").advise(
            "set it to 1 or more: without a retransmit sock_diag proves no handshake stuck, and only other sensors \
             see an attack",
        ),
        (Ok(value), Ok(())) => Finding::works(name, format!("it is {value}, and may be lowered")),
        (Ok(value), Err(error)) => {
            Finding::new(name, State::Absent, format!("it is {value}, and may not be lowered: {error}"))
                .advise("leave --synack-retries at keep, or mount /proc/sys writable (systemd: ProtectKernelTunables=no)")
        }
    }
}

fn routing(found: Result<Vec<Suspect>, KernelError>) -> Finding {
    let name = "packet path";
    let suspects = match found {
        Ok(suspects) => suspects,
        Err(error) => return Finding::new(name, State::Unknown, error.to_string()),
    };
    if suspects.is_empty() {
        return Finding::works(name, "nothing is known here that takes packets around nf_tables");
    }
    let mut words: Vec<String> = suspects
        .iter()
        .map(|suspect| match suspect {
            Suspect::Xdp(link) => format!("an XDP program on {link}"),
            Suspect::Netkit(_) => "netkit links".to_owned(),
            Suspect::Plane { plane, .. } => format!("links of {plane}"),
        })
        .collect();
    words.dedup();
    Finding::new(name, State::Suspicious, words.join(", ")).advise(
        "where eBPF routes packets, nf_tables may not see those of pods; let them take the host's way (Cilium: \
         bpf.hostLegacyRouting=true), and watch sekisho_kernel_bypassed",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_directory_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(directory(Some(dir.path())).state, State::Works);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let finding = directory(Some(&file));
        assert_eq!(finding.state, State::Fails);
        assert!(finding.advice.unwrap().contains("--state-dir"));
        assert_eq!(directory(None).state, State::Unknown);
    }

    #[test]
    fn what_may_take_packets_around_is_named_once() {
        let plane = |link: &str| Suspect::Plane { link: link.into(), plane: "Cilium" };
        let finding = routing(Ok(vec![Suspect::Xdp("eth0".into()), plane("lxc1"), plane("lxc2")]));
        assert_eq!(finding.state, State::Suspicious);
        assert_eq!(finding.found, "an XDP program on eth0, links of Cilium");
        assert_eq!(routing(Ok(Vec::new())).state, State::Works);
    }
}
