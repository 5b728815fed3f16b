//! NULLs and NaNs: left out, filled, replaced, counted.

use arrow::datatypes::DataType;
use brimful::selectors::{float, text};
use brimful::{DataFrame, Fill, ValueExpr, col, lit};

use crate::support::{
    Place, assert_query_error, frame_of, in_line, plain_session, spilling_session,
};

const GAPS: &str = "SELECT * FROM (VALUES (1, 2.0::DOUBLE, 'a', true), (NULL, 4.0, NULL, NULL), \
                    (3, NULL, 'c', false)) AS t(n, x, t, ok)";

async fn gaps() -> DataFrame {
    frame_of(GAPS).await
}

#[tokio::test]
async fn rows_with_nulls_are_left_out() {
    assert_eq!(in_line(gaps().await.drop_nulls([]).unwrap()).await, "1 2.0 a true");
    let some = gaps().await.drop_nulls(["T", "n"]).unwrap();
    assert_eq!(in_line(some).await, "1 2.0 a true | 3 - c false");
    let numbers = gaps().await.drop_nulls(float() | text()).unwrap();
    assert_eq!(in_line(numbers).await, "1 2.0 a true");
    assert_query_error(
        gaps().await.drop_nulls(["tt"]),
        "no column \"tt\"",
        Some("the columns are n, x, t, ok"),
    );
}

#[tokio::test]
async fn nulls_are_filled_in_columns_of_a_kind() {
    let zero = gaps().await.fill_null(0).unwrap();
    assert_eq!(zero.dtypes(), gaps().await.dtypes());
    assert_eq!(in_line(zero).await, "1 2.0 a true | 0 4.0 - - | 3 0.0 c false");
    let words = gaps().await.fill_null("none").unwrap();
    assert_eq!(in_line(words).await, "1 2.0 a true | - 4.0 none - | 3 - c false");
    let booleans = gaps().await.fill_null(true).unwrap();
    assert_eq!(in_line(booleans).await, "1 2.0 a true | - 4.0 - true | 3 - c false");
    // A half does not fit into a column of integers, which becomes one of floats.
    let half = gaps().await.fill_null_in("n", 0.5).unwrap();
    assert_eq!(half.dtypes()[0], DataType::Float64);
    assert_eq!(in_line(half.select([col("n")]).unwrap()).await, "1.0 | 0.5 | 3.0");
    let some = gaps().await.fill_null_in(float() | text(), Fill::Zero).unwrap();
    assert_eq!(in_line(some).await, "1 2.0 a true | - 4.0 - - | 3 0.0 c false");
    let other = gaps().await.fill_null_in("n", col("x") * lit(10)).unwrap();
    assert_eq!(in_line(other.select([col("n")]).unwrap()).await, "1.0 | 40.0 | 3.0");
}

#[tokio::test]
async fn a_column_that_is_named_is_filled_or_refused() {
    assert_query_error(
        gaps().await.fill_null_in(["n", "ok"], 0),
        "the column \"ok\" of Boolean cannot be filled with 0",
        Some("fill it with a value of its type, or cast it before"),
    );
    let refused = [
        gaps().await.fill_nulls([("ok", lit("no"))]),
        gaps().await.fill_null_in("t", Fill::Mean),
        gaps().await.fill_null_in("t", Fill::Zero),
    ];
    for result in refused {
        assert!(result.unwrap_err().to_string().contains("cannot be filled with"));
    }
}

#[tokio::test]
async fn nulls_are_filled_with_what_the_column_has() {
    let rows = || async { gaps().await.select([col("n"), col("x"), col("t")]).unwrap() };
    let filled =
        |frame: DataFrame, fill: Fill| async { in_line(frame.fill_null(fill).unwrap()).await };
    assert_eq!(filled(rows().await, Fill::Min).await, "1 2.0 a | 1 4.0 a | 3 2.0 c");
    assert_eq!(filled(rows().await, Fill::Max).await, "1 2.0 a | 3 4.0 c | 3 4.0 c");
    assert_eq!(filled(rows().await, Fill::Mean).await, "1.0 2.0 a | 2.0 4.0 - | 3.0 3.0 c");
    assert_eq!(filled(rows().await, Fill::One).await, "1 2.0 a | 1 4.0 - | 3 1.0 c");
}

