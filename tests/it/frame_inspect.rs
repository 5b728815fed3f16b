//! What a frame says of itself.

use std::process::Command;

use arrow::datatypes::DataType;
use brimful::{DataFrame, Explain, col, lit};

use crate::support::{frame_of, plain_session};

async fn people() -> DataFrame {
    let rows = "SELECT * FROM (VALUES (1::BIGINT, 'Ann', 30.5::DOUBLE), (2, NULL, NULL)) AS t(id, name, age)";
    frame_of(rows).await
}

#[tokio::test]
async fn columns_and_types() {
    let people = people().await.cast("name", DataType::Utf8).unwrap();
    assert_eq!(people.columns(), ["id", "name", "age"]);
    assert_eq!(people.dtypes(), [DataType::Int64, DataType::Utf8, DataType::Float64]);
    assert_eq!((people.width(), people.schema().fields().len()), (3, 3));
}

#[tokio::test]
async fn a_glimpse_has_a_line_for_each_column() {
    let text = people().await.glimpse(5).await.unwrap();
    assert_eq!(
        text,
        "3 columns\nid    bigint   1, 2\nname  varchar  Ann, NULL\nage   double   30.5, NULL"
    );
    let none = people().await.limit(0).unwrap().select([col("id")]).unwrap();
    assert_eq!(none.glimpse(5).await.unwrap(), "1 columns\nid  bigint");
}

#[tokio::test]
async fn info_counts_rows_and_values() {
    let frame = people().await.select([col("id"), col("age")]).unwrap();
    // Two integers, two floats, and a byte that says which is NULL.
    let text = frame.info().await.unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("2 rows, 2 columns, "), "{text}");
    assert_eq!(lines[1..], ["id   2 not null  bigint", "age  1 not null  double"]);
}

#[tokio::test]
async fn the_size_is_that_of_the_rows() {
    let rows = plain_session().range(0, 100_000, 1).unwrap();
    assert_eq!(rows.clone().estimated_size().await.unwrap(), 800_000);
    assert_eq!(rows.limit(0).unwrap().estimated_size().await.unwrap(), 0);
}

#[tokio::test]
async fn plans_are_texts() {
    let rows = plain_session().range(0, 10, 1).unwrap();
    let frame = rows.filter(col("value").gt(lit(3))).unwrap().select([col("value")]).unwrap();
    let text = |what| {
        let frame = frame.clone();
        async move { frame.explain_as(what).await.unwrap() }
    };
    assert!(text(Explain::Logical).await.starts_with("Projection: "));
    assert!(text(Explain::Optimized).await.starts_with("Filter: "));
    assert!(text(Explain::Physical).await.contains("FilterExec: value@0 > 3"));
    assert!(text(Explain::Tree).await.contains('┌'));
    assert!(text(Explain::Graphviz).await.contains("digraph"));
    assert!(text(Explain::Analyze).await.contains("output_rows=6"));
}

#[tokio::test]
async fn frames_are_compared() {
    let session = plain_session();
    let rows = |from, to| session.range(from, to, 1).unwrap();
    let halves = rows(0, 10_000).union(rows(10_000, 20_000)).unwrap().sort_by(&["value"]).unwrap();
    let falling = rows(0, 20_000).sort_by(&["-value"]).unwrap();
    assert_eq!(halves.len().await.unwrap(), 20_000);
    assert!(!halves.is_empty().await.unwrap() && rows(5, 5).is_empty().await.unwrap());
    assert!(rows(0, 20_000).equals(halves).await.unwrap());
    assert!(!rows(0, 20_000).equals(rows(0, 19_999)).await.unwrap());
    assert!(!rows(0, 20_000).equals(rows(1, 20_001)).await.unwrap());
    assert!(!rows(0, 20_000).equals(falling.clone()).await.unwrap());
    assert!(rows(0, 20_000).equals_unordered(falling).await.unwrap());
    let twice = |n: i64| session.frame([("value", vec![1, 1, n].into())]).unwrap();
    assert!(!twice(1).equals_unordered(twice(2)).await.unwrap());
    let other = rows(0, 3).rename([("value", "v")]).unwrap();
    assert!(!rows(0, 3).equals(other).await.unwrap());
    let floats = || session.frame([("x", vec![Some(f64::NAN), None].into())]).unwrap();
    assert!(floats().equals(floats()).await.unwrap());
    assert!(floats().equals_unordered(floats()).await.unwrap());
}

#[tokio::test]
async fn equal_values_may_differ_in_their_bytes() {
    let session = plain_session();
    let floats = |values: Vec<f64>| session.frame([("x", values.into())]).unwrap();
    let (one, other) = (|| floats(vec![0.0, f64::NAN]), || floats(vec![-0.0, -f64::NAN]));
    assert!(one().equals(other()).await.unwrap());
    assert!(one().equals_unordered(other()).await.unwrap());
    assert!(!one().equals(floats(vec![0.0, 1.0])).await.unwrap());
    // Texts of two types, also within others.
    let of = |kind: &str| {
        let sql =
            format!("SELECT arrow_cast('a', '{kind}') AS t, [arrow_cast('b', '{kind}')] AS l");
        let session = session.clone();
        async move { session.sql(&sql).await.unwrap() }
    };
    assert!(of("Utf8").await.equals(of("Utf8View").await).await.unwrap());
    assert!(of("Utf8View").await.equals_unordered(of("LargeUtf8").await).await.unwrap());
    let number = session.sql("SELECT 1 AS t, ['b'] AS l").await.unwrap();
    assert!(!of("Utf8").await.equals(number).await.unwrap());
    let lists = |x: &'static str| {
        let session = session.clone();
        async move { session.sql(&format!("SELECT [{x}::DOUBLE] AS x")).await.unwrap() }
    };
    assert!(lists("0.0").await.equals(lists("-0.0").await).await.unwrap());
}

#[tokio::test]
#[ignore = "prints for the test below"]
async fn two_rows_for_the_test_below() {
    let rows = plain_session().frame([("n", vec![101, 202, 303].into())]).unwrap();
    rows.show_rows(2).await.unwrap();
}

#[test]
fn rows_are_shown() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "frame_inspect::two_rows_for_the_test_below", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let shown = ["101", "202", "303"].map(|value| text.contains(value));
    assert_eq!(shown, [true, true, false], "{text}");
}
