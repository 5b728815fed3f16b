//! Tables of rows that are kept: in memory, in part or wholly on disk. They give the same rows, change
//! as a whole or not at all, and give their memory to whoever needs it.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use brimful::{ErrorKind, Knobs, Session, col};
use futures::TryStreamExt;

use crate::support::{Place, assert_no_files, rows, run_all, session, session_with};

/// Rows of numbers with NULLs and texts that hardly compress; 40 000 rows are about 3 MB.
fn series(from: u64, to: u64) -> String {
    format!(
        "SELECT value AS id, CASE WHEN value % 7 = 0 THEN NULL ELSE value % 100 END AS k, \
         md5(CAST(value AS VARCHAR)) || md5(CAST(value + 1 AS VARCHAR)) AS \"Text\" \
         FROM generate_series({from}, {to})"
    )
}

const SUMMARY: &str = "SELECT count(*), count(k), sum(id), sum(k), min(id), max(id), min(\"Text\"), \
                       count(DISTINCT \"Text\") FROM t";

fn table_bytes(bytes: u64) -> Knobs {
    Knobs { table_bytes: Some(bytes), ..Knobs::default() }
}

/// All that the tests of one kind of storage look at.
async fn life_of_a_table(session: &Session) -> Vec<Vec<String>> {
    let mut seen = Vec::new();
    run_all(session, &format!("CREATE TABLE t AS {}", series(1, 40_000))).await.unwrap();
    let steps = [
        "INSERT INTO t SELECT id + 40000, k, \"Text\" FROM t WHERE id <= 20000".to_string(),
        format!("INSERT INTO t {}", series(60_001, 60_010)),
        "UPDATE t SET k = id * 2, \"Text\" = upper(\"Text\") WHERE k IS NULL AND id > 100"
            .to_string(),
        "DELETE FROM t WHERE id % 3 = 1 OR k = 11".to_string(),
        "UPDATE t SET k = 5".to_string(),
    ];
    for step in &steps {
        seen.push(rows(session, step).await.unwrap());
        seen.push(rows(session, SUMMARY).await.unwrap());
        let groups = "SELECT k, count(*), max(\"Text\") FROM t GROUP BY k ORDER BY k LIMIT 50";
        seen.push(rows(session, groups).await.unwrap());
        let some = "SELECT * FROM t WHERE id % 1013 = 5 ORDER BY id, \"Text\"";
        seen.push(rows(session, some).await.unwrap());
    }
    run_all(session, "CREATE OR REPLACE TABLE t AS SELECT id FROM t WHERE id < 10").await.unwrap();
    seen.push(rows(session, "SELECT id FROM t ORDER BY id").await.unwrap());
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_the_same_wherever_their_rows_are() {
    let place = Place::new();
    let plain = session(&place, 2, Knobs::default());
    let expected = life_of_a_table(&plain).await;
    assert_eq!(expected[0], ["20000"]);
    assert_eq!(expected[4], ["10"]);
    assert_eq!(plain.spill_metrics().raw_bytes, 0);
    for threads in [1, 4] {
        let mut written = Vec::new();
        for bytes in [0, 2_000_000] {
            let session = session(&place, threads, table_bytes(bytes));
            let what = format!("{threads} threads, {bytes} bytes");
            assert_eq!(life_of_a_table(&session).await, expected, "{what}");
            written.push(session.spill_metrics().raw_bytes);
            run_all(&session, "DROP TABLE t").await.unwrap();
            assert_no_files(&what, &place).await;
            assert_eq!(session.spill_metrics().disk_bytes, 0, "{what}");
        }
        assert!(0 < written[1] && written[1] < written[0], "{written:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_read_in_parts_where_that_helps() {
    let place = Place::new();
    let session = session(&place, 4, Knobs::default());
    run_all(&session, &format!("CREATE TABLE t AS {}", series(1, 60_000))).await.unwrap();
    let grouped = session.sql("SELECT k, count(*) FROM t GROUP BY k").await.unwrap();
    let plan = grouped.explain(false).await.unwrap();
    assert!(plan.contains("table, partitions=4"), "{plan}");
    let counted = session.sql("SELECT count(*), max(id) FROM t").await.unwrap();
    let plan = counted.explain(false).await.unwrap();
    assert!(!plan.contains("DataSourceExec"), "{plan}");
    assert_eq!(rows(&session, "SELECT count(*), max(id) FROM t").await.unwrap(), ["60000|60000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sorted_rows_stay_sorted() {
    let place = Place::new();
    for bytes in [0, u64::MAX] {
        let session = session(&place, 4, table_bytes(bytes));
        let sql = format!("CREATE TABLE t AS {} ORDER BY id DESC", series(1, 30_000));
        run_all(&session, &sql).await.unwrap();
        let expected: Vec<String> = (1..=30_000).rev().map(|id| id.to_string()).collect();
        assert!(rows(&session, "SELECT id FROM t").await.unwrap() == expected, "{bytes}");
        let first = rows(&session, "SELECT id FROM t LIMIT 3 OFFSET 1").await.unwrap();
        assert_eq!(first, expected[1..4]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_changes_nothing() {
    let place = Place::new();
    let more = series(1, 100_000);
    let statements = [
        format!("CREATE OR REPLACE TABLE t AS {more}"),
        format!("CREATE TABLE u AS {more}"),
        format!("INSERT INTO t {more}"),
        "UPDATE t SET k = 1".to_string(),
    ];
    for statement in &statements {
        // Two writes make the first table; the second one of the statement fails.
        let knobs = Knobs { fail_write: Some(4), ..table_bytes(0) };
        let session = session(&place, 1, knobs);
        run_all(&session, &format!("CREATE TABLE t AS {}", series(1, 30_000))).await.unwrap();
        let before = rows(&session, SUMMARY).await.unwrap();
        let error = run_all(&session, statement).await.expect_err(statement);
        assert_eq!(error.kind(), ErrorKind::Io, "{statement}: {error}");
        assert_eq!(session.table_names(), ["t"], "{statement}");
        assert_eq!(rows(&session, SUMMARY).await.unwrap(), before, "{statement}");
        run_all(&session, "DROP TABLE t").await.unwrap();
        assert_no_files(statement, &place).await;
    }
    let session = session_with(&place, table_bytes(0), |options| options.max_temp_bytes(200_000));
    let error = run_all(&session, &format!("CREATE TABLE t AS {}", series(1, 30_000))).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Resources);
    assert!(session.table_names().is_empty());
    assert_no_files("the quota", &place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_query_fails_at_is_not_kept() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    run_all(&session, "CREATE TABLE t AS SELECT 1 AS id").await.unwrap();
    let late = "SELECT CAST(CASE WHEN value = 90000 THEN 'x' ELSE '1' END AS INT) AS id \
                FROM generate_series(1, 100000)";
    for statement in [
        format!("CREATE OR REPLACE TABLE t AS {late}"),
        format!("INSERT INTO t {late}"),
        format!("CREATE TABLE u AS {late}"),
        "CREATE OR REPLACE TABLE t AS SELECT 1 AS a, 2 AS a FROM t AS x".to_string(),
    ] {
        run_all(&session, &statement).await.expect_err(&statement);
        assert_eq!(rows(&session, "SELECT * FROM t").await.unwrap(), ["1"], "{statement}");
        assert_eq!(session.table_names(), ["t"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_altered_block_is_an_error() {
    let place = Place::new();
    let knobs = Knobs { alter_read: Some(2), ..table_bytes(0) };
    let session = session(&place, 1, knobs);
    run_all(&session, &format!("CREATE TABLE t AS {}", series(1, 50_000))).await.unwrap();
    let error = rows(&session, "SELECT sum(length(\"Text\")) FROM t").await.unwrap_err();
    assert!(error.to_string().contains("temporary file"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_the_rows_there_were() {
    let place = Place::new();
    for bytes in [0, u64::MAX] {
        let session = session(&place, 2, table_bytes(bytes));
        run_all(&session, &format!("CREATE TABLE t AS {}", series(1, 30_000))).await.unwrap();
        for change in ["INSERT INTO t SELECT * FROM t", "DELETE FROM t", "DROP TABLE t"] {
            let before = rows(&session, "SELECT count(*) FROM t").await.unwrap();
            let frame = session.sql("SELECT id, \"Text\" FROM t").await.unwrap();
            let mut stream = frame.stream().await.unwrap();
            let mut count = stream.try_next().await.unwrap().map_or(0, |batch| batch.num_rows());
            run_all(&session, change).await.unwrap();
            while let Some(batch) = stream.try_next().await.unwrap() {
                count += batch.num_rows();
            }
            assert_eq!(before, [count.to_string()], "{change}");
        }
        assert_no_files("the last reader has ended", &place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_inserts_make_few_blocks() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    run_all(&session, "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)").await.unwrap();
    for id in 0..300 {
        run_all(&session, &format!("INSERT INTO t VALUES ({id}, 'w{id}')")).await.unwrap();
    }
    let expected: Vec<String> = (0..300).map(|id| format!("{id}|w{id}")).collect();
    assert_eq!(rows(&session, "SELECT * FROM t").await.unwrap(), expected);
    let batches = session.sql("SELECT * FROM t").await.unwrap().collect().await.unwrap();
    assert!(batches.len() < 12, "{} batches", batches.len());
    let error = run_all(&session, "INSERT INTO t VALUES (NULL, 'x')").await.unwrap_err();
    assert!(error.to_string().contains("id"), "{error}");
    assert_eq!(rows(&session, "SELECT count(*), min(id) FROM t").await.unwrap(), ["300|0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_gives_its_memory_to_a_query() {
    let place = Place::new();
    let session = session_with(&place, Knobs::default(), |options| {
        options.threads(1).memory_limit_bytes(64 << 20)
    });
    // A quarter of what operators may have.
    run_all(&session, &format!("CREATE TABLE t AS {}", series(1, 100_000))).await.unwrap();
    assert_eq!(session.spill_metrics().raw_bytes, 0);
    let before = rows(&session, SUMMARY).await.unwrap();
    let spilled = session.spill_metrics().raw_bytes;
    let sql = format!(
        "SELECT count(*) FROM (SELECT \"Text\", row_number() OVER (ORDER BY \"Text\") AS n FROM ({})) \
         WHERE n > 0",
        series(1, 600_000)
    );
    assert_eq!(rows(&session, &sql).await.unwrap(), ["600000"]);
    assert!(session.spill_metrics().raw_bytes > spilled);
    // What is on disk now that the query has ended belongs to the table.
    assert!(place.temporary_bytes() > 1 << 20, "{}", place.temporary_bytes());
    assert_eq!(rows(&session, SUMMARY).await.unwrap(), before);
    run_all(&session, "DROP TABLE t").await.unwrap();
    assert_no_files("the table is gone", &place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_is_computed_once_when_it_is_cached() {
    let place = Place::new();
    for bytes in [0, u64::MAX] {
        let session = session(&place, 2, table_bytes(bytes));
        let frame = session.sql(&series(1, 30_000)).await.unwrap();
        let frame = frame.sort([col("id").sort(false, false)]).unwrap();
        // Another time it would be another number.
        let frame = frame.with_column("r", brimful::functions::random()).unwrap();
        let cached = frame.cache().await.unwrap();
        let again = cached.clone().select([col("id"), col("R")]).unwrap();
        let first = cached.select([col("id"), col("r")]).unwrap().collect().await.unwrap();
        assert!(again.clone().collect().await.unwrap() == first, "{bytes}");
        assert_eq!(again.count().await.unwrap(), 30_000);
        let ids: Vec<i64> = first
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect();
        assert!(ids.into_iter().eq((1..=30_000).rev()), "{bytes}");
        assert_no_files("all frames are gone", &place).await;
        assert!((session.spill_metrics().raw_bytes > 0) == (bytes == 0));
        let twice = session.sql("SELECT 1 AS a, 2 AS a").await;
        if let Ok(twice) = twice {
            assert_eq!(twice.cache().await.unwrap_err().kind(), ErrorKind::Query);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_that_does_not_fit_is_not_collected() {
    let place = Place::new();
    let session = session_with(&place, Knobs::default(), |options| {
        options.threads(2).memory_limit_bytes(64 << 20)
    });
    let sql = series(1, 800_000);
    let error = session.sql(&sql).await.unwrap().collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resources, "{error}");
    assert!(error.hint().unwrap().contains("stream it"), "{:?}", error.hint());
    // Its memory is free again.
    let some = session.sql(&series(1, 50_000)).await.unwrap().collect().await.unwrap();
    assert_eq!(some.iter().map(|batch| batch.num_rows()).sum::<usize>(), 50_000);
    let cached = session.sql(&sql).await.unwrap().cache().await.unwrap();
    assert!(session.spill_metrics().raw_bytes > 0);
    assert_eq!(cached.count().await.unwrap(), 800_000);
    assert_no_files("the frame is gone", &place).await;
}
