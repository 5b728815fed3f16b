//! Functions of texts that other functions of the registry are needed for.

use brimful::{ErrorKind, ExprMethods, col};

use crate::support::series::{frame_of, line};

async fn of(sql: &str, expr: brimful::Result<brimful::Expr>) -> String {
    let frame = frame_of(sql).await.sort([col("i").sort(true, false)]).unwrap();
    line(frame.select([expr.unwrap().alias("y")]).unwrap()).await
}

#[tokio::test]
async fn all_matches() {
    let sql = "SELECT * FROM (VALUES (1, 'a1b22'), (2, 'x'), (3, NULL)) AS v(i, x)";
    // pl.Series(["a1b22", "x", None]).str.extract_all(r"\d+")
    assert_eq!(of(sql, col("x").str().extract_all(r"\d+")).await, "[1, 22] | [] | -");
}

#[tokio::test]
async fn texts_become_times() {
    let sql = "SELECT * FROM (VALUES (1, '03/02/2024 10:20'), (2, 'x'), (3, NULL)) AS v(i, x)";
    let x = || col("x").str();
    let format = "%d/%m/%Y %H:%M";
    let expected = "2024-02-03T10:20:00 | - | -";
    assert_eq!(of(sql, x().to_datetime_or_null(format)).await, expected);
    assert_eq!(of(sql, x().to_date_or_null(format)).await, "2024-02-03 | - | -");
    let strict = frame_of(sql).await.select([x().to_datetime(format).unwrap()]).unwrap();
    assert_ne!(strict.collect().await.unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn paths_of_json() {
    let sql =
        "SELECT * FROM (VALUES (1, '{\"a\": {\"b\": [1, \"x\"]}}'), (2, '{}'), (3, NULL)) v(i, x)";
    // pl.Series([…]).str.json_path_match("$.a.b[1]")
    assert_eq!(of(sql, col("x").str().json_path_match("$.a.b[1]")).await, "x | - | -");
    assert_eq!(of(sql, col("x").json().extract_string("$.a.b[1]")).await, "x | - | -");
    assert_eq!(of(sql, col("x").json().extract("$.a.b")).await, "[1,\"x\"] | - | -");
}
