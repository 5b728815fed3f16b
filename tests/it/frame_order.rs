//! The order of a sorted frame is that of its windows, aggregates and groups, and windows keep it.
//! What Polars 2.1 gives is in the comments as the call.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use brimful::aggregates::{
    any_value, approx_quantile, count_distinct, first, last, list, max, quantile, string_agg, sum,
};
use brimful::functions::cast;
use brimful::{
    DataFrame, Error, Ewm, ExprFunctionExt, ExprMethods, Rolling, Ties, ValueExpr, col, lit,
};

use crate::support::series::{frame_of, line, numbers};
use crate::support::{assert_query_error, plain_session};

/// `df`; `s = df.sort("t")` has x = 8, 8, 7, 9, 2, 1, 2, 1 of k = b, b, b, a, a, b, a, a.
const ROWS: &str = "SELECT * FROM (VALUES (5, 'a', 2), (3, 'b', 7), (8, 'a', 1), (1, 'b', 8), \
    (7, 'a', 2), (2, 'b', 8), (6, 'b', 1), (4, 'a', 9)) AS t(t, k, x)";

async fn rows() -> DataFrame {
    frame_of(ROWS).await
}

async fn sorted() -> DataFrame {
    rows().await.sort_by(&["t"]).unwrap()
}

/// Rows of many batches and partitions: `t` from 0 in a jumble, `k` from 0 to 9, `x` twice `t`.
async fn many() -> DataFrame {
    let sql = "SELECT (value * 7919) % 10000 AS t, (value * 7919) % 10 AS k, \
               2 * ((value * 7919) % 10000) AS x FROM generate_series(0, 9999)";
    frame_of(sql).await
}

/// Some columns of a frame in the order it has.
async fn shown(frame: DataFrame, names: &[&str]) -> String {
    line(frame.select(names.iter().map(|name| col(*name))).unwrap()).await
}

#[tokio::test]
async fn windows_within_groups_follow_the_frame() {
    let x = || col("x");
    let large = x().keep_where(x().gt(lit(2)));
    let windows = [
        x().cum_sum().over(&["k"]).alias("c"),
        x().shift(1).over(&["k"]).alias("s"),
        x().diff(1).over(&["k"]).alias("d"),
        large.forward_fill(None).over(&["k"]).alias("f"),
        x().rolling_sum(2).unwrap().over(&["k"]).alias("r"),
    ];
    // s.with_columns(pl.col("x").cum_sum().over("k") …)
    let expected = "1 8 - - 8 - | 2 16 8 0 8 16 | 3 23 8 -1 7 15 | 4 9 - - 9 - | 5 11 9 -7 9 11 | \
                    6 24 7 -6 7 8 | 7 13 2 0 9 4 | 8 14 2 -1 9 3";
    let frame = sorted().await.with_columns(windows).unwrap();
    assert_eq!(shown(frame, &["t", "c", "s", "d", "f", "r"]).await, expected);
    // An order of its own comes first.
    let back = x().cum_sum().over(&["k"]).ordered_by([col("t").sort(false, false)]);
    let frame = sorted().await.with_column("c", back).unwrap();
    let expected = "1 24 | 2 16 | 3 8 | 4 14 | 5 5 | 6 1 | 7 3 | 8 1";
    assert_eq!(shown(frame, &["t", "c"]).await, expected);
    let before = many().await.sort_by(&["t"]).unwrap();
    let before = before.with_column("b", x().shift(1).over(&["k"])).unwrap();
    let wrong = before.filter(col("b").not_eq(x() - lit(20))).unwrap();
    assert_eq!(wrong.count().await.unwrap(), 0);
}

#[tokio::test]
async fn groups_without_an_order_have_no_running_totals() {
    let hint = Some("sort the frame first, or name the order: .ordered(&[\"day\"])");
    for (window, name) in [
        (col("x").cum_sum(), "sum"),
        (col("x").shift(1), "lag"),
        (col("x").backward_fill(None), "first_value"),
        (col("x").ewm_mean(Ewm::alpha(0.5).unwrap()), "ewm_mean"),
    ] {
        let what =
            format!("\"{name}\" within groups depends on the order of the rows, which have none");
        assert_query_error(rows().await.with_column("y", window.over(&["k"])), &what, hint);
    }
    // Any numbers will do, and a total is that of all rows.
    let number = brimful::frame::row_number().over(&["k"]);
    let frame = rows().await.with_column("n", number).unwrap();
    let frame = frame.with_column("s", sum(col("n")).over(&["k"])).unwrap();
    let extremes = [max(col("n")).alias("n"), max(col("s")).alias("s")];
    assert_eq!(line(frame.agg(extremes).unwrap()).await, "4 10");
}

