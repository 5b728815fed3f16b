//! Relations of SQL beyond DataFusion's: ASOF joins, samples, PIVOT and UNPIVOT.
//!
//! - `function`: table functions
//! - `tokens`: what the parser does not know, in words that it knows
//! - `planner`: joins and samples as logical plans; `asof`, `sample` what they mean
//! - `pivot`, `unpivot`: as queries of what there is; `pivot_values`: those that a pivot does not name

mod asof;
mod function;
pub(crate) mod pivot;
mod pivot_values;
mod planner;
mod sample;
mod tokens;
pub(crate) mod unpivot;

pub(crate) use function::TableFunctions;
pub(crate) use pivot_values::find_values;
pub(crate) use planner::{Relations, fold_asof, put_sample, take_sample};
pub(crate) use tokens::rewritten;
