//! What blocking needs, and what makes it better.

use rustix::io::Errno;
use sekisho_kernel::{
    KernelError,
    probe::{self, Tables},
    table::{self, Found},
};
use sekisho_ruleset::Removal;

use super::{Finding, State};

/// All of it.
pub fn look() -> Vec<Finding> {
    let mut findings = vec![usable(), ours(), rehearsal(probe::rehearse())];
    findings.extend(abilities(probe::tables()));
    findings.push(buffer());
    findings
}

fn usable() -> Finding {
    match probe::nf_tables() {
        Ok(()) => Finding::works("nf_tables", "the kernel has it and lets us in"),
        Err(error) => Finding::fails("nf_tables", &error),
    }
}

/// What stands under our table's name in this namespace; it is only looked at.
fn ours() -> Finding {
    let name = "table";
    match table::check().and_then(|()| table::inspect()) {
        Ok(Found::Absent) => Finding::works(name, "there is none yet"),
        Ok(Found::Ours) => Finding::works(name, "table inet sekisho is there, as this version makes it"),
        Ok(Found::Older(_)) => {
            Finding::works(name, "table inet sekisho of an earlier version is there, and would be upgraded")
        }
        Ok(Found::Foreign { what }) => Finding::fails(name, &KernelError::Foreign(what))
            .advise("nft delete table inet sekisho, if nobody needs it"),
        Err(error) => Finding::fails(name, &error),
    }
}

fn rehearsal(played: Result<Removal, KernelError>) -> Finding {
    let name = "rehearsal";
    match played {
        Ok(_) => Finding::works(name, "the whole table was made, filled and read in a namespace of its own"),
        // Only this one needs CAP_SYS_ADMIN; enforcing does not.
        Err(KernelError::Os { doing, source })
            if source.raw_os_error() == Some(Errno::PERM.raw_os_error()) =>
        {
            Finding::new(name, State::Unknown, format!("{doing}: {source}")).advise(
                "run this as root to have the whole table tried out; the agent itself does not need it",
            )
        }
        Err(error) => Finding::fails(name, &error),
    }
}

fn abilities(found: Result<Tables, KernelError>) -> Vec<Finding> {
    let tables = match found {
        Ok(tables) => tables,
        Err(error) => return vec![Finding::new("abilities", State::Unknown, error.to_string())],
    };
    let one = |name, has: Option<bool>, with: &str, without: &str| match has {
        Some(true) => Finding::works(name, with),
        Some(false) => Finding::new(name, State::Absent, without),
        None => Finding::new(name, State::Unknown, "it could not be tried"),
    };
    vec![
        one("owner tables", tables.owner, "another program's edit is refused", "Linux 5.12 has them"),
        one(
            "persist tables",
            tables.persist,
            "another program's flush leaves an owned table alone, and it outlives its owner",
            "Linux 6.9 has them; a table that is flushed is put back within a second",
        ),
        one(
            "DESTROYSETELEM",
            tables.destroy,
            "elements are removed whether they are there or not",
            "Linux 6.3 has it; elements are added and deleted instead",
        ),
        one(
            "timeout update",
            tables.timeout_update,
            "adding an element again sets its timeout",
            "Linux 6.12 has it; renewals delete and add",
        ),
        one(
            "set count",
            tables.count,
            "the kernel tells how many elements a set has",
            "newer kernels tell it; a restart lists the sets instead, which takes long for big ones",
        ),
    ]
}

fn buffer() -> Finding {
    let name = "send buffer";
    match probe::send_buffer() {
        Ok((true, bytes)) => Finding::works(name, format!("grows to {} MiB", bytes >> 20)),
        Ok((false, bytes)) => Finding::new(name, State::Suspicious, format!("stays at {} KiB", bytes >> 10))
            .advise("give CAP_NET_ADMIN: about 10,000 entries fit into one transaction without it"),
        Err(error) => Finding::new(name, State::Unknown, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_rehearsal_that_could_not_be_played_is_no_failure() {
        let refused =
            |number| Err(KernelError::Os { doing: "making", source: io::Error::from_raw_os_error(number) });
        assert_eq!(rehearsal(refused(1)).state, State::Unknown);
        assert_eq!(rehearsal(refused(12)).state, State::Fails);
        assert_eq!(rehearsal(Err(KernelError::NoProgram)).state, State::Fails);
        assert_eq!(rehearsal(Ok(Removal::Destroy)).state, State::Works);
    }

    #[test]
    fn no_single_ability_is_needed() {
        let none = Some(false);
        let tables = Tables {
            owner: none,
            persist: none,
            destroy: none,
            timeout_update: none,
            count: None,
            apart: true,
        };
        let states: Vec<State> = abilities(Ok(tables)).iter().map(|finding| finding.state).collect();
        assert_eq!(states, [[State::Absent; 4].as_slice(), &[State::Unknown]].concat());
        assert_eq!(abilities(Err(KernelError::NotPermitted)).len(), 1);
    }
}
