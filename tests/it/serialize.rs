//! Queries that were written as bytes and read again, in the same session and in another one.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use brimful::aggregates::sum;
use brimful::{
    AsofOptions, CsvOptions, DataFrame, ErrorKind, Ewm, ExprMethods, Outcome, ReadOptions, Session,
    Storage, apply, col, lit,
};

use crate::support::{Place, assert_query_error, frame_values, in_line, plain_session, rising};

/// The frame as another session reads it.
async fn elsewhere(frame: &DataFrame) -> DataFrame {
    plain_session().deserialize(&frame.serialize().await.unwrap()).await.unwrap()
}

/// Checks that another session computes the same rows, and gives them in one line.
async fn same_elsewhere(frame: DataFrame) -> String {
    let there = in_line(elsewhere(&frame).await).await;
    assert_eq!(there, in_line(frame).await);
    there
}

async fn run(session: &Session, sql: &str) {
    for statement in session.parse(sql).unwrap() {
        match session.execute(statement).await.unwrap() {
            Outcome::Rows(frame) => drop(frame.collect().await.unwrap()),
            Outcome::Plan(_) | Outcome::Done => {}
        }
    }
}

#[tokio::test]
async fn files_are_read_as_they_were() {
    let place = Place::new();
    place.write("a.csv", "id;day;code\n1;03.02.2024;007\n2;04.02.2024;\n");
    let path = place.path("a.csv").to_str().unwrap().to_string();
    let session = plain_session();
    let frame = session.read_csv(&path, CsvOptions::new()).await.unwrap();
    assert_eq!(same_elsewhere(frame.clone()).await, "1 2024-02-03 007 | 2 2024-02-04 -");
    let bytes = frame.serialize().await.unwrap();

    // What was found out about the file still holds when it has other rows.
    place.write("a.csv", "id;day;code\n3;05.02.2024;x\n");
    let again = plain_session().deserialize(&bytes).await.unwrap();
    assert_eq!(in_line(again).await, "3 2024-02-05 x");
    place.write("a.csv", "id;day;code\nthree;05.02.2024;x\n");
    let error = plain_session().deserialize(&bytes).await.unwrap().collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
}

#[tokio::test]
async fn tables_of_every_kind_of_files() {
    let place = Place::new();
    let session = plain_session();
    let rows = session.sql("SELECT * FROM (VALUES (1, 'x'), (2, NULL)) AS t (id, name)");
    let rows = rows.await.unwrap();
    let folder = place.path("").to_str().unwrap().trim_end_matches('/').to_string();
    for name in ["a.parquet", "a.arrow", "a.json", "a.csv.gz"] {
        let path = format!("{folder}/{name}");
        rows.clone().write(&path, Default::default()).await.unwrap();
        let frame = session.read([path.as_str()], ReadOptions::new().filename("file")).await;
        let frame = frame.unwrap().sort([rising("id")]).unwrap();
        assert_eq!(same_elsewhere(frame).await, format!("1 x {path} | 2 - {path}"), "{name}");
    }

    place.write("one.csv", "id,name\n1,a\n");
    place.write("two.csv", "name,size\nb,2.5\n");
    let united = format!(
        "SELECT * FROM read_csv(['{folder}/one.csv', '{folder}/two.csv'], union_by_name = true) \
         ORDER BY name"
    );
    assert_eq!(same_elsewhere(session.sql(&united).await.unwrap()).await, "1 a - | - b 2.5");

    std::fs::create_dir_all(place.path("days/day=2")).unwrap();
    place.write("days/day=2/a.csv", "id\n7\n");
    run(&session, &format!("CREATE EXTERNAL TABLE days STORED AS CSV LOCATION '{folder}/days/'"))
        .await;
    // Files are named, whatever the table is called here.
    let days = session.sql("SELECT * FROM days WHERE day = '2'").await.unwrap();
    assert_eq!(same_elsewhere(days).await, "7 2");
}

#[tokio::test]
async fn rejected_records_are_listed_where_the_query_is_read() {
    let place = Place::new();
    place.write("a.csv", "id\n1\nx\n");
    let session = plain_session();
    let sql = format!(
        "SELECT * FROM read_csv('{}', types = {{'id': 'BIGINT'}}, store_rejects = true)",
        place.path("a.csv").display()
    );
    let bytes = session.sql(&sql).await.unwrap().serialize().await.unwrap();
    let other = plain_session();
    assert_eq!(in_line(other.deserialize(&bytes).await.unwrap()).await, "1");
    let rejects = other.sql("SELECT count(*) FROM reject_errors").await.unwrap();
    assert_eq!(in_line(rejects).await, "1");
}

