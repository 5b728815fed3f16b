//! NULLs replaced from the rows around them, and numbers put into intervals.

use brimful::{DataFrame, ErrorKind, ExprMethods, col};

use crate::support::plain_session;
use crate::support::series::{assert_close, frame_of, line, numbers, series, two_series};

fn up(name: &str) -> brimful::SortExpr {
    col(name).sort(true, false)
}

async fn filled(values: &[Option<f64>], expr: brimful::Expr) -> Vec<Option<f64>> {
    let expr = expr.ordered(&["i"]).alias("y");
    let frame = series(values).await.select([col("i"), expr]).unwrap();
    numbers(frame.sort([up("i")]).unwrap()).await
}

#[tokio::test]
async fn forward_and_backward() {
    let (n, one, four) = (None, Some(1.0), Some(4.0));
    let values = [n, one, n, n, four, n];
    let x = || col("x");
    // pl.Series(values).forward_fill() and so on
    let expected = [n, one, one, one, four, four];
    assert_close("all", &filled(&values, x().forward_fill(None)).await, &expected);
    let expected = [n, one, one, n, four, four];
    assert_close("one", &filled(&values, x().forward_fill(Some(1))).await, &expected);
    let expected = [one, one, four, four, four, n];
    assert_close("back", &filled(&values, x().backward_fill(None)).await, &expected);
    let expected = [one, one, n, four, four, n];
    assert_close("back one", &filled(&values, x().backward_fill(Some(1))).await, &expected);
    assert_close("none", &filled(&values, x().forward_fill(Some(0))).await, &values);
    // pd.Series(values).ffill(limit_area="inside")
    let expected = [n, one, one, one, four, n];
    let between = x().forward_fill_between().unwrap();
    assert_close("between", &filled(&values, between).await, &expected);
}

#[tokio::test]
async fn nothing_is_filled_from_another_group() {
    let frame = frame_of(
        "SELECT * FROM (VALUES ('b', 2, NULL), ('a', 1, 5), ('b', 1, NULL), ('a', 2, NULL)) t(k, i, x)",
    );
    let fill = col("x").forward_fill(None).over(&["k"]).ordered(&["i"]);
    let frame = frame.await.with_column("x", fill).unwrap().sort([up("k"), up("i")]).unwrap();
    assert_eq!(line(frame).await, "a 1 5 | a 2 5 | b 1 - | b 2 -");
}

async fn sorted(frame: DataFrame, by: &[&str]) -> Vec<Option<f64>> {
    numbers(frame.sort(by.iter().map(|name| up(name))).unwrap()).await
}

#[tokio::test]
async fn interpolate_by_row() {
    let values = [None, Some(1.0), None, None, Some(4.0), None];
    // pl.Series(values).interpolate()
    let expected = [None, Some(1.0), Some(2.0), Some(3.0), Some(4.0), None];
    let frame = series(&values).await.interpolate(&["x"], &["i"], &[]).unwrap();
    assert_eq!(frame.schema().fields().len(), 2);
    assert_close("alone", &sorted(frame, &["i"]).await, &expected);
    let frame = two_series(&values).await.interpolate(&["X"], &["i"], &["k"]).unwrap();
    let frame = frame.select([col("k"), col("i"), col("x")]).unwrap();
    let twice = [expected, expected].concat();
    assert_close("groups", &sorted(frame, &["k", "i"]).await, &twice);
    let empty = series(&values).await.limit(0).unwrap();
    assert_eq!(line(empty.interpolate(&["x"], &["i"], &[]).unwrap()).await, "");
}

#[tokio::test]
async fn interpolation_leaves_columns_of_any_name_alone() {
    let sql = "SELECT * FROM (VALUES (1, 4, 7), (2, NULL, 8), (3, 6, 9)) AS t(t, x, __row)";
    let frame = frame_of(sql).await.interpolate(&["x"], &["t"], &[]).unwrap();
    assert_eq!(line(frame.sort([up("t")]).unwrap()).await, "1 4.0 7 | 2 5.0 8 | 3 6.0 9");
}

#[tokio::test]
async fn interpolate_by_time() {
    // pl.DataFrame({"t": [0, 1, 4, 10, 11], "x": [1, None, None, 11, None]})
    //   .select(pl.col("x").interpolate_by("t"))
    let expected = [1.0, 2.0, 5.0, 11.0].map(Some);
    let expected = [&expected[..], &[None]].concat();
    let rows = "(10, 11), (0, 1), (4, NULL), (11, NULL), (1, NULL)";
    for time in ["t", "to_timestamp(t)", "CAST(CAST(t AS INT) AS DATE)"] {
        let sql = format!("SELECT {time} AS t, x FROM (VALUES {rows}) AS v(t, x)");
        let frame = frame_of(&sql).await.interpolate_by(&["x"], "t", &[]).unwrap();
        assert_close(time, &sorted(frame, &["t"]).await, &expected);
    }
}

