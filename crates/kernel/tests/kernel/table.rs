//! The table as we make it and `nft` lists it, and what is said where it cannot be made.

use std::{sync::mpsc, thread, time::Duration};

use crate::{
    lab::{address, in_namespace, install, run},
    witness,
};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use sekisho_kernel::{
    KernelError, Nft,
    sock_diag::Diag,
    table::{Found, Owner},
};
use sekisho_ruleset::{SCAFFOLD, SetName, Transaction, Ways, scaffold::OLDER};

fn found() -> Found {
    Nft::open().unwrap().inspect().unwrap().0
}

fn foreign() -> String {
    match found() {
        Found::Foreign { what } | Found::Edited { what } => what,
        other => panic!("{other:?}"),
    }
}

fn replace() {
    Nft::open().unwrap().replace(Owner::Anybody, &Transaction::default()).unwrap();
}

#[test]
fn the_table_is_made_recognised_and_removed() {
    in_namespace(|| {
        let mut nft = Nft::open().unwrap();
        nft.check().unwrap();
        assert_eq!(found(), Found::Absent);
        nft.remove().unwrap();
        install();
        assert_eq!(found(), Found::Ours);
        let again = nft.install(Owner::Anybody, &Transaction::default());
        assert!(matches!(again, Err(KernelError::Exists)), "{again:?}");
        nft.check().unwrap();
        replace();
        assert_eq!(found(), Found::Ours);
        nft.remove().unwrap();
        assert_eq!(found(), Found::Absent);
    });
}

#[test]
fn our_messages_and_nft_make_the_same_table() {
    in_namespace(|| {
        install();
        assert_eq!(witness::difference(&SCAFFOLD), None);
        run("nft", "delete table inet sekisho");
        witness::create(&SCAFFOLD);
        assert_eq!(witness::difference(&SCAFFOLD), None);
        assert_eq!(found(), Found::Ours);
        // What the witness calls the same is not just anything.
        run("nft", "insert rule inet sekisho syn accept");
        assert!(witness::difference(&SCAFFOLD).is_some());
        for old in &OLDER {
            run("nft", "delete table inet sekisho");
            witness::create(old);
            assert_eq!(found(), Found::Older(old));
        }
    });
}

#[test]
fn nft_reads_the_rules_as_the_scaffold_writes_them() {
    in_namespace(|| {
        install();
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
        for hook in ["prerouting", "input", "forward", "output"] {
            // Some versions write the number.
            let at = |priority: &str| format!("type filter hook {hook} priority {priority}; policy accept;");
            assert!([at("raw"), at("-300")].iter().any(|line| listed.contains(&line.as_str())), "{listing}");
        }
        let dynamic = listed.iter().filter(|line| **line == "flags dynamic,timeout").count();
        assert_eq!(dynamic, 6, "{listing}");
    });
}

#[test]
fn another_table_and_an_edited_one_are_told_from_ours() {
    in_namespace(|| {
        run("nft", "add table inet sekisho");
        assert!(foreign().ends_with("is missing"));
        let refused = Nft::open().unwrap().install(Owner::Anybody, &Transaction::default());
        assert!(matches!(refused, Err(KernelError::Exists)), "{refused:?}");
        replace();
        run("nft", "add table inet other");
        assert_eq!(found(), Found::Ours);
        run("nft", "insert rule inet sekisho syn accept");
        assert!(foreign().starts_with("rule 1 of chain syn is \"accept\" and should"), "{}", foreign());
        replace();
        run("nft", "flush chain inet sekisho block4");
        assert_eq!(foreign(), "rule 1 of chain block4 is missing");
        assert!(matches!(found(), Found::Edited { .. }));
        let mut nft = Nft::open().unwrap();
        assert!(matches!(nft.inspect().unwrap().0, Found::Edited { .. }));
        nft.upgrade(&SCAFFOLD).unwrap();
        assert_eq!(found(), Found::Ours);
        run("nft", "add chain inet sekisho strange");
        assert!(matches!(found(), Found::Foreign { .. }));
        assert_eq!(foreign(), "chain strange is not ours");
        run("nft", "flush ruleset");
        assert_eq!(found(), Found::Absent);
    });
}

/// What version 0.1.0 made.
const BEFORE_SUPPRESS: &str = include_str!("before_suppress.nft");

/// Loads a table as it stands here.
fn load(text: &str) {
    let file =
        std::env::temp_dir().join(format!("sekisho-{}-{}.nft", std::process::id(), rustix::thread::gettid()));
    std::fs::write(&file, text).unwrap();
    run("nft", &format!("-f {}", file.display()));
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn an_older_versions_table_becomes_ours_and_keeps_what_it_blocks() {
    in_namespace(|| {
        load(BEFORE_SUPPRESS);
        let mut nft = Nft::open().unwrap();
        let text =
            "add element drop4 203.0.113.7 timeout 600s\nadd element dropnet6 2001:db8::/48 timeout 600s";
        nft.commit(&text.parse().unwrap(), Ways::DESTROY).unwrap();
        let Found::Older(old) = found() else { panic!("{:?}", found()) };
        // It is looked at all the while: nothing that is blocked is ever missing.
        let (seen, looked) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let watcher = thread::spawn(move || {
            let mut nft = Nft::open().unwrap();
            while matches!(stopped.try_recv(), Err(mpsc::TryRecvError::Empty)) {
                for (set, held) in [(SetName::Drop4, "203.0.113.7"), (SetName::DropNet6, "2001:db8::9")] {
                    assert!(nft.contains(set, address(held)).unwrap().is_some(), "{held} is missing");
                }
                let _ = seen.send(());
            }
        });
        let look = || looked.recv_timeout(Duration::from_secs(20)).expect("the watcher looks");
        look();
        nft.upgrade(old).unwrap();
        look();
        drop(stop);
        watcher.join().expect("the watcher");
        assert_eq!(found(), Found::Ours);
        // What it counted goes on.
        assert_eq!(nft.counters().unwrap().syns, 5);
        let gentle = "add element suppressnet4 198.51.100.0/24 timeout 600s".parse().unwrap();
        nft.commit(&gentle, Ways::DESTROY).unwrap();
    });
}

#[test]
fn an_older_versions_table_that_somebody_edited_is_foreign() {
    in_namespace(|| {
        load(BEFORE_SUPPRESS);
        run("nft", "insert rule inet sekisho synack accept");
        assert!(matches!(found(), Found::Foreign { .. }));
    });
}

#[test]
fn without_the_capability_everything_says_so() {
    in_namespace(|| {
        install();
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(CapabilitySet::NET_ADMIN);
        sets.permitted.remove(CapabilitySet::NET_ADMIN);
        sets.inheritable.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets).unwrap();
        let mut nft = Nft::open().unwrap();
        assert!(matches!(nft.check(), Err(KernelError::NotPermitted)));
        let transaction = "add element drop4 203.0.113.7 timeout 60s".parse().unwrap();
        let refused = nft.commit(&transaction, Ways::DESTROY).unwrap_err();
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
        assert!(matches!(Nft::open().unwrap().check(), Err(KernelError::Owned(_))));
        let transaction = "add element drop4 203.0.113.7 timeout 60s".parse().unwrap();
        let refused = Nft::open().unwrap().commit(&transaction, Ways::DESTROY).unwrap_err();
        assert!(matches!(refused, KernelError::Owned(port) if port != 0), "{refused}");
        drop(words);
        owner.wait().unwrap();
    });
}
