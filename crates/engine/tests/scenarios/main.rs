//! The stories of `tests/scenarios`, told to the engine line by line.
//!
//! Each line is a time and what happens then, or what must be so then. `tests/scenarios/README.md` explains
//! the words. Between two lines the log gets a tick whenever the engine asked for one, as it does from the
//! aggregator.

mod expect;
mod facts;
mod policy;
mod run;
mod statement;
mod targets;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/scenarios")
}

fn play(name: &str) -> Result<(), String> {
    let file = format!("tests/scenarios/{name}.txt");
    let text = fs::read_to_string(folder().join(format!("{name}.txt")))
        .map_err(|error| format!("{file}: {error}"))?;
    run::play(&text).map_err(|wrong| format!("{file}:{wrong}"))
}

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() -> Result<(), String> {
                play(stringify!($name))
            }
        )*

        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

scenarios! {
    a_cgnat_address_with_honest_clients
    a_day_of_repeats
    a_flooded_host
    a_liar_with_a_witness
    a_lying_host
    a_network_allowed_for_a_while
    a_single_victim
    a_spoofer_names_our_own
    a_spoofed_flood
    allowed_in_mid_attack
    an_hour_off
    an_isp_fails
    an_isp_recovers
    bombing_of_a_22
    bombing_with_one_address_each
    dual_stack
    full
    narrowing
    our_own_path_fails
    policy_changed_in_mid_attack
    reports_come_late
    two_victims_on_one_host
    zones
}

#[test]
fn no_file_is_forgotten() {
    let mut found: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    let mut names: Vec<&str> = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(found, names);
}

#[test]
fn what_is_not_understood_is_refused_with_its_line() {
    let refused = |text: &str| run::play(text).unwrap_err();
    let lines = [
        ("00:00 edge-1 sees", "1: a unit is missing"),
        ("00:00 edge-1 smells 203.0.113.7", "1: \"smells\" is not a verb"),
        ("\n00:00 edge-1 sees 203.0.113.700", "2: \"203.0.113.700\" is not an address"),
        ("00:01 edge-1 joins\n00:00 edge-2 joins", "2: the time goes back"),
        ("0:00:61 edge-1 joins", "1: \"0:00:61\" is not a time"),
        ("00:00 edge-1 sees 203.0.113.7, 2 socks", "1: \"2 socks\" is not understood"),
        ("00:00 policy quorum.nothing 3", "1: \"quorum.nothing\" is not a key"),
        ("00:00 policy quorum.drop 0", "1: quorum.drop: must be from 1 to 64"),
        ("00:00 expect listed 203.0.113.7 drop", "1: listed is: nothing"),
        ("00:00 expect event listed 203.0.113.7 drop", "1: there was no such event"),
    ];
    for (text, expected) in lines {
        let error = refused(text);
        assert!(error.starts_with(expected), "{error:?} does not begin with {expected:?}");
    }
}
