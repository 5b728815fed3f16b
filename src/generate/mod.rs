//! `brimful generate`: test data of any size, made on the spot.
//!
//! Three data sets are known: taxi trips and drug shipments in the shape of the public files the
//! documentation uses, with the same traps in them, and the tables of TPC-H. Every byte follows
//! from the arguments alone: the same seed gives the same file on every machine and with any
//! number of threads, so that a result measured or reported once can be checked again.

mod arcos;
mod arcos_names;
mod arcos_parties;
mod aside;
mod chunks;
mod parquet_file;
mod random;
mod rows;
mod taxi;
mod taxi_trips;
mod text;
mod tpch;
mod zones;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::generate::aside::Aside;
use crate::generate::rows::Rows;

/// The rows of taxi and arcos when `--rows` is not given.
const DEFAULT_ROW_COUNT: u64 = 1_000_000;

/// The scale of TPC-H when `--scale` is not given.
const DEFAULT_SCALE: f64 = 1.0;

/// The seed when `--seed` is not given.
const DEFAULT_SEED: u64 = 42;

/// The arguments of `brimful generate`.
#[derive(clap::Args, Debug, Clone)]
pub struct GenerateArgs {
    /// Which data to generate
    #[arg(value_enum)]
    pub dataset: Dataset,

    /// Number of rows of taxi and arcos, such as 5M, 500k or 5_000_000 [default: 1M]
    #[arg(long, value_name = "N", value_parser = parse_row_count)]
    pub rows: Option<u64>,

    /// Scale factor of tpch; 1 is about 1 GB of text, fractions are allowed [default: 1]
    #[arg(long, value_name = "F")]
    pub scale: Option<f64>,

    /// Format to write [default: by the ending of --output, else csv, for tpch parquet]
    #[arg(long, value_enum)]
    pub format: Option<Format>,

    /// Columns of the taxi file: those of 2015 with coordinates, or of 2019 with zone numbers
    /// [default: 2015]
    #[arg(long, value_enum)]
    pub layout: Option<TaxiLayout>,

    /// Also write the table of taxi zones to this CSV file, to be joined with layout 2019
    #[arg(long, value_name = "PATH")]
    pub zones: Option<PathBuf>,

    /// Seed of taxi and arcos: the same seed gives the same rows [default: 42]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// File to write, for tpch the directory [default: taxi.csv, arcos.csv, tpch-sf1]
    #[arg(long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// Number of threads [default: all processors]; the output does not depend on it
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
}

impl GenerateArgs {
    /// The arguments for a data set with everything else by default.
    pub fn new(dataset: Dataset) -> Self {
        GenerateArgs {
            dataset,
            rows: None,
            scale: None,
            format: None,
            layout: None,
            zones: None,
            seed: None,
            output: None,
            threads: None,
        }
    }
}

/// What can be generated.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dataset {
    /// Taxi trips in the shape of New York's yellow cabs
    Taxi,
    /// Drug shipments in the shape of the DEA's ARCOS file, 42 columns
    Arcos,
    /// The eight tables of the TPC-H benchmark
    Tpch,
}

impl Dataset {
    fn name(self) -> &'static str {
        match self {
            Dataset::Taxi => "taxi",
            Dataset::Arcos => "arcos",
            Dataset::Tpch => "tpch",
        }
    }
}

/// The format of the files written.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text, separated by commas, with a header
    Csv,
    /// Parquet, compressed with zstd
    Parquet,
    /// Text, separated by tabs, with a header
    Tsv,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Tsv => "tsv",
        }
    }

    /// The byte between two fields. Parquet has none; the comma stands in for it.
    fn separator(self) -> u8 {
        if self == Format::Tsv { b'\t' } else { b',' }
    }

    fn of_path(path: &Path) -> Option<Format> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        [Format::Csv, Format::Parquet, Format::Tsv]
            .into_iter()
            .find(|format| format.extension() == extension)
    }
}

/// The columns of the taxi file, which changed over the years.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaxiLayout {
    /// 19 columns, the places as longitude and latitude
    #[value(name = "2015")]
    Y2015,
    /// 18 columns, the places as numbers of taxi zones
    #[value(name = "2019")]
    Y2019,
}

/// A file that was generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedFile {
    /// Where it lies.
    pub path: PathBuf,
    /// Its rows, without the header.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Generates what `args` ask for and says which files were written.
///
/// A file that is already there is replaced, but only once all the new ones are complete. On an
/// error nothing new is left behind.
///
/// # Errors
///
/// A configuration error when arguments contradict each other or the output is not a place for a
/// file; an I/O error, or one about resources, when a file cannot be written.
pub fn run(args: &GenerateArgs) -> Result<Vec<GeneratedFile>> {
    check(args)?;
    let threads = args
        .threads
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let seed = args.seed.unwrap_or(DEFAULT_SEED);
    let format = args
        .format
        .or_else(|| args.output.as_deref().and_then(Format::of_path))
        .unwrap_or(if args.dataset == Dataset::Tpch { Format::Parquet } else { Format::Csv });
    let row_count = args.rows.unwrap_or(DEFAULT_ROW_COUNT);
    match args.dataset {
        Dataset::Taxi => {
            let layout = args.layout.unwrap_or(TaxiLayout::Y2015);
            let source = taxi::Taxi::new(seed, layout, format.separator());
            let zones = args.zones.as_deref().map(zones::write).transpose()?;
            let mut done = vec![write_rows(args, &source, format, row_count, threads)?];
            done.extend(zones);
            finish(done)
        }
        Dataset::Arcos => {
            let source = arcos::Arcos::new(seed, format.separator());
            finish(vec![write_rows(args, &source, format, row_count, threads)?])
        }
        Dataset::Tpch => {
            let scale = args.scale.unwrap_or(DEFAULT_SCALE);
            let default = || PathBuf::from(format!("tpch-sf{scale}"));
            let directory = args.output.clone().unwrap_or_else(default);
            tpch::generate(&directory, scale, format, threads)
        }
    }
}

