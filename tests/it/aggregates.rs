//! Aggregations whose rows are kept in memory or written to temporary files: every aggregate function
//! by keys of every type gives what DataFusion as it comes gives. Then tight limits, failing disks, and
//! aggregations that are stopped.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringViewArray,
};
use arrow::datatypes::Schema;
use brimful::{Knobs, Session};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;

use crate::support::{
    Draw, Dropped, Place, Random, Setup, assert_dropped_cleanly, assert_no_files_soon,
    assert_nothing_left_soon, assert_quota_is_kept, assert_read_fails, assert_rows,
    assert_write_fails, batches_and_spill, mixed_table, plain_batches, plain_datafusion, row_cells,
    rows_and_spill, sorted_rows, write_table,
};

/// Setups that each query of a property test runs under.
const SETUPS_A_QUERY: usize = 2;

// Tables and queries.

/// Columns to group by, and to aggregate `v` (integer), `w` (float), `x` (decimal), `z` (text) and
/// `b` (boolean).
fn table(seed: u64, draw: Draw) -> RecordBatch {
    let mut random = Random::new(seed);
    let keys = mixed_table(&mut random, draw);
    let mut numbers = || -> Vec<Option<u32>> {
        (0..draw.rows).map(|_| (random.below(8) > 0).then(|| random.below(100))).collect()
    };
    let v: Int64Array = numbers().into_iter().map(|n| n.map(i64::from)).collect();
    let w: Float64Array = numbers().into_iter().map(|n| n.map(|n| f64::from(n) / 4.0)).collect();
    let x: Decimal128Array = numbers().into_iter().map(|n| n.map(i128::from)).collect();
    let x = x.with_precision_and_scale(12, 2).unwrap();
    let text = |n: u32| if n == 0 { String::new() } else { "ab".repeat(n as usize % 12) + "z" };
    let z: StringViewArray = numbers().into_iter().map(|n| n.map(text)).collect();
    let b: BooleanArray = numbers().into_iter().map(|n| n.map(|n| n > 50)).collect();
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    for (field, column) in keys.schema().fields().iter().zip(keys.columns()) {
        columns.push((field.name().clone(), Arc::clone(column)));
    }
    let values: [(&str, ArrayRef); 5] = [
        ("v", Arc::new(v)),
        ("w", Arc::new(w)),
        ("x", Arc::new(x)),
        ("z", Arc::new(z)),
        ("b", Arc::new(b)),
    ];
    columns.extend(values.map(|(name, column)| (name.to_string(), column)));
    RecordBatch::try_from_iter(columns).unwrap()
}

/// What is grouped by: columns and expressions of them.
const KEYS: [&str; 21] = [
    "i",
    "l",
    "u",
    "f",
    "e",
    "d",
    "o",
    "a",
    "m",
    "s",
    "p",
    "q",
    "c",
    "y",
    "n",
    "r",
    "i % 7",
    "length(s)",
    "coalesce(s, p)",
    "v > 50",
    "date_trunc('month', m)",
];

