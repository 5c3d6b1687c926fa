//! What a policy file may say, and what is said about one that may not.

use std::{fs, net::Ipv4Addr, time::Duration};

use proptest::{collection::vec, option, prelude::*, sample::select};
use sekisho_model::{Never, Policy, Prefix, Tier};

use super::*;

fn said(text: &str) -> String {
    match parse(text) {
        Ok(policy) => panic!("{text} was taken: {policy:?}"),
        Err(PolicyFileError { line, problem }) => format!("{line}: {problem}"),
    }
}

#[test]
fn every_key_is_read() {
    let policy = parse(
        "window: 2m\nmin_retransmits: 2\nquorum: { suppress: 4, drop: 5, fraction: 0.05, min_zones: 2 }\n\
         prefix:\n  tier: drop\n  min_addresses: 8\nttl:\n  base: 30s\n  max: 1h\n  quiet: 90s\n\
         limits: { entries: 10, new_per_minute: 11, widest_ipv4: 22, widest_ipv6: 50, \
         host_units_per_minute: 12 }\nnever:\n  private: false\n  \
         prefixes: [198.51.100.0/24, \"2001:db8::/32\"]\n  names: [Api.Example.com.]\n",
    );
    let expected = Policy {
        window: Duration::from_secs(120),
        min_retransmits: 2,
        suppress_quorum: 4,
        drop_quorum: 5,
        quorum_per_mille: 50,
        min_zones: 2,
        prefix_tier: Some(Tier::Drop),
        prefix_min_units: 8,
        ttl_base: Duration::from_secs(30),
        ttl_max: Duration::from_secs(3_600),
        ttl_quiet: Duration::from_secs(90),
        max_entries: 10,
        new_per_minute: 11,
        widest_ipv4: 22,
        widest_ipv6: 50,
        host_units_per_minute: 12,
        never: Never {
            private: false,
            prefixes: vec!["198.51.100.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            names: vec!["api.example.com".into()],
        },
    };
    assert_eq!(policy, Ok(expected));
}

#[test]
fn an_empty_file_is_the_default() {
    for text in ["", "# nothing yet\n", "quorum: {}\n", "prefix: {}\nttl: {}\n"] {
        assert_eq!(parse(text), Ok(Policy::default()), "{text}");
    }
}

#[test]
fn the_documented_example_is_the_default_but_for_its_prefixes() {
    let mut policy = load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.yaml"))).unwrap();
    assert!(!policy.never.prefixes.is_empty());
    policy.never.prefixes.clear();
    assert_eq!(policy, Policy::default());
}

#[test]
fn a_default_gives_way_to_what_is_written() {
    let read = |text| parse(text).unwrap();
    assert_eq!(read("quorum: { drop: 1 }").suppress_quorum, 1);
    assert_eq!(read("quorum: { drop: 9 }").suppress_quorum, 2);
    assert_eq!(read("window: 1h").ttl_quiet, Duration::from_secs(1_800));
    assert_eq!(read("window: 1m").ttl_quiet, Duration::from_secs(180));
    assert_eq!(read("window: 1h\nttl: { quiet: 0s }").ttl_quiet, Duration::ZERO);
}

#[test]
fn fractions_are_thousandths() {
    for (text, thousandths) in
        [("0", 0), ("1", 1_000), ("0.05", 50), ("0.001", 1), ("0.999", 999), ("1.0", 1_000)]
    {
        let policy = parse(&format!("quorum: {{ fraction: {text} }}")).unwrap();
        assert_eq!(policy.quorum_per_mille, thousandths, "{text}");
    }
    for text in ["0.0005", "1.001", "-0.1", ".nan", ".inf", "half", "5%"] {
        let said = said(&format!("window: 5m\nquorum:\n  fraction: {text}\n"));
        assert!(said.starts_with("3: ") && said.contains("from 0 to 1"), "{said}");
    }
}

#[test]
fn errors_name_the_line_and_what_is_allowed() {
    for (text, line, part) in [
        ("window: 5m\nquorums: {}\n", 2, "unknown field"),
        (
            "window: 5m\n\nquorum:\n  drop: 3\n  suppress: 4\n",
            5,
            "quorum.suppress: must be from 1 to quorum.drop",
        ),
        ("prefix: { ipv4_length: 24 }\n", 1, "unknown field"),
        ("prefix:\n  tier: block\n", 2, "must be none, suppress or drop"),
        ("prefix:\n  tier: ~\n", 2, ""),
        ("prefix:\n  min_addresses: 1\n", 2, "prefix.min_addresses: must be from 2 to 4096"),
        ("limits:\n  new_per_minute: 0\n", 2, "limits.new_per_minute: must be from 1 to 1000000"),
        ("limits:\n  widest_ipv4: 8\n", 2, "limits.widest_ipv4: must be from 16 to 24"),
        ("limits:\n  widest_ipv6: 300\n", 2, ""),
        ("limits:\n  host_units_per_minute: 0\n", 2, "limits.host_units_per_minute: must be"),
        ("quorum:\n  min_zones: 17\n", 2, "quorum.min_zones: must be from 1 to 16"),
        ("ttl:\n  base: soon\n", 2, "write 30s, 5m or 24h"),
        ("ttl:\n  base: 30s 5us\n", 2, "whole number of milliseconds"),
        (
            "window: 10m\nttl:\n  base: 10m\n  quiet: 4m\n",
            4,
            "ttl.quiet: must be at least half of the window",
        ),
        ("window: 5m\nquorum:\n  drop: 65\n", 3, "quorum.drop: must be from 1 to 64"),
        ("quorum: { drop: -1 }\n", 1, ""),
        ("ttl: { base: 2h, max: 1h }\n", 1, "ttl.max: must be at least ttl.base"),
        ("never:\n  prefixes:\n    - 198.51.100.1/24\n", 3, "did you mean 198.51.100.0/24?"),
        ("quorum:\n  suppress: null\n", 2, ""),
        ("quorum:\n  drop: 3\n  drop: 4\n", 3, ""),
        ("ttl:\n  quiet:\n", 2, ""),
        ("never:\n  names: [\"..\"]\n", 2, "is no DNS name"),
        ("never:\n  names: [198.51.100.1]\n", 2, "is no DNS name"),
        ("never:\n  names: [\"127.1\"]\n", 2, "is no DNS name"),
        ("never:\n  names: [a.0x7f]\n", 2, "is no DNS name"),
        ("never:\n  names: [0x7F000001]\n", 2, "is no DNS name"),
        ("quorum:\n  drop: 3\n  # drop: as many as it takes\n  suppress: 4\n", 4, "quorum.suppress: must be"),
        ("# window: short\n\"quorum\":\n  'drop': 65\n", 3, "quorum.drop: must be from 1 to 64"),
        ("quorum: { suppress: 2, drop: -1 }\n", 1, "quorum.drop: must be from 1 to 64"),
        ("min_retransmits: 999\n", 1, "min_retransmits: must be from 1 to 5"),
        ("window: 5m\nwindow: 6m\n", 2, "\"window\" is there twice"),
        ("window: 5m\n---\nwindow: 6m\n", 3, "a second document begins here"),
        ("never:\n  private: maybe\n", 2, "must be true or false"),
        ("never:\n  prefixes: 5\n", 2, "must be a list"),
        ("quorum: 5\n", 1, "must be keys with values"),
        ("window: [\n", 1, ""),
    ] {
        let said = said(text);
        assert!(said.starts_with(&format!("{line}: ")) && said.contains(part), "{text} gives {said}");
        let is_plain = ["Options", "Option<", "from_str", "u32", "u8", "scalar", "at line"];
        assert!(!said.contains('\n') && !is_plain.iter().any(|word| said.contains(word)), "{said}");
    }
}

#[test]
fn an_endless_file_is_read_up_to_the_limit() {
    let endless = load(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(endless.contains("at most 4194304 bytes"), "{endless}");
}

#[test]
fn names_are_those_of_dns() {
    for name in
        ["a.example", "xn--bcher-kva.example", "0x7f.example", "1.2.example", "localhost", "_a.example"]
    {
        assert!(parse(&format!("never: {{ names: [\"{name}\"] }}")).is_ok(), "{name}");
    }
    let bomb = format!("window: &a 5m\nnever: {{ names: [{}] }}\n", ["*a"; 400].join(","));
    assert!(said(&bomb).contains("too many aliases"), "{}", said(&bomb));
}

#[test]
fn a_file_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yaml");
    fs::write(&path, "window: 5m\nquorum: { drop: 0 }\n").unwrap();
    let shown = path.display().to_string();
    assert_eq!(load(&path).unwrap_err().to_string(), format!("{shown}:2: quorum.drop: must be from 1 to 64"));
    fs::write(&path, vec![b'#'; (4 << 20) + 1]).unwrap();
    assert!(load(&path).unwrap_err().to_string().contains("at most 4194304"));
    fs::remove_file(&path).unwrap();
    assert!(load(&path).unwrap_err().to_string().starts_with(&shown));
}

fn any_never() -> impl Strategy<Value = Never> {
    let prefix = (any::<u32>(), 0..=32_u8)
        .prop_map(|(bits, length)| Prefix::host(Ipv4Addr::from_bits(bits).into()).widened(length));
    let names = vec(select(vec!["a.example", "true", "12.example", "null", "no"]), 0..3);
    (any::<bool>(), vec(prefix, 0..4), names).prop_map(|(private, prefixes, names)| Never {
        private,
        prefixes,
        names: names.into_iter().map(str::to_owned).collect(),
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let quorum = (1..=64_u32, any::<prop::sample::Index>(), 0..=1_000_u32, 1..=16_u32);
    let prefix = (option::of(select(vec![Tier::Suppress, Tier::Drop])), 2..=4_096_u32);
    let times = (1_000..=3_600_000_u64, 10_000..=86_400_000_u64, 0..=1_000_000_000_u64, any::<bool>());
    let limits = (1..=10_000_000_u32, 1..=1_000_000_u32, 16..=24_u8, 48..=56_u8, 1..=10_000_000_u32);
    (quorum, prefix, times, limits, any_never(), 1..=5_u8).prop_map(
        |(quorum, (prefix_tier, prefix_min_units), times, limits, never, min_retransmits)| Policy {
            window: Duration::from_millis(times.0),
            min_retransmits,
            suppress_quorum: 1 + u32::try_from(quorum.1.index(quorum.0 as usize)).unwrap(),
            drop_quorum: quorum.0,
            quorum_per_mille: quorum.2,
            min_zones: quorum.3,
            prefix_tier,
            prefix_min_units,
            ttl_base: Duration::from_millis(times.1),
            ttl_max: Duration::from_millis(times.1 + times.2),
            ttl_quiet: Duration::from_millis(if times.3 { 0 } else { times.0 }),
            max_entries: limits.0,
            new_per_minute: limits.1,
            widest_ipv4: limits.2,
            widest_ipv6: limits.3,
            host_units_per_minute: limits.4,
            never,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(policy in any_policy()) {
        prop_assert_eq!(policy.check(), Ok(()));
        let text = to_yaml(&policy);
        prop_assert_eq!(parse(&text), Ok(policy), "{}", text);
    }

    #[test]
    fn any_text_is_a_policy_or_an_error(text in "[a-z:{}\\[\\] \n0-9.\"-]{0,80}") {
        if let Ok(policy) = parse(&text) {
            prop_assert_eq!(policy.check(), Ok(()));
        }
    }
}
