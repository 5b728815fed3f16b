//! `DataFrame::describe`, against `SUMMARIZE` and against the values themselves.

use brimful::Knobs;

use crate::support::{Place, row_cells, run_all, session};

async fn texts(frame: brimful::DataFrame) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for batch in frame.collect().await.unwrap() {
        rows.extend(row_cells(&batch));
    }
    rows
}

#[tokio::test]
async fn a_frame_is_described_as_sql_does() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    let table = "CREATE TABLE t AS SELECT value AS id, CASE WHEN value % 4 = 0 THEN NULL \
                 ELSE value % 10 END AS k, 'w' || CAST(value % 7 AS VARCHAR) AS word \
                 FROM generate_series(1, 1000)";
    run_all(&session, table).await.unwrap();
    let frame = session.table("t").await.unwrap().describe().unwrap();
    let names: Vec<String> = frame.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names[..4], ["column_name", "column_type", "min", "max"]);
    let described = texts(frame).await;
    let summarized = texts(session.sql("SUMMARIZE t").await.unwrap()).await;
    assert_eq!(described, summarized);
    assert_eq!(described.len(), 3);
    let [id, k, word] = [&described[0], &described[1], &described[2]];
    assert_eq!((id[2].as_str(), id[3].as_str(), id[5].as_str()), ("1", "1000", "500.5"));
    assert_eq!((k[2].as_str(), k[3].as_str(), k[11].as_str()), ("0", "9", "25.00"));
    assert_eq!((word[2].as_str(), word[3].as_str(), word[4].as_str()), ("w0", "w6", "7"));
}

#[tokio::test]
async fn a_frame_without_rows_has_columns() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    let frame = session.sql("SELECT 1 AS a, 'x' AS b WHERE false").await.unwrap();
    let described = texts(frame.describe().unwrap()).await;
    assert_eq!(described.len(), 2);
    assert_eq!(described[0][0], "a");
    assert_eq!(described[0][10], "0");
}
