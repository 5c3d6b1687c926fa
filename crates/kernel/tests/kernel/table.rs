//! The table as `nft` makes and lists it, and what is said where it cannot be made.

use crate::lab::{in_namespace, run};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use sekisho_kernel::{KernelError, Nft, sock_diag::Diag, table, table::Found};
use sekisho_ruleset::{Removal, SCAFFOLD};

fn foreign() -> String {
    match table::inspect().unwrap() {
        Found::Foreign { what } => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_table_is_made_recognised_and_removed() {
    in_namespace(|| {
        table::check().unwrap();
        assert_eq!(table::inspect().unwrap(), Found::Absent);
        table::remove().unwrap();
        table::install().unwrap();
        assert_eq!(table::inspect().unwrap(), Found::Ours);
        assert!(matches!(table::install(), Err(KernelError::Exists)));
        table::check().unwrap();
        table::replace().unwrap();
        assert_eq!(table::inspect().unwrap(), Found::Ours);
        table::remove().unwrap();
        assert_eq!(table::inspect().unwrap(), Found::Absent);
    });
}

#[test]
fn nft_reads_the_rules_as_the_scaffold_writes_them() {
    in_namespace(|| {
        table::install().unwrap();
        let listing = run("nft", "list table inet sekisho").replace('"', "");
        let listed: Vec<&str> = listing.lines().map(str::trim).collect();
        for rule in SCAFFOLD.chains.iter().flat_map(|chain| chain.rules) {
            // `nft` writes a match of flags as "tcp flags syn / fin,syn,rst,ack".
            let text = rule
                .to_string()
                .replace("& (fin|syn|rst|ack) == syn", "syn / fin,syn,rst,ack")
                .replace("& (fin|syn|rst|ack) == (syn|ack)", "syn,ack / fin,syn,rst,ack");
            assert!(listed.contains(&text.as_str()), "{text} is not in\n{listing}");
        }
        assert!(listing.contains("type filter hook prerouting priority raw; policy accept;"), "{listing}");
        assert!(listing.contains("type filter hook output priority raw; policy accept;"), "{listing}");
        let dynamic = listed.iter().filter(|line| **line == "flags dynamic,timeout").count();
        assert_eq!(dynamic, 2, "{listing}");
    });
}

#[test]
fn another_table_and_an_edited_one_are_told_from_ours() {
    in_namespace(|| {
        run("nft", "add table inet sekisho");
        assert!(foreign().ends_with("is missing"));
        assert!(matches!(table::install(), Err(KernelError::Foreign(_))));
        table::replace().unwrap();
        run("nft", "add table inet other");
        assert_eq!(table::inspect().unwrap(), Found::Ours);
        run("nft", "insert rule inet sekisho syn accept");
        assert!(foreign().starts_with("rule 1 of chain syn is \"accept\""), "{}", foreign());
        table::replace().unwrap();
        run("nft", "flush chain inet sekisho block4");
        assert_eq!(foreign(), "rule 1 of chain block4 is missing");
        table::replace().unwrap();
        run("nft", "add chain inet sekisho strange");
        assert_eq!(foreign(), "chain strange is not ours");
        run("nft", "flush ruleset");
        assert_eq!(table::inspect().unwrap(), Found::Absent);
    });
}

#[test]
fn without_the_capability_everything_says_so() {
    in_namespace(|| {
        table::install().unwrap();
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        sets.permitted.remove(CapabilitySet::NET_ADMIN);
        sets.inheritable.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        assert!(matches!(table::check(), Err(KernelError::NotPermitted)));
        let mut nft = Nft::open().unwrap();
        let transaction = "add element drop4 203.0.113.7 timeout 60s".parse().unwrap();
        let refused = nft.commit(&transaction, Removal::Destroy).unwrap_err();
        assert!(matches!(refused, KernelError::NotPermitted), "{refused}");
        assert!(refused.to_string().contains("CAP_NET_ADMIN"));
        // Watching needs no privilege.
        assert_eq!(Diag::open().unwrap().half_open(|_| ()).unwrap().rows, 0);
    });
}

#[test]
fn a_table_of_another_owner_is_left_alone() {
    in_namespace(|| {
        use std::{
            io::Write,
            process::{Command, Stdio},
        };
        // An interactive `nft` keeps its socket, and with it the table that it owns.
        let mut owner =
            Command::new("nft").arg("-i").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut words = owner.stdin.take().expect("its input");
        words.write_all(b"add table inet sekisho { flags owner; }\n").unwrap();
        crate::lab::wait_for("the table", || {
            matches!(Nft::open().unwrap().owner(), Ok(Some(_))).then_some(())
        });
        assert!(matches!(table::check(), Err(KernelError::Owned(_))));
        let transaction = "add element drop4 203.0.113.7 timeout 60s".parse().unwrap();
        let refused = Nft::open().unwrap().commit(&transaction, Removal::Destroy).unwrap_err();
        assert!(matches!(refused, KernelError::Owned(port) if port != 0), "{refused}");
        drop(words);
        owner.wait().unwrap();
    });
}
