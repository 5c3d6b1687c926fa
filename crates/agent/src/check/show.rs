//! Findings as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Finding, State, failing};

/// Width of the first column.
const WORD: usize = 10;
/// Width of the second.
const NAME: usize = 18;

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Absent => "absent",
            Self::Suspicious => "SUSPICIOUS",
            Self::Unknown => "unknown",
            Self::Fails => "FAILS",
        }
    }
}

/// A line for each, and one for what to do.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { name, state, found, advice } in findings {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{:WORD$} {name:NAME$} {found}", state.word());
        if let Some(advice) = advice {
            let _ = writeln!(text, "{:WORD$} {:NAME$} → {advice}", "", "");
        }
    }
    text
}

#[derive(Serialize)]
struct Answer<'a> {
    /// Whether `--mode enforce` can work.
    enforce: bool,
    checks: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    name: &'a str,
    state: String,
    found: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'a str>,
}

/// One object: `enforce`, and `checks` with `name`, `state`, `found` and perhaps `advice`.
///
/// # Errors
/// None that can happen.
pub fn json(findings: &[Finding]) -> anyhow::Result<String> {
    let checks = findings.iter().map(Check::of).collect();
    let answer = Answer { enforce: failing(findings).is_empty(), checks };
    Ok(serde_json::to_string_pretty(&answer)? + "\n")
}

impl<'a> Check<'a> {
    fn of(finding: &'a Finding) -> Self {
        let Finding { name, state, found, advice } = finding;
        Self { name, state: state.word().to_lowercase(), found, advice: advice.as_deref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        vec![
            Finding::works("sock_diag", "3 half-open sockets"),
            Finding::fails("nf_tables", &"not permitted").advise("run as root"),
        ]
    }

    #[test]
    fn text_has_a_line_for_each_thing_and_one_for_what_to_do() {
        let lines = "works      sock_diag          3 half-open sockets\n\
                     FAILS      nf_tables          not permitted\n\
                     \u{20}                             → run as root\n";
        assert_eq!(text(&findings()), lines);
    }

    #[test]
    fn json_says_whether_enforcing_can_work() {
        let read: serde_json::Value = serde_json::from_str(&json(&findings()).unwrap()).unwrap();
        assert_eq!(read["enforce"], false);
        assert_eq!(read["checks"][0]["state"], "works");
        assert!(read["checks"][0].get("advice").is_none());
        assert_eq!(read["checks"][1]["advice"], "run as root");
        let fine: serde_json::Value = serde_json::from_str(&json(&findings()[..1]).unwrap()).unwrap();
        assert_eq!(fine["enforce"], true);
    }
}
