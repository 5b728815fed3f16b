//! Sessions that are forced to spill, queries in them, and what they must not leave behind.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use brimful::{Error, ErrorKind, Knobs, QueryMetrics, QueryStream, Session, SessionOptions};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;

use super::{LONGEST, Place, row_texts, sorted_rows};

/// How soon the files of a query that ended are gone.
const SOON_GONE: Duration = Duration::from_millis(500);

/// How a session runs and what it reads.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) knobs: Knobs,
    threads: usize,
    batch_rows: usize,
    memory_limit_bytes: Option<u64>,
    max_temp_bytes: Option<u64>,
    /// Parquet files rather than Arrow ones.
    parquet: bool,
}

impl Setup {
    pub(crate) fn new(threads: usize, batch_rows: usize, knobs: Knobs) -> Setup {
        Setup {
            knobs,
            threads,
            batch_rows,
            memory_limit_bytes: None,
            max_temp_bytes: None,
            parquet: false,
        }
    }

    /// Nothing is forced, and nothing is short.
    pub(crate) fn reference() -> Setup {
        Setup::new(2, 8192, Knobs::default())
    }

    pub(crate) fn parquet(self) -> Setup {
        Setup { parquet: true, ..self }
    }

    /// Operators may reserve about half of this, whatever the other tests of this process use.
    pub(crate) fn memory_limit_bytes(mut self, bytes: u64) -> Setup {
        self.knobs.reserved_only = true;
        Setup { memory_limit_bytes: Some(bytes), ..self }
    }

    pub(crate) fn max_temp_bytes(self, bytes: u64) -> Setup {
        Setup { max_temp_bytes: Some(bytes), ..self }
    }

    pub(crate) fn session(&self, place: &Place) -> Session {
        let mut options = SessionOptions::new()
            .threads(self.threads)
            .batch_rows(self.batch_rows)
            .temp_dirs([place.temporary()]);
        if let Some(bytes) = self.memory_limit_bytes {
            options = options.memory_limit_bytes(bytes);
        }
        if let Some(bytes) = self.max_temp_bytes {
            options = options.max_temp_bytes(bytes);
        }
        options.knobs = self.knobs.clone();
        Session::new(options).unwrap()
    }

    /// A session with tables that [`write_table`](super::write_table) wrote.
    pub(crate) async fn open(&self, place: &Place, tables: &[&str]) -> Session {
        let session = self.session(place);
        for name in tables {
            let frame = if self.parquet {
                session.read_parquet(place.path(&format!("{name}.parquet"))).await
            } else {
                session.read_arrow(place.path(&format!("{name}.arrow"))).await
            };
            session.register(name, frame.unwrap()).unwrap();
        }
        session
    }
}

/// Runs a query to its end.
async fn run(session: &Session, sql: &str) -> brimful::Result<(Vec<RecordBatch>, QueryMetrics)> {
    match tokio::time::timeout(LONGEST, Box::pin(run_to_its_end(session, sql))).await {
        Ok(result) => result,
        Err(_) => panic!("does not end: {sql}"),
    }
}

async fn run_to_its_end(
    session: &Session,
    sql: &str,
) -> brimful::Result<(Vec<RecordBatch>, QueryMetrics)> {
    let mut stream = session.sql(sql).await?.stream().await?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await? {
        batches.push(batch);
    }
    Ok((batches, stream.metrics()))
}

/// The batches of a query that must go well, and what it spilled.
pub(crate) async fn batches_and_spill(
    what: &str,
    session: &Session,
    sql: &str,
) -> (Vec<RecordBatch>, u64) {
    match run(session, sql).await {
        Ok((batches, metrics)) => (batches, metrics.spilled_bytes),
        Err(error) => panic!("{what}: {error}"),
    }
}

/// The sorted rows of a query that must go well, and what it spilled.
pub(crate) async fn rows_and_spill(what: &str, session: &Session, sql: &str) -> (Vec<String>, u64) {
    let (batches, spilled_bytes) = batches_and_spill(what, session, sql).await;
    (sorted_rows(&batches), spilled_bytes)
}

/// DataFusion as it comes, with a table in memory.
pub(crate) fn plain_datafusion(name: &str, table: &RecordBatch) -> SessionContext {
    let config = SessionConfig::new().with_target_partitions(2);
    let context = SessionContext::new_with_config(config);
    context.register_batch(name, table.clone()).unwrap();
    context
}

/// The batches that DataFusion as it comes gives.
pub(crate) async fn plain_batches(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    match context.sql(sql).await {
        Ok(frame) => match frame.collect().await {
            Ok(batches) => batches,
            Err(error) => panic!("{sql}: {error}"),
        },
        Err(error) => panic!("{sql}: {error}"),
    }
}

/// Checks that two sorted lists of rows are the same, and shows some of the difference.
#[track_caller]
pub(crate) fn assert_rows(what: &str, actual: &[String], expected: &[String]) {
    if actual != expected {
        panic!(
            "{what}: {} rows instead of {}; missing: {:#?}; too many: {:#?}",
            actual.len(),
            expected.len(),
            more_often(expected, actual),
            more_often(actual, expected)
        );
    }
}