#[tokio::test]
async fn interpolation_that_cannot_be() {
    let frame = frame_of("SELECT 'a' AS s, 1 AS i, 2.5 AS x").await;
    for error in [
        frame.clone().interpolate(&["x"], &[], &[]),
        frame.clone().interpolate(&["s"], &["i"], &[]),
        frame.clone().interpolate(&["y"], &["i"], &[]),
        frame.clone().interpolate_by(&["x"], "s", &[]),
    ] {
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Query);
    }
}

#[tokio::test]
async fn cut_by_breaks() {
    let frame = series(&[1.0, 2.0, 3.0, 4.0, 5.0, 10.0].map(Some)).await;
    let cut = |frame: DataFrame, labels: Option<&[&str]>, left| {
        let cut = col("x").cut(&[2.0, 5.0], labels, left).unwrap();
        frame.select([col("i"), cut.alias("c")]).unwrap().sort([up("i")]).unwrap()
    };
    // pl.Series([1, 2, 3, 4, 5, 10]).cut([2, 5])
    let expected = "1 (-inf, 2] | 2 (-inf, 2] | 3 (2, 5] | 4 (2, 5] | 5 (2, 5] | 6 (5, inf]";
    assert_eq!(line(cut(frame.clone(), None, false)).await, expected);
    let expected = "1 [-inf, 2) | 2 [2, 5) | 3 [2, 5) | 4 [2, 5) | 5 [5, inf) | 6 [5, inf)";
    assert_eq!(line(cut(frame.clone(), None, true)).await, expected);
    let labels: &[&str] = &["low", "mid", "high"];
    let expected = "1 low | 2 low | 3 mid | 4 mid | 5 mid | 6 high";
    assert_eq!(line(cut(frame.clone(), Some(labels), false)).await, expected);
    assert_eq!(line(cut(series(&[None]).await, None, false)).await, "1 -");
    // pl.Series([nan, -nan]).cut([2, 5])
    let nans =
        plain_session().frame([("i", vec![1, 2].into()), ("x", vec![f64::NAN, -f64::NAN].into())]);
    assert_eq!(line(cut(nans.unwrap(), None, false)).await, "1 - | 2 -");
    for (breaks, labels) in
        [(vec![], None), (vec![2.0, 2.0], None), (vec![f64::NAN], None), (vec![1.0], Some(labels))]
    {
        assert_eq!(col("x").cut(&breaks, labels, false).unwrap_err().kind(), ErrorKind::Query);
    }
}

#[tokio::test]
async fn cut_by_quantiles() {
    let frame = series(&[1.0, 2.0, 3.0, 4.0, 5.0, 10.0].map(Some)).await;
    // pl.Series([1, 2, 3, 4, 5, 10]).qcut([.25, .75])
    let cut = frame.clone().qcut("x", &[0.25, 0.75], None, "c").await.unwrap();
    let cut = cut.select([col("i"), col("c")]).unwrap().sort([up("i")]).unwrap();
    let expected = "1 (-inf, 2.25] | 2 (-inf, 2.25] | 3 (2.25, 4.75] | 4 (2.25, 4.75] | \
                    5 (4.75, inf] | 6 (4.75, inf]";
    assert_eq!(line(cut).await, expected);
    for quantiles in [&[1.5][..], &[0.5, 0.5], &[]] {
        let error = frame.clone().qcut("x", quantiles, None, "c").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Query);
    }
    let empty = series(&[None]).await;
    assert_eq!(empty.qcut("x", &[0.5], None, "c").await.unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn histograms() {
    let frame = series(&[1.0, 2.0, 3.0, 4.0, 5.0, 10.0].map(Some)).await;
    // pl.Series([1, 2, 3, 4, 5, 10]).hist(bin_count=3)
    let expected = "4.0 [1.0, 4.0] 4 | 7.0 (4.0, 7.0] 1 | 10.0 (7.0, 10.0] 1";
    assert_eq!(line(frame.clone().hist("x", 3).await.unwrap()).await, expected);
    let same = series(&[Some(2.0), None, Some(2.0)]).await;
    assert_eq!(line(same.hist("x", 1).await.unwrap()).await, "2.5 [1.5, 2.5] 2");
    let empty = series(&[None]).await;
    assert_eq!(line(empty.hist("x", 1).await.unwrap()).await, "1.0 [0.0, 1.0] 0");
    assert_eq!(frame.hist("x", 0).await.unwrap_err().kind(), ErrorKind::Query);
}
