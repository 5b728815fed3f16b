//! Brimful: a SQL and dataframe engine for data bigger than memory.
//!
//! A query travels through the modules in this order:
//!
//! - [`cli`]: the `brimful` command, its flags, its REPL
//! - `sql`: text → statements with exact names
//! - [`frame`]: the lazy dataframe, the same plan as SQL; [`aggregates`] for its groups
//! - [`session`]: the one place that assembles DataFusion: memory, temporary files, formats, tables
//! - `decorrelate`: subqueries that refer to the query around them, as joins
//! - `exclude`: aggregates over window frames that leave rows out
//! - `rewrite`: aggregates that would keep every value, as plans of operators that spill; `attempt`:
//!   a plan in memory first, then one that spills
//! - `scan`: files → record batches
//! - [`functions`]: scalar and aggregate functions beyond DataFusion's
//! - `relations`: ASOF joins, pivots and samples, which DataFusion has no operators for
//! - [`udf`]: functions of the program that embeds Brimful
//! - `table`: tables of rows that are kept, in memory and on disk
//! - `share`: equal parts of a query, run once
//! - `join`, `aggregate`, `sort`, `window`: operators for rows of any number, on `exchange`, which
//!   splits rows into buckets
//! - [`output`]: record batches → tables on screen, text and files
//!
//! Beside them, [`error`] says what went wrong and what to do, `memory` keeps the process within its
//! limit, `spill` keeps what memory has no room for, and [`generate`] makes test data of any size.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> brimful::Result<()> {
//! use brimful::{Session, SessionOptions};
//!
//! let session = Session::new(SessionOptions::new().threads(2))?;
//! let frame = session.sql("SELECT count(*) AS trips FROM 'testdata/taxi.csv'").await?;
//! let batches = frame.collect().await?;
//! assert_eq!(batches[0].num_rows(), 1);
//! # Ok(())
//! # }
//! ```

mod aggregate;
pub mod aggregates;
mod attempt;
pub mod cli;
mod decorrelate;
pub mod error;
mod exchange;
mod exclude;
mod explain;
pub mod frame;
pub mod functions;
pub mod generate;
mod join;
mod kernel;
mod keys;
mod memory;
pub mod output;
mod relations;
mod rewrite;
mod scan;
mod serialize;
pub mod session;
mod share;
mod sort;
mod spill;
mod sql;
mod stacked;
mod table;
pub mod udf;
mod window;
mod write;

pub use datafusion::common::ScalarValue;
pub use datafusion::logical_expr::{Expr, ExprFunctionExt, SortExpr, lit};

pub use error::{Error, ErrorKind, Result};
pub use frame::{
    AsofOptions, CancelHandle, Closed, Concat, DataFrame, Ewm, Explain, ExprMethods, Fill, GroupBy,
    IfExists, Join, JoinOptions, Keep, Label, Moment, PlanFormat, ReadOptions, Roll, Rolling,
    RollingBy, RunningQuery, Selector, Then, Ties, Validate, ValueExpr, Values, When, WriteOptions,
    apply, col, collect_all, concat, selectors, when,
};
pub use memory::CountingAllocator;
pub use relations::asof::{AsofStrategy, Tolerance};
pub use scan::csv::CsvOptions;
#[doc(hidden)]
pub use session::Knobs;
pub use session::{
    ByteSize, Outcome, QueryMetrics, QueryStream, Session, SessionOptions, SpillCompression,
    SpillMetrics,
};
pub use table::Storage;
