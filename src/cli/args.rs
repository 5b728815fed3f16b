//! The flags, and what they stand for once checked.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::error::{Error, Result};
use crate::generate::GenerateArgs;
use crate::output::{Format, Style};
use crate::session::{ByteSize, Knobs, SessionOptions, SpillCompression};

/// SQL over files bigger than memory.
///
/// Without a command, opens a shell.
#[derive(Debug, Parser)]
#[command(name = "brimful", version, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,

    #[command(flatten)]
    run: RunArgs,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    success
  1    the query is wrong, or failed on a value
  2    a flag or a setting is wrong
  3    an input file is damaged or dirty
  4    out of memory or temporary disk space
  5    a file is missing, unreadable or unwritable
  70   a defect in Brimful
  124  the query ran longer than --timeout
  130  interrupted";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the SQL of a file, of standard input or of an argument.
    Query(Box<QueryArgs>),
    /// Make test data of any size: taxi trips, drug shipments, TPC-H.
    Generate(GenerateArgs),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false, id = "script")]
pub(super) struct QueryArgs {
    /// File with one or more SQL statements; `-` is standard input.
    #[arg(value_name = "FILE.sql", group = "script")]
    pub(super) file: Option<PathBuf>,

    /// The SQL itself.
    #[arg(
        short = 'c',
        long = "command",
        value_name = "SQL",
        group = "script",
        allow_hyphen_values = true
    )]
    pub(super) sql: Option<String>,

    /// Give a variable of the script a value: `${NAME}` or `${NAME:-default}` in its text.
    #[arg(short = 'd', long = "define", value_name = "NAME=VALUE", value_parser = definition)]
    pub(super) definitions: Vec<(String, String)>,

    #[command(flatten)]
    run: RunArgs,
}

/// Flags of whatever runs queries; they may stand before or after the command's name.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Running queries")]
pub(super) struct RunArgs {
    /// How rows are written. Default: by the extension of --output, else `table`.
    #[arg(long, value_enum, env = "BRIMFUL_FORMAT", ignore_case = true)]
    pub(super) format: Option<Format>,

    /// Write rows here instead of standard output; replaced only when all went well.
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,

    /// Memory for queries, such as 512MB or 4GiB. Default: 80 % of what this process may use.
    #[arg(long, value_name = "SIZE", env = "BRIMFUL_MEMORY_LIMIT")]
    pub(super) memory_limit: Option<ByteSize>,

    /// Parts of a query that run at the same time. Default: one a core.
    #[arg(long, value_name = "N", env = "BRIMFUL_THREADS")]
    pub(super) threads: Option<usize>,

    /// Folder for temporary files; repeat for several disks. Default: $TMPDIR, else /var/tmp.
    #[arg(long, value_name = "DIR", env = "BRIMFUL_TEMP_DIR", value_delimiter = ':')]
    pub(super) temp_dir: Vec<PathBuf>,

    /// Most that temporary files may take. Default: 100GiB.
    #[arg(long, value_name = "SIZE", env = "BRIMFUL_MAX_TEMP_SIZE")]
    pub(super) max_temp_size: Option<ByteSize>,

    /// How temporary files are compressed. Default: lz4.
    #[arg(long, value_name = "CODEC", env = "BRIMFUL_SPILL_COMPRESSION", ignore_case = true)]
    pub(super) spill_compression: Option<SpillCompression>,

    /// Switches for tests.
    #[arg(long, hide = true, env = "BRIMFUL_TEST_KNOBS", hide_env = true)]
    test_knobs: Option<Knobs>,

    /// Write elapsed time, peak memory, rows, bytes read and spilled to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) stats: Option<PathBuf>,

    /// Stop after this time, such as 30s, 5m or 1h.
    #[arg(long, value_name = "TIME", env = "BRIMFUL_TIMEOUT", value_parser = duration)]
    pub(super) timeout: Option<Duration>,

    /// Rows of a table that are shown on a terminal; 0 shows all.
    #[arg(long, value_name = "N", env = "BRIMFUL_MAX_ROWS")]
    max_rows: Option<usize>,
}

impl Arguments {
    /// The flags for running queries, with those after the command's name before the others.
    pub(super) fn run_args(&self) -> RunArgs {
        match &self.command {
            Some(Command::Query(query)) => query.run.clone().or(&self.run),
            _ => self.run.clone(),
        }
    }
}

