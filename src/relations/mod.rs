//! Relations that DataFusion has no operator for, made of what it has and of nodes of ours. SQL and
//! the dataframe build the same plans here.
//!
//! - `asof`: joins with the nearest row in an order
//! - `pivot`: rows into columns
//! - `sample`: some of the rows

pub(crate) mod asof;
pub(crate) mod pivot;
pub(crate) mod sample;

use std::sync::Arc;

use datafusion::logical_expr::{Extension, LogicalPlan, UserDefinedLogicalNode};

pub(crate) use asof::{AsofNode, AsofPlanner};

fn extension(node: impl UserDefinedLogicalNode + 'static) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}
