//! One line of `sekishoctl watch`, in each format.

use std::io;

use sekisho_model::{List, Position};
use sekisho_wire::readable;
use serde::Serialize;

use crate::{
    args::Format,
    follow::Noted,
    table::{Printer, now, yaml},
    view::Stamp,
};

/// One change, as programs see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    time: Stamp,
    epoch: i64,
    revision: i64,
    change: &'static str,
    prefix: String,
    list: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_time: Option<Stamp>,
    #[serde(skip)]
    word: &'static str,
}

impl Line {
    /// `noted` as it happened at `at`, now.
    pub(crate) fn new(at: Position, noted: &Noted) -> Self {
        let (list, tier) = match noted.member.list {
            List::Allow => ("allow", None),
            List::Block(tier) => ("block", Some(readable::tier(tier).as_str_name())),
        };
        Self {
            time: now().into(),
            epoch: at.epoch.0,
            revision: at.revision.0,
            change: if noted.put { "put" } else { "remove" },
            prefix: noted.member.prefix.to_string(),
            list,
            tier,
            expire_time: noted.put.then(|| noted.member.expires.into()),
            word: noted.list(),
        }
    }
}

/// The names of the columns, for people.
pub(crate) fn head(printer: &mut Printer<'_>) -> io::Result<()> {
    match printer.format {
        Format::Table => row(printer, ["TIME", "REVISION", "CHANGE", "PREFIX", "LIST", "EXPIRES"], ""),
        Format::Wide => row(printer, ["TIME", "REVISION", "CHANGE", "PREFIX", "LIST", "EXPIRES"], "EPOCH"),
        Format::Json | Format::Yaml => Ok(()),
    }?;
    printer.out.flush()
}

/// Prints one change.
pub(crate) fn print(line: &Line, printer: &mut Printer<'_>) -> io::Result<()> {
    match printer.format {
        Format::Json => {
            serde_json::to_writer(&mut printer.out, line)?;
            writeln!(printer.out)
        }
        Format::Yaml => write!(printer.out, "---\n{}", yaml(line)?),
        Format::Table | Format::Wide => {
            let (time, revision) = (line.time.to_string(), line.revision.to_string());
            let expires = line.expire_time.map_or_else(|| "-".to_owned(), |stamp| stamp.to_string());
            let wide = printer.format == Format::Wide;
            let epoch = if wide { format!("{:016x}", line.epoch) } else { String::new() };
            row(printer, [&time, &revision, line.change, &line.prefix, line.word, &expires], &epoch)
        }
    }
}

/// Columns of fixed width, since what comes next is not known yet.
fn row(printer: &mut Printer<'_>, cells: [&str; 6], epoch: &str) -> io::Result<()> {
    let [time, revision, change, prefix, list, expires] = cells;
    let text =
        format!("{time:<24}  {revision:<10}  {change:<6}  {prefix:<22}  {list:<8}  {expires:<24}  {epoch}");
    writeln!(printer.out, "{}", text.trim_end())
}