#[tokio::test]
async fn windows_keep_the_order_of_the_rows() {
    let rank = || col("x").rank_descending(Ties::Min);
    let frame = sorted().await.with_column("r", rank()).unwrap();
    // s.with_columns(r=pl.col("x").rank("min", descending=True)), head(2), tail(2)
    let all = "1 2 | 2 2 | 3 4 | 4 1 | 5 5 | 6 7 | 7 5 | 8 7";
    assert_eq!(shown(frame.clone(), &["t", "r"]).await, all);
    assert_eq!(shown(frame.clone().head(2).unwrap(), &["t", "r"]).await, "1 2 | 2 2");
    assert_eq!(shown(frame.clone().tail(2).unwrap(), &["t", "r"]).await, "7 5 | 8 7");
    assert_eq!(shown(frame.slice(3, Some(1)).unwrap(), &["t", "r"]).await, "4 1");
    // Of the first rows, within groups, and without the column they are sorted by.
    let three = sorted().await.head(3).unwrap().with_column("r", rank()).unwrap();
    assert_eq!(shown(three, &["t", "r"]).await, "1 1 | 2 1 | 3 3");
    let within = sorted().await.with_column("r", rank().over(&["k"])).unwrap();
    let expected = "b 1 | b 1 | b 3 | a 1 | a 2 | b 4 | a 2 | a 4";
    assert_eq!(shown(within, &["k", "r"]).await, expected);
    let alone = sorted().await.select([rank().alias("r")]).unwrap();
    assert_eq!(line(alone).await, "2 | 2 | 4 | 1 | 5 | 7 | 5 | 7");
    let total = sorted().await.group_by([col("k")]).transform([sum(col("x")).alias("s")]).unwrap();
    let expected = "1 24 | 2 24 | 3 24 | 4 14 | 5 14 | 6 24 | 7 14 | 8 14";
    assert_eq!(shown(total, &["t", "s"]).await, expected);
    let groups = sorted().await.group_by([col("k")]).filter(max(col("x")).gt(lit(8))).unwrap();
    assert_eq!(shown(groups, &["t"]).await, "4 | 5 | 7 | 8");
}

#[tokio::test]
async fn rows_that_come_in_an_order_are_seen_in_it() {
    // The order of the one batch they are in, whatever the rank beside them needs.
    let frame = plain_session().frame([("x", vec![3_i64, 1, 2].into())]).unwrap();
    let windows = [col("x").cum_sum().alias("c"), col("x").rank(Ties::Min).alias("r")];
    let frame = frame.with_columns(windows).unwrap().sort_by(&["c"]).unwrap();
    assert_eq!(line(frame).await, "3 3 3 | 1 4 1 | 2 6 2");
}

#[tokio::test]
async fn shuffled_rows_are_numbered_as_they_come() {
    let shuffled = many().await.sort([brimful::functions::random().sort(true, false)]).unwrap();
    let numbered = shuffled.with_column("n", brimful::frame::row_number()).unwrap();
    assert_eq!(numbers(numbered.head(3).unwrap()).await, [1.0, 2.0, 3.0].map(Some));
}