/// Every aggregate function that has one answer, whatever the order of the rows.
const AGGREGATES: [&str; 77] = [
    "count(*)",
    "count(v)",
    "count(v, z)",
    "count(*) FILTER (WHERE v > 30)",
    "count(DISTINCT v)",
    "count(DISTINCT w)",
    "count(DISTINCT z)",
    "count(DISTINCT z) FILTER (WHERE b)",
    "count(DISTINCT n)",
    "sum(v)",
    "sum(w)",
    "sum(x)",
    "sum(v) FILTER (WHERE z > 'b')",
    "sum(DISTINCT v)",
    "avg(v)",
    "avg(w)",
    "avg(x)",
    "avg(w) FILTER (WHERE v > 99)",
    "avg(DISTINCT v)",
    "min(v)",
    "max(v)",
    "min(w)",
    "max(w)",
    "min(x)",
    "max(d)",
    "min(z)",
    "max(z)",
    "max(z) FILTER (WHERE v > 90)",
    "min(s)",
    "max(q)",
    "min(b)",
    "max(b)",
    "min(a)",
    "max(m)",
    "min(y)",
    "max(n)",
    "any_value(v * 0)",
    "stddev(w)",
    "stddev_pop(v)",
    "var_samp(w)",
    "var_pop(v)",
    "covar_samp(v, w)",
    "covar_pop(v, w)",
    "corr(id, v)",
    "regr_slope(v, id)",
    "regr_intercept(v, id)",
    "regr_count(v, w)",
    "regr_r2(v, id)",
    "regr_avgx(v, w)",
    "regr_avgy(v, w)",
    "regr_sxx(v, w)",
    "regr_syy(v, w)",
    "regr_sxy(v, w)",
    "bit_and(v)",
    "bit_or(v)",
    "bit_xor(v)",
    "bool_and(b)",
    "bool_or(b)",
    "first_value(z ORDER BY id)",
    "first_value(z ORDER BY id DESC) FILTER (WHERE b)",
    "last_value(v ORDER BY id)",
    "nth_value(z, 2 ORDER BY id)",
    "nth_value(v, -2 ORDER BY id)",
    "array_agg(v ORDER BY id)",
    "array_agg(z ORDER BY id DESC)",
    "array_agg(r ORDER BY id)",
    "array_sort(array_agg(v), 'ASC', 'NULLS LAST')",
    "array_sort(array_agg(z) FILTER (WHERE b), 'ASC', 'NULLS LAST')",
    "array_sort(array_agg(DISTINCT v), 'ASC', 'NULLS LAST')",
    "array_agg(DISTINCT z ORDER BY z)",
    "string_agg(z, ',' ORDER BY id)",
    "string_agg(z, ',' ORDER BY id) FILTER (WHERE v > 20)",
    "median(v)",
    "median(w)",
    "median(DISTINCT v)",
    "percentile_cont(0.3) WITHIN GROUP (ORDER BY w)",
    "approx_distinct(z)",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grouping {
    Plain,
    Rollup,
    Cube,
    /// All keys, the first, the last, and none.
    Sets,
}

#[derive(Debug, Clone)]
struct Query {
    keys: Vec<&'static str>,
    aggregates: Vec<&'static str>,
    grouping: Grouping,
    having: &'static str,
}

impl Query {
    fn plain(keys: &[&'static str], aggregates: &[&'static str]) -> Query {
        let (keys, aggregates) = (keys.to_vec(), aggregates.to_vec());
        Query { keys, aggregates, grouping: Grouping::Plain, having: "" }
    }

    fn random(random: &mut Random) -> Query {
        let keys = random.some_of(&KEYS, 4);
        let aggregates = random.some_of(&AGGREGATES, 6);
        let plain = Grouping::Plain;
        let groupings = [plain, plain, plain, Grouping::Rollup, Grouping::Cube, Grouping::Sets];
        let grouping = *random.one_of(&groupings);
        let having = ["", "", "", " HAVING count(*) > 2", " HAVING max(v) < 60 OR max(v) IS NULL"];
        Query { keys, aggregates, grouping, having: random.one_of::<&str>(&having) }
    }

    /// How many columns tell the groups apart: the keys and, for grouping sets, which are used.
    fn width(&self) -> usize {
        let sets = usize::from(self.grouping != Grouping::Plain);
        self.keys.len() * (1 + sets)
    }

    fn sql(&self) -> String {
        let keys = self.keys.join(", ");
        let (first, last) = (self.keys[0], self.keys[self.keys.len() - 1]);
        let groups = match self.grouping {
            Grouping::Plain => keys.clone(),
            Grouping::Rollup => format!("ROLLUP ({keys})"),
            Grouping::Cube => format!("CUBE ({keys})"),
            Grouping::Sets => format!("GROUPING SETS (({keys}), ({first}), ({last}), ())"),
        };
        let mut columns: Vec<String> = self.keys.iter().map(|key| key.to_string()).collect();
        if self.grouping != Grouping::Plain {
            columns.extend(self.keys.iter().map(|key| format!("grouping({key})")));
        }
        columns.extend(self.aggregates.iter().map(|aggregate| aggregate.to_string()));
        let columns = columns.iter().enumerate();
        let columns: Vec<String> = columns.map(|(n, column)| format!("{column} AS c{n}")).collect();
        format!("SELECT {} FROM t GROUP BY {groups}{}", columns.join(", "), self.having)
    }

    /// The rows in the order of their keys.
    fn rows(&self, batches: &[RecordBatch]) -> Vec<Vec<String>> {
        let mut rows: Vec<Vec<String>> = batches.iter().flat_map(row_cells).collect();
        rows.sort_by(|a, b| a[..self.width()].cmp(&b[..self.width()]));
        rows
    }
}

/// Checks that rows are the same, but for the last digits of what is computed with floats.
#[track_caller]
fn assert_near(what: &str, actual: &[Vec<String>], expected: &[Vec<String>], width: usize) {
    assert_eq!(actual.len(), expected.len(), "{what}: number of rows");
    for (actual, expected) in actual.iter().zip(expected) {
        let cells = actual.iter().zip(expected).enumerate();
        for (column, (actual_cell, expected_cell)) in cells {
            let is_same = actual_cell == expected_cell
                || (column >= width && is_near(actual_cell, expected_cell));
            assert!(is_same, "{what}: column {column}: {actual:?} is not {expected:?}");
        }
    }
}

fn is_near(actual: &str, expected: &str) -> bool {
    match (actual.parse::<f64>(), expected.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) + 1e-9,
        _ => false,
    }
}

