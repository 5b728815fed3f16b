//! Window functions whose rows are kept in memory, kept in part, or written to temporary files: each
//! gives the rows that plain DataFusion gives, whatever it is forced to do. Then failing disks, and
//! windows that are stopped.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::ipc::writer::FileWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::{ErrorKind, Knobs, Session, SessionOptions};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::Place;

/// A query that runs longer than this hangs.
const LONGEST: Duration = Duration::from_secs(60);

/// How soon the files of a query that ended are gone.
const SOON_GONE: Duration = Duration::from_millis(500);

/// Setups that each query runs under.
const SETUPS_A_QUERY: usize = 3;

/// Rows in a batch of the file.
const BATCH_ROWS: usize = 100;

// Tables.

#[derive(Debug, Clone, Copy)]
enum KeyType {
    Int64,
    Text,
    TextView,
    Decimal,
    Date,
}

/// How the partitions of a table are drawn.
#[derive(Debug, Clone, Copy)]
struct Draw {
    rows: usize,
    key_type: KeyType,
    /// How many partitions there are.
    keys: u32,
    /// How many of a hundred keys are NULL.
    nulls: u32,
    /// Whether nine of ten rows are in one partition.
    hot: bool,
}

/// A table `t`: `id` is unique, `g` and `h` make partitions, `k`, `ts` and `d` are to order by,
/// `v`, `f` and `s` are values.
fn table(seed: u64, draw: Draw) -> RecordBatch {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |limit: u32| random.next_u32() % limit;
    let mut columns: [Vec<Option<i64>>; 7] = Default::default();
    for row in 0..draw.rows {
        let key = if below(100) < draw.nulls {
            None
        } else if draw.hot && below(10) > 0 {
            Some(0)
        } else {
            Some(i64::from(below(draw.keys)))
        };
        let mut maybe = |limit: u32| (below(8) > 0).then(|| i64::from(below(limit)));
        let values =
            [Some(row as i64), key, maybe(3), maybe(40), maybe(1000), maybe(500), maybe(90)];
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
    }
    let [id, key, h, k, v, f, s] = columns;
    let each = |column: &[Option<i64>], value: &dyn Fn(i64) -> String| {
        column.iter().map(|number| number.map(value)).collect::<Vec<_>>()
    };
    let text = |number: i64| match number % 3 {
        0 => String::new(),
        1 => format!("{number}"),
        _ => format!("{number} is longer than what fits into a view"),
    };
    let g: ArrayRef = match draw.key_type {
        KeyType::Int64 => Arc::new(Int64Array::from(key)),
        KeyType::Text => Arc::new(StringArray::from(each(&key, &|key| format!("key {key}")))),
        KeyType::TextView => {
            Arc::new(StringViewArray::from(each(&key, &|key| format!("the key of number {key}"))))
        }
        KeyType::Decimal => {
            let cents = key.iter().map(|key| key.map(|key| i128::from(key) * 25));
            let decimals = Decimal128Array::from_iter(cents);
            Arc::new(decimals.with_precision_and_scale(12, 2).unwrap())
        }
        KeyType::Date => {
            Arc::new(Date32Array::from_iter(key.iter().map(|key| key.map(|key| key as i32 * 7))))
        }
    };
    let ts = k.iter().map(|k| k.map(|k| k * 3_600_000_000));
    let ts: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter(ts));
    let d: ArrayRef =
        Arc::new(Float64Array::from_iter(k.iter().map(|k| k.map(|k| k as f64 / 2.0))));
    let f: ArrayRef =
        Arc::new(Float64Array::from_iter(f.iter().map(|f| f.map(|f| f as f64 / 8.0))));
    let s: ArrayRef = Arc::new(StringViewArray::from(each(&s, &text)));
    let small = |column: Vec<Option<i64>>| -> ArrayRef {
        Arc::new(Int32Array::from_iter(column.iter().map(|value| value.map(|value| value as i32))))
    };
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(id)) as ArrayRef, true),
        ("g", g, true),
        ("h", small(h), true),
        ("k", small(k), true),
        ("ts", ts, true),
        ("d", d, true),
        ("v", Arc::new(Int64Array::from(v)), true),
        ("f", f, true),
        ("s", s, true),
    ])
    .unwrap()
}