#[tokio::test]
async fn aggregates_follow_the_frame() {
    let by_key = |frame: DataFrame| frame.group_by([col("k")]);
    // s.group_by("k").agg(pl.col("x").first(), pl.col("x").last(), pl.col("x"))
    let texts = string_agg(cast(col("x"), DataType::Utf8), lit("-"));
    let all = [
        first(col("x")).alias("first"),
        last(col("x")).alias("last"),
        list(col("x")).alias("list"),
        texts.alias("texts"),
    ];
    let frame = by_key(sorted().await).agg(all).unwrap().sort_by(&["k"]).unwrap();
    let expected = "a 9 1 [9, 2, 2, 1] 9-2-2-1 | b 8 1 [8, 8, 7, 1] 8-8-7-1";
    assert_eq!(line(frame).await, expected);
    // Beside those that have their values in an order of their own.
    let texts = string_agg(cast(col("x"), DataType::Utf8), lit("-"));
    let mixed = [
        texts.alias("texts"),
        quantile(col("x"), 0.5).alias("median"),
        approx_quantile(col("x"), 1.0).alias("most"),
    ];
    let frame = by_key(sorted().await).agg(mixed).unwrap().sort_by(&["k"]).unwrap();
    assert_eq!(line(frame).await, "a 9-2-2-1 2.0 9.0 | b 8-8-7-1 7.5 8.0");
    let backwards = rows().await.sort_by(&["-t"]).unwrap().agg([list(col("t"))]).unwrap();
    assert_eq!(line(backwards).await, "[8, 7, 6, 5, 4, 3, 2, 1]");
    // In an expression, and in an order of its own.
    let change = (last(col("x")) - first(col("x"))).alias("change");
    let own = first(col("t")).order_by(vec![col("x").sort(true, false)]).build().unwrap();
    let frame = by_key(sorted().await).agg([change, own.alias("t")]).unwrap();
    assert_eq!(line(frame.sort_by(&["k"]).unwrap()).await, "a -8 8 | b -7 6");
    let first_of_many = by_key(many().await.sort_by(&["t"]).unwrap()).first().unwrap();
    let first_of_many = first_of_many.sort_by(&["k"]).unwrap().select([col("x")]).unwrap();
    assert_eq!(line(first_of_many).await, "0 | 2 | 4 | 6 | 8 | 10 | 12 | 14 | 16 | 18");
    let named = by_key(sorted().await).agg([first(col("x")), any_value(col("t"))]).unwrap();
    assert_eq!(named.columns(), ["k", "x", "t"]);
    // Sorted by a column twice.
    let twice = rows().await.sort_by(&["t", "-t"]).unwrap().agg([first(col("x"))]).unwrap();
    assert_eq!(line(twice).await, "8");
    let heads = by_key(sorted().await).head(2, []).unwrap().sort_by(&["k", "t"]).unwrap();
    assert_eq!(line(heads).await, "4 a 9 | 5 a 2 | 1 b 8 | 2 b 8");
}

#[tokio::test]
async fn windows_of_time_open_and_close_by_time() {
    let groups = |frame: DataFrame| frame.group_by_dynamic("t", "4i").unwrap();
    let prices = || [first(col("x")).alias("open"), last(col("x")).alias("close"), list(col("x"))];
    // s.group_by_dynamic("t", every="4i").agg(pl.col("x").first(), pl.col("x").last()), whatever
    // order the rows are in here
    let by_value = rows().await.sort_by(&["x"]).unwrap();
    for frame in [rows().await, sorted().await, by_value] {
        let expected = "0 8 7 [8, 8, 7] | 4 9 2 [9, 2, 1, 2] | 8 1 1 [1]";
        assert_eq!(line(groups(frame).agg(prices()).unwrap()).await, expected);
    }
}

#[tokio::test]
async fn rows_of_a_mapped_group_follow_the_frame() {
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("t", DataType::Int64, true),
    ]));
    let given = Arc::clone(&schema);
    let firsts = move |group: RecordBatch| {
        let value = |name: &str| {
            let values = group.column_by_name(name).unwrap().as_primitive::<Int64Type>();
            Arc::new(Int64Array::from(vec![values.value(0)])) as _
        };
        RecordBatch::try_new(Arc::clone(&given), vec![value("k"), value("t")]).map_err(Error::from)
    };
    for (order, expected) in [
        ("t", "0 0 | 1 1 | 2 2 | 3 3 | 4 4 | 5 5 | 6 6 | 7 7 | 8 8 | 9 9"),
        (
            "-t",
            "0 9990 | 1 9991 | 2 9992 | 3 9993 | 4 9994 | 5 9995 | 6 9996 | 7 9997 | 8 9998 | 9 9999",
        ),
    ] {
        let frame = many().await.sort_by(&[order]).unwrap();
        let mapped = frame.map_groups(&["k"], firsts.clone(), Arc::clone(&schema)).unwrap();
        assert_eq!(line(mapped).await, expected);
    }
    // By what is computed of the columns.
    let frame = many().await.sort([(col("x") * lit(-1)).sort(true, false)]).unwrap();
    let mapped = frame.map_groups(&["k"], firsts, schema).unwrap().head(1).unwrap();
    assert_eq!(line(mapped).await, "0 9990");
}

