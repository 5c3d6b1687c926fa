//! Settings from four places, the first that has one wins: flags, environment (`SEKISHO_…`), a TOML
//! file (`--config`), defaults. A key of the file is a flag's name with `_` for `-`.
//!
//! The file's values are put in front of the command line's, so one parser judges them all; an error
//! names the file and the line that it came from.

use std::{collections::BTreeMap, ffi::OsString, fs, path::Path};

use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, error::ErrorKind, parser::ValueSource};
use toml::{Spanned, Value};

use crate::exit::usage;

/// Reads the settings `T` of this process.
///
/// # Errors
/// [`crate::exit::Usage`] with one line that says what to write. `--help` and `--version` are printed,
/// and end the process with 0.
pub fn load<T: CommandFactory + FromArgMatches>() -> anyhow::Result<T> {
    match load_from(std::env::args_os().collect()) {
        Ok(settings) => Ok(settings),
        Err(Refused::Shown(error)) => error.exit(),
        Err(Refused::Usage(line)) => Err(usage(line)),
    }
}

enum Refused {
    Shown(clap::Error),
    Usage(String),
}

struct Line {
    file: String,
    number: usize,
}

fn load_from<T: CommandFactory + FromArgMatches>(args: Vec<OsString>) -> Result<T, Refused> {
    let command = T::command().args_override_self(true);
    let given = command.clone().try_get_matches_from(&args).map_err(|error| refused(error, None))?;
    let Some(path) = given.get_one::<std::path::PathBuf>("config").cloned() else {
        return T::from_arg_matches(&given).map_err(|error| refused(error, None));
    };
    let (from_file, lines) = file_args(&command, &given, &path).map_err(Refused::Usage)?;
    let mut all = args;
    all.splice(1..1, from_file);
    let matches = command.try_get_matches_from(all).map_err(|error| refused(error, Some(&lines)))?;
    T::from_arg_matches(&matches).map_err(|error| refused(error, Some(&lines)))
}

/// The flags that stand for the file's keys, and the line of each; keys that a flag or the environment
/// gives already are left out.
fn file_args(
    command: &Command,
    given: &ArgMatches,
    path: &Path,
) -> Result<(Vec<OsString>, BTreeMap<String, Line>), String> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| format!("--config {file}: {error}"))?;
    let line_of = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
    let table: BTreeMap<Spanned<String>, Value> = toml::from_str(&text).map_err(|error| {
        let line = line_of(error.span().map_or(0, |span| span.start));
        format!("{file}:{line}: {}", error.message())
    })?;
    let (mut args, mut lines) = (Vec::new(), BTreeMap::new());
    for (key, value) in table {
        let number = line_of(key.span().start);
        let name = key.into_inner();
        let arg = command.get_arguments().find(|arg| arg.get_id() == name.as_str());
        let known = arg.filter(|arg| is_key(arg)).and_then(|arg| arg.get_long());
        let Some(flag) = known else {
            return Err(format!("{file}:{number}: unknown key \"{name}\"; allowed are {}", keys(command)));
        };
        if matches!(given.value_source(&name), Some(ValueSource::CommandLine | ValueSource::EnvVariable)) {
            continue;
        }
        let values = texts(&value).ok_or_else(|| {
            format!("{file}:{number}: {name}: write a text, a number, true or false, or a list of texts")
        })?;
        args.extend(values.into_iter().map(|value| format!("--{flag}={value}").into()));
        lines.insert(format!("--{flag}"), Line { file: file.clone(), number });
    }
    Ok((args, lines))
}

fn keys(command: &Command) -> String {
    let ids: Vec<_> =
        command.get_arguments().filter(|arg| is_key(arg)).map(|arg| arg.get_id().as_str()).collect();
    ids.join(", ")
}

/// Whether a file may set it: what takes no value is for one start only.
fn is_key(arg: &clap::Arg) -> bool {
    let takes_value =
        arg.get_num_args().map_or(arg.get_action().takes_values(), |number| number.takes_values());
    takes_value && arg.get_id() != "config"
}

fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Integer(number) => Some(vec![number.to_string()]),
        Value::Boolean(truth) => Some(vec![truth.to_string()]),
        Value::Array(list) => list.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// Clap's error in one line, with the file's line where the value came from there.
fn refused(error: clap::Error, lines: Option<&BTreeMap<String, Line>>) -> Refused {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Refused::Shown(error);
    }
    let text = error.render().to_string();
    let kept = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let line = kept.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ").replace(":;", ":");
    let line = line
        .trim_start_matches("error: ")
        .trim_end_matches("; For more information, try '--help'.")
        .to_owned();
    let origin = lines.and_then(|lines| {
        lines
            .iter()
            .find(|(flag, _)| [' ', '[', '=', '\''].iter().any(|end| line.contains(&format!("'{flag}{end}"))))
    });
    Refused::Usage(match origin {
        Some((_, at)) => format!("{}:{}: {line}", at.file, at.number),
        None => format!("{line}; see --help"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Settings {
        #[arg(long, default_value = "127.0.0.1:7440")]
        listen: std::net::SocketAddr,
        #[arg(long)]
        aggregator: Vec<String>,
        #[arg(long)]
        config: Option<std::path::PathBuf>,
    }

    fn read(file: &str, flags: &[&str]) -> Result<Settings, String> {
        let mut config = tempfile::NamedTempFile::new().unwrap();
        config.write_all(file.as_bytes()).unwrap();
        let path = config.path().display().to_string();
        let mut args: Vec<OsString> = vec!["program".into(), format!("--config={path}").into()];
        args.extend(flags.iter().map(OsString::from));
        load_from(args).map_err(|refused| match refused {
            Refused::Usage(line) => line.replace(&path, "FILE"),
            Refused::Shown(error) => error.to_string(),
        })
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file = "listen = \"127.0.0.1:1\"\naggregator = [\"a\", \"b\"]\n";
        let settings = read(file, &[]).unwrap();
        assert_eq!((settings.listen.port(), settings.aggregator.len()), (1, 2));
        let settings = read(file, &["--listen=127.0.0.1:2", "--aggregator=c"]).unwrap();
        assert_eq!((settings.listen.port(), settings.aggregator), (2, vec!["c".to_owned()]));
        assert_eq!(read("", &[]).unwrap().listen.port(), 7440);
        assert!(settings.config.is_some());
    }

    #[test]
    fn errors_name_the_file_the_line_and_the_remedy() {
        let unknown = read("\nlisen = \"x\"\n", &[]).unwrap_err();
        assert!(unknown.starts_with("FILE:2: unknown key \"lisen\"; allowed are "), "{unknown}");
        assert!(unknown.contains("listen, aggregator"), "{unknown}");
        let value = read("\n\nlisten = \"x\"\n", &[]).unwrap_err();
        assert!(value.starts_with("FILE:3: invalid value 'x' for '--listen <LISTEN>'"), "{value}");
        assert!(read("listen = ", &[]).unwrap_err().starts_with("FILE:1: "));
        assert!(read("listen = {}", &[]).unwrap_err().starts_with("FILE:1: listen: write"));
        let flag = read("", &["--lisen=x"]).unwrap_err();
        assert!(flag.contains("'--lisen'") && !flag.contains('\n'), "{flag}");
    }
}