fn pieces(batch: &RecordBatch) -> Vec<RecordBatch> {
    let starts = (0..batch.num_rows()).step_by(BATCH_ROWS);
    starts.map(|start| batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start))).collect()
}

// Windows.

/// Functions of a frame that does not depend on ORDER BY, with `{p}` for PARTITION BY.
const WHOLE: [&str; 11] = [
    "sum(v) OVER ({p})",
    "count(*) OVER ({p})",
    "count(v) OVER ({p})",
    "min(s) OVER ({p})",
    "max(f) OVER ({p})",
    "avg(f) OVER ({p})",
    "sum(v) FILTER (WHERE v > 500) OVER ({p})",
    "count(DISTINCT h) OVER ({p})",
    "median(v) OVER ({p})",
    "sum(f) OVER ({p} ORDER BY k ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
    "max(id) OVER ({p} ORDER BY k RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
];

const NUMBERS: [&str; 10] = [
    "row_number() OVER ({p} ORDER BY k, id)",
    "rank() OVER ({p} ORDER BY k)",
    "rank() OVER ({p} ORDER BY k DESC NULLS LAST, h)",
    "dense_rank() OVER ({p} ORDER BY k)",
    "dense_rank() OVER ({p} ORDER BY s NULLS FIRST)",
    "percent_rank() OVER ({p} ORDER BY k)",
    "cume_dist() OVER ({p} ORDER BY k)",
    "cume_dist() OVER ({p} ORDER BY id)",
    "ntile(7) OVER ({p} ORDER BY k, id)",
    "ntile(1000) OVER ({p} ORDER BY id DESC)",
];

const SHIFTS: [&str; 13] = [
    "lag(v) OVER ({p} ORDER BY k, id)",
    "lag(v, 3, -1) OVER ({p} ORDER BY k, id)",
    "lag(s, 150, 'none') OVER ({p} ORDER BY k, id)",
    "lag(v, 0) OVER ({p} ORDER BY k, id)",
    "lag(v, -2, 7) OVER ({p} ORDER BY k, id)",
    "lead(v) OVER ({p} ORDER BY k, id)",
    "lead(s, 2, 'none') OVER ({p} ORDER BY k, id)",
    "lead(f, 170, 0.5) OVER ({p} ORDER BY k DESC, id)",
    "lead(v, -2) OVER ({p} ORDER BY k, id)",
    "lag(v) IGNORE NULLS OVER ({p} ORDER BY k, id)",
    "lag(v, 4, -1) IGNORE NULLS OVER ({p} ORDER BY k, id)",
    "lead(s) IGNORE NULLS OVER ({p} ORDER BY k, id)",
    "lead(v, 3, -1) IGNORE NULLS OVER ({p} ORDER BY k, id)",
];

/// Frames, with ORDER BY, of rows that are all different.
const FRAMES_OF_ROWS: [&str; 12] = [
    "ORDER BY k, id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
    "ORDER BY k, id ROWS BETWEEN UNBOUNDED PRECEDING AND 3 FOLLOWING",
    "ORDER BY k, id ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING",
    "ORDER BY k, id ROWS BETWEEN 3 PRECEDING AND 2 FOLLOWING",
    "ORDER BY k, id ROWS BETWEEN 150 PRECEDING AND 120 FOLLOWING",
    "ORDER BY k DESC, id ROWS BETWEEN 2 FOLLOWING AND 5 FOLLOWING",
    "ORDER BY k NULLS LAST, id ROWS BETWEEN 5 PRECEDING AND 2 PRECEDING",
    "ORDER BY k, id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "ORDER BY k, id ROWS BETWEEN 3 PRECEDING AND UNBOUNDED FOLLOWING",
    "ORDER BY k, id ROWS BETWEEN 200 FOLLOWING AND UNBOUNDED FOLLOWING",
    "ORDER BY k, id ROWS BETWEEN CURRENT ROW AND CURRENT ROW",
    "ORDER BY k, id",
];

