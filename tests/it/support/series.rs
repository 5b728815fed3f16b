//! Small frames and their values.

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::{DataFrame, Session, SessionOptions};

/// A session of two threads and small batches, so that small frames have several.
pub(crate) fn small_session() -> Session {
    Session::new(SessionOptions::new().threads(2).batch_rows(2)).unwrap()
}

/// A frame of one statement in a session of its own.
pub(crate) async fn frame_of(sql: &str) -> DataFrame {
    small_session().sql(sql).await.unwrap()
}

/// A frame of the columns `i`, from 1, and `x`, with the last row first.
pub(crate) async fn series(values: &[Option<f64>]) -> DataFrame {
    let rows: Vec<String> = values.iter().enumerate().rev().map(|(i, x)| row(i, *x, "")).collect();
    frame_of(&format!("SELECT * FROM (VALUES {}) AS t(i, x)", rows.join(", "))).await
}

/// The same with a column `k`: the values once for `a` and once for `b`.
pub(crate) async fn two_series(values: &[Option<f64>]) -> DataFrame {
    let rows: Vec<String> = values
        .iter()
        .enumerate()
        .rev()
        .flat_map(|(i, x)| [row(i, *x, ", 'a'"), row(i, *x, ", 'b'")])
        .collect();
    frame_of(&format!("SELECT * FROM (VALUES {}) AS t(i, x, k)", rows.join(", "))).await
}

fn row(i: usize, x: Option<f64>, rest: &str) -> String {
    let x = x.map_or_else(|| "NULL".to_string(), |x| format!("{x:?}"));
    format!("({}, CAST({x} AS DOUBLE){rest})", i + 1)
}

/// The values as text, `-` for NULL, in one line: `1 x | 2 y`.
pub(crate) async fn line(frame: DataFrame) -> String {
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in frame.collect().await.unwrap() {
        let formatter = |column| ArrayFormatter::try_new(column, &options).unwrap();
        let columns: Vec<_> = batch.columns().iter().map(|c| formatter(c.as_ref())).collect();
        let row = |row| columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>();
        rows.extend((0..batch.num_rows()).map(|number| row(number).join(" ")));
    }
    rows.join(" | ")
}

/// The numbers of the last column.
pub(crate) async fn numbers(frame: DataFrame) -> Vec<Option<f64>> {
    let mut numbers = Vec::new();
    for batch in frame.collect().await.unwrap() {
        let last = batch.columns().last().unwrap();
        let column = cast(last, &DataType::Float64).unwrap();
        numbers.extend(column.as_primitive::<Float64Type>().iter());
    }
    numbers
}

/// Fails unless both are the same but for rounding.
pub(crate) fn assert_close(what: &str, found: &[Option<f64>], expected: &[Option<f64>]) {
    let close = |pair: (&Option<f64>, &Option<f64>)| match pair {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-12 * b.abs().max(1.0),
        (a, b) => a.is_none() && b.is_none(),
    };
    let same = found.len() == expected.len() && found.iter().zip(expected).all(close);
    assert!(same, "{what}: {found:?} instead of {expected:?}");
}