/// The first rows that are more often in the one list than in the other.
fn more_often<'a>(one: &'a [String], other: &[String]) -> Vec<&'a str> {
    const SHOWN: usize = 3;
    let mut left: HashMap<&str, usize> = HashMap::new();
    for row in other {
        *left.entry(row.as_str()).or_default() += 1;
    }
    let mut rows = Vec::new();
    for row in one {
        match left.get_mut(row.as_str()) {
            Some(count) if *count > 0 => *count -= 1,
            _ => rows.push(row.as_str()),
        }
    }
    rows.truncate(SHOWN);
    rows
}

// What is left behind.

/// Regular files below a folder, without those that only mark it as used.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if entry.file_name() != "lock" {
            files.push(path);
        }
    }
    files
}

/// Waits until the temporary files are gone, while the session lives on.
pub(crate) async fn assert_no_files_soon(what: &str, place: &Place) {
    let started = Instant::now();
    loop {
        let files = files_below(&place.temporary());
        if files.is_empty() {
            return;
        }
        assert!(started.elapsed() < SOON_GONE, "{what}: left are {files:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until nothing is left of a session that was dropped.
pub(crate) async fn assert_nothing_left_soon(what: &str, place: &Place) {
    let started = Instant::now();
    loop {
        let left: Vec<_> = fs::read_dir(place.temporary()).unwrap().collect();
        if left.is_empty() {
            return;
        }
        assert!(started.elapsed() < SOON_GONE, "{what}: left are {left:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// Faults.

/// Runs a query that must fail; checks that nothing is left of it and that the session goes on.
async fn error_of(what: &str, place: &Place, setup: &Setup, sql: &str) -> Error {
    let session = setup.session(place);
    let error = match run(&session, sql).await {
        Ok((_, metrics)) => panic!("{what}: {metrics:?}"),
        Err(error) => error,
    };
    assert_no_files_soon(what, place).await;
    assert_eq!(session.spill_metrics().disk_bytes, 0, "{what}");
    let (batches, _) = batches_and_spill(what, &session, "SELECT 1").await;
    assert_eq!(row_texts(&batches[0]), ["1"], "{what}");
    drop(session);
    assert_nothing_left_soon(what, place).await;
    error
}

/// Checks that a query under a setup with [`Knobs::fail_write`] fails, and says where.
pub(crate) async fn assert_write_fails(setup: &Setup, sql: &str) {
    let place = Place::new();
    let what = format!("{setup:?}, {sql}");
    let error = error_of(&what, &place, setup, sql).await;
    let kinds = [ErrorKind::Io, ErrorKind::Resources];
    assert!(kinds.contains(&error.kind()), "{what}: {:?}: {error}", error.kind());
    let folder = place.temporary();
    assert!(error.to_string().contains(folder.to_str().unwrap()), "{what}: {error}");
}

/// Checks that a query under a setup with [`Knobs::alter_read`] fails, and says why.
pub(crate) async fn assert_read_fails(setup: &Setup, sql: &str) {
    let place = Place::new();
    let what = format!("{setup:?}, {sql}");
    let error = error_of(&what, &place, setup, sql).await;
    assert_eq!(error.kind(), ErrorKind::Io, "{what}: {error}");
    assert!(error.to_string().contains("temporary file"), "{what}: {error}");
}

/// Checks that a query that needs more temporary files than the setup allows fails, and says what
/// to do.
pub(crate) async fn assert_quota_is_kept(setup: &Setup, sql: &str) {
    let place = Place::new();
    let what = format!("{setup:?}, {sql}");
    let error = error_of(&what, &place, setup, sql).await;
    assert_eq!(error.kind(), ErrorKind::Resources, "{what}: {error}");
    let said = format!("{error}; {}", error.hint().unwrap_or_default());
    assert!(said.contains("--max-temp-size"), "{what}: {said}");
}

// Queries that are dropped.

/// Starts a query and drops it when `is_time` says so, at the latest when it gives its first rows;
/// checks that nothing of it is left, neither on disk nor, for the queries to come, in memory.
pub(crate) async fn assert_dropped_cleanly(
    what: &str,
    place: &Place,
    session: &Session,
    sql: &str,
    is_time: impl Fn(&Session) -> bool,
) -> Dropped {
    let mut stream = session.sql(sql).await.unwrap().stream().await.unwrap();
    let when = tokio::select! {
        batch = next_batch(&mut stream) => {
            assert!(batch.is_some(), "{what}: ended");
            Dropped::WithRows
        }
        () = until(what, || is_time(session)) => Dropped::InTime,
    };
    assert!(!files_below(&place.temporary()).is_empty(), "{what}: nothing to remove");
    drop(stream);
    assert_no_files_soon(what, place).await;
    assert_eq!(session.spill_metrics().disk_bytes, 0, "{what}");
    when
}

/// When a query was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// When it was wanted.
    InTime,
    /// It had given rows before.
    WithRows,
}

async fn next_batch(stream: &mut QueryStream) -> Option<RecordBatch> {
    stream.try_next().await.unwrap()
}

async fn until(what: &str, happened: impl Fn() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < LONGEST, "{what}: waited in vain");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