/// Frames that take in peers as a whole.
const FRAMES_OF_PEERS: [&str; 19] = [
    "ORDER BY k",
    "ORDER BY k DESC NULLS LAST",
    "ORDER BY k, h",
    "ORDER BY k RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING",
    "ORDER BY k RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING",
    "ORDER BY k DESC RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING",
    "ORDER BY k NULLS LAST RANGE BETWEEN 3 FOLLOWING AND 5 FOLLOWING",
    "ORDER BY k DESC NULLS FIRST RANGE BETWEEN 5 PRECEDING AND 3 PRECEDING",
    "ORDER BY k RANGE BETWEEN UNBOUNDED PRECEDING AND 4 PRECEDING",
    "ORDER BY k RANGE BETWEEN 10 PRECEDING AND UNBOUNDED FOLLOWING",
    "ORDER BY d RANGE BETWEEN 1.5 PRECEDING AND 0.5 FOLLOWING",
    "ORDER BY ts RANGE BETWEEN INTERVAL '3 hours' PRECEDING AND INTERVAL '1 hour' FOLLOWING",
    "ORDER BY k GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING",
    "ORDER BY k GROUPS BETWEEN 2 PRECEDING AND CURRENT ROW",
    "ORDER BY k DESC GROUPS BETWEEN CURRENT ROW AND 2 FOLLOWING",
    "ORDER BY k GROUPS BETWEEN 2 FOLLOWING AND 3 FOLLOWING",
    "ORDER BY k GROUPS BETWEEN 3 PRECEDING AND 2 PRECEDING",
    "ORDER BY k, h GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING",
    "ORDER BY k GROUPS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING",
];

const OF_ROWS: [&str; 18] = [
    "sum(v)",
    "sum(CAST(v AS DECIMAL(12, 2)))",
    "count(*)",
    "count(v)",
    "avg(f)",
    "min(ts)",
    "max(k)",
    "min(s)",
    "max(v)",
    "first_value(v)",
    "last_value(s)",
    "nth_value(v, 3)",
    "nth_value(v, -2)",
    "first_value(s) IGNORE NULLS",
    "last_value(v) IGNORE NULLS",
    "nth_value(v, 2) IGNORE NULLS",
    "nth_value(v, -3) IGNORE NULLS",
    "sum(v) FILTER (WHERE h = 1)",
];

const OF_PEERS: [&str; 8] =
    ["sum(v)", "sum(f)", "avg(f)", "count(*)", "count(s)", "max(f)", "max(ts)", "min(s)"];

/// All windows, with and without ORDER BY.
fn all_windows() -> Vec<String> {
    let listed = WHOLE.iter().chain(&NUMBERS).chain(&SHIFTS).map(|window| (*window).to_string());
    let framed = |functions: &'static [&str], frames: &'static [&str]| {
        functions.iter().flat_map(move |function| {
            frames.iter().map(move |frame| format!("{function} OVER ({{p}} {frame})"))
        })
    };
    listed
        .chain(framed(&OF_ROWS, &FRAMES_OF_ROWS))
        .chain(framed(&OF_PEERS, &FRAMES_OF_PEERS))
        .collect()
}

fn query(window: &str, partition_by: &str) -> String {
    format!("SELECT id, {} AS w FROM t", window.replace("{p}", partition_by))
}