#[tokio::test]
async fn windows_that_differ_in_a_cast_or_a_parameter() {
    let x = || col("x");
    let windows = [
        x().rolling_sum(3).unwrap().ordered(&["t"]).alias("s"),
        x().rolling_mean(3).unwrap().ordered(&["t"]).alias("m"),
        x().rolling_median(Rolling::rows(3)).unwrap().ordered(&["t"]).alias("d"),
    ];
    let frame = sorted().await.with_columns(windows).unwrap().limit(5).unwrap();
    let expected = "1 - - - | 2 - - - | 3 23 7.666666666666667 8.0 | 4 24 8.0 8.0 | 5 18 6.0 7.0";
    assert_eq!(shown(frame, &["t", "s", "m", "d"]).await, expected);
    // s.select(pl.col("x").ewm_mean(alpha=0.5, adjust=False) - pl.col("x").ewm_mean(alpha=1))
    let ewm = |alpha: f64| x().ewm_mean(Ewm::alpha(alpha).unwrap().adjust(false));
    let macd = (ewm(0.5) - ewm(1.0)).ordered(&["t"]).alias("m");
    let frame = sorted().await.select([macd]).unwrap().limit(4).unwrap();
    assert_eq!(line(frame).await, "0.0 | 0.0 | 0.5 | -0.75");
    // A name that a column of the frame has already.
    let named = sorted().await.with_column("y", x().cum_count()).unwrap();
    let name = named.clone().select([x().cum_count()]).unwrap().columns()[0].clone();
    let named = named.with_column(&name, x()).unwrap().select([x().cum_count().alias("z")]);
    assert_eq!(line(named.unwrap().limit(2).unwrap()).await, "1 | 2");
    let counts = [
        count_distinct(x()).alias("all"),
        count_distinct(cast(x(), DataType::Boolean)).alias("signs"),
    ];
    assert_eq!(line(rows().await.agg(counts.clone()).unwrap()).await, "5 1");
    let by_key = rows().await.group_by([col("k")]).agg(counts).unwrap().sort_by(&["k"]).unwrap();
    assert_eq!(line(by_key).await, "a 3 1 | b 3 1");
}

#[tokio::test]
async fn windows_nest() {
    let x = || col("x");
    // s.with_columns(pl.col("x").diff().cum_sum().over("k"))
    let frame = sorted().await.with_column("n", x().diff(1).cum_sum().over(&["k"])).unwrap();
    let expected = "1 - | 2 0 | 3 -1 | 4 - | 5 -7 | 6 -7 | 7 -7 | 8 -8";
    assert_eq!(shown(frame, &["t", "n"]).await, expected);
    // The same of rows in no order that is named.
    let named = x().diff(1).cum_sum().over(&["k"]).ordered(&["t"]);
    let frame = rows().await.with_column("n", named).unwrap().sort_by(&["t"]).unwrap();
    assert_eq!(shown(frame, &["t", "n"]).await, expected);
    // s.with_columns(pl.col("x").diff().rank("min"))
    let frame = sorted().await.with_column("r", x().diff(1).rank(Ties::Min)).unwrap();
    let expected = "1 - | 2 5 | 3 2 | 4 7 | 5 1 | 6 2 | 7 6 | 8 2";
    assert_eq!(shown(frame, &["t", "r"]).await, expected);
    // Groups by a window: runs of the same key.
    let is_new = col("k").ne_missing(col("k").shift(1));
    let run = cast(is_new, DataType::Int64).cum_sum();
    let frame = sorted().await.with_column("n", sum(x()).over_exprs([run])).unwrap();
    let expected = "1 23 | 2 23 | 3 23 | 4 11 | 5 11 | 6 1 | 7 3 | 8 3";
    assert_eq!(shown(frame, &["t", "n"]).await, expected);
}

#[tokio::test]
async fn windows_in_a_filter() {
    // s.filter(pl.col("x").rank("dense") == 1), s.filter(pl.col("x") < pl.col("x").shift(1).over("k"))
    let least = sorted().await.filter(col("x").rank(Ties::Dense).eq(lit(1))).unwrap();
    assert_eq!(line(least.clone()).await, "6 b 1 | 8 a 1");
    assert_eq!(least.columns(), ["t", "k", "x"]);
    let falling = col("x").lt(col("x").shift(1).over(&["k"]));
    let falling = sorted().await.filter(falling).unwrap();
    assert_eq!(shown(falling, &["t"]).await, "3 | 5 | 6 | 8");
    let above = col("x").gt(max(col("x")).over(&["k"]) - lit(2));
    let above = rows().await.filter(above).unwrap().sort_by(&["t"]).unwrap();
    assert_eq!(shown(above, &["t"]).await, "1 | 2 | 3 | 4");
}