// Properties.

fn knobs(aggregate_bytes: u64, buckets: Option<usize>, least_levels: Option<u32>) -> Knobs {
    let aggregate_bytes = Some(aggregate_bytes);
    Knobs { aggregate_bytes, buckets, least_levels, ..Knobs::default() }
}

/// What the aggregations are forced to do.
fn setups() -> Vec<Setup> {
    vec![
        Setup::new(1, 8192, knobs(0, Some(4), None)),
        Setup::new(4, 64, knobs(0, Some(64), None)).parquet(),
        Setup::new(2, 8192, knobs(0, Some(1), None)),
        Setup::new(2, 1000, knobs(0, Some(2), Some(3))),
        Setup::new(1, 64, knobs(20_000, Some(16), Some(1))).parquet(),
        Setup::new(2, 8192, knobs(0, None, Some(2))).parquet(),
        Setup::new(4, 100, knobs(5000, Some(8), None)),
        Setup::new(2, 8192, Knobs::default()),
    ]
}

/// A table, and the sessions that read it.
struct Case {
    place: Place,
    plain: SessionContext,
    sessions: Vec<(Setup, Session)>,
    what: String,
    has_rows: bool,
    /// Queries that have run.
    count: usize,
}

impl Case {
    async fn new(seed: u64, draw: Draw) -> Case {
        let place = Place::new();
        let table = table(seed, draw);
        write_table(&place, "t", &table);
        let plain = plain_datafusion("t", &table);
        let mut sessions = Vec::new();
        for setup in setups() {
            let session = setup.open(&place, &["t"]).await;
            sessions.push((setup, session));
        }
        let (what, has_rows) = (format!("{seed}, {draw:?}"), draw.rows > 0);
        Case { place, plain, sessions, what, has_rows, count: seed as usize }
    }

    /// What a query gives in some of the sessions, which must spill if they are told to keep nothing.
    async fn results(&mut self, sql: &str, must_spill: bool) -> Vec<(String, Vec<RecordBatch>)> {
        let mut results = Vec::new();
        for step in 0..SETUPS_A_QUERY {
            // 3 has no factor in common with the number of setups.
            let (setup, session) = &self.sessions[(self.count + 3 * step) % self.sessions.len()];
            let what = format!("{}, {setup:?}, {sql}", self.what);
            let (batches, spilled_bytes) = batches_and_spill(&what, session, sql).await;
            if must_spill && self.has_rows && setup.knobs.aggregate_bytes == Some(0) {
                assert!(spilled_bytes > 0, "{what}: nothing was spilled");
            }
            results.push((what, batches));
        }
        self.count += 1;
        results
    }

    async fn check(&mut self, query: &Query) {
        let sql = query.sql();
        let expected = query.rows(&plain_batches(&self.plain, &sql).await);
        for (what, batches) in self.results(&sql, true).await {
            assert_near(&what, &query.rows(&batches), &expected, query.width());
        }
    }

