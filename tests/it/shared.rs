//! Parts of a query that are there more than once run once, in memory and on disk, with the same
//! answers.

use brimful::{ErrorKind, Knobs, Session};
use futures::TryStreamExt;

use crate::support::{Place, assert_no_files, rows, run_all, session};

/// A view that a query names twice, like the one of TPC-H Q15.
const BEST: &str = "WITH revenue AS (SELECT value % 1000 AS supplier, sum(value * 7919 % 10007) AS total \
    FROM generate_series(1, 200000) GROUP BY value % 1000) \
    SELECT supplier, total FROM revenue WHERE total = (SELECT max(total) FROM revenue) ORDER BY supplier";

async fn plan(session: &Session, sql: &str) -> String {
    session.sql(sql).await.unwrap().explain(false).await.unwrap()
}

/// How many operators of a kind have given rows when a query was run.
async fn runs(session: &Session, sql: &str, operator: &str) -> usize {
    let text = session.sql(sql).await.unwrap().explain(true).await.unwrap();
    let is_run = |line: &&str| {
        let gave_rows = line.contains("output_rows=") && !line.contains("output_rows=0");
        line.contains(operator) && gave_rows
    };
    text.lines().filter(is_run).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_with_two_references_runs_once() {
    let place = Place::new();
    for (threads, bytes) in [(1, u64::MAX), (4, u64::MAX), (1, 0), (4, 0)] {
        let knobs = Knobs { table_bytes: Some(bytes), ..Knobs::default() };
        let session = session(&place, threads, knobs);
        let plan = plan(&session, BEST).await;
        assert_eq!(plan.matches("SharedExec: 1").count(), 2, "{plan}");
        // By hand: the group of the largest sum.
        let by_hand = "SELECT value % 1000, sum(value * 7919 % 10007) AS total \
                       FROM generate_series(1, 200000) GROUP BY 1 ORDER BY total DESC, 1 LIMIT 1";
        let expected = rows(&session, by_hand).await.unwrap();
        assert_eq!(rows(&session, BEST).await.unwrap()[..1], expected);
        assert_eq!(session.spill_metrics().raw_bytes > 0, bytes == 0);
        // The series is read for one of the two.
        assert_eq!(runs(&session, BEST, "LazyMemoryExec").await, 1);
        assert_no_files("after the query", &place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_that_are_read_one_after_the_other_or_not_at_all() {
    let place = Place::new();
    let session = session(&place, 2, Knobs { table_bytes: Some(0), ..Knobs::default() });
    let groups = "WITH g AS (SELECT value % 5000 AS k, count(*) AS n FROM generate_series(1, 50000) \
                  GROUP BY value % 5000)";
    for (query, expected) in [
        ("SELECT count(*), sum(a.n) FROM g AS a JOIN g AS b ON a.k = b.k", "5000|50000"),
        ("SELECT count(*), sum(a.n) FROM g AS a JOIN g AS b ON a.k = b.k + 4000", "1000|10000"),
        (
            "SELECT count(*), sum(n) FROM (SELECT * FROM g UNION ALL SELECT * FROM g)",
            "10000|100000",
        ),
        ("SELECT count(*), max(n) FROM (SELECT * FROM g EXCEPT SELECT * FROM g)", "0|NULL"),
        ("SELECT count(*), 1 FROM g AS a, g AS b WHERE a.k < 3 AND b.k < 3", "9|1"),
        ("SELECT count(*), sum(n) FROM g WHERE k NOT IN (SELECT k FROM g WHERE k > 9)", "10|100"),
    ] {
        let sql = format!("{groups} {query}");
        assert_eq!(rows(&session, &sql).await.unwrap(), [expected], "{query}");
    }
    let sql = format!("{groups} SELECT a.n FROM g AS a UNION ALL SELECT n FROM g");
    let mut stream = session.sql(&sql).await.unwrap().stream().await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    drop(stream);
    assert_no_files("a query that was dropped", &place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_random_part_with_a_name_is_the_same_everywhere() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    let sql = "WITH r AS (SELECT value AS id, random() AS x FROM generate_series(1, 1000)) \
               SELECT count(*) FROM r AS a JOIN r AS b ON a.id = b.id WHERE a.x = b.x";
    assert_eq!(rows(&session, sql).await.unwrap(), ["1000"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_the_same_name_are_not_confused() {
    let place = Place::new();
    place.write("a.csv", "k,v\n1,2\n1,3\n");
    place.write("b.csv", "k,v\n1,20\n1,30\n");
    let session = session(&place, 2, Knobs::default());
    let read = async |name: &str| {
        let frame = session.read_csv(place.path(name), Default::default()).await.unwrap();
        frame
            .group_by([brimful::col("k")])
            .agg([brimful::aggregates::sum(brimful::col("v")).alias("total")])
            .unwrap()
    };
    let both = read("a.csv").await.union(read("b.csv").await).unwrap();
    session.register("both", both).unwrap();
    let totals = rows(&session, "SELECT total FROM both ORDER BY total").await.unwrap();
    assert_eq!(totals, ["5", "50"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_part_that_fails_is_an_error_of_the_query() {
    let place = Place::new();
    let knobs = Knobs { table_bytes: Some(0), fail_write: Some(1), ..Knobs::default() };
    let session = session(&place, 2, knobs);
    let error = rows(&session, BEST).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    assert_no_files("after the error", &place).await;
    run_all(&session, BEST).await.unwrap();
}
