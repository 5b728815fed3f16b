//! Aggregates that Brimful adds to DataFusion's, as functions of the library.

use brimful::aggregates::{arg_max, arg_min, entropy, histogram, kurtosis, mode, product, skew};
use brimful::col;

use crate::support::{frame_of, in_line};

const VALUES: &str = "SELECT * FROM (VALUES ('a', 1.0::DOUBLE), ('b', 2.0), ('b', 2.0), ('c', 5.0), \
                      (NULL, NULL)) AS t(k, v)";

#[tokio::test]
async fn the_most_frequent_value() {
    let frame = frame_of(VALUES).await.agg([mode(col("k")).unwrap(), mode(col("v")).unwrap()]);
    assert_eq!(in_line(frame.unwrap()).await, "b 2.0");
}

#[tokio::test]
async fn the_row_of_the_extreme() {
    let frame = frame_of(VALUES).await.agg([
        arg_max(col("k"), col("v")).unwrap().alias("greatest"),
        arg_min(col("k"), col("v")).unwrap().alias("least"),
    ]);
    assert_eq!(in_line(frame.unwrap()).await, "c a");
}

#[tokio::test]
async fn products() {
    let frame = frame_of(VALUES).await.agg([product(col("v")).unwrap()]);
    assert_eq!(in_line(frame.unwrap()).await, "20.0");
}

#[tokio::test]
async fn shapes_of_distributions() {
    // DuckDB: skewness, kurtosis and entropy of the same values.
    let rounded = |expr| brimful::functions::round(vec![expr, brimful::lit(4)]);
    let frame = frame_of(VALUES).await.agg([
        rounded(skew(col("v")).unwrap()).alias("skew"),
        rounded(kurtosis(col("v")).unwrap()).alias("kurtosis"),
        rounded(entropy(col("k")).unwrap()),
    ]);
    assert_eq!(in_line(frame.unwrap()).await, "1.5396 2.8889 1.5");
}

#[tokio::test]
async fn how_often_each_value_is_there() {
    let frame = frame_of(VALUES).await.agg([histogram(col("k")).unwrap()]);
    assert_eq!(in_line(frame.unwrap()).await, "{a: 1, b: 2, c: 1}");
}