#[tokio::test]
async fn tables_of_the_session_are_named() {
    let session = plain_session();
    run(&session, "CREATE TABLE t AS SELECT 1 AS id; CREATE VIEW v AS SELECT id + 1 AS n FROM t")
        .await;
    let bytes = session.sql("SELECT * FROM t").await.unwrap().serialize().await.unwrap();
    let other = plain_session();
    assert_query_error(
        other.deserialize(&bytes).await.map(drop),
        "this session has no table t, which the query reads",
        None,
    );
    run(&other, "CREATE TABLE t AS SELECT 'one' AS id").await;
    assert_query_error(
        other.deserialize(&bytes).await.map(drop),
        "the table t of this session has other columns than the one that the query reads",
        None,
    );
    run(&other, "DROP TABLE t; CREATE TABLE t AS SELECT 5 AS id").await;
    assert_eq!(in_line(other.deserialize(&bytes).await.unwrap()).await, "5");

    // A view is what it stands for.
    let view = session.sql("SELECT * FROM v WHERE n > 0").await.unwrap().serialize().await.unwrap();
    assert_eq!(in_line(other.deserialize(&view).await.unwrap()).await, "6");
}

#[tokio::test]
async fn rows_of_a_frame_go_along() {
    let session = plain_session();
    let frame = session.frame([("n", vec![Some(1), None].into()), ("t", vec!["a", "b"].into())]);
    let frame = frame.unwrap();
    assert_eq!(same_elsewhere(frame.clone()).await, "1 a | - b");
    let persisted = frame.filter(col("n").is_not_null()).unwrap().persist(Storage::Memory).await;
    assert_eq!(same_elsewhere(persisted.unwrap()).await, "1 a");
    assert_eq!(same_elsewhere(session.range(0, 3, 1).unwrap()).await, "0 | 1 | 2");

    let many = session.frame([("n", (0..4_000_000_i64).collect::<Vec<_>>().into())]).unwrap();
    assert_query_error(
        many.serialize().await,
        "the query has rows of its own of more than 16 MiB",
        Some("write them to a file first, and make the query from that"),
    );
}

#[tokio::test]
async fn subqueries_of_every_kind() {
    let session = plain_session();
    let t = "WITH t (id, k) AS (VALUES (1, 'a'), (2, 'b'), (3, NULL)) SELECT id FROM t WHERE";
    for (condition, expected) in [
        ("EXISTS (SELECT 1 FROM t AS s WHERE s.id = t.id + 1)", "1 | 2"),
        ("NOT EXISTS (SELECT 1 FROM t AS s WHERE s.id = t.id + 1)", "3"),
        ("id IN (SELECT s.id + 1 FROM t AS s)", "2 | 3"),
        ("id NOT IN (SELECT s.id + 1 FROM t AS s WHERE s.id < t.id)", "1"),
        ("id = (SELECT max(s.id) FROM t AS s)", "3"),
        ("id <= ANY (SELECT 2)", "1 | 2"),
        ("id > ALL (SELECT s.id FROM t AS s WHERE s.id < 3)", "3"),
        (
            "(SELECT count(*) FROM t AS s WHERE s.id < t.id AND EXISTS (SELECT 1 WHERE s.k = 'a')) > 0",
            "2 | 3",
        ),
    ] {
        let frame = session.sql(&format!("{t} {condition} ORDER BY id")).await.unwrap();
        assert_eq!(same_elsewhere(frame).await, expected, "{condition}");
    }
    let lateral = "SELECT t.id, l.n FROM (VALUES (1), (2)) AS t (id), \
                   LATERAL (SELECT t.id * 10 AS n) AS l ORDER BY 1";
    assert_eq!(same_elsewhere(session.sql(lateral).await.unwrap()).await, "1 10 | 2 20");
}

