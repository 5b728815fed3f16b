//! Aggregate functions.
//!
//! - `numbers`: those that keep a few floats for a group, by the traits of `moments`
//! - `ranked`: those that keep the first rows of a group in some order, by `best`
//! - `counted`: those that need to know how often each value is there, by `counts` and `result`, or
//!   `values` for one quantile of numbers, or `bins` for a histogram of bins
//! - `sliding`: sums and the like over windows whose first rows leave again
//! - `distinct`: DISTINCT for the first kind
//! - `queue` and `index`: rows that leave again and rows in order, for windows
//! - `alone`: those that are another way to write what DataFusion has
//! - `args`: types of arguments, and literals
//! - `planner`: calls that mean another function than the one of their name
//!
//! All ignore NULL and the order of rows. Where several rows fit, the smallest value is given, so a
//! result does not depend on which thread came first.

mod alone;
mod args;
mod best;
mod bins;
mod counted;
mod counts;
mod distinct;
mod index;
mod moments;
mod numbers;
mod planner;
mod queue;
mod ranked;
mod result;
mod sliding;
mod values;

use std::sync::Arc;

use datafusion::logical_expr::AggregateUDF;

pub(crate) use counted::{is_deviation, is_of_counts, over_counts, position};
pub(crate) use counts::Counts;
pub(crate) use distinct::{DistinctAccumulator, Whole};
pub(crate) use planner::Overloads;
pub(super) use planner::meant;
pub(crate) use queue::Queue;
pub(crate) use result::Fraction;
pub(crate) use sliding::{is_sliding, sliding, sliding_named};

/// All of this folder.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    [numbers::FUNCTIONS.clone(), ranked::functions(), counted::functions(), alone::functions()]
        .concat()
}

/// Whether a function of ours keeps a few bytes for a group, and gives NULL for an empty one.
pub(crate) fn is_small(function: &AggregateUDF) -> bool {
    let is_this = |known: &Arc<AggregateUDF>| **known == *function;
    numbers::FUNCTIONS.iter().any(is_this) || ranked::functions().iter().any(is_this)
}

/// Whether a function of ours can be computed from distinct rows, without those that have a NULL.
pub(crate) fn is_of_distinct(function: &AggregateUDF) -> bool {
    numbers::FUNCTIONS.iter().any(|known| **known == *function)
}