/// Refuses options that do not belong to the data set, rather than ignoring them.
fn check(args: &GenerateArgs) -> Result<()> {
    let name = args.dataset.name();
    if args.dataset == Dataset::Tpch {
        if args.rows.is_some() {
            return Err(Error::config("--rows does not apply to tpch")
                .with_hint("the size of tpch is set with --scale, such as --scale 0.1"));
        }
        if args.seed.is_some() {
            return Err(Error::config("--seed does not apply to tpch")
                .with_hint("the benchmark's specification fixes every row of it"));
        }
    } else if args.scale.is_some() {
        return Err(Error::config(format!("--scale does not apply to {name}"))
            .with_hint(format!("the size of {name} is set with --rows, such as --rows 5M")));
    }
    if args.dataset != Dataset::Taxi {
        for (given, option) in [(args.layout.is_some(), "layout"), (args.zones.is_some(), "zones")]
        {
            if given {
                return Err(Error::config(format!("--{option} does not apply to {name}"))
                    .with_hint("it belongs to: brimful generate taxi"));
            }
        }
    }
    Ok(())
}

/// Writes the one file of taxi or arcos, still under its temporary name.
fn write_rows<R: Rows>(
    args: &GenerateArgs,
    source: &R,
    format: Format,
    row_count: u64,
    threads: usize,
) -> Result<(Aside, u64)> {
    let default = || PathBuf::from(format!("{}.{}", args.dataset.name(), format.extension()));
    let mut aside = Aside::create(&args.output.clone().unwrap_or_else(default))?;
    match format {
        Format::Parquet => rows::write_parquet(source, row_count, threads, &mut aside)?,
        Format::Csv | Format::Tsv => {
            rows::write_text(source, row_count, format.separator(), threads, &mut aside)?;
        }
    }
    Ok((aside, row_count))
}

/// Gives complete files their names.
fn finish(files: Vec<(Aside, u64)>) -> Result<Vec<GeneratedFile>> {
    files
        .into_iter()
        .map(|(aside, rows)| {
            let (path, bytes) = aside.finish()?;
            Ok(GeneratedFile { path, rows, bytes })
        })
        .collect()
}

/// Reads a number of rows: digits, perhaps with underscores, perhaps with k, M or G behind.
fn parse_row_count(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G', 'b', 'B']);
    let unit: u64 = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        "g" | "G" | "b" | "B" => 1_000_000_000,
        _ => return Err("expected a number such as 5M, 500k or 5_000_000".to_string()),
    };
    digits
        .replace('_', "")
        .parse::<u64>()
        .map_err(|_| "expected a number such as 5M, 500k or 5_000_000".to_string())?
        .checked_mul(unit)
        .ok_or_else(|| "the number of rows is too large".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: GenerateArgs,
    }

    fn parse(line: &str) -> GenerateArgs {
        Cli::try_parse_from(line.split(' ')).map_err(|err| err.to_string()).unwrap().args
    }

    #[test]
    fn row_counts_are_read_as_people_write_them() {
        assert_eq!(parse_row_count("5M"), Ok(5_000_000));
        assert_eq!(parse_row_count("5_000_000"), Ok(5_000_000));
        assert_eq!(parse_row_count("5k"), Ok(5_000));
        assert_eq!(parse_row_count("0"), Ok(0));
        for wrong in ["", "M", "5MM", "-1", "1.5M", "99999999999G"] {
            assert!(parse_row_count(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn options_of_another_data_set_are_refused() {
        for line in [
            "generate tpch --rows 5",
            "generate tpch --seed 1",
            "generate taxi --scale 1",
            "generate arcos --zones z.csv",
            "generate arcos --layout 2019",
        ] {
            let err = run(&parse(line)).unwrap_err();
            assert!(err.to_string().contains("does not apply to"), "{line}: {err}");
        }
    }

    #[test]
    fn the_ending_of_the_output_gives_the_format() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.parquet");
        let made = run(&parse(&format!("generate arcos --rows 10 --output {}", path.display())));
        assert_eq!(made.unwrap()[0].rows, 10);
        assert_eq!(&std::fs::read(&path).unwrap()[..4], b"PAR1");
    }

    #[test]
    fn an_error_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        let line = format!("generate taxi --rows 10 --output {root}/t.csv --zones {root}/no/z.csv");
        assert!(run(&parse(&line)).is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let line = format!("generate taxi --rows 10 --output {root}");
        assert!(run(&parse(&line)).unwrap_err().to_string().contains("is a directory"));
    }

    #[test]
    fn trips_and_zones_are_written_together() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().display();
        let made = run(&parse(&format!(
            "generate taxi --layout 2019 --rows 1k --output {root}/t.csv --zones {root}/z.csv"
        )))
        .unwrap();
        assert_eq!(made.iter().map(|file| file.rows).collect::<Vec<_>>(), [1000, 265]);
        for file in made {
            assert_eq!(std::fs::metadata(&file.path).unwrap().len(), file.bytes);
        }
    }
}
