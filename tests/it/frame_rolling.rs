//! Rolling windows, by rows and by time. What Polars 2.1 gives is in the comments as the call.

use brimful::aggregates::{avg, count, first_by, quantile, sum};
use brimful::{Closed, DataFrame, Expr, ExprMethods, Knobs, Result, Rolling, RollingBy, col};

use crate::support::series::{
    assert_close, frame_of, line, numbers, series, small_session, two_series,
};
use crate::support::{Place, Setup, assert_query_error};

/// `s = pl.Series([1.0, None, 3.0, 4.0, 8.0, 6.0])`
const VALUES: [Option<f64>; 6] = [Some(1.0), None, Some(3.0), Some(4.0), Some(8.0), Some(6.0)];

/// `df`: times and values.
const TIMES: &str = "SELECT CAST(t AS TIMESTAMP(6)) AS t, CAST(y AS DOUBLE) AS y FROM (VALUES \
    ('2024-01-01T04:00:00', 4), ('2024-01-01T00:30:00', 1), ('2024-01-01T01:00:00', NULL), \
    ('2024-01-01T05:59:00', 8), ('2024-01-01T01:20:00', 3)) AS t(t, y)";

fn up(name: &str) -> brimful::SortExpr {
    col(name).sort(true, false)
}

async fn both(what: &str, expr: Result<Expr>, expected: [f64; 6]) {
    let expected = expected.map(|x| (!x.is_nan()).then_some(x));
    let expr = expr.unwrap();
    let alone = expr.clone().ordered(&["i"]).alias("r");
    let frame = series(&VALUES).await.select([col("i"), alone]).unwrap();
    assert_close(what, &numbers(frame.sort([up("i")]).unwrap()).await, &expected);
    let grouped = expr.over(&["k"]).ordered(&["i"]).alias("r");
    let frame = two_series(&VALUES).await.select([col("k"), col("i"), grouped]).unwrap();
    let twice = [expected, expected].concat();
    assert_close(what, &numbers(frame.sort([up("k"), up("i")]).unwrap()).await, &twice);
}

#[tokio::test]
async fn by_rows() {
    const N: f64 = f64::NAN;
    let x = || col("x");
    // s.rolling_sum(3) and so on
    both("sum", x().rolling_sum(3), [N, N, N, N, 15.0, 18.0]).await;
    both("mean", x().rolling_mean(3), [N, N, N, N, 5.0, 6.0]).await;
    both("min", x().rolling_min(3), [N, N, N, N, 3.0, 4.0]).await;
    both("max", x().rolling_max(3), [N, N, N, N, 8.0, 8.0]).await;
    both("std", x().rolling_std(3), [N, N, N, N, 2.6457513110645907, 2.0]).await;
    both("var", x().rolling_var(3), [N, N, N, N, 7.0, 4.0]).await;
    both("median", x().rolling_median(3), [N, N, N, N, 4.0, 6.0]).await;
}

#[tokio::test]
async fn by_rows_with_less_values() {
    const N: f64 = f64::NAN;
    let x = || col("x");
    let one = || Rolling::rows(3).min_periods(1);
    // s.rolling_sum(3, min_samples=1) and so on
    both("sum", x().rolling_sum(one()), [1.0, 1.0, 4.0, 7.0, 15.0, 18.0]).await;
    both("mean", x().rolling_mean(one()), [1.0, 1.0, 2.0, 3.5, 5.0, 6.0]).await;
    both("min", x().rolling_min(one()), [1.0, 1.0, 1.0, 3.0, 3.0, 4.0]).await;
    both("max", x().rolling_max(one()), [1.0, 1.0, 3.0, 4.0, 8.0, 8.0]).await;
    let std =
        [N, N, std::f64::consts::SQRT_2, std::f64::consts::FRAC_1_SQRT_2, 2.6457513110645907, 2.0];
    both("std", x().rolling_std(one()), std).await;
    both("var", x().rolling_var(one()), [N, N, 2.0, 0.5, 7.0, 4.0]).await;
    both("median", x().rolling_median(one()), [1.0, 1.0, 2.0, 3.5, 4.0, 6.0]).await;
    // s.rolling_quantile(0.3, interpolation="linear", window_size=3, min_samples=1)
    both("quantile", x().rolling_quantile(0.3, one()), [1.0, 1.0, 1.6, 3.3, 3.6, 5.2]).await;
    // pd.Series(s).rolling(3, min_periods=0).count()
    both("count", x().rolling_count(3), [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]).await;
}

