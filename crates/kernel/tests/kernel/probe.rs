//! The probes against this kernel: they find what is there, and leave nothing behind.

use crate::lab::{in_namespace, ip, run};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use sekisho_kernel::{
    KernelError,
    probe::{self, Suspect},
};

fn without(capability: CapabilitySet) {
    let mut lesser = capabilities(None).unwrap();
    lesser.effective.remove(capability);
    set_capabilities(None, lesser).unwrap();
}

fn ruleset() -> String {
    run("nft", "list ruleset")
}

/// What nft itself says of a kernel's ability, where it has a word for it.
fn takes(script: &str) -> bool {
    std::process::Command::new("nft").args(["-c", script]).output().unwrap().status.success()
}

#[test]
fn what_tables_can_do_is_found_out_and_nothing_stays() {
    in_namespace(|| {
        run("nft", "add table inet others");
        let before = ruleset();
        let found = probe::features().unwrap();
        assert!(!found.owner || takes("add table inet x { flags owner; }"));
        assert_eq!(ruleset(), before);
        // Without the right to make a namespace it is tried in this one, and found to be the same.
        without(CapabilitySet::SYS_ADMIN);
        assert_eq!(probe::features().unwrap(), found);
        assert_eq!(ruleset(), before);
        without(CapabilitySet::NET_ADMIN);
        assert!(matches!(probe::features(), Err(KernelError::NotPermitted)));
    });
}

#[test]
fn the_rehearsal_touches_no_table_of_this_namespace() {
    in_namespace(|| {
        let before = ruleset();
        probe::rehearse().unwrap();
        assert_eq!(ruleset(), before);
        without(CapabilitySet::SYS_ADMIN);
        assert!(matches!(probe::rehearse(), Err(KernelError::Os { .. })));
    });
}

#[test]
fn rights_and_buffers_are_told() {
    in_namespace(|| {
        let rights = probe::rights().unwrap();
        assert!(rights.net_admin && rights.sys_admin);
        let (grown, _) = probe::send_buffer().unwrap();
        assert!(grown);
        probe::nf_tables().unwrap();
        without(CapabilitySet::NET_ADMIN);
        assert!(!probe::rights().unwrap().net_admin);
        let (grown, bytes) = probe::send_buffer().unwrap();
        assert!(!grown && bytes > 0);
        assert!(matches!(probe::nf_tables(), Err(KernelError::NotPermitted)));
        assert!(!probe::release().is_empty());
    });
}

#[test]
fn links_of_ebpf_data_planes_are_suspects() {
    in_namespace(|| {
        assert_eq!(probe::suspects().unwrap(), []);
        ip("link add cilium_host type veth peer name lxc0a1b");
        let plane = |link: &str| Suspect::Plane { link: link.into(), plane: "Cilium" };
        assert_eq!(probe::suspects().unwrap(), [plane("cilium_host"), plane("lxc0a1b")]);
    });
}