    /// Any query, whose rows must be exactly the same.
    async fn check_exactly(&mut self, sql: &str, must_spill: bool) {
        let expected = sorted_rows(&plain_batches(&self.plain, sql).await);
        for (what, batches) in self.results(sql, must_spill).await {
            assert_rows(&what, &sorted_rows(&batches), &expected);
        }
    }

    async fn close(self) {
        assert_no_files_soon(&self.what, &self.place).await;
        for (setup, session) in &self.sessions {
            let metrics = session.spill_metrics();
            let must_spill = self.has_rows && setup.knobs.aggregate_bytes == Some(0);
            assert!(metrics.written_bytes > 0 || !must_spill, "{}, {setup:?}", self.what);
            assert_eq!(metrics.disk_bytes, 0, "{}, {setup:?}", self.what);
        }
        drop(self.sessions);
        assert_nothing_left_soon(&self.what, &self.place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_aggregate_function() {
    for (seed, keys, key) in [(1, 50, "i"), (2, 300, "s")] {
        let mut case = Case::new(seed, Draw { rows: 1500, keys, nulls: 5 }).await;
        for aggregate in AGGREGATES {
            case.check(&Query::plain(&[key], &[aggregate])).await;
        }
        case.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_every_type() {
    let mut case = Case::new(10, Draw { rows: 1200, keys: 60, nulls: 10 }).await;
    for key in KEYS {
        case.check(&Query::plain(&[key], &["count(*)", "sum(v)", "max(z)"])).await;
        case.check(&Query::plain(&[key], &["array_agg(v ORDER BY id)", "count(DISTINCT z)"])).await;
        case.check(&Query::plain(&[key, "o"], &["avg(w)", "median(v)"])).await;
    }
    case.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_aggregations() {
    let mut random = Random::new(20);
    let draw = |rows, keys, nulls| Draw { rows, keys, nulls };
    // Few groups, many, nearly all different, one for each value of each column, hardly any rows.
    let draws = [
        draw(1200, 6, 10),
        draw(1000, 100, 5),
        draw(900, 100_000, 2),
        draw(700, 1, 30),
        draw(3, 5, 20),
        draw(0, 1, 0),
    ];
    for (number, draw) in draws.into_iter().enumerate() {
        let mut case = Case::new(20 + number as u64, draw).await;
        for _ in 0..25 {
            case.check(&Query::random(&mut random)).await;
        }
        case.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn distinct_rows_and_sets_of_them() {
    let queries = [
        "SELECT DISTINCT i, o FROM t",
        "SELECT DISTINCT s, n, r FROM t",
        "SELECT DISTINCT ON (i) i, id, z FROM t ORDER BY i, id",
        "SELECT i, s FROM t UNION SELECT v, z FROM t",
        "SELECT f FROM t UNION SELECT w FROM t",
        "SELECT v FROM t WHERE b INTERSECT SELECT v FROM t WHERE NOT b",
        "SELECT i FROM t EXCEPT SELECT i FROM t WHERE b",
        "SELECT count(*), sum(c) FROM (SELECT s, count(*) AS c FROM t GROUP BY s)",
        "SELECT c, count(*) FROM (SELECT i, count(*) AS c FROM t GROUP BY i) GROUP BY c",
        "SELECT i, count(*) FROM t GROUP BY i ORDER BY 2 DESC, 1 LIMIT 5",
        "SELECT i, max(v) FROM t GROUP BY i HAVING sum(v) > (SELECT avg(v) FROM t) * 3",
        "SELECT i + 1, upper(s), count(*) FROM t WHERE i < 5000 GROUP BY i + 1, upper(s)",
        "SELECT i, (SELECT count(DISTINCT z) FROM t AS other WHERE other.i = t.i) FROM t WHERE id < 50",
        "SELECT a.s, a.c, b.c FROM (SELECT s, count(*) AS c FROM t GROUP BY s) AS a \
         JOIN (SELECT s, array_length(array_agg(v)) AS c FROM t GROUP BY s) AS b ON a.s = b.s",
    ];
    for (seed, rows) in [(40, 1000), (41, 0)] {
        let mut case = Case::new(seed, Draw { rows, keys: 40, nulls: 10 }).await;
        for (number, sql) in queries.iter().enumerate() {
            case.check_exactly(sql, number < 5).await;
        }
        case.close().await;
    }
}

/// Estimates depend on the order of the rows, so they are compared with what they estimate.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn estimates_are_near() {
    let sql = "SELECT i, abs(approx_median(v) - median(v)) <= 5, \
        abs(approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY w) \
            - percentile_cont(0.9) WITHIN GROUP (ORDER BY w)) <= 2, \
        abs(approx_percentile_cont_with_weight(1, 0.5) WITHIN GROUP (ORDER BY w) - median(w)) <= 2, \
        abs(approx_distinct(id) - count(*)) <= 0.05 * count(*) FROM t GROUP BY i";
    let mut case = Case::new(50, Draw { rows: 3000, keys: 5, nulls: 10 }).await;
    for _ in setups() {
        for (what, batches) in case.results(sql, true).await {
            let rows: Vec<Vec<String>> = batches.iter().flat_map(row_cells).collect();
            assert_eq!(rows.len(), 6, "{what}");
            for row in rows {
                assert!(row[1..].iter().all(|cell| cell == "true"), "{what}: {row:?}");
            }
        }
    }
    case.close().await;
}

/// Each row draws its key once, or a group would be in several buckets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_drawn_at_random() {
    let place = Place::new();
    for setup in setups() {
        let session = setup.session(&place);
        for aggregate in ["count(*)", "array_length(array_agg(value))", "median(value)"] {
            let sql = format!(
                "SELECT count(*), count(DISTINCT k) FROM (SELECT CAST(floor(random() * 5) AS INT) AS k, \
                 {aggregate} AS a FROM generate_series(1, 3000) GROUP BY CAST(floor(random() * 5) AS INT))"
            );
            let (rows, _) = rows_and_spill(&sql, &session, &sql).await;
            assert_eq!(rows, ["5|5"], "{setup:?}, {sql}");
        }
    }
}

// Many rows.

/// DataFusion as it comes, without a table of use.
fn plain() -> SessionContext {
    plain_datafusion("nothing", &RecordBatch::new_empty(Schema::empty().into()))
}

/// 300,000 rows of a key, a value and a text.
fn series(key: &str) -> String {
    format!(
        "(SELECT {key} AS k, value AS v, 'a rather long text of the row ' || value AS s \
         FROM generate_series(1, 300000)) AS t"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregations_keep_within_tight_limits() {
    let all_different = series("value * 7919 % 400009");
    let many = series("value % 70001");
    let few = series("value % 50");
    let hot = series("CASE WHEN value % 8 = 0 THEN 0 ELSE value END");
    let queries = [
        format!("SELECT k, s, count(*) AS a, sum(v) AS b FROM {all_different} GROUP BY k, s"),
        format!("SELECT s AS k, max(v) AS a, sum(k) AS b FROM {all_different} GROUP BY s"),
        format!("SELECT s AS k, 1 AS a, 2 AS b FROM (SELECT DISTINCT s, k FROM {all_different})"),
        format!(
            "SELECT k, length(max(s)) AS a, length(string_agg(s, '')) AS b FROM {many} GROUP BY k"
        ),
        format!(
            "SELECT k, median(v) AS a, percentile_cont(0.9) WITHIN GROUP (ORDER BY v) + length(max(s)) AS b \
                 FROM {few} GROUP BY k"
        ),
        format!("SELECT k, count(DISTINCT s) AS a, count(DISTINCT v) AS b FROM {few} GROUP BY k"),
        format!(
            "SELECT k, array_length(array_agg(s)) AS a, count(DISTINCT v) AS b FROM {hot} GROUP BY k"
        ),
        format!("SELECT k, grouping(s) AS a, count(*) AS b FROM {many} GROUP BY ROLLUP (k, s)"),
    ];
    let plain = plain();
    for sql in queries {
        let sql = format!("SELECT count(*), count(k), sum(a), sum(b), min(b), max(b) FROM ({sql})");
        let expected = sorted_rows(&plain_batches(&plain, &sql).await);
        for threads in [1, 2, 4] {
            let place = Place::new();
            let setup = Setup::new(threads, 8192, Knobs::default()).memory_limit_bytes(32 << 20);
            let session = setup.session(&place);
            let what = format!("{setup:?}, {sql}");
            let (rows, spilled_bytes) = rows_and_spill(&what, &session, &sql).await;
            assert_eq!(rows, expected, "{what}");
            assert!(spilled_bytes > 0, "{what}: nothing was spilled");
            assert_no_files_soon(&what, &place).await;
            assert_eq!(session.spill_metrics().disk_bytes, 0, "{what}");
        }
    }
}

// Failures.

/// Lists, which are collected as rows, and counts, which come from partial ones.
const LISTS: &str = "SELECT value % 5000 AS k, array_agg('text ' || value) AS l \
    FROM generate_series(1, 20000) GROUP BY k";
const COUNTS: &str = "SELECT value * 7919 % 20011 AS k, count(*) AS n \
    FROM generate_series(1, 20000) GROUP BY k";

fn failing_setup(threads: usize, fault: Knobs) -> Setup {
    let (aggregate_bytes, buckets, least_levels) = (Some(0), Some(4), Some(2));
    Setup::new(threads, 1000, Knobs { aggregate_bytes, buckets, least_levels, ..fault })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_is_an_error_that_names_the_place() {
    // The first level writes a block of each bucket for each of 20 batches; then others follow.
    for (sql, threads, writes) in [(LISTS, 1, 12), (COUNTS, 2, 12)] {
        for write in (1..=writes).chain([81, 90, 100, 120]) {
            let fault = Knobs { fail_write: Some(write), ..Knobs::default() };
            assert_write_fails(&failing_setup(threads, fault), sql).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_was_altered_is_an_error_and_never_rows() {
    for (sql, threads) in [(LISTS, 1), (COUNTS, 2)] {
        for read in (1..=12).chain([60, 100]) {
            let fault = Knobs { alter_read: Some(read), ..Knobs::default() };
            assert_read_fails(&failing_setup(threads, fault), sql).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_files_of_aggregations_have_a_limit() {
    for bytes in [1000, 20_000] {
        for sql in [LISTS, COUNTS] {
            let setup = failing_setup(2, Knobs::default()).max_temp_bytes(bytes);
            assert_quota_is_kept(&setup, sql).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregation_that_is_dropped_leaves_no_file() {
    const ENDLESS: &str = "SELECT value % 1000 AS k, array_agg(value) \
        FROM generate_series(1, 100000000000) GROUP BY k";
    for threads in [1, 2] {
        let place = Place::new();
        let session = failing_setup(threads, Knobs::default()).session(&place);
        let wrote = |session: &Session| session.spill_metrics().written_bytes > 100_000;
        let when = assert_dropped_cleanly("collecting", &place, &session, ENDLESS, wrote).await;
        assert_eq!(when, Dropped::InTime);
        for sql in [LISTS, COUNTS] {
            // Each level has a file of its own for each bucket of the level above.
            let before = session.spill_metrics().files;
            let splitting = |session: &Session| session.spill_metrics().files > before + 1;
            assert_dropped_cleanly("splitting", &place, &session, sql, splitting).await;
            let never = |_: &Session| false;
            let when = assert_dropped_cleanly("giving", &place, &session, sql, never).await;
            assert_eq!(when, Dropped::WithRows);
        }
        let (rows, _) = rows_and_spill("the next", &session, LISTS).await;
        assert_eq!(rows.len(), 5000);
        drop(session);
        assert_nothing_left_soon("the session is closed", &place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregation_that_is_dropped_gives_its_memory_back() {
    let place = Place::new();
    let setup = Setup::new(1, 1000, Knobs::default()).memory_limit_bytes(32 << 20);
    let session = setup.session(&place);
    let sql =
        "SELECT value * 7919 % 400009 AS k, count(*) FROM generate_series(1, 250000) GROUP BY k";
    for round in 0..8 {
        let mut stream = session.sql(sql).await.unwrap().stream().await.unwrap();
        assert!(stream.try_next().await.unwrap().is_some(), "round {round}");
        assert_eq!(stream.metrics().spilled_bytes, 0, "round {round}");
    }
}
