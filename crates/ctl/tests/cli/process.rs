//! The manners of the process: usage, settings, completions, pipes.

use std::io::{BufRead, BufReader, Write};

use crate::fake::{Fake, World, entry, program, ran, words};

#[test]
fn mistakes_are_caught_before_the_network() {
    for (line, part) in [
        ("", "requires a subcommand"),
        ("describe", "[subcommands: entry, host, help]"),
        ("get victims --insecure", "unrecognized subcommand 'victims'"),
        ("get --insecure", "[subcommands: entries, hosts, allowlist, events, policy, help]"),
        ("get events --kind renewed --insecure", "possible values: listed, retiered,"),
        ("get events --since 31d --insecure", "1s to 30d"),
        ("watch events --prefix nowhere --insecure", "is not an IP address or prefix"),
        ("explain 203.0.113.0/24 --insecure", "name one address"),
        ("apply policy --reason x --insecure", "--file <FILE>"),
        (
            "apply policy -f /nonexistent/p.yaml --reason x --insecure",
            "--file /nonexistent/p.yaml: No such file",
        ),
        ("replay --policy /nonexistent/p.yaml --insecure", "--policy /nonexistent/p.yaml: No such file"),
        ("block 203.0.113.7 --reason x --tier reject --insecure", "possible values: suppress, drop"),
        ("block 203.0.113.7 --reason x --request-id a/b --insecure", "is not a name"),
        ("block 203.0.113.7/24 --reason x --insecure", "did you mean 203.0.113.0/24?"),
        ("block somewhere --reason x --insecure", "is not an IP address or prefix"),
        ("block 203.0.113.7 --insecure", "--reason <TEXT>"),
        ("block 203.0.113.7 --reason x --for 99d --insecure", "write 90s, 1h or 7d: 1s to 30d"),
        ("describe host a/b --insecure", "is not a name"),
        ("get entries", "no certificates: give --tls-cert"),
        ("get entries --insecure --aggregator https://127.0.0.1:1", "write http://HOST:PORT"),
        ("get entries -o csv", "possible values: table, wide, json, yaml"),
        ("get entries --config /nonexistent/ctl.toml", "--config /nonexistent/ctl.toml"),
    ] {
        let ran = ran(program().args(words(line)));
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{line}: {ran:?}");
        assert!(ran.err.starts_with("sekishoctl: ") && ran.err.contains(part), "{line}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{line}");
    }
}

#[test]
fn an_aggregator_that_is_not_there_is_a_failure_with_a_hint() {
    // Port 1 (tcpmux) is never handed out as a free one, so no other test can come to listen there.
    let free = "127.0.0.1:1";
    for verb in ["status", "watch", "get entries"] {
        let line = format!("{verb} --insecure --aggregator http://{free}");
        let ran = ran(program().args(words(&line)));
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.contains(free) && ran.err.contains("check --aggregator"), "{}", ran.err);
    }
}

#[test]
fn a_file_gives_what_flags_and_environment_do_not() {
    let fake = Fake::plain(World { entries: vec![entry("203.0.113.7")], page: 5, ..World::default() });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "aggregator = \"http://{}\"\ninsecure = true\noutput = \"json\"", fake.address).unwrap();
    let path = &file.path().to_str().unwrap().to_owned();
    for args in [["--config", path.as_str(), "get", "entries"], ["get", "entries", "--config", path]] {
        let ran = ran(program().args(args));
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        assert!(ran.out.starts_with('{'), "{}", ran.out);
    }
    let table = ran(program().args(["get", "entries", "--config", path, "-o", "table"]));
    assert!(table.out.starts_with("PREFIX"), "{table:?}");
    let elsewhere = ran(program()
        .env("SEKISHO_AGGREGATOR", "http://127.0.0.1:1")
        .args(["get", "entries", "--config", path]));
    assert_eq!(elsewhere.code, Some(1), "{elsewhere:?}");
    writeln!(file, "agregator = \"x\"").unwrap();
    let wrong = ran(program().args(["status", "--config", path]));
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains(":4: unknown key \"agregator\"; allowed are "), "{}", wrong.err);
}

#[test]
fn a_reader_that_has_enough_ends_it_in_silence() {
    let entries = (0..5_000).map(|n| entry(&format!("203.0.{}.{}", n / 256, n % 256))).collect();
    let fake = Fake::plain(World { entries, page: 1_000, ..World::default() });
    for format in ["table", "wide", "json", "yaml"] {
        let mut child = fake.command(&format!("get entries -o {format}")).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}");
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{format}");
        assert!(!first.is_empty());
    }
}

#[test]
fn help_version_and_completions_need_no_aggregator() {
    for (line, part) in [
        ("--help", "Exit codes: 0 done"),
        ("block --help", "--dry-run"),
        ("--version", concat!("sekishoctl ", env!("CARGO_PKG_VERSION"))),
        ("completion bash", "_sekishoctl()"),
        ("completion zsh", "#compdef sekishoctl"),
        ("completion fish", "complete -c sekishoctl"),
    ] {
        let ran = ran(program().args(words(line)));
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{line}");
        assert!(ran.out.contains(part) && ran.out.ends_with('\n'), "{line}: {}", ran.out);
        assert!(!ran.out.starts_with("error"), "{line}: {}", ran.out);
    }
    assert_eq!(ran(program().args(["completion", "tcl"])).code, Some(2));
}