#[tokio::test]
async fn by_rows_around_the_middle() {
    const N: f64 = f64::NAN;
    let middle = || Rolling::rows(4).min_periods(2).center();
    // s.rolling_sum(4, min_samples=2, center=True) and so on
    both("sum", col("x").rolling_sum(middle()), [N, 4.0, 8.0, 15.0, 21.0, 18.0]).await;
    let var = [N, 2.0, 2.3333333333333335, 7.0, 4.916666666666667, 4.0];
    both("var", col("x").rolling_var(middle()), var).await;
    both("median", col("x").rolling_median(middle()), [N, 2.0, 3.0, 4.0, 5.0, 6.0]).await;
}

#[tokio::test]
async fn windows_that_cannot_be() {
    for expr in [
        col("x").rolling_sum(0),
        col("x").rolling_sum(Rolling::rows(2).min_periods(3)),
        col("x").rolling_quantile(1.5, 2),
        col("x").rolling_sum_by("t", "0s"),
        col("x").rolling_sum_by("t", "an hour"),
        col("x").rolling_sum_by("t", "-1h"),
    ] {
        assert_eq!(expr.unwrap_err().kind(), brimful::ErrorKind::Query);
    }
}

async fn by_time(expr: Result<Expr>) -> Vec<Option<f64>> {
    let frame = frame_of(TIMES).await.select([col("t"), expr.unwrap().alias("r")]).unwrap();
    numbers(frame.sort([up("t")]).unwrap()).await
}

#[tokio::test]
async fn by_time_with_ends() {
    // df.select(pl.col("y").rolling_sum_by("t", "1h", closed=…)); a window without values is NULL
    // here, as in pandas and SQL, where Polars has 0
    let expected = [
        (Closed::Right, [Some(1.0), Some(1.0), Some(4.0), Some(4.0), Some(8.0)]),
        (Closed::Left, [None, Some(1.0), Some(1.0), None, None]),
        (Closed::Both, [Some(1.0), Some(1.0), Some(4.0), Some(4.0), Some(8.0)]),
        (Closed::None, [None, Some(1.0), Some(1.0), None, None]),
    ];
    for (closed, sums) in expected {
        let window = RollingBy::period("1h").closed(closed);
        let found = by_time(col("y").rolling_sum_by("t", window)).await;
        assert_close(&format!("{closed:?}"), &found, &sums);
    }
    // The row at 00:30 is exactly 50 minutes before the one at 01:20.
    let with = RollingBy::period("50m").closed(Closed::Both);
    let found = by_time(col("y").rolling_sum_by("t", with)).await;
    assert_close("both ends", &found, &[1.0, 1.0, 4.0, 4.0, 8.0].map(Some));
    let found = by_time(col("y").rolling_sum_by("t", "50m")).await;
    assert_close("one end", &found, &[1.0, 1.0, 3.0, 4.0, 8.0].map(Some));
}

#[tokio::test]
async fn by_time_of_every_kind() {
    let y = || col("y");
    let n = None;
    // df.select(pl.col("y").rolling_mean_by("t", "5h")) and so on
    let mean = [Some(1.0), Some(1.0), Some(2.0), Some(2.6666666666666665), Some(5.0)];
    assert_close("mean", &by_time(y().rolling_mean_by("t", "5h")).await, &mean);
    let min = [1.0, 1.0, 1.0, 1.0, 3.0].map(Some);
    assert_close("min", &by_time(y().rolling_min_by("t", "5h")).await, &min);
    let max = [1.0, 1.0, 3.0, 4.0, 8.0].map(Some);
    assert_close("max", &by_time(y().rolling_max_by("t", "5h")).await, &max);
    let std =
        [n, n, Some(std::f64::consts::SQRT_2), Some(1.5275252316519468), Some(2.6457513110645907)];
    assert_close("std", &by_time(y().rolling_std_by("t", "5h")).await, &std);
    let var = [n, n, Some(2.0), Some(2.3333333333333335), Some(7.0)];
    assert_close("var", &by_time(y().rolling_var_by("t", "5h")).await, &var);
    let median = [1.0, 1.0, 2.0, 3.0, 4.0].map(Some);
    assert_close("median", &by_time(y().rolling_median_by("t", "5h")).await, &median);
    // rolling_quantile_by("t", "5h", quantile=0.25, interpolation="linear")
    let quantile = [1.0, 1.0, 1.5, 2.0, 3.5].map(Some);
    assert_close("q", &by_time(y().rolling_quantile_by(0.25, "t", "5h")).await, &quantile);
    let count = [1.0, 1.0, 2.0, 3.0, 3.0].map(Some);
    assert_close("count", &by_time(y().rolling_count_by("t", "5h")).await, &count);
    // rolling_mean_by("t", "1h", min_samples=2)
    let two = RollingBy::period("1h").min_periods(2);
    let mean = [n, n, Some(2.0), n, n];
    assert_close("two", &by_time(y().rolling_mean_by("t", two)).await, &mean);
}

