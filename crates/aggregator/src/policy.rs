//! The policy file: YAML with no unknown keys, and errors that name the line and what is allowed.

use std::{fmt::Display, fs, path::Path, str::FromStr, time::Duration};

use sekisho_daemon::exit::usage;
use sekisho_model::{Policy, Prefix};
use serde::{Deserialize, Deserializer, de::Error as _};

/// Longest policy file, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// Reads the policy in `path`.
///
/// # Errors
/// One line: the file, the line in it, what is wrong and what is allowed.
pub fn load(path: &Path) -> anyhow::Result<Policy> {
    let shown = path.display();
    let told = |problem: &dyn Display| usage(format!("--policy {shown}: {problem}"));
    let size = fs::metadata(path).map_err(|error| told(&error))?.len();
    if size > MAX_BYTES {
        return Err(told(&format!("it has {size} bytes; a policy has at most {MAX_BYTES}")));
    }
    let text = fs::read_to_string(path).map_err(|error| told(&error))?;
    parse(&text).map_err(|Wrong { line, problem }| usage(format!("{shown}:{line}: {problem}")))
}

struct Wrong {
    line: u64,
    problem: String,
}

fn parse(text: &str) -> Result<Policy, Wrong> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Policy::default());
    }
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line());
        let problem = error.without_snippet().to_string();
        Wrong { line, problem: problem.lines().next().unwrap_or_default().to_owned() }
    })?;
    let policy = file.policy();
    policy.check().map_err(|error| Wrong { line: line_of(text, error.key), problem: error.to_string() })?;
    Ok(policy)
}

/// The line of the last part of `key` (as `quorum.drop`), below the line of its first part.
fn line_of(text: &str, key: &str) -> u64 {
    let mut rest = text.lines().zip(1..).peekable();
    let mut at = 1;
    for part in key.split('.') {
        let has = |line: &str| {
            line.match_indices(part)
                .any(|(start, _)| line[start + part.len()..].trim_start().starts_with(':'))
        };
        while let Some((line, number)) = rest.peek() {
            if has(line) {
                at = *number;
                break;
            }
            rest.next();
        }
    }
    at
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    window: Text<Span>,
    min_retransmits: u8,
    quorum: Quorum,
    ttl: Ttl,
    prefix: NotYet,
    limits: Limits,
    never: Never,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Quorum {
    suppress: NotYet,
    drop: u32,
    min_zones: NotYet,
    fraction: NotYet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Ttl {
    base: Text<Span>,
    max: Text<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Limits {
    entries: u32,
    new_per_minute: NotYet,
    widest_ipv4: NotYet,
    widest_ipv6: NotYet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Never {
    private: bool,
    prefixes: Vec<Text<Prefix>>,
    names: Vec<Text<Name>>,
}

impl File {
    fn policy(self) -> Policy {
        let Never { private, prefixes, names } = self.never;
        Policy {
            window: self.window.0.0,
            min_retransmits: self.min_retransmits,
            drop_quorum: self.quorum.drop,
            ttl_base: self.ttl.base.0.0,
            ttl_max: self.ttl.max.0.0,
            max_entries: self.limits.entries,
            never: sekisho_model::Never {
                private,
                prefixes: prefixes.into_iter().map(|prefix| prefix.0).collect(),
                names: names.into_iter().map(|name| name.0.0).collect(),
            },
        }
    }
}

impl Default for File {
    fn default() -> Self {
        let window = Text(Span(Policy::default().window));
        let (quorum, ttl, limits, never) = Default::default();
        Self {
            window,
            min_retransmits: Policy::default().min_retransmits,
            quorum,
            ttl,
            prefix: NotYet,
            limits,
            never,
        }
    }
}

impl Default for Quorum {
    fn default() -> Self {
        Self { suppress: NotYet, drop: Policy::default().drop_quorum, min_zones: NotYet, fraction: NotYet }
    }
}

impl Default for Ttl {
    fn default() -> Self {
        let Policy { ttl_base, ttl_max, .. } = Policy::default();
        Self { base: Text(Span(ttl_base)), max: Text(Span(ttl_max)) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let entries = Policy::default().max_entries;
        Self { entries, new_per_minute: NotYet, widest_ipv4: NotYet, widest_ipv6: NotYet }
    }
}

impl Default for Never {
    fn default() -> Self {
        Self { private: Policy::default().never.private, prefixes: Vec::new(), names: Vec::new() }
    }
}

/// A key that is planned: it is refused, since an operator who sets it expects it to act.
struct NotYet;

impl<'de> Deserialize<'de> for NotYet {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("not supported yet; leave this key out"))
    }
}

/// A value that is written as text.
struct Text<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map(Self).map_err(D::Error::custom)
    }
}

struct Span(Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |error| format!("\"{text}\" is no duration ({error}); write 30s, 5m or 24h");
        humantime::parse_duration(text).map(Self).map_err(wrong)
    }
}

struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let text = text.trim_end_matches('.');
        let label = |label: &str| {
            !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
        };
        let good = (1..=253).contains(&text.len())
            && text.bytes().all(plain)
            && text.split('.').all(label)
            && text.parse::<std::net::IpAddr>().is_err();
        let wrong = || {
            format!("\"{text}\" is no DNS name; write api.example.com, and addresses under never.prefixes")
        };
        good.then(|| Self(text.to_ascii_lowercase())).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let Err(Wrong { line, problem }) = parse(text) else { panic!("{text} was taken") };
        format!("{line}: {problem}")
    }

    #[test]
    fn every_supported_key_is_read() {
        let policy = parse(
            "window: 2m\nmin_retransmits: 2\nquorum: { drop: 5 }\nttl:\n  base: 30s\n  max: 1h\n\
             limits: { entries: 10 }\nnever:\n  private: false\n  prefixes: [198.51.100.0/24, \"2001:db8::/32\"]\n  names: [Api.Example.com.]\n",
        );
        let Ok(policy) = policy else { panic!("refused") };
        let never = sekisho_model::Never {
            private: false,
            prefixes: vec!["198.51.100.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            names: vec!["api.example.com".into()],
        };
        let expected = Policy {
            window: Duration::from_secs(120),
            min_retransmits: 2,
            drop_quorum: 5,
            ttl_base: Duration::from_secs(30),
            ttl_max: Duration::from_secs(3_600),
            max_entries: 10,
            never,
        };
        assert_eq!(policy, expected);
    }

    #[test]
    fn an_empty_file_is_the_default() {
        for text in ["", "# nothing yet\n", "quorum: {}\n"] {
            assert!(parse(text).is_ok_and(|policy| policy == Policy::default()), "{text}");
        }
    }

    #[test]
    fn errors_name_the_line_and_what_is_allowed() {
        for (text, line, part) in [
            ("window: 5m\nquorums: {}\n", 2, "unknown field"),
            ("window: 5m\n\nquorum:\n  drop: 3\n  suppress: 2\n", 5, "not supported yet"),
            ("prefix: { ipv4_length: 24 }\n", 1, "not supported yet"),
            ("limits:\n  new_per_minute: 5\n", 2, "not supported yet"),
            ("ttl:\n  base: soon\n", 2, "write 30s, 5m or 24h"),
            ("window: 5m\nquorum:\n  drop: 65\n", 3, "quorum.drop: must be from 1 to 64"),
            ("quorum: { drop: -1 }\n", 1, ""),
            ("ttl: { base: 2h, max: 1h }\n", 1, "ttl.max: must be at least ttl.base"),
            ("never:\n  prefixes:\n    - 198.51.100.1/24\n", 3, "did you mean 198.51.100.0/24?"),
            ("quorum:\n  suppress: null\n", 2, "not supported yet"),
            ("prefix: ~\n", 1, "not supported yet"),
            ("never:\n  names: [\"..\"]\n", 2, "is no DNS name"),
            ("never:\n  names: [198.51.100.1]\n", 2, "is no DNS name"),
            ("window: [\n", 1, ""),
        ] {
            let said = wrong(text);
            assert!(said.starts_with(&format!("{line}: ")) && said.contains(part), "{text} gives {said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }
}
