//! What the tests share: a folder of its own for each, the command run in it with its output, exit
//! code and leftovers checked, and how tables of values are compared; random tables and sessions
//! that spill.

mod frames;
pub(crate) mod series;
mod sessions;
mod tables;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::{Knobs, Outcome, Session, SessionOptions};
use futures::TryStreamExt;
use tempfile::TempDir;

pub(crate) use frames::{
    assert_query_error, frame_of, frame_values, in_line, in_line_sorted, plain_session, rising,
    spilling_session,
};
pub(crate) use sessions::{
    Dropped, Setup, assert_dropped_cleanly, assert_no_files_soon, assert_nothing_left_soon,
    assert_quota_is_kept, assert_read_fails, assert_rows, assert_write_fails, batches_and_spill,
    files_below, plain_batches, plain_datafusion, rows_and_spill,
};
pub(crate) use tables::{
    Draw, Random, each, mixed_table, row_cells, row_texts, sorted_rows, text_of_any_length,
    write_table,
};

/// A command that runs longer than this hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// The folder of the project, where `queries/` and `testdata/` are.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of real files, published by others, or `None` after saying that the test is skipped.
pub(crate) fn real_data() -> Option<PathBuf> {
    let folder = std::env::var_os("BRIMFUL_REAL_DATA").filter(|folder| !folder.is_empty());
    if folder.is_none() {
        eprintln!("skipped: BRIMFUL_REAL_DATA does not name a folder of real data");
    }
    folder.map(PathBuf::from)
}

/// All files below a folder of real files, sorted.
pub(crate) fn real_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = files_below(folder);
    files.sort();
    assert!(!files.is_empty(), "{} has no files", folder.display());
    files
}

/// Asks again and again until the answer is yes.
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < LONGEST, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal, named without its `SIG`, with the system's own command.
pub(crate) fn send_signal(process: u32, signal: &str) {
    let status = Command::new("kill").args(["-s", signal, &process.to_string()]).status();
    assert!(status.unwrap().success(), "could not send {signal} to {process}");
}

/// A folder for the files of a test and another for Brimful's temporary ones.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["files", "temporary"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Place { folder }
    }

    /// Where a file of this name is, or would be.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("files").join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn size(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).unwrap().len()
    }

    /// Names of the files, hidden ones too, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    /// The folder for temporary files.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.path().join("temporary")
    }

    /// Bytes in temporary files now.
    pub(crate) fn temporary_bytes(&self) -> u64 {
        bytes_below(&self.temporary())
    }

    /// The command with these arguments, to be started in the folder.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = self.in_place(env!("CARGO_BIN_EXE_brimful"));
        command.args(arguments);
        command
    }

    /// Any program in the folder, with nothing from the user's settings.
    pub(crate) fn in_place(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("BRIMFUL_") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.path(""))
            .env("BRIMFUL_TEMP_DIR", self.temporary())
            .env("XDG_STATE_HOME", self.folder.path().join("state"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the command in the folder.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ran {
        self.finish(self.command(arguments).spawn().unwrap())
    }

    /// Runs the command in the folder of the project.
    pub(crate) fn run_in_project<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ran {
        self.finish(self.command(arguments).current_dir(project()).spawn().unwrap())
    }

    /// Runs the command with this text on its standard input.
    pub(crate) fn run_with_input<A: AsRef<OsStr>>(&self, arguments: &[A], input: &str) -> Ran {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        self.finish(child)
    }

    /// Runs SQL and gives its results as CSV.
    pub(crate) fn query(&self, sql: &str) -> Ran {
        self.run(&["query", "--format", "csv", "-c", sql])
    }

    /// Waits for the end of the command, and checks that it left no temporary file.
    pub(crate) fn finish(&self, child: Child) -> Ran {
        let process = child.id();
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = receiver.recv_timeout(LONGEST) else {
            send_signal(process, "KILL");
            panic!("the command does not end");
        };
        let output = output.unwrap();
        let left: Vec<_> = fs::read_dir(self.temporary()).unwrap().collect();
        assert!(left.is_empty(), "left in the folder for temporary files: {left:?}");
        let hidden: Vec<_> =
            self.names().into_iter().filter(|name| name.starts_with('.')).collect();
        assert!(hidden.is_empty(), "left beside the output: {hidden:?}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ran { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

/// Bytes of the files below a folder, which may change while it is read.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |path: PathBuf| match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => bytes_below(&path),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(|entry| bytes(entry.path())).sum()
}

/// What a command did.
pub(crate) struct Ran {
    /// The exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Checks that all went well and nothing was said, and gives the output.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        String::from_utf8(self.stdout).unwrap()
    }

    /// Checks the exit code and that the message has these parts, in this order.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let mut rest = self.stderr.as_str();
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else {
                panic!("\"{part}\" is missing, or not in its place, in:\n{}", self.stderr);
            };
            rest = after;
        }
    }
}