impl RunArgs {
    fn or(self, other: &RunArgs) -> Self {
        let temp_dir =
            if self.temp_dir.is_empty() { other.temp_dir.clone() } else { self.temp_dir };
        RunArgs {
            format: self.format.or(other.format),
            output: self.output.or_else(|| other.output.clone()),
            memory_limit: self.memory_limit.or(other.memory_limit),
            threads: self.threads.or(other.threads),
            temp_dir,
            max_temp_size: self.max_temp_size.or(other.max_temp_size),
            spill_compression: self.spill_compression.or(other.spill_compression),
            test_knobs: self.test_knobs.or_else(|| other.test_knobs.clone()),
            stats: self.stats.or_else(|| other.stats.clone()),
            timeout: self.timeout.or(other.timeout),
            max_rows: self.max_rows.or(other.max_rows),
        }
    }

    /// How tables look where the rows go.
    pub(super) fn style(&self, to_terminal: bool) -> Style {
        let style = if to_terminal { Style::for_stdout() } else { Style::default() };
        Style { max_rows: self.max_rows.unwrap_or(style.max_rows), ..style }
    }

    /// The settings of the session.
    pub(super) fn session_options(&self) -> Result<SessionOptions> {
        let mut options = SessionOptions::new();
        if let Some(size) = self.memory_limit {
            options = options.memory_limit_bytes(size.0);
        }
        if let Some(threads) = self.threads {
            options = options.threads(threads);
        }
        if !self.temp_dir.is_empty() {
            options = options.temp_dirs(self.temp_dir.clone());
        }
        if let Some(size) = self.max_temp_size {
            options = options.max_temp_bytes(size.0);
        }
        if let Some(compression) = self.spill_compression {
            options = options.spill_compression(compression);
        }
        options.knobs = self.test_knobs.clone().unwrap_or_default();
        options.check()?;
        Ok(options)
    }

    /// How rows are written.
    ///
    /// # Errors
    /// `Config` if bytes that are not text would go to a terminal.
    pub(super) fn format(&self, stdout_is_terminal: bool) -> Result<Format> {
        let by_name = self.output.as_deref().and_then(Format::from_path);
        let format = self.format.or(by_name).unwrap_or(Format::Table);
        if format.is_binary() && self.output.is_none() && stdout_is_terminal {
            return Err(Error::config(format!("{format} is not text, and this is a terminal"))
                .with_hint("give a file: --output FILE"));
        }
        Ok(format)
    }
}

/// `name=value`
fn definition(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err(format!("\"{text}\" is not NAME=VALUE")),
    }
}

/// `30s`, `1.5m`, `250ms`, `1h`; a bare number is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("\"{text}\" is not a time: write 30s, 5m or 1h");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| wrong())?;
    let seconds = match text[digits..].trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("7"), Ok(Duration::from_secs(7)));
        assert!(duration("soon").is_err());
    }

    #[test]
    fn the_format_follows_the_file() {
        let parse = |words: &[&str]| Arguments::try_parse_from(words).unwrap();
        let query = ["brimful", "query", "-c", "select 1", "--output"];
        let with =
            |file| parse(&[query.as_slice(), &[file]].concat()).run_args().format(true).unwrap();
        assert_eq!(with("a.parquet"), Format::Parquet);
        assert_eq!(with("a.csv"), Format::Csv);
        assert_eq!(with("/dev/null"), Format::Table);
        let binary = parse(&["brimful", "query", "-c", "select 1", "--format", "parquet"]);
        assert!(binary.run_args().format(true).is_err());
        assert_eq!(binary.run_args().format(false).unwrap(), Format::Parquet);
    }

    #[test]
    fn flags_stand_before_or_after_the_command() {
        let words = ["brimful", "--threads", "3", "--format", "csv", "query", "-c", "select 1"];
        let run = Arguments::try_parse_from(words).unwrap().run_args();
        assert_eq!((run.threads, run.format), (Some(3), Some(Format::Csv)));
        let both = [words.as_slice(), &["--threads", "5"]].concat();
        let run = Arguments::try_parse_from(both).unwrap().run_args();
        assert_eq!(run.threads, Some(5));
    }
}
