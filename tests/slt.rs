//! Runs the SQL scripts in `tests/slt`, each in every mode: with ample memory and with so little
//! that it has to spill, on one partition and on several.
//!
//! A test is a mode and a script, such as `memory::join/inner.slt`, so
//! `cargo test --test slt spill4::aggregate` picks a few. Scripts are sqllogictest's:
//!
//! - Types of columns are checked: `T` text, `I` integer, `R` float, `N` decimal, `B` boolean,
//!   `D` date, `P` timestamp, `?` anything else.
//! - Floats are rounded to 12 digits, so that the order of a sum does not matter. NULL is `NULL`, an
//!   empty text `(empty)`, a newline in a text `\n`.
//! - A query that begins with the comment `-- header` gives the names of its columns as first row.
//! - A plan is a row a line.
//! - Errors are matched as `query error: message at line 1, column 8; hint`.
//! - After `control substitution on`, `$__TEST_DIR__` is a folder of the script.
//! - `onlyif` and `skipif` know the modes by name, and the label `tight` for those with little
//!   memory.
//!
//! Scripts in `spill/` must spill in the modes with little memory. Those in `pending/` say what
//! should come out and does not yet; they only run with `-- --ignored`.
//!
//! `SLT_WRITE=1 cargo test --test slt memory::` writes the results that came out into the scripts;
//! check every one of them before you keep it.

use std::error::Error as StdError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::{DataFrame, Outcome, Session, SessionOptions};
use futures::TryStreamExt;
use libtest_mimic::{Arguments, Failed, Trial};
use sqllogictest::{AsyncDB, ColumnType, DBOutput, Runner};

type Result<T, E = Box<dyn StdError + Send + Sync>> = std::result::Result<T, E>;

/// A way to run all scripts.
struct Mode {
    name: &'static str,
    threads: usize,
    batch_rows: usize,
    memory_limit_bytes: u64,
    /// Whether the memory is so little that the scripts in `spill/` must spill.
    tight: bool,
    /// Whether operators keep nothing in memory that could be on disk.
    on_disk: bool,
    /// Whether each query is written as bytes and read again before it runs.
    serialized: bool,
}

/// More than any script needs.
const AMPLE_MEMORY_BYTES: u64 = 2 << 30;

/// Half of this is left to the operators; the scripts in `spill/` need several times as much. With
/// less, or with as much on four partitions, sorts of wide rows sometimes run out.
const TIGHT_MEMORY_BYTES: u64 = 96 << 20;

/// The modes. Another one that differs in its settings is another line; one that runs queries in
/// another place also needs its own [`Mode::open`].
const MODES: [Mode; 7] = [
    Mode {
        name: "memory",
        threads: 2,
        batch_rows: 8192,
        memory_limit_bytes: AMPLE_MEMORY_BYTES,
        tight: false,
        on_disk: false,
        serialized: false,
    },
    Mode {
        name: "one",
        threads: 1,
        batch_rows: 8192,
        memory_limit_bytes: AMPLE_MEMORY_BYTES,
        tight: false,
        on_disk: false,
        serialized: false,
    },
    Mode {
        name: "four",
        threads: 4,
        batch_rows: 8192,
        memory_limit_bytes: AMPLE_MEMORY_BYTES,
        tight: false,
        on_disk: false,
        serialized: false,
    },
    Mode {
        name: "spill",
        threads: 1,
        batch_rows: 512,
        memory_limit_bytes: TIGHT_MEMORY_BYTES,
        tight: true,
        on_disk: false,
        serialized: false,
    },
    Mode {
        name: "spill4",
        threads: 4,
        batch_rows: 512,
        memory_limit_bytes: 2 * TIGHT_MEMORY_BYTES,
        tight: true,
        on_disk: false,
        serialized: false,
    },
    Mode {
        name: "disk",
        threads: 2,
        batch_rows: 100,
        memory_limit_bytes: AMPLE_MEMORY_BYTES,
        tight: false,
        on_disk: true,
        serialized: false,
    },
    Mode {
        name: "serialized",
        threads: 2,
        batch_rows: 8192,
        memory_limit_bytes: AMPLE_MEMORY_BYTES,
        tight: false,
        on_disk: false,
        serialized: true,
    },
];

