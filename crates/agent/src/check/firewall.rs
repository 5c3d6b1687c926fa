//! What blocking needs, and what makes it better.

use rustix::io::Errno;
use sekisho_kernel::{Found, KernelError, Nft, nft::Features, probe};
use sekisho_ruleset::Removal;

use super::{Finding, State};

/// All of it.
pub fn look() -> Vec<Finding> {
    let mut findings = vec![usable(), ours(), rehearsal(probe::rehearse())];
    findings.extend(abilities(probe::features()));
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
    let looked = Nft::open().and_then(|mut nft| nft.inspect());
    match looked.map(|(found, _)| found) {
        Ok(Found::Absent) => Finding::works(name, "there is none yet"),
        Ok(Found::Ours) => Finding::works(name, "table inet sekisho is there, as this version makes it"),
        Ok(Found::Older(_)) => {
            Finding::works(name, "table inet sekisho of an earlier version is there, and would be upgraded")
        }
        Ok(Found::Edited { what }) => Finding::new(
            name,
            State::Suspicious,
            format!("table inet sekisho was edited, and would be put right: {what}"),
        ),
        Ok(Found::Foreign { what }) => Finding::fails(name, &KernelError::Foreign(what))
            .advise("nft delete table inet sekisho, if nobody needs it"),
        Err(error) => Finding::fails(name, &error),
    }
}

fn rehearsal(played: Result<Features, KernelError>) -> Finding {
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

fn abilities(found: Result<Features, KernelError>) -> Vec<Finding> {
    let features = match found {
        Ok(features) => features,
        Err(error) => return vec![Finding::new("abilities", State::Unknown, error.to_string())],
    };
    let one = |name, has: bool, with: &str, without: &str| {
        if has { Finding::works(name, with) } else { Finding::new(name, State::Absent, without) }
    };
    vec![
        one(
            "owner tables",
            features.owner,
            "another program's edit is refused, its flush leaves the table alone, and it outlives the agent",
            "Linux 6.9 has them; a table that is flushed or edited is put back within a second",
        ),
        one(
            "DESTROYSETELEM",
            features.ways.removal == Removal::Destroy,
            "elements are removed whether they are there or not",
            "Linux 6.3 has it; elements are added and deleted instead",
        ),
        one(
            "timeout update",
            features.ways.renews,
            "adding an element again sets its timeout",
            "Linux 6.12 has it; renewals delete and add",
        ),
        one(
            "set count",
            features.counts,
            "the kernel tells how many elements a set has",
            "Linux 6.12 tells it; a set is checked by samples alone",
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

    use sekisho_ruleset::Ways;

    use super::*;

    #[test]
    fn a_rehearsal_that_could_not_be_played_is_no_failure() {
        let refused =
            |number| Err(KernelError::Os { doing: "making", source: io::Error::from_raw_os_error(number) });
        assert_eq!(rehearsal(refused(1)).state, State::Unknown);
        assert_eq!(rehearsal(refused(12)).state, State::Fails);
        let features = Features { ways: Ways::ANY, owner: false, counts: false };
        assert_eq!(rehearsal(Ok(features)).state, State::Works);
    }

    #[test]
    fn no_single_ability_is_needed() {
        let none = Features { ways: Ways::ANY, owner: false, counts: false };
        let states: Vec<State> = abilities(Ok(none)).iter().map(|finding| finding.state).collect();
        assert_eq!(states, [State::Absent; 4]);
        assert_eq!(abilities(Err(KernelError::NotPermitted)).len(), 1);
    }
}