/// A table of values as text, without its header. No value may hold a quote.
pub(crate) fn cells(csv: &str) -> Vec<Vec<String>> {
    assert!(!csv.contains('"'), "quoted values are not read: {csv}");
    let lines = csv.lines().skip(1).filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(',').map(str::to_string).collect()).collect()
}

/// Checks that two tables have the same values, numbers to nine digits.
#[track_caller]
pub(crate) fn assert_same(what: &str, actual: &[Vec<String>], expected: &[Vec<String>]) {
    assert_eq!(actual.len(), expected.len(), "{what}: number of rows");
    for (actual, expected) in actual.iter().zip(expected) {
        let same = actual.len() == expected.len()
            && actual.iter().zip(expected).all(|(actual, expected)| same_value(actual, expected));
        assert!(same, "{what}: {actual:?} is not {expected:?}");
    }
}

fn same_value(actual: &str, expected: &str) -> bool {
    match (actual.parse::<f64>(), expected.parse::<f64>()) {
        (Ok(actual), Ok(expected)) => is_near(actual, expected),
        _ => actual == expected,
    }
}

/// Whether two numbers are the same to nine digits.
pub(crate) fn is_near(actual: f64, expected: f64) -> bool {
    (actual - expected).abs() <= 1e-9 * expected.abs()
}

/// A session of its own with these switches, whose temporary files are in the place.
pub(crate) fn session(place: &Place, threads: usize, knobs: Knobs) -> Session {
    session_with(place, knobs, |options| options.threads(threads))
}

/// The same with other options too.
pub(crate) fn session_with(
    place: &Place,
    knobs: Knobs,
    options: impl FnOnce(SessionOptions) -> SessionOptions,
) -> Session {
    let mut options = options(SessionOptions::new().temp_dirs([place.temporary()]));
    options.knobs = Knobs { reserved_only: true, ..knobs };
    Session::new(options).unwrap()
}

/// The rows of a query, each as its values with `|` between them.
pub(crate) async fn rows(session: &Session, sql: &str) -> brimful::Result<Vec<String>> {
    let mut stream = session.sql(sql).await?.stream().await?;
    let mut rows = Vec::new();
    while let Some(batch) = stream.try_next().await? {
        let options = FormatOptions::default().with_null("NULL");
        let columns: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let values: Vec<String> =
                columns.iter().map(|column| column.value(row).to_string()).collect();
            rows.push(values.join("|"));
        }
    }
    Ok(rows)
}

/// Runs statements one after another.
pub(crate) async fn run_all(session: &Session, sql: &str) -> brimful::Result<()> {
    for statement in session.parse(sql)? {
        if let Outcome::Rows(frame) | Outcome::Plan(frame) = session.execute(statement).await? {
            frame.stream().await?.try_collect::<Vec<_>>().await?;
        }
    }
    Ok(())
}

/// Waits until no temporary file is left, while the session still lives.
pub(crate) async fn assert_no_files(what: &str, place: &Place) {
    let started = Instant::now();
    while place.temporary_bytes() > 0 {
        assert!(started.elapsed() < Duration::from_secs(5), "{what}: files are left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