impl Mode {
    /// The session a script runs in, with its temporary files below `temp_dir`.
    fn open(&self, temp_dir: &Path) -> brimful::Result<Session> {
        let mut options = SessionOptions::new()
            .threads(self.threads)
            .batch_rows(self.batch_rows)
            .memory_limit_bytes(self.memory_limit_bytes)
            .temp_dirs([temp_dir]);
        // Many sessions share this process.
        options.knobs.reserved_only = true;
        if self.on_disk {
            options.knobs.join_build_bytes = Some(0);
            options.knobs.aggregate_bytes = Some(0);
            options.knobs.sort_bytes = Some(0);
            options.knobs.window_bytes = Some(0);
            options.knobs.attempt_bytes = Some(0);
            options.knobs.merge_runs = Some(16);
        }
        Session::new(options)
    }
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    // The scripts name files from here.
    std::env::set_current_dir(env!("CARGO_MANIFEST_DIR")).expect("the crate is still there");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut scripts = Vec::new();
    find_scripts(&root, &mut scripts).expect("the folder of the scripts can be read");
    scripts.sort();
    let mut trials = Vec::new();
    for mode in &MODES {
        for script in &scripts {
            let name = script.strip_prefix(&root).unwrap_or(script).display().to_string();
            let pending = name.starts_with("pending");
            let script = script.clone();
            let trial = Trial::test(format!("{}::{name}", mode.name), move || {
                test(mode, &script).map_err(|err| Failed::from(err.to_string()))
            });
            trials.push(trial.with_ignored_flag(pending));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn find_scripts(folder: &Path, scripts: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_scripts(&path, scripts)?;
        } else if path.extension().is_some_and(|extension| extension == "slt") {
            scripts.push(path);
        }
    }
    Ok(())
}

/// Runs one script and checks what it left behind.
fn test(mode: &Mode, script: &Path) -> Result<()> {
    /// A query that waits for itself should fail here rather than stop the whole run.
    const TIMEOUT: Duration = Duration::from_secs(300);
    let temp_dir = tempfile::tempdir()?;
    let spilled_bytes = Arc::new(AtomicU64::new(0));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(async {
        let run = run(mode, script, temp_dir.path(), Arc::clone(&spilled_bytes));
        tokio::time::timeout(TIMEOUT, run).await
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    result.map_err(|_| format!("still running after {TIMEOUT:?}"))??;

    let must_spill = script.components().any(|part| part.as_os_str() == "spill");
    if mode.tight && must_spill && spilled_bytes.load(Ordering::Relaxed) == 0 {
        return Err("nothing was spilled".into());
    }
    match std::fs::read_dir(temp_dir.path())?.next() {
        None => Ok(()),
        Some(left) => Err(format!("left after the session: {}", left?.path().display()).into()),
    }
}

async fn run(
    mode: &Mode,
    script: &Path,
    temp_dir: &Path,
    spilled_bytes: Arc<AtomicU64>,
) -> Result<()> {
    let session = mode.open(temp_dir).map_err(Failure)?;
    let mut runner = Runner::new(async || {
        Ok(Database {
            session: session.clone(),
            spilled_bytes: Arc::clone(&spilled_bytes),
            serialized: mode.serialized,
        })
    });
    runner.add_label(mode.name);
    if mode.tight {
        runner.add_label("tight");
    }
    runner.with_column_validator(sqllogictest::strict_column_validator);
    if std::env::var_os("SLT_WRITE").is_some() {
        let written = runner.update_test_file(
            script,
            " ",
            sqllogictest::default_validator,
            sqllogictest::default_normalizer,
            sqllogictest::strict_column_validator,
        );
        return written.await.map_err(|err| err.to_string().into());
    }
    runner.run_file_async(script).await?;
    no_files_remain(temp_dir).await
}

/// Checks that the queries have removed their temporary files while the session still lives. Their
/// tasks may take a moment to notice that nobody waits for them.
async fn no_files_remain(temp_dir: &Path) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let started = Instant::now();
    while let Some(file) = any_file(temp_dir)? {
        if started.elapsed() > PATIENCE {
            return Err(format!("left after the last query: {}", file.display()).into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A file below a folder, other than the lock that each session holds.
fn any_file(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            any_file(&path)?
        } else {
            Some(path).filter(|path| path.file_name() != Some("lock".as_ref()))
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// A session as sqllogictest sees it.
struct Database {
    session: Session,
    /// Sum over all queries of the script.
    spilled_bytes: Arc<AtomicU64>,
    serialized: bool,
}

impl Database {
    async fn answer(&self, sql: &str) -> brimful::Result<DBOutput<Type>> {
        let mut last = DBOutput::StatementComplete(0);
        for statement in self.session.parse(sql)? {
            last = match self.session.execute(statement).await? {
                Outcome::Rows(frame) if self.serialized => {
                    let frame = self.read_again(frame).await?;
                    self.rows(frame, sql.starts_with("-- header")).await?
                }
                Outcome::Rows(frame) => self.rows(frame, sql.starts_with("-- header")).await?,
                Outcome::Plan(frame) => {
                    let text = frame.plan_text().await?;
                    let lines = text.lines().filter(|line| !line.trim().is_empty());
                    let rows = lines.map(|line| vec![line.to_string()]).collect();
                    DBOutput::Rows { types: vec![Type::Text], rows }
                }
                Outcome::Done => DBOutput::StatementComplete(0),
            };
        }
        Ok(last)
    }

    /// The same query, from bytes. What changes something cannot be written.
    async fn read_again(&self, frame: DataFrame) -> brimful::Result<DataFrame> {
        match frame.serialize().await {
            Ok(bytes) => self.session.deserialize(&bytes).await,
            Err(error) if error.to_string().ends_with("only queries can be serialized") => {
                Ok(frame)
            }
            Err(error) => Err(error),
        }
    }

    async fn rows(&self, frame: DataFrame, header: bool) -> brimful::Result<DBOutput<Type>> {
        let mut stream = frame.stream().await?;
        let schema = stream.schema();
        let mut rows = Vec::new();
        if header {
            rows.push(schema.fields().iter().map(|field| field.name().clone()).collect());
        }
        while let Some(batch) = stream.try_next().await? {
            add_rows(&batch, &mut rows)?;
        }
        self.spilled_bytes.fetch_add(stream.metrics().spilled_bytes, Ordering::Relaxed);
        Ok(DBOutput::Rows { types: types(&schema), rows })
    }
}

#[async_trait::async_trait]
impl AsyncDB for Database {
    type Error = Failure;
    type ColumnType = Type;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<Type>, Failure> {
        self.answer(sql).await.map_err(Failure)
    }

    async fn shutdown(&mut self) {}
}

/// An error with everything the user is told, on one line.
#[derive(Debug)]
struct Failure(brimful::Error);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind().label(), self.0)?;
        if let Some(position) = self.0.position() {
            write!(f, " at line {}, column {}", position.line, position.column)?;
        }
        match self.0.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl StdError for Failure {}

/// What a column holds, as the scripts write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Integer,
    Float,
    Decimal,
    Boolean,
    Date,
    Timestamp,
    Other,
}

impl ColumnType for Type {
    fn from_char(value: char) -> Option<Self> {
        match value {
            'T' => Some(Type::Text),
            'I' => Some(Type::Integer),
            'R' => Some(Type::Float),
            'N' => Some(Type::Decimal),
            'B' => Some(Type::Boolean),
            'D' => Some(Type::Date),
            'P' => Some(Type::Timestamp),
            '?' => Some(Type::Other),
            _ => None,
        }
    }

    fn to_char(&self) -> char {
        match self {
            Type::Text => 'T',
            Type::Integer => 'I',
            Type::Float => 'R',
            Type::Decimal => 'N',
            Type::Boolean => 'B',
            Type::Date => 'D',
            Type::Timestamp => 'P',
            Type::Other => '?',
        }
    }
}

fn types(schema: &Schema) -> Vec<Type> {
    let of = |data_type: &DataType| match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::Text,
        integer if integer.is_integer() => Type::Integer,
        float if float.is_floating() => Type::Float,
        decimal if decimal.is_decimal() => Type::Decimal,
        DataType::Boolean => Type::Boolean,
        DataType::Date32 | DataType::Date64 => Type::Date,
        DataType::Timestamp(..) => Type::Timestamp,
        _ => Type::Other,
    };
    schema.fields().iter().map(|field| of(field.data_type())).collect()
}

fn add_rows(batch: &RecordBatch, rows: &mut Vec<Vec<String>>) -> brimful::Result<()> {
    let options = FormatOptions::default().with_null("NULL");
    let mut columns = Vec::with_capacity(batch.num_columns());
    for column in batch.columns() {
        let texts: Vec<String> = if column.data_type().is_floating() {
            let floats = cast(column, &DataType::Float64)?;
            let text = |value: Option<f64>| value.map_or("NULL".to_string(), rounded);
            floats.as_primitive::<Float64Type>().iter().map(text).collect()
        } else {
            let formatter = ArrayFormatter::try_new(column, &options)?;
            let text = |row| Ok(escaped(&formatter.value(row).try_to_string()?));
            (0..column.len()).map(text).collect::<brimful::Result<_>>()?
        };
        columns.push(texts.into_iter());
    }
    for _ in 0..batch.num_rows() {
        rows.push(columns.iter_mut().filter_map(Iterator::next).collect());
    }
    Ok(())
}

/// A float to 12 significant digits.
fn rounded(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.abs().to_string().replace("inf", if value < 0.0 { "-inf" } else { "inf" });
    }
    let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
    if (1e-6..1e15).contains(&rounded.abs()) { rounded.to_string() } else { format!("{rounded:e}") }
}

/// A value on one line.
fn escaped(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_string();
    }
    text.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t")
}