/// What DataFusion gives for [`query`].
async fn expected(reference: &SessionContext, window: &str, partition_by: &str) -> Vec<String> {
    let mut sql = query(window, partition_by);
    if window.contains("lead(") && window.contains("IGNORE NULLS") {
        // Row by row, as it evaluates this by itself, it gives wrong rows. Beside a function that
        // needs the whole partition it evaluates all on that.
        let (_, over) = window.split_once("OVER (").unwrap();
        let order_by = over.split(" ROWS").next().unwrap().trim_end_matches(')');
        let other = format!("ntile(1) OVER ({order_by})").replace("{p}", partition_by);
        sql = sql.replace(" AS w", &format!(" AS w, {other} AS other"));
    }
    let batches = reference.sql(&sql).await.unwrap().collect().await;
    let batches = batches.unwrap_or_else(|err| panic!("{sql}: {err}"));
    let batches: Vec<_> = batches.iter().map(|batch| batch.project(&[0, 1]).unwrap()).collect();
    sorted_rows(&batches)
}

// Sessions.

/// How a session runs.
#[derive(Debug, Clone)]
struct Setup {
    threads: usize,
    batch_rows: usize,
    knobs: Knobs,
}

fn setup(threads: usize, batch_rows: usize, knobs: Knobs) -> Setup {
    Setup { threads, batch_rows, knobs: Knobs { reserved_only: true, ..knobs } }
}

fn knobs(window_bytes: u64, buckets: Option<usize>, least_levels: Option<u32>) -> Knobs {
    Knobs { window_bytes: Some(window_bytes), buckets, least_levels, ..Knobs::default() }
}

/// What windows are forced to do.
fn setups() -> Vec<Setup> {
    vec![
        // Nothing.
        setup(2, 8192, Knobs::default()),
        // All buckets go to disk and are evaluated in memory.
        setup(2, 64, knobs(0, None, None)),
        // One bucket, which does not divide and is streamed, with all rows on disk.
        setup(1, 32, knobs(0, Some(1), Some(1))),
        // Some buckets go to disk.
        setup(2, 1000, knobs(20_000, Some(16), None)),
        // Buckets are split twice; those of one key are streamed.
        setup(2, 50, knobs(0, Some(4), Some(2))),
        // Some rows of partitions that are streamed are kept in memory.
        setup(1, 32, knobs(3000, Some(1), Some(1))),
    ]
}

impl Setup {
    fn session(&self, place: &Place) -> Session {
        let mut options = SessionOptions::new()
            .threads(self.threads)
            .batch_rows(self.batch_rows)
            .temp_dirs([place.temporary()]);
        options.knobs = self.knobs.clone();
        Session::new(options).unwrap()
    }

    async fn open(&self, place: &Place) -> Session {
        let session = self.session(place);
        let frame = session.read_arrow(place.path("t.arrow")).await.unwrap();
        session.register("t", frame).unwrap();
        session
    }
}

/// Writes the table, and gives DataFusion's own session with it.
fn prepare(place: &Place, batch: &RecordBatch) -> SessionContext {
    let file = File::create(place.path("t.arrow")).unwrap();
    let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
    for piece in pieces(batch) {
        writer.write(&piece).unwrap();
    }
    writer.finish().unwrap();
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let table = MemTable::try_new(batch.schema(), vec![pieces(batch)]).unwrap();
    context.register_table("t", Arc::new(table)).unwrap();
    context
}

/// The rows of all batches as texts, sorted.
fn sorted_rows(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns = batch.columns().iter();
        let columns: Vec<_> =
            columns.map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            let mut text = String::new();
            for column in &columns {
                write!(text, "{}|", column.value(row)).unwrap();
            }
            rows.push(text);
        }
    }
    rows.sort_unstable();
    rows
}

async fn run(session: &Session, sql: &str) -> brimful::Result<Vec<RecordBatch>> {
    let query = Box::pin(async {
        let stream = session.sql(sql).await?.stream().await?;
        stream.try_collect::<Vec<_>>().await
    });
    match tokio::time::timeout(LONGEST, query).await {
        Ok(result) => result,
        Err(_) => panic!("does not end: {sql}"),
    }
}

/// Files below a folder, without those that only mark it as used.
fn files_below(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let count = |entry: fs::DirEntry| match entry.path().is_dir() {
        true => files_below(&entry.path()),
        false => usize::from(entry.file_name() != "lock"),
    };
    entries.flatten().map(count).sum()
}

