//! What is wrong with a policy file, in the words of a policy: those of the YAML library are for programmers.

/// The keys whose values are whole numbers, none of which may be 0.
const NUMBERS: [&str; 10] = [
    "min_retransmits",
    "quorum.suppress",
    "quorum.drop",
    "quorum.min_zones",
    "prefix.min_addresses",
    "limits.entries",
    "limits.new_per_minute",
    "limits.widest_ipv4",
    "limits.widest_ipv6",
    "limits.host_units_per_minute",
];

/// What the library says first, and what it means here.
const MEANT: [(&str, &str); 7] = [
    ("multiple YAML documents", "a second document begins here; a policy is one, without ---"),
    ("budget breached", "there are too many aliases, or it is nested too deep; write the values out"),
    ("invalid boolean", "must be true or false"),
    ("cannot deserialize null", "there is no value; write one, or leave the key out"),
    ("expected string scalar", "must be a single value"),
    ("expected mapping start", "must be keys with values, as drop: 3"),
    ("expected sequence start", "must be a list, as [198.51.100.0/24]"),
];

/// What `said`, the library's words about the value at `column` (from 1) of `line`, means.
pub(crate) fn meant(said: &str, line: &str, column: u64) -> String {
    let said = said.lines().next().unwrap_or_default();
    // The line is told beside it.
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    if let Some((_, meant)) = MEANT.iter().find(|(start, _)| said.starts_with(start)) {
        return (*meant).to_owned();
    }
    if let Some(key) = said.strip_prefix("duplicate mapping key: ") {
        let key = key.split(", set ").next().unwrap_or_default();
        return format!("\"{key}\" is there twice; leave one out");
    }
    let is_number = said.starts_with("invalid u") || said.starts_with("invalid i");
    let range = is_number.then(|| range(line, column)).flatten();
    range.unwrap_or_else(|| said.to_owned())
}

/// What is allowed for the number at `column` of `line`: what is said about one that is 0.
fn range(line: &str, column: u64) -> Option<String> {
    let before = line.get(..usize::try_from(column).ok()?.saturating_sub(1)).unwrap_or(line);
    let place = |key: &&&str| key.rsplit('.').next().and_then(|last| before.rfind(last));
    let key = NUMBERS.iter().filter(|key| place(key).is_some()).max_by_key(place)?;
    let with_zero = match key.split_once('.') {
        Some((section, key)) => format!("{section}: {{ {key}: 0 }}"),
        None => format!("{key}: 0"),
    };
    crate::parse(&with_zero).err().map(|wrong| wrong.problem)
}

/// The line of the last part of `key` (as `quorum.drop`), below the line of its first part.
pub(crate) fn line_of(text: &str, key: &str) -> u64 {
    let mut rest = text.lines().zip(1..).peekable();
    let mut at = 1;
    for part in key.split('.') {
        while let Some((line, number)) = rest.peek() {
            if has_key(line, part) {
                at = *number;
                break;
            }
            rest.next();
        }
    }
    at
}

/// Whether `line` gives `key` a value, quoted or not; what a comment says of it does not count.
fn has_key(line: &str, key: &str) -> bool {
    let comment = line
        .match_indices('#')
        .find(|(at, _)| line[..*at].chars().all(char::is_whitespace) || line[..*at].ends_with([' ', '\t']));
    let line = comment.map_or(line, |(at, _)| &line[..at]);
    line.match_indices(key).any(|(start, _)| {
        let is_begin = !line[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = line[start + key.len()..].trim_start_matches(['"', '\'']);
        is_begin && rest.trim_start().starts_with(':')
    })
}
