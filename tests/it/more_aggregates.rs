//! Aggregates that DataFusion does not have: what plans of counts, accumulators of groups and
//! windows give is the same, and more values than memory are no obstacle.

use arrow::record_batch::RecordBatch;
use brimful::{Knobs, Session, SessionOptions};

use crate::support::{Place, row_cells, run_all};

/// Of an integer `x`, a float `y`, a text `s` and a boolean `b`.
const AGGREGATES: [&str; 30] = [
    "mode(x)",
    "mode(s)",
    "mode(DISTINCT y)",
    "mode(x) FILTER (WHERE b)",
    "entropy(x)",
    "entropy(s)",
    "entropy(DISTINCT s)",
    "histogram(x)",
    "histogram(s) FILTER (WHERE b)",
    "histogram(DISTINCT b)",
    "approx_top_k(s, 3)",
    "approx_top_k(x, 2)",
    "collect_set(y)",
    "quantile_disc(x, 0.3)",
    "quantile_disc(s, 0.5)",
    "quantile_disc(DISTINCT x, -0.25)",
    "quantile_disc(y, [0, 0.1, 0.5, 1])",
    "quantile_cont(y, [0.25, 0.5])",
    "mad(y)",
    "mad(DISTINCT x)",
    "product(y) FILTER (WHERE y > 0.5)",
    "skewness(x)",
    "kurtosis(DISTINCT x)",
    "weighted_avg(x, y)",
    "arg_max(s, x)",
    "arg_min(x, s)",
    "arg_max_null(s, y)",
    "arg_max(s, x, 3)",
    "max(y, 4)",
    "count_if(b)",
];

async fn open(place: &Place, memory_limit_bytes: u64, knobs: Knobs) -> Session {
    let mut options = SessionOptions::new().temp_dirs([place.temporary()]).threads(2);
    options.knobs = Knobs { reserved_only: true, ..knobs };
    Session::new(options.memory_limit_bytes(memory_limit_bytes)).unwrap()
}

/// The rows in order.
async fn rows(session: &Session, sql: &str) -> Vec<Vec<String>> {
    let frame = session.sql(sql).await.unwrap_or_else(|err| panic!("{sql}: {err}"));
    let batches: Vec<RecordBatch> =
        frame.collect().await.unwrap_or_else(|err| panic!("{sql}: {err}"));
    let mut rows: Vec<_> = batches.iter().flat_map(row_cells).collect();
    rows.sort();
    rows
}

fn is_near(a: &str, b: &str) -> bool {
    let close = |(a, b): (f64, f64)| (a - b).abs() <= 1e-9 * a.abs().max(1.0);
    a == b || a.parse().ok().zip(b.parse().ok()).is_some_and(close)
}

/// Checks that the rows are the same but for the rounding of floats.
#[track_caller]
fn assert_near(what: &str, actual: &[Vec<String>], expected: &[Vec<String>]) {
    let same = actual.len() == expected.len()
        && actual.iter().flatten().zip(expected.iter().flatten()).all(|(a, b)| is_near(a, b));
    assert!(same, "{what}\ngives {actual:?}\nnot   {expected:?}");
}

/// A table of so many rows in five groups, one of them NULL and one without values.
async fn make_table(session: &Session, rows: usize) {
    let sql = format!(
        "CREATE TABLE t AS SELECT nullif(k, 4) AS k, x, y, s, b FROM (
            SELECT value % 5 AS k,
                CASE WHEN value % 5 <> 2 AND value % 11 <> 0 THEN value * value % 23 END AS x,
                CASE WHEN value % 5 <> 2 AND value % 7 <> 0
                    THEN CAST(value * 7 % 17 AS DOUBLE) / 8 END AS y,
                CASE WHEN value % 5 <> 2 AND value % 13 <> 0
                    THEN repeat('ab', CAST(value * value % 6 AS INT)) END AS s,
                value % 3 = 0 AS b
            FROM generate_series(1, {rows}))"
    );
    run_all(session, &sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_accumulators_and_windows_agree() {
    let place = Place::new();
    let on_disk = Knobs {
        aggregate_bytes: Some(0),
        window_bytes: Some(0),
        sort_bytes: Some(0),
        attempt_bytes: Some(0),
        ..Knobs::default()
    };
    for (knobs, table_rows) in [(Knobs::default(), 3000), (on_disk, 700), (Knobs::default(), 3)] {
        let session = open(&place, 512 << 20, knobs).await;
        make_table(&session, table_rows).await;
        for aggregate in AGGREGATES {
            let plan = format!("SELECT k, {aggregate} AS r FROM t GROUP BY k");
            // Grouping sets are left to the accumulators.
            let sets = format!(
                "SELECT k, r FROM (SELECT k, grouping(k) AS of_all, {aggregate} AS r
                FROM t GROUP BY ROLLUP (k)) WHERE of_all = 0"
            );
            let expected = rows(&session, &plan).await;
            assert_eq!(expected.len(), table_rows.min(5), "{plan}");
            assert_near(&sets, &rows(&session, &sets).await, &expected);
            if !aggregate.contains("FILTER") {
                let window = format!(
                    "SELECT k, r FROM (SELECT k, {aggregate} OVER (PARTITION BY k) AS r,
                    row_number() OVER (PARTITION BY k) AS n FROM t) WHERE n = 1"
                );
                assert_near(&window, &rows(&session, &window).await, &expected);
            }
            let whole = format!("SELECT {aggregate} AS r FROM t");
            let set = format!(
                "SELECT r FROM (SELECT grouping(k) AS of_all, {aggregate} AS r
                FROM t GROUP BY ROLLUP (k)) WHERE of_all = 1"
            );
            assert_near(&whole, &rows(&session, &whole).await, &rows(&session, &set).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_values_than_memory() {
    let place = Place::new();
    let session = open(&place, 48 << 20, Knobs::default()).await;
    // A value of a group is there once, but for 0, which is there twice.
    let sql = "SELECT value % 2 AS g, mode(value), round(entropy(value), 6),
            quantile_disc(value, 0.5), quantile_disc(value, [0.25, 1]), approx_top_k(value, 2),
            arg_max(value, -value), count_if(value > 4)
        FROM (SELECT value FROM generate_series(1, 2000000)
            UNION ALL SELECT * FROM (VALUES (20), (33)))
        GROUP BY value % 2";
    let bits = |n: f64| {
        let total = n + 1.0;
        let entropy = total.log2() - 2.0 / total;
        format!("{:?}", (entropy * 1e6).round() / 1e6)
    };
    let expected = [
        ["0", "20", &bits(1e6), "1000000", "[500000, 2000000]", "[20, 2]", "2", "999999"],
        ["1", "33", &bits(1e6), "999999", "[499999, 1999999]", "[33, 1]", "1", "999999"],
    ];
    let expected = expected.map(|row| row.map(str::to_string).to_vec());
    assert_near(sql, &rows(&session, sql).await, &expected);
    assert!(session.spill_metrics().written_bytes > 0, "{:?}", session.spill_metrics());
}