#[tokio::test]
async fn each_column_has_its_own_filling() {
    let frame = gaps().await.fill_nulls([("n", lit(9)), ("t", lit("?"))]).unwrap();
    assert_eq!(in_line(frame).await, "1 2.0 a true | 9 4.0 ? - | 3 - c false");
    assert!(gaps().await.fill_nulls([("m", lit(9))]).is_err());
    // What is put into one is not seen by the others.
    let gaps = "SELECT 1 AS a, NULL::INT AS b, NULL::INT AS c";
    let frame = frame_of(gaps).await.fill_nulls([("b", col("a")), ("c", col("b"))]).unwrap();
    assert_eq!(in_line(frame).await, "1 1 -");
}

#[tokio::test]
async fn nans_are_no_nulls() {
    let session = plain_session();
    let values = vec![Some(1.0), Some(f64::NAN), None];
    let frame = session.frame([("x", values.into()), ("n", vec![1, 2, 3].into())]).unwrap();
    assert_eq!(in_line(frame.clone().fill_nan(lit(0.0)).unwrap()).await, "1.0 1 | 0.0 2 | - 3");
    assert_eq!(in_line(frame.clone().drop_nans([]).unwrap()).await, "1.0 1 | - 3");
    assert_eq!(in_line(frame.clone().drop_nulls([]).unwrap()).await, "1.0 1 | NaN 2");
    let tests = [col("x").is_nan(), col("x").is_not_nan(), col("x").fill_nan(lit(5.0))];
    let tests = tests.into_iter().zip(["a", "b", "c"]).map(|(expr, name)| expr.alias(name));
    assert_eq!(
        in_line(frame.select(tests).unwrap()).await,
        "false true 1.0 | true false 5.0 | - - -"
    );
}

#[tokio::test]
async fn values_are_replaced() {
    let null = || lit(datafusion::common::ScalarValue::Null);
    let frame = gaps().await.replace("T", [(lit("a"), lit("A")), (null(), lit("?"))]).unwrap();
    assert_eq!(in_line(frame.select([col("t")]).unwrap()).await, "A | ? | c");
    let swapped = gaps().await.replace("n", [(lit(1), lit(3)), (lit(3), lit(1))]).unwrap();
    assert_eq!(in_line(swapped.select([col("n")]).unwrap()).await, "3 | - | 1");
    let gone = gaps().await.select([col("n").replace([(lit(3), null())]).alias("n")]).unwrap();
    assert_eq!(in_line(gone).await, "1 | - | -");
    assert!(gaps().await.replace("m", [(lit(1), lit(2))]).is_err());
    // Numbers by words, the first pair of several, and each kind of NaN and zero.
    let words = gaps().await.replace("n", [(lit(1), lit("one")), (lit(1), lit("two"))]).unwrap();
    assert_eq!(in_line(words.select([col("n")]).unwrap()).await, "one | - | 3");
    let session = plain_session();
    let frame = session.frame([("x", vec![f64::NAN, -f64::NAN, -0.0, 2.0].into())]).unwrap();
    let plain = frame.replace("x", [(lit(f64::NAN), lit(5.0)), (lit(0.0), lit(6.0))]).unwrap();
    assert_eq!(in_line(plain).await, "5.0 | 5.0 | 6.0 | 2.0");
}

#[tokio::test]
async fn nulls_are_counted() {
    let frame = gaps().await.null_count().unwrap();
    assert_eq!(frame.columns(), ["n", "x", "t", "ok"]);
    assert_eq!(in_line(frame).await, "1 1 1 1");
    let none = gaps().await.filter(lit(false)).unwrap().null_count().unwrap();
    assert_eq!(in_line(none).await, "0 0 0 0");
    let tests =
        gaps().await.select([col("n").is_null().alias("a"), col("n").is_not_null().alias("b")]);
    assert_eq!(in_line(tests.unwrap()).await, "false true | true false | false true");
}

#[tokio::test]
async fn a_column_is_filled_on_disk() {
    let place = Place::new();
    let session = spilling_session(&place);
    let rows = session.range(0, 3001, 1).unwrap();
    let even = brimful::when((col("value") % lit(2)).eq(lit(0))).then(col("value")).end();
    let frame = rows.select([even.alias("n")]).unwrap().fill_null(Fill::Mean).unwrap();
    // The mean of 0, 2 … 3000 takes the place of 1500 NULLs.
    let filled = frame.filter(col("n").eq(lit(1500.0))).unwrap();
    assert_eq!(filled.count().await.unwrap(), 1501);
    assert!(session.spill_metrics().written_bytes > 0);
}
