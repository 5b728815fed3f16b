//! Pivots, their opposite, and what is made of them. The values that are expected are those of the
//! definitions, small enough to be made by hand.

use brimful::aggregates::{count, max, sum};
use brimful::{DataFrame, ErrorKind, ScalarValue, Session, SessionOptions, col, lit};

use crate::support::row_texts;

async fn table(sql: &str) -> DataFrame {
    let session = Session::new(SessionOptions::new().threads(2)).unwrap();
    session.sql(sql).await.unwrap()
}

const SALES: &str = "SELECT * FROM (VALUES ('Rome', 2020, 1), ('Rome', 2021, 2), ('Oslo', 2020, 3), \
                     ('Oslo', NULL, 4), (NULL, 2021, 5), ('Oslo', 2020, NULL)) \
                     AS t(city, \"Year\", amount)";

fn names(frame: &DataFrame) -> Vec<String> {
    frame.schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// The rows in the order they have.
async fn texts(frame: DataFrame) -> Vec<String> {
    frame.collect().await.unwrap().iter().flat_map(row_texts).collect()
}

async fn sorted(frame: DataFrame, by: &str) -> Vec<String> {
    texts(frame.sort([col(by).sort(true, false)]).unwrap()).await
}

#[tokio::test]
async fn values_are_found_or_given() {
    let sales = table(SALES).await;
    let found = sales.clone().pivot("year", &["CITY"], [sum(col("amount"))]).await.unwrap();
    assert_eq!(names(&found), ["city", "2020", "2021"]);
    assert_eq!(sorted(found, "city").await, ["Oslo|3|NULL", "Rome|1|2", "NULL|NULL|5"]);

    let years = [ScalarValue::from(2021_i64), ScalarValue::Null, ScalarValue::from(1999_i64)];
    let aggregates = [sum(col("amount")).alias("s"), count(lit(1))];
    let given = sales.pivot_values("Year", &["city"], aggregates, years).unwrap();
    let count = "count(Int32(1))";
    let expected = ["city", "2021_s", "2021_n", "NULL_s", "NULL_n", "1999_s", "1999_n"];
    assert_eq!(names(&given), expected.map(|name| name.replace("_n", &format!("_{count}"))));
    let expected = ["Oslo|NULL|0|4|1|NULL|0", "Rome|2|1|NULL|0|NULL|0", "NULL|5|1|NULL|0|NULL|0"];
    assert_eq!(sorted(given, "city").await, expected);
}

#[tokio::test]
async fn a_pivot_keeps_the_filter_of_its_aggregate() {
    use datafusion::logical_expr::ExprFunctionExt;
    let sales = table(SALES).await;
    let large = sum(col("Amount")).filter(col("amount").gt(lit(1))).build().unwrap();
    let pivot = sales.pivot_values("year", &[], [large], [2020_i64, 2021]).unwrap();
    assert_eq!(names(&pivot), ["2020", "2021"]);
    assert_eq!(texts(pivot).await, ["3|7"]);
}

#[tokio::test]
async fn what_cannot_be_pivoted() {
    let sales = table(SALES).await;
    let kind = |result: brimful::Result<DataFrame>| result.unwrap_err().kind();
    let wrong = sales.clone().pivot("nothing", &[], [max(col("amount"))]).await;
    assert_eq!(kind(wrong), ErrorKind::Query);
    let wrong = sales.clone().pivot("year", &[], [col("amount")]).await;
    assert_eq!(kind(wrong), ErrorKind::Query);
    let many = table("SELECT value AS i FROM generate_series(0, 10000)").await;
    let error = many.pivot("i", &[], [count(lit(1))]).await.unwrap_err();
    assert_eq!(error.to_string(), "a pivot into more than 10000 columns");
}

#[tokio::test]
async fn columns_into_rows() {
    let wide = "SELECT * FROM (VALUES (1, 10, 2.5), (2, NULL, 3.5)) AS t(id, \"A\", b)";
    let long = table(wide).await.unpivot(["a", "b"], ["ID"], "name", "value").unwrap();
    assert_eq!(names(&long), ["id", "name", "value"]);
    let expected = ["1|A|10.0", "1|b|2.5", "2|A|NULL", "2|b|3.5"];
    assert_eq!(long.clone().count().await.unwrap(), 4);
    let long = long.sort([col("id").sort(true, false), col("name").sort(true, false)]).unwrap();
    assert_eq!(texts(long).await, expected);
    let rest = table(wide).await.unpivot([], ["id"], "name", "value").unwrap();
    assert_eq!(rest.count().await.unwrap(), 4);
    let none = table(wide).await.unpivot([], ["id", "a", "b"], "name", "value");
    assert_eq!(none.unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn names_of_the_new_columns_are_taken_as_they_are() {
    let wide = "SELECT * FROM (VALUES (1, 10, 20)) AS t(id, a, b)";
    let long = table(wide).await.unpivot(["a", "b"], ["id"], "The.Year", "Amount \"x\"").unwrap();
    assert_eq!(names(&long), ["id", "The.Year", "Amount \"x\""]);
    assert_eq!(texts(long).await, ["1|a|10", "1|b|20"]);
}

#[tokio::test]
async fn numbers_and_texts_become_texts() {
    let mixed = "SELECT 7 AS a, '007' AS b, 'x' AS c";
    let long = table(mixed).await.unpivot(["a", "b", "c"], [], "name", "value").unwrap();
    assert_eq!(texts(long).await, ["a|7", "b|007", "c|x"]);
    let turned = table(mixed).await.transpose(None).await.unwrap();
    assert_eq!(texts(turned).await, ["7", "007", "x"]);
}

#[tokio::test]
async fn dummies_and_crosstab() {
    let sales = table(SALES).await;
    let dummies = sales.clone().to_dummies(&["CITY"]).await.unwrap();
    assert_eq!(names(&dummies), ["city_Oslo", "city_Rome", "Year", "amount"]);
    let expected =
        ["0|1|2020|1", "0|1|2021|2", "1|0|2020|3", "1|0|NULL|4", "0|0|2021|5", "1|0|2020|NULL"];
    assert_eq!(sorted(dummies, "amount").await, expected);

    let table = sales.crosstab("city", "year").await.unwrap();
    assert_eq!(names(&table), ["city", "2020", "2021"]);
    assert_eq!(texts(table).await, ["Oslo|2|0", "Rome|1|1", "NULL|0|1"]);
}

#[tokio::test]
async fn rows_become_columns() {
    let frame =
        table("SELECT * FROM (VALUES (1, 4), (2, NULL), (3, 6)) AS t(a, b) ORDER BY a").await;
    let turned = frame.clone().transpose(Some("column")).await.unwrap();
    assert_eq!(names(&turned), ["column", "column_0", "column_1", "column_2"]);
    assert_eq!(texts(turned).await, ["a|1|2|3", "b|4|NULL|6"]);
    let bare = frame.clone().transpose(None).await.unwrap();
    assert_eq!(texts(bare).await, ["1|2|3", "4|NULL|6"]);
    let empty = frame.filter(lit(false)).unwrap().transpose(Some("column")).await.unwrap();
    assert_eq!(texts(empty).await, ["a", "b"]);
    let large = table("SELECT * FROM generate_series(0, 10000)").await;
    assert_eq!(large.transpose(None).await.unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn lists_become_rows() {
    let frame = table(
        "SELECT * FROM (VALUES (1, make_array(10, 20), make_array('x')), \
         (2, arrow_cast(make_array(), 'List(Int64)'), make_array('y')), \
         (3, NULL, NULL)) AS t(id, \"L\", m)",
    )
    .await;
    let one = frame.clone().select([col("id"), col("l")]).unwrap().explode(["l"]).unwrap();
    let mut found = texts(one).await;
    found.sort();
    assert_eq!(found, ["1|10", "1|20", "2|NULL", "3|NULL"]);
    let mut both = texts(frame.clone().explode(["l", "m"]).unwrap()).await;
    both.sort();
    assert_eq!(both, ["1|10|x", "1|20|NULL", "2|NULL|y", "3|NULL|NULL"]);
    assert_eq!(frame.explode(["id"]).unwrap_err().kind(), ErrorKind::Query);
}