async fn rolled(frame: DataFrame, closed: Closed) -> String {
    let groups = frame.rolling("T", "1h").unwrap().closed(closed);
    let frame = groups.agg([sum(col("y")).alias("s"), count(col("t")).alias("n")]).unwrap();
    line(frame.sort([up("t")]).unwrap().select([col("s"), col("n")]).unwrap()).await
}

#[tokio::test]
async fn frames_roll_too() {
    // df.rolling("t", period="1h", closed=…).agg(pl.col("y").sum(), pl.len()), NULL for 0 sums
    let right = "1.0 1 | 1.0 2 | 4.0 3 | 4.0 1 | 8.0 1";
    assert_eq!(rolled(frame_of(TIMES).await, Closed::Right).await, right);
    let left = "- 0 | 1.0 1 | 1.0 2 | - 0 | - 0";
    assert_eq!(rolled(frame_of(TIMES).await, Closed::Left).await, left);
    // The same of other units.
    for unit in ["TIMESTAMP(0)", "TIMESTAMP(3)", "TIMESTAMP(9)"] {
        let frame = frame_of(&TIMES.replace("TIMESTAMP(6)", unit)).await;
        assert_eq!(rolled(frame, Closed::Right).await, right, "{unit}");
    }
}

#[tokio::test]
async fn frames_roll_over_whole_numbers_and_groups() {
    let sql = "SELECT * FROM (VALUES (9, 5), (1, 1), (2, 2), (11, 6), (4, 3), (5, 4)) AS g(t, x)";
    let frame = frame_of(sql).await;
    let sums = frame.clone().rolling("t", "3i").unwrap().agg([sum(col("x")).alias("s")]).unwrap();
    // g.rolling("t", period="3i").agg(pl.col("x").sum())
    let expected = "1 1 | 2 3 | 4 5 | 5 7 | 9 5 | 11 11";
    assert_eq!(line(sums.sort([up("t")]).unwrap()).await, expected);
    let error = frame.clone().rolling("t", "1h").unwrap().agg([sum(col("x"))]).unwrap_err();
    assert!(error.to_string().contains("does not fit"), "{error}");
    let error = frame.rolling("t", "2i").unwrap().agg([col("x")]).unwrap_err();
    assert_eq!(error.to_string(), "x is not an aggregate");
    let sql =
        "SELECT * FROM (VALUES ('a', 1, 1), ('b', 1, 2), ('a', 2, 3), ('b', 9, 4)) AS g(k, t, x)";
    let groups = frame_of(sql).await.rolling("t", "3i").unwrap().by(&["k"]).unwrap();
    let means = groups.agg([avg(col("x")).alias("m")]).unwrap();
    let means = means.sort([up("k"), up("t")]).unwrap();
    assert_eq!(line(means).await, "a 1 1.0 | a 2 2.0 | b 1 2.0 | b 9 4.0");
}

#[tokio::test]
async fn frames_roll_in_the_order_of_their_time() {
    // d; its values fall while its times rise
    let frame = || frame_of("SELECT * FROM (VALUES (10, 3), (2, 1), (1, 100), (3, 2)) AS d(t, x)");
    let rolled =
        |aggregates: Vec<Expr>| async { frame().await.rolling("t", "2i").unwrap().agg(aggregates) };
    // d.rolling("t", period="2i").agg(pl.col("x").quantile(0.5, "linear"), pl.col("x").sum())
    let aggregates = vec![quantile(col("x"), 0.5).alias("q"), sum(col("x")).alias("s")];
    let found = rolled(aggregates).await.unwrap().sort([up("t")]).unwrap();
    assert_eq!(line(found).await, "1 100.0 100 | 2 50.5 101 | 3 1.5 3 | 10 3.0 3");
    let own = first_by(col("x"), [col("x").sort(true, false)]);
    assert_query_error(
        rolled(vec![own]).await,
        "first_value has an order besides that of the time",
        Some("leave it out: windows have their rows by time"),
    );
    // As many values as the window has, or as were asked for.
    let counts = |window: RollingBy| {
        let count = col("x").rolling_count_by("t", window).unwrap();
        async {
            line(frame().await.select([col("t"), count]).unwrap().sort([up("t")]).unwrap()).await
        }
    };
    assert_eq!(counts(RollingBy::period("2i")).await, "1 1 | 2 2 | 3 2 | 10 1");
    assert_eq!(counts(RollingBy::period("2i").min_periods(2)).await, "1 - | 2 2 | 3 2 | 10 -");
}

