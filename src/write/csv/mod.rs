//! Writing CSV files: [`CsvWriteOptions`] says how, [`CsvSink`] does it. The text itself is made where
//! that of query results is, by [`Lines`](crate::output::Lines).

mod options;
mod sink;

pub(crate) use options::CsvWriteOptions;
pub(crate) use sink::CsvSink;