#[tokio::test]
async fn operators_and_functions_of_the_dataframe() {
    let session = plain_session();
    let left = session.frame([("t", vec![1, 5, 9].into()), ("v", vec![1.0, 2.0, 4.0].into())]);
    let left = left.unwrap();
    let right = session.frame([("t", vec![0, 4].into()), ("w", vec!["a", "b"].into())]).unwrap();
    let options = AsofOptions::on("t").tolerance(4_i64);
    let joined = left.clone().join_asof(right, &options).unwrap();
    assert_eq!(
        same_elsewhere(joined.sort([rising("t")]).unwrap()).await,
        "1 1.0 a | 5 2.0 b | 9 4.0 -"
    );
    let sorted = left.clone().set_sorted(&["t"]).unwrap();
    assert_eq!(same_elsewhere(sorted).await, "1 1.0 | 5 2.0 | 9 4.0");
    let ordered = left.sort([rising("t")]).unwrap();
    let means = ordered.select([
        col("v").ewm_mean(Ewm::alpha(0.5).unwrap().adjust(false)).alias("ewm"),
        col("t").cum_prod().alias("product"),
        col("v").rolling_sum(2).unwrap().alias("rolling"),
    ]);
    assert_eq!(same_elsewhere(means.unwrap()).await, "1.0 1 - | 1.5 5 3.0 | 2.75 45 6.0");
}

#[tokio::test]
async fn a_plan_of_any_depth() {
    let mut frame = plain_session().range(0, 2, 1).unwrap();
    for _ in 0..120 {
        frame = frame.with_column("value", col("value") + lit(1)).unwrap();
    }
    assert_eq!(same_elsewhere(frame).await, "120 | 121");
}

#[tokio::test]
async fn functions_of_the_program() {
    let session = plain_session();
    let frame = session.range(0, 2, 1).unwrap();
    let double = |columns: &[ArrayRef]| Ok(Arc::clone(&columns[0]));
    let applied = frame.clone().select([apply([col("value")], DataType::Int64, double)]).unwrap();
    let error = applied.serialize().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the function \"apply\" is one of this program, which has no name for it"
    );
    let schema = frame.schema();
    let mapped = frame.clone().map_batches(Ok::<_, brimful::Error>, schema).unwrap();
    let error = mapped.serialize().await.unwrap_err();
    assert!(error.to_string().ends_with("map_batches calls a function of this program"), "{error}");

    session.register_scalar("plus_one", |x: i64| x + 1);
    let frame = session.sql("SELECT plus_one(41)").await.unwrap();
    let bytes = frame.serialize().await.unwrap();
    let other = plain_session();
    assert_query_error(
        other.deserialize(&bytes).await.map(drop),
        "this session has no function \"plus_one\", which the query calls",
        Some("register it before the query is read"),
    );
    other.register_scalar("plus_one", |x: i64| x + 100);
    assert_eq!(in_line(other.deserialize(&bytes).await.unwrap()).await, "141");
}

#[tokio::test]
async fn only_queries() {
    let session = plain_session();
    run(&session, "CREATE TABLE t AS SELECT 1 AS id").await;
    for sql in ["INSERT INTO t VALUES (2)", "DELETE FROM t WHERE id = 1"] {
        let frame = session.sql(sql).await.unwrap();
        let error = frame.serialize().await.unwrap_err();
        assert!(error.to_string().ends_with("only queries can be serialized"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_query() {
    let session = plain_session();
    let values: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2]));
    let frame = session.frame([("n", values.into())]).unwrap();
    let frame = frame.group_by([col("n")]).agg([sum(col("n")).alias("s")]).unwrap();
    let bytes = frame.serialize().await.unwrap();
    for end in 0..bytes.len() {
        let error = session.deserialize(&bytes[..end]).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{end}: {error}");
    }
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x55;
        let error = session.deserialize(&changed).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{place}: {error}");
    }
    let mut other = bytes.clone();
    let place = other.windows(3).position(|three| three == b"0.1").unwrap();
    other[place + 2] = b'9';
    let checksum = crc32fast::hash(&other[12..]).to_le_bytes();
    other[8..12].copy_from_slice(&checksum);
    let error = session.deserialize(&other).await.map(drop).unwrap_err();
    assert!(error.to_string().starts_with("the query was serialized by version 0.9"), "{error}");
    assert_eq!(frame_values(session.deserialize(&bytes).await.unwrap()).await.len(), 3);
}
