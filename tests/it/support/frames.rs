//! Frames of a few rows, and their values in one line.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::{
    DataFrame, Error, ErrorKind, Explain, Knobs, Session, SessionOptions, SortExpr, col,
};

use super::Place;

/// A session of two threads.
pub(crate) fn plain_session() -> Session {
    Session::new(SessionOptions::new().threads(2)).unwrap()
}

/// A session whose operators keep nothing in memory that they can write to disk.
pub(crate) fn spilling_session(place: &Place) -> Session {
    let mut options = SessionOptions::new()
        .threads(2)
        .batch_rows(64)
        .memory_limit_bytes(128 << 20)
        .temp_dirs([place.temporary()]);
    options.knobs = Knobs {
        join_build_bytes: Some(0),
        aggregate_bytes: Some(0),
        sort_bytes: Some(0),
        window_bytes: Some(0),
        attempt_bytes: Some(0),
        reserved_only: true,
        ..Knobs::default()
    };
    Session::new(options).unwrap()
}

/// The rows of one SQL statement.
pub(crate) async fn frame_of(sql: &str) -> DataFrame {
    plain_session().sql(sql).await.unwrap()
}

/// The values as text, `-` for NULL. Where it can be, the query is also written as bytes and read
/// again, and has to give the same.
pub(crate) async fn frame_values(frame: DataFrame) -> Vec<Vec<String>> {
    let again = read_again(&frame).await;
    let values = values_of(frame).await;
    if let Some(again) = again {
        assert_eq!(values_of(again).await, values, "after it was serialized");
    }
    values
}

/// The same query from bytes. `None` if it calls functions of the test, or draws numbers.
async fn read_again(frame: &DataFrame) -> Option<DataFrame> {
    if frame.clone().explain_as(Explain::Logical).await.unwrap().contains("random()") {
        return None;
    }
    match frame.serialize().await {
        Ok(bytes) => Some(frame.session().deserialize(&bytes).await.unwrap()),
        Err(error) if error.to_string().contains("of this program") => None,
        Err(error) => panic!("{error}"),
    }
}

async fn values_of(frame: DataFrame) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in frame.collect().await.unwrap() {
        let formatter = |column| ArrayFormatter::try_new(column, &options).unwrap();
        let columns: Vec<_> = batch.columns().iter().map(|c| formatter(c.as_ref())).collect();
        let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows
}

/// The values in one line, in their order: `1 x | 2 y`.
pub(crate) async fn in_line(frame: DataFrame) -> String {
    let rows = frame_values(frame).await;
    rows.iter().map(|row| row.join(" ")).collect::<Vec<_>>().join(" | ")
}

/// The same, with the rows sorted as texts.
pub(crate) async fn in_line_sorted(frame: DataFrame) -> String {
    let mut rows: Vec<_> = frame_values(frame).await.iter().map(|row| row.join(" ")).collect();
    rows.sort();
    rows.join(" | ")
}

/// The column in rising order, NULLs last.
pub(crate) fn rising(name: &str) -> SortExpr {
    col(name).sort(true, false)
}

/// Checks the kind, the text and the hint of an error.
pub(crate) fn assert_query_error<T: std::fmt::Debug>(
    result: brimful::Result<T>,
    message: &str,
    hint: Option<&str>,
) {
    let error: Error = result.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Query, message));
    assert_eq!(error.hint(), hint, "{error}");
}
