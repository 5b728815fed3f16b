//! Windows as methods of expressions. What Polars 2.1 gives is in the comments as the call.

use brimful::aggregates::{max, sum};
use brimful::frame::{cume_dist, ntile, percent_rank, row_number};
use brimful::{ErrorKind, Expr, ExprMethods, Knobs, Ties, col, lit};

use crate::support::series::{
    assert_close, frame_of, line, numbers, series, small_session, two_series,
};
use crate::support::{Place, Setup, plain_session};

/// `pl.Series([1, None, 4, None, 2, 8, 2])`
const VALUES: [Option<f64>; 7] =
    [Some(1.0), None, Some(4.0), None, Some(2.0), Some(8.0), Some(2.0)];

/// The values of an expression of `x` in the order of `i`, alone and in each of two groups.
async fn both(what: &str, expr: Expr, expected: [Option<f64>; 7]) {
    let alone = expr.clone().ordered(&["i"]);
    let frame = series(&VALUES).await.select([col("i"), alone.alias("y")]).unwrap();
    assert_close(what, &numbers(frame.sort([up("i")]).unwrap()).await, &expected);
    let grouped = expr.over(&["k"]).ordered(&["i"]);
    let frame = two_series(&VALUES).await;
    let frame = frame.select([col("k"), col("i"), grouped.alias("y")]).unwrap();
    let twice = [expected, expected].concat();
    assert_close(what, &numbers(frame.sort([up("k"), up("i")]).unwrap()).await, &twice);
}

fn up(name: &str) -> brimful::SortExpr {
    col(name).sort(true, false)
}

#[tokio::test]
async fn ranks_with_ties() {
    let n = None;
    // s.rank(method)
    let expected = [
        (Ties::Average, [Some(1.0), n, Some(4.0), n, Some(2.5), Some(5.0), Some(2.5)]),
        (Ties::Min, [Some(1.0), n, Some(4.0), n, Some(2.0), Some(5.0), Some(2.0)]),
        (Ties::Max, [Some(1.0), n, Some(4.0), n, Some(3.0), Some(5.0), Some(3.0)]),
        (Ties::Dense, [Some(1.0), n, Some(3.0), n, Some(2.0), Some(4.0), Some(2.0)]),
    ];
    for (ties, ranks) in expected {
        both(&format!("{ties:?}"), col("x").rank(ties), ranks).await;
    }
    // s.rank("min", descending=True)
    let down = [Some(5.0), n, Some(2.0), n, Some(3.0), Some(1.0), Some(3.0)];
    both("descending", col("x").rank_descending(Ties::Min), down).await;
    // Either of equal values may be first.
    let frame = series(&VALUES).await.select([col("x").rank(Ties::Ordinal).alias("r")]).unwrap();
    let frame = frame.sort([col("r").sort(true, false)]).unwrap();
    assert_eq!(line(frame).await, "1 | 2 | 3 | 4 | 5 | - | -");
}

#[tokio::test]
async fn rows_are_numbered_and_divided() {
    let frame = frame_of("SELECT * FROM (VALUES (3), (1), (4), (2), (2)) AS t(x)").await;
    let windows = [row_number(), ntile(2), percent_rank(), cume_dist()];
    let windows = windows.into_iter().enumerate();
    let exprs = windows.map(|(at, expr)| expr.ordered(&["x"]).alias(format!("w{at}")));
    let frame = frame.select([col("x")].into_iter().chain(exprs)).unwrap();
    let frame = frame.sort([up("w0")]).unwrap();
    // SELECT row_number() OVER w, ntile(2) OVER w, percent_rank() OVER w, cume_dist() OVER w, DuckDB
    let expected =
        "1 1 1 0.0 0.2 | 2 2 1 0.25 0.6 | 2 3 1 0.25 0.6 | 3 4 2 0.75 0.8 | 4 5 2 1.0 1.0";
    assert_eq!(line(frame).await, expected);
}

#[tokio::test]
async fn values_of_other_rows() {
    let n = None;
    let [a, b, c, d, e, f, g] = VALUES;
    both("shift", col("x").shift(1), [n, a, b, c, d, e, f]).await;
    both("shift back", col("x").shift(-2), [c, d, e, f, g, n, n]).await;
    both("lag", col("x").lag(3), [n, n, n, a, b, c, d]).await;
    both("lead", col("x").lead(1), [b, c, d, e, f, g, n]).await;
    let fill = Some(-1.0);
    both("fill", col("x").shift_fill(2, -1.0), [fill, fill, a, b, c, d, e]).await;
    // s.diff()
    both("diff", col("x").diff(1), [n, n, n, n, n, Some(6.0), Some(-6.0)]).await;
    // s.diff(2)
    both("diff 2", col("x").diff(2), [n, n, Some(3.0), n, Some(-2.0), n, Some(0.0)]).await;
    // s.pct_change(1), s.pct_change(2)
    both("pct", col("x").pct_change(1), [n, n, n, n, n, Some(3.0), Some(-0.75)]).await;
    both("pct 2", col("x").pct_change(2), [n, n, Some(3.0), n, Some(-0.5), n, Some(0.0)]).await;
}