#[tokio::test]
async fn what_has_left_a_window_leaves_nothing_behind() {
    let rolled = |values: &'static [f64]| async move {
        let places: Vec<i64> = (0..values.len() as i64).collect();
        let frame = small_session().frame([("i", places.into()), ("x", values.to_vec().into())]);
        let sum = col("x").rolling_sum(2).unwrap().ordered(&["i"]).alias("s");
        let mean = col("x").rolling_mean(2).unwrap().ordered(&["i"]).alias("m");
        let std = col("x").rolling_std(2).unwrap().ordered(&["i"]).alias("d");
        let frame = frame.unwrap().select([col("i"), sum, mean, std]).unwrap();
        let frame = frame.sort([up("i")]).unwrap().drop("i").unwrap();
        line(frame).await
    };
    // df.select(pl.col("x").rolling_sum(2), pl.col("x").rolling_mean(2) …)
    let half = std::f64::consts::FRAC_1_SQRT_2;
    let found = rolled(&[1.0, f64::NAN, 3.0, 4.0, 5.0]).await;
    let nan = "NaN NaN NaN";
    let rest = format!("7.0 3.5 {half} | 9.0 4.5 {half}");
    assert_eq!(found, format!("- - - | {nan} | {nan} | {rest}"));
    let found = rolled(&[1.0, f64::INFINITY, -f64::INFINITY, 2.0, 3.0]).await;
    let rest = format!("-inf -inf NaN | 5.0 2.5 {half}");
    assert_eq!(found, format!("- - - | inf inf NaN | {nan} | {rest}"));
    let found = rolled(&[1e16, 1.0, 1.0, 1.0]).await;
    assert!(found.ends_with(" | 2.0 1.0 0.0 | 2.0 1.0 0.0"), "{found}");
    // The same by time, and of a frame.
    let sql = "SELECT * FROM (VALUES (1, 1.0::DOUBLE), (2, 'NaN'::DOUBLE), (3, 3.0), (4, 4.0)) AS t(t, x)";
    let frame = frame_of(sql).await;
    let by = col("x").rolling_sum_by("t", "2i").unwrap().alias("s");
    let by = frame.clone().select([col("t"), by]).unwrap().sort([up("t")]).unwrap();
    assert_eq!(line(by).await, "1 1.0 | 2 NaN | 3 NaN | 4 7.0");
    let means = frame.rolling("t", "2i").unwrap().agg([avg(col("x")).alias("m")]).unwrap();
    assert_eq!(line(means.sort([up("t")]).unwrap()).await, "1 1.0 | 2 NaN | 3 NaN | 4 3.5");
}

#[tokio::test]
async fn empty_frames_roll() {
    let empty = frame_of(TIMES).await.limit(0).unwrap();
    assert_eq!(rolled(empty, Closed::Right).await, "");
}

#[tokio::test]
async fn more_rows_than_memory_has_room_for() {
    let place = Place::new();
    let knobs = Knobs { window_bytes: Some(0), sort_bytes: Some(1 << 16), ..Knobs::default() };
    let session = Setup::new(2, 1024, knobs).session(&place);
    let frame = session.sql("SELECT 100001 - value AS i FROM generate_series(1, 100000)").await;
    let sums = col("i").rolling_sum(100).unwrap().ordered(&["i"]).alias("s");
    let frame = frame.unwrap().select([col("i"), sums]).unwrap();
    // The sum of the hundred numbers up to i.
    let wrong = col("s").not_eq(col("i") * brimful::lit(100) - brimful::lit(4950));
    assert_eq!(frame.clone().filter(wrong).unwrap().count().await.unwrap(), 0);
    let nulls = frame.filter(col("s").is_null()).unwrap();
    assert_eq!(nulls.count().await.unwrap(), 99);
    assert!(session.spill_metrics().written_bytes > 0);
}
