//! The embedded dataframe: lazy, chainable, the same plan as SQL.
//!
//! - this module: [`DataFrame`]; `names`: which column a name means
//! - `construct`: frames of values, batches, ranges and files
//! - `columns`, with `selectors`: which columns there are; `expressions`: what may be in them;
//!   `windowed`: windows in them; `apply`: functions of the program
//! - `rows`, with `order` and `sorted`: which rows there are, and in which order
//! - `group`: aggregates
//! - `join`, with `unique_keys`; `combine`: several frames
//! - `missing`: NULLs and NaNs
//! - `inspect`: what a frame is
//! - `output`: running it; `write`: files

mod apply;
mod columns;
mod combine;
mod construct;
mod expressions;
mod group;
mod inspect;
mod join;
mod missing;
mod names;
mod order;
mod output;
mod rows;
pub mod selectors;
mod sorted;
mod unique_keys;
mod write;

mod asof;
mod describe;
mod pivot;
mod sample;

mod accessors;
mod bar;
mod canonical;
mod checkpoint;
mod cut;
mod ewm;
mod fill;
mod many;
mod map;
mod methods;
mod period;
mod persist;
mod replace;
mod resample;
mod rolling;
mod running;
mod signed;
mod upsample;
mod window;
mod windowed;

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::dataframe::DataFrame as Plan;
use datafusion::logical_expr::{Expr, LogicalPlan, ScalarUDF};

use crate::error::Result;
use crate::functions::operation::Written;
use crate::session::Session;
use names::exact_columns;

pub use crate::explain::PlanFormat;
pub use apply::apply;
pub use combine::{Concat, concat};
pub use construct::{Moment, ReadOptions, Values};
pub use expressions::{Then, ValueExpr, When, when};
pub use group::GroupBy;
pub use inspect::Explain;
pub use join::{Join, JoinOptions, Validate};
pub use missing::Fill;
pub use rows::Keep;
pub use selectors::Selector;
pub(crate) use sorted::{SetSorted, SortedInputs};
pub use write::{IfExists, WriteOptions};

pub use asof::AsofOptions;
pub(crate) use describe::{SUMMARY_COLUMNS, summary};

pub use accessors::{DateTime, Json, List, Roll, Text};
pub use ewm::Ewm;
pub(crate) use ewm::{read_window, written_window};
pub(crate) use many::Many;
pub use many::collect_all;
pub(crate) use map::{MapNode, Maps};
pub use methods::ExprMethods;
pub use period::Period;
pub(crate) use persist::{in_place_of_scan, origin_of_persisted};
pub use resample::{DynamicGroups, Label};
pub use rolling::{Closed, Rolling, RollingBy, RollingGroups};
pub use running::{CancelHandle, RunningQuery};
pub use window::{Ties, cume_dist, ntile, percent_rank, row_number};

/// A query that has not run yet: columns and how to get them.
///
/// Every method that changes it takes it and gives a new one; nothing is read until it is
/// collected, streamed, shown or written. Clones are cheap.
///
/// Column names match whatever their case when only one column is meant.
///
/// ```
/// # use brimful::{Session, SessionOptions, col, aggregates::avg};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> brimful::Result<()> {
/// let session = Session::new(SessionOptions::new())?;
/// let trips = session.read_csv("testdata/taxi.csv", Default::default()).await?;
/// let by_payment = trips
///     .group_by([col("payment_type")])
///     .agg([avg(col("total_amount")).alias("mean_total")])?
///     .sort([col("payment_type").sort(true, false)])?;
/// by_payment.show().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct DataFrame {
    session: Session,
    plan: Plan,
}

/// A column by its exact name, or by a name that differs only in case; `table.column` when no
/// column has that name.
pub fn col(name: impl Into<String>) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The function of a dataframe, without a name in SQL, that is written so.
pub(crate) fn operation(written: Written<'_>) -> Option<Result<ScalarUDF>> {
    written
        .read::<accessors::Change>()
        .or_else(|| written.read::<accessors::Edit>())
        .or_else(|| written.read::<accessors::Length>())
        .or_else(|| written.read::<canonical::Canonical>())
        .or_else(|| written.read::<construct::Series>())
        .or_else(|| written.read::<cut::Interval>())
        .or_else(|| written.read::<replace::Replace>())
        .or_else(|| written.read::<signed::Signed>())
        .or_else(|| written.read::<unique_keys::Once>())
}

impl DataFrame {
    pub(crate) fn new(session: Session, plan: Plan) -> Self {
        DataFrame { session, plan }
    }

    fn with(&self, plan: Plan) -> Self {
        DataFrame { session: self.session.clone(), plan }
    }

    /// The session that the query runs in.
    pub fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn logical_plan(&self) -> &LogicalPlan {
        self.plan.logical_plan()
    }

    fn logical(&self) -> LogicalPlan {
        self.plan.logical_plan().clone()
    }

    /// A frame of the same session with this plan.
    fn planned(&self, plan: LogicalPlan) -> Self {
        let (state, _) = self.plan.clone().into_parts();
        self.with(Plan::new(state, plan))
    }

    pub(crate) fn into_table(self) -> Arc<dyn TableProvider> {
        self.plan.into_view()
    }

    fn exact(&self, expr: Expr) -> Result<Expr> {
        exact_columns(self.plan.schema(), expr)
    }

    fn exact_all(&self, exprs: impl IntoIterator<Item = Expr>) -> Result<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.exact(expr)).collect()
    }
}
