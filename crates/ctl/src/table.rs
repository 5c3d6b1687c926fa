//! Printing: tables for people without borders, JSON and YAML for programs.

use std::{
    io::{self, Write},
    time::{Duration, SystemTime},
};

use comfy_table::{ContentArrangement, Table, presets};
use sekisho_model::Moment;
use serde::Serialize;

use crate::{args::Format, view::Stamp};

/// What can be shown to people; programs get it by serde.
pub(crate) trait Show: Serialize {
    /// As text for people; `wide` asks for more columns, `now` is the reader's clock.
    fn show(&self, wide: bool, now: Moment) -> String;
}

/// Where data goes, and how.
pub(crate) struct Printer<'a> {
    pub(crate) out: &'a mut dyn Write,
    pub(crate) format: Format,
    /// Whether more is said on standard error.
    pub(crate) verbose: bool,
}

impl<'a> Printer<'a> {
    /// Prints to `out`.
    pub(crate) fn new(out: &'a mut dyn Write, format: Format, verbose: bool) -> Self {
        Self { out, format, verbose }
    }

    /// Whether people read it.
    pub(crate) fn for_people(&self) -> bool {
        matches!(self.format, Format::Table | Format::Wide)
    }

    /// Prints one whole answer.
    pub(crate) fn print<T: Show>(&mut self, value: &T) -> io::Result<()> {
        match self.format {
            Format::Table | Format::Wide => {
                self.out.write_all(value.show(self.format == Format::Wide, now()).as_bytes())
            }
            Format::Json => {
                serde_json::to_writer_pretty(&mut self.out, value)?;
                writeln!(self.out)
            }
            Format::Yaml => self.out.write_all(yaml(value)?.as_bytes()),
        }
    }
}

/// A value as a YAML document.
pub(crate) fn yaml<T: Serialize>(value: &T) -> io::Result<String> {
    serde_saphyr::to_string(value).map_err(io::Error::other)
}

/// The reader's clock.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Moment::EPOCH + since
}

/// Columns with a head, as wide as their widest cell, two spaces between them.
pub(crate) fn columns(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = bare();
    table.set_header(head.iter().copied());
    laid_out(table, rows)
}

/// One `Name:  value` a line.
pub(crate) fn pairs(rows: impl IntoIterator<Item = (&'static str, String)>) -> String {
    laid_out(bare(), rows.into_iter().map(|(name, value)| vec![format!("{name}:"), value]))
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn laid_out(mut table: Table, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    for row in rows {
        table.add_row(row.iter().map(|cell| if cell.is_empty() { "-".to_owned() } else { clean(cell) }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Text from the network for a terminal: without control characters, and without those that change
/// the direction of what follows.
pub(crate) fn clean(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    text.chars().filter(|c| !c.is_control() && !turns(*c)).collect()
}

/// A span in its two largest units: `45s`, `9m30s`, `3d4h`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let units =
        [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let first = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown =
        units[first..].iter().take(2).filter(|(count, unit)| *count > 0 || (first == 3 && *unit == "s"));
    shown.map(|(count, unit)| format!("{count}{unit}")).collect()
}

/// How long ago it was; empty when unknown.
pub(crate) fn age(since: Option<&Stamp>, now: Moment) -> String {
    since.map(|stamp| span(now.since(stamp.moment()))).unwrap_or_default()
}

/// How long it still is; empty when it has no end.
pub(crate) fn remaining(until: Option<&Stamp>, now: Moment) -> String {
    until.map(|stamp| span(stamp.moment().since(now))).unwrap_or_default()
}

/// A moment in full; empty when unknown.
pub(crate) fn moment(stamp: Option<&Stamp>) -> String {
    stamp.map(Stamp::to_string).unwrap_or_default()
}

/// `yes` or `no`.
pub(crate) fn yes(truth: bool) -> String {
    if truth { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_without_borders_or_trailing_space() {
        let rows = [vec!["203.0.113.7".to_owned(), "drop".into()], vec!["::1".to_owned(), String::new()]];
        assert_eq!(
            columns(&["PREFIX", "TIER"], rows),
            "PREFIX       TIER\n203.0.113.7  drop\n::1          -\n"
        );
        assert_eq!(columns(&["PREFIX", "TIER"], []), "PREFIX  TIER\n");
        assert_eq!(
            pairs([("Prefix", "::1".to_owned()), ("By", "ana".to_owned())]),
            "Prefix:  ::1\nBy:      ana\n"
        );
    }

    #[test]
    fn long_cells_are_never_wrapped() {
        let long = "word ".repeat(60);
        assert_eq!(columns(&["A"], [vec![long]]).lines().count(), 2);
    }

    #[test]
    fn text_from_the_network_cannot_steer_the_terminal() {
        assert_eq!(clean("\u{1b}[31mred\u{7}\r\n\u{9b}2J\u{202e}x"), "[31mred2Jx");
        assert_eq!(clean("Zürich 関所"), "Zürich 関所");
    }

    #[test]
    fn spans_show_their_two_largest_units() {
        for (seconds, text) in
            [(0, "0s"), (45, "45s"), (570, "9m30s"), (3_600, "1h"), (3_605, "1h"), (273_600, "3d4h")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }
}
