//! The dot commands.

use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::output::Format;

/// A dot command with its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Quit,
    Tables,
    Schema(String),
    Read(PathBuf),
    Timer(bool),
    Mode(Option<Format>),
}

/// What the shell does after a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Continue,
    Quit,
}

pub(super) const HELP: &str = "\
.help              this list
.mode [FORMAT]     show or set how rows are written: table, csv, tsv, json, ndjson,
                   markdown, vertical
.quit              leave (also Ctrl-D)
.read FILE         run the statements of a file
.schema TABLE      the columns of a table, a view or a 'file'
.tables            the tables and views of this session
.timer on|off      show the time of each statement

Statements end with ; and may have several lines. Ctrl-C stops a query.
Files are tables: SELECT * FROM 'folder/*.csv' LIMIT 10;
";

impl Command {
    /// The command of a line, if it begins with a dot.
    pub(super) fn parse_line(line: &str) -> Option<Result<Self>> {
        line.starts_with('.').then(|| Self::parse(line))
    }

    fn parse(line: &str) -> Result<Self> {
        let (name, argument) = match line.trim().split_once(char::is_whitespace) {
            Some((name, argument)) => (name, argument.trim().trim_end_matches(';').trim()),
            None => (line.trim().trim_end_matches(';'), ""),
        };
        let unquoted = argument.trim_matches(['\'', '"']);
        match (name, argument) {
            (".help" | ".h", "") => Ok(Command::Help),
            (".quit" | ".exit" | ".q", "") => Ok(Command::Quit),
            (".tables", "") => Ok(Command::Tables),
            (".help" | ".h" | ".quit" | ".exit" | ".q" | ".tables", _) => {
                Err(Error::query(format!("{name} takes no argument")))
            }
            (".schema", "") => Err(Error::query(".schema needs a table: .schema TABLE")),
            (".schema", _) => Ok(Command::Schema(unquoted.to_string())),
            (".read", "") => Err(Error::query(".read needs a file: .read FILE")),
            (".read", _) => Ok(Command::Read(PathBuf::from(unquoted))),
            (".timer", "on") => Ok(Command::Timer(true)),
            (".timer", "off") => Ok(Command::Timer(false)),
            (".timer", _) => Err(Error::query(".timer needs on or off")),
            (".mode", "") => Ok(Command::Mode(None)),
            (".mode", format) => {
                let format: Format = format.parse()?;
                if format.is_binary() {
                    return Err(Error::query(format!("{format} cannot be shown"))
                        .with_hint("write a file: COPY (SELECT …) TO 'file.parquet'"));
                }
                Ok(Command::Mode(Some(format)))
            }
            _ => Err(Error::query(format!("no command {name}")).with_hint(".help lists them")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_their_arguments() {
        assert_eq!(Command::parse(".quit").unwrap(), Command::Quit);
        assert_eq!(Command::parse(".timer on").unwrap(), Command::Timer(true));
        assert_eq!(Command::parse(".mode csv").unwrap(), Command::Mode(Some(Format::Csv)));
        assert_eq!(
            Command::parse(".schema 'a b.csv';").unwrap(),
            Command::Schema("a b.csv".to_string())
        );
        for wrong in [".read", ".timer maybe", ".mode parquet", ".mode nonsense", ".nonsense"] {
            assert!(Command::parse(wrong).is_err(), "{wrong}");
        }
    }
}