#[tokio::test]
async fn differences_of_unsigned_numbers_have_signs() {
    let session = plain_session();
    let frame = session
        .frame([
            ("i", vec![1, 2, 3].into()),
            ("a", vec![Some(3_u8), Some(1), None].into()),
            ("b", vec![3_u16, 1, u16::MAX].into()),
            ("c", vec![3_u32, 1, u32::MAX].into()),
            ("d", vec![3_u64, 1, 1 << 62].into()),
        ])
        .unwrap();
    // pl.all().diff(); UInt8 gives Int16 and so on.
    let diffs = ["a", "b", "c", "d"].map(|name| col(name).diff(1).ordered(&["i"]).alias(name));
    let found = frame.select(diffs).unwrap();
    assert_eq!(line(found).await, "- - - - | -2 -2 -2 -2 | - 65534 4294967294 4611686018427387903");
    let large = session.frame([("d", vec![u64::MAX, 1].into())]).unwrap();
    let error = large.select([col("d").diff(1)]).unwrap().collect().await.unwrap_err();
    assert!(error.to_string().contains("18446744073709551615"), "{error}");
}

#[tokio::test]
async fn running_totals() {
    let n = None;
    let of = |values: [f64; 5]| {
        let [a, b, c, d, e] = values.map(Some);
        [a, n, b, n, c, d, e]
    };
    // s.cum_sum() and so on
    both("sum", col("x").cum_sum(), of([1.0, 5.0, 7.0, 15.0, 17.0])).await;
    both("min", col("x").cum_min(), of([1.0, 1.0, 1.0, 1.0, 1.0])).await;
    both("max", col("x").cum_max(), of([1.0, 4.0, 4.0, 8.0, 8.0])).await;
    both("prod", col("x").cum_prod(), of([1.0, 4.0, 8.0, 64.0, 128.0])).await;
    let counts = [1.0, 1.0, 2.0, 2.0, 3.0, 4.0, 5.0].map(Some);
    both("count", col("x").cum_count(), counts).await;
}

#[tokio::test]
async fn products_of_whole_numbers_are_whole_and_do_not_overflow() {
    let frame =
        frame_of("SELECT * FROM (VALUES (1, 3), (2, -7), (3, 9223372036854775807)) t(i, x)");
    let frame = frame.await.with_column("p", col("x").cum_prod().ordered(&["i"])).unwrap();
    assert_eq!(frame.schema().field(2).data_type(), &arrow::datatypes::DataType::Int64);
    let error = frame.collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Query);
    assert!(error.to_string().contains("out of range of 64 bits"), "{error}");
}

#[tokio::test]
async fn aggregates_over_groups() {
    let frame = frame_of("SELECT * FROM (VALUES ('a', 1), ('b', 5), ('a', 3)) AS t(k, x)").await;
    let share = col("x") * lit(100) / sum(col("x")).over(&["k"]);
    let frame = frame.select([col("k"), col("x"), share.alias("p")]).unwrap();
    let largest = max(col("x")).over_exprs([col("k").eq(lit("a"))]);
    let frame = frame.with_column("m", largest).unwrap();
    let frame = frame.sort([up("k"), up("x")]).unwrap();
    assert_eq!(line(frame).await, "a 1 25 3 | a 3 75 3 | b 5 100 5");
}

#[tokio::test]
async fn an_empty_frame_and_one_row() {
    let empty = frame_of("SELECT 1 AS i, 2.5 AS x WHERE false").await;
    let all = |frame: brimful::DataFrame| {
        let exprs = [
            col("x").shift(1),
            col("x").cum_sum(),
            col("x").cum_prod(),
            col("x").pct_change(1),
            col("x").rank(Ties::Average),
        ];
        let exprs = exprs.into_iter().enumerate();
        frame.select(exprs.map(|(at, expr)| expr.ordered(&["i"]).alias(format!("c{at}")))).unwrap()
    };
    assert_eq!(line(all(empty)).await, "");
    let one = frame_of("SELECT 1 AS i, CAST(2.5 AS DOUBLE) AS x").await;
    assert_eq!(line(all(one)).await, "- 2.5 2.5 - 1.0");
}

#[tokio::test]
async fn names_that_are_not_there() {
    let frame = small_session().sql("SELECT 1 AS x").await.unwrap();
    for expr in
        [col("y").shift(1), col("x").shift(1).over(&["y"]), col("x").diff(1).ordered(&["y"])]
    {
        let error = frame.clone().with_column("z", expr).unwrap_err();
        assert_eq!(error.to_string(), "no column \"y\"");
    }
}

#[tokio::test]
async fn windows_of_more_rows_than_memory_has_room_for() {
    let place = Place::new();
    let knobs = Knobs { window_bytes: Some(0), sort_bytes: Some(1 << 16), ..Knobs::default() };
    let session = Setup::new(2, 1024, knobs).session(&place);
    let frame = session.sql("SELECT 200001 - value AS i FROM generate_series(1, 200000)").await;
    let before = col("i").shift(1).ordered(&["i"]);
    let product = (col("i") * lit(0) + lit(1)).cum_prod().ordered(&["i"]);
    let next = col("i").shift(-3).ordered(&["i"]);
    let frame =
        frame.unwrap().select([col("i"), before.alias("b"), product.alias("p"), next.alias("n")]);
    let wrong = col("b").not_eq(col("i") - lit(1)).or(col("p").not_eq(lit(1)));
    let wrong = wrong.or(col("n").not_eq(col("i") + lit(3)));
    let frame = frame.unwrap();
    assert_eq!(frame.clone().filter(wrong).unwrap().count().await.unwrap(), 0);
    let nulls = col("b").is_null().or(col("n").is_null());
    assert_eq!(frame.filter(nulls).unwrap().count().await.unwrap(), 4);
    assert!(session.spill_metrics().written_bytes > 0);
}