async fn assert_no_files_soon(what: &str, place: &Place) {
    let started = Instant::now();
    while files_below(&place.temporary()) > 0 {
        assert!(started.elapsed() < SOON_GONE, "{what}: files are left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[track_caller]
fn assert_rows(what: &str, actual: &[String], expected: &[String]) {
    if actual != expected {
        let different = actual.iter().zip(expected).find(|(actual, expected)| actual != expected);
        panic!("{what}: {} rows of {}; {different:?}", actual.len(), expected.len());
    }
}

// Properties.

/// Runs windows as DataFusion does and in sessions that are forced to do otherwise.
async fn check(seed: u64, draw: Draw, windows: &[String], partitions: &[&str]) {
    let place = Place::new();
    let batch = table(seed, draw);
    let reference = prepare(&place, &batch);
    let mut sessions = Vec::new();
    for setup in setups() {
        sessions.push((setup.open(&place).await, setup));
    }
    for (index, window) in windows.iter().enumerate() {
        let partition_by = partitions[(index + seed as usize) % partitions.len()];
        let sql = query(window, partition_by);
        let expected = expected(&reference, window, partition_by).await;
        for step in 0..SETUPS_A_QUERY {
            // 5 has no factor in common with the number of setups.
            let turn = (index + seed as usize + 5 * step) % sessions.len();
            let (session, setup) = &sessions[turn];
            let what = format!("{draw:?}, {setup:?}, {sql}");
            let before = session.spill_metrics();
            let rows = run(session, &sql).await.unwrap_or_else(|err| panic!("{what}: {err}"));
            assert_rows(&what, &sorted_rows(&rows), &expected);
            let written = session.spill_metrics().raw_bytes - before.raw_bytes;
            if setup.knobs.window_bytes == Some(0) && draw.rows > 0 {
                assert!(written > 0, "{what}: nothing was spilled");
            }
            if setup.knobs.window_bytes.is_none() {
                assert_eq!(written, 0, "{what}: something was spilled");
            }
        }
    }
    assert_no_files_soon("all are read", &place).await;
}

const PARTITION_BY: [&str; 3] = ["PARTITION BY g", "PARTITION BY g, h", "PARTITION BY g + 1, h"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_window_over_many_partitions() {
    let draw = Draw { rows: 1500, key_type: KeyType::Int64, keys: 200, nulls: 10, hot: false };
    check(1, draw, &all_windows(), &PARTITION_BY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_window_over_few_partitions() {
    let draw = Draw { rows: 1200, key_type: KeyType::TextView, keys: 3, nulls: 10, hot: false };
    check(2, draw, &all_windows(), &PARTITION_BY[..2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_window_over_a_hot_partition() {
    let draw = Draw { rows: 1300, key_type: KeyType::Decimal, keys: 40, nulls: 2, hot: true };
    check(3, draw, &all_windows(), &["PARTITION BY g"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_window_over_all_rows() {
    let draw = Draw { rows: 900, key_type: KeyType::Int64, keys: 5, nulls: 5, hot: false };
    check(4, draw, &all_windows(), &[""]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_other_types_and_tables_that_are_almost_empty() {
    let draw = |rows, key_type, keys, nulls| Draw { rows, key_type, keys, nulls, hot: false };
    let windows: Vec<String> = all_windows().into_iter().step_by(9).collect();
    check(5, draw(700, KeyType::Text, 90, 20), &windows, &PARTITION_BY[..2]).await;
    check(6, draw(700, KeyType::Date, 700, 1), &windows, &PARTITION_BY[..1]).await;
    check(7, draw(0, KeyType::Int64, 1, 0), &windows, &["", "PARTITION BY g"]).await;
    check(8, draw(1, KeyType::Int64, 1, 0), &windows, &["", "PARTITION BY g"]).await;
    check(9, draw(300, KeyType::Text, 1, 100), &windows, &["PARTITION BY g, h", "PARTITION BY g"])
        .await;
}

// Plans.

async fn plan(session: &Session, sql: &str) -> String {
    let rows = sorted_rows(&run(session, &format!("EXPLAIN {sql}")).await.unwrap());
    rows.concat()
}

/// The value of a metric in what EXPLAIN ANALYZE says.
fn metric(text: &str, name: &str) -> usize {
    let (_, rest) = text.split_once(&format!("{name}=")).unwrap();
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buckets_are_split_and_streamed_where_they_must_be() {
    let draw = Draw { rows: 3000, key_type: KeyType::Int64, keys: 300, nulls: 0, hot: false };
    let sql = "EXPLAIN ANALYZE SELECT sum(v) OVER (PARTITION BY g ORDER BY k) FROM t";
    let cases = [
        (draw, knobs(0, Some(4), None), false, false),
        (draw, knobs(0, Some(4), Some(1)), true, false),
        (Draw { hot: true, ..draw }, knobs(0, Some(4), Some(2)), true, true),
        (draw, knobs(0, Some(1), Some(1)), false, true),
    ];
    for (draw, knobs, is_split, is_streamed) in cases {
        let place = Place::new();
        let _ = prepare(&place, &table(10, draw));
        let setup = setup(2, 100, knobs);
        let session = setup.open(&place).await;
        let text = sorted_rows(&run(&session, sql).await.unwrap()).concat();
        assert_eq!(metric(&text, "split_buckets") > 0, is_split, "{setup:?}: {text}");
        assert_eq!(metric(&text, "streamed_buckets") > 0, is_streamed, "{setup:?}: {text}");
        assert!(metric(&text, "spilled_rows") > 0, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_of_the_same_partitions_are_evaluated_together() {
    let place = Place::new();
    let draw = Draw { rows: 1000, key_type: KeyType::Int64, keys: 30, nulls: 5, hot: false };
    let reference = prepare(&place, &table(11, draw));
    let sql = "SELECT id, sum(v) OVER (PARTITION BY g, h) AS a, \
        row_number() OVER (PARTITION BY h, g ORDER BY id DESC) AS b, \
        lag(v) OVER (PARTITION BY g, h ORDER BY k, id) AS c, \
        rank() OVER (PARTITION BY g, h ORDER BY k) AS d FROM t";
    let expected = sorted_rows(&reference.sql(sql).await.unwrap().collect().await.unwrap());
    for setup in setups() {
        let session = setup.open(&place).await;
        let text = plan(&session, sql).await;
        assert_eq!(text.matches("SpillingWindowExec").count(), 1, "{text}");
        assert!(!text.contains("SortExec"), "{text}");
        let rows = sorted_rows(&run(&session, sql).await.unwrap());
        assert_rows(&format!("{setup:?}"), &rows, &expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_order_stays_so() {
    let place = Place::new();
    let draw = Draw { rows: 1000, key_type: KeyType::Int64, keys: 30, nulls: 5, hot: false };
    let _ = prepare(&place, &table(12, draw));
    let session = setup(2, 64, knobs(0, None, None)).open(&place).await;
    // The order of the rows is that of the window, so there is one sort alone.
    let sql = "SELECT id, sum(v) OVER (ORDER BY id) AS w FROM t ORDER BY id";
    let text = plan(&session, sql).await;
    assert!(text.contains("SortedWindowExec"), "{text}");
    assert_eq!(text.matches("SortExec").count(), 1, "{text}");
    // That of a window with partitions is not.
    for sql in [sql, "SELECT id, sum(v) OVER (PARTITION BY g ORDER BY id) FROM t ORDER BY id"] {
        let mut next = 0;
        for batch in run(&session, sql).await.unwrap() {
            let ids = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().clone();
            for id in ids.values() {
                assert_eq!(*id, next, "{sql}");
                next += 1;
            }
        }
        assert_eq!(next, 1000);
    }
}

// Memory and failures.

/// Windows over many rows, each with and without partitions.
fn large(rows: u32) -> [String; 3] {
    let t = format!(
        "(SELECT value AS v, value % 1000 AS g, 'text ' || value AS s \
         FROM generate_series(1, {rows})) AS t"
    );
    let query = |over: &str| format!("SELECT s, sum(v) {over} AS w FROM {t}");
    [query("OVER (PARTITION BY g)"), query("OVER (PARTITION BY g % 1)"), query("OVER ()")]
}

fn count(sql: &str) -> String {
    format!("SELECT count(s || w) AS n FROM ({sql}) AS windows")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn little_memory_is_enough_but_for_functions_that_keep_all_values() {
    let place = Place::new();
    let mut options = SessionOptions::new()
        .threads(2)
        .memory_limit_bytes(32 << 20)
        .temp_dirs([place.temporary()]);
    options.knobs.reserved_only = true;
    let session = Session::new(options).unwrap();
    for sql in large(1_000_000) {
        let before = session.spill_metrics().written_bytes;
        let rows = sorted_rows(&run(&session, &count(&sql)).await.unwrap());
        assert_eq!(rows, ["1000000|"], "{sql}");
        assert!(session.spill_metrics().written_bytes > before, "{sql}: nothing was spilled");
    }
    let sql = large(4_000_000)[2].replace("sum(v)", "median(v)");
    let error = run(&session, &count(&sql)).await.expect_err("the values of all rows fit");
    assert_eq!(error.kind(), ErrorKind::Resources, "{error}");
    assert!(error.to_string().contains("window functions"), "{error}");
    assert_no_files_soon("after the error", &place).await;
}

/// Everything goes to disk; with one bucket, partitions are streamed.
fn failing(fault: Knobs, buckets: usize) -> Setup {
    let forced = knobs(0, Some(buckets), Some(1));
    let (fail_write, alter_read) = (fault.fail_write, fault.alter_read);
    setup(2, 8192, Knobs { fail_write, alter_read, ..forced })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_is_an_error_that_names_the_place() {
    for buckets in [1, 4] {
        for write in [1, 5] {
            for sql in large(100_000) {
                let place = Place::new();
                let fault = Knobs { fail_write: Some(write), ..Knobs::default() };
                let session = failing(fault, buckets).session(&place);
                let error = run(&session, &count(&sql)).await.expect_err(&sql);
                assert_eq!(error.kind(), ErrorKind::Io, "{sql}: {error}");
                let folder = place.temporary();
                assert!(error.to_string().contains(folder.to_str().unwrap()), "{sql}: {error}");
                assert_no_files_soon(&sql, &place).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_was_altered_is_an_error_and_never_rows() {
    for buckets in [1, 4] {
        for read in [1, 3] {
            for sql in large(100_000) {
                let place = Place::new();
                let fault = Knobs { alter_read: Some(read), ..Knobs::default() };
                let session = failing(fault, buckets).session(&place);
                let error = run(&session, &count(&sql)).await.expect_err(&sql);
                assert!(error.to_string().contains("temporary file"), "{sql}: {error}");
                assert_no_files_soon(&sql, &place).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_is_dropped_leaves_no_file() {
    for buckets in [1, 4] {
        for sql in large(200_000) {
            let place = Place::new();
            let session = failing(Knobs::default(), buckets).session(&place);
            let mut stream = session.sql(&sql).await.unwrap().stream().await.unwrap();
            assert!(stream.try_next().await.unwrap().is_some(), "{sql}");
            assert!(stream.metrics().spilled_bytes > 0, "{sql}");
            // Small partitions may all have been read from disk by now; that of all rows was not.
            if sql.contains("OVER ()") {
                assert!(files_below(&place.temporary()) > 0, "{sql}: nothing to remove");
            }
            drop(stream);
            assert_no_files_soon(&sql, &place).await;
            let rows = sorted_rows(&run(&session, &count(&sql)).await.unwrap());
            assert_eq!(rows, ["200000|"], "{sql}");
        }
    }
}
