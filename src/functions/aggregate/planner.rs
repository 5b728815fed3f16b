//! Calls that mean another function than the one of that name.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawAggregateExpr, RawWindowExpr,
};
use datafusion::logical_expr::{AggregateUDF, Expr, WindowFunctionDefinition};

use super::counted::{bins_udaf, percentiles_udaf};
use super::ranked::{max_n_udaf, min_n_udaf};

/// Plans `max(x, n)` and `min(x, n)` as lists of the largest and smallest values,
/// `histogram(x, bins)` as numbers of values in bins, and `percentile_cont` of a list of fractions as
/// a list of percentiles.
#[derive(Debug)]
pub(crate) struct Overloads;

impl ExprPlanner for Overloads {
    fn plan_aggregate(
        &self,
        mut call: RawAggregateExpr,
    ) -> Result<PlannerResult<RawAggregateExpr>> {
        if let Some(meant) = meant_by(&call.func, &call.args) {
            call.func = meant;
        }
        Ok(PlannerResult::Original(call))
    }

    fn plan_window(&self, mut call: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        if let WindowFunctionDefinition::AggregateUDF(function) = &call.func_def
            && let Some(meant) = meant_by(function, &call.args)
        {
            call.func_def = WindowFunctionDefinition::AggregateUDF(meant);
        }
        Ok(PlannerResult::Original(call))
    }
}

/// The function that a call means, if it is another one.
fn meant_by(function: &AggregateUDF, args: &[Expr]) -> Option<Arc<AggregateUDF>> {
    meant(function.name(), args.len(), args.get(1).is_some_and(is_list))
}

/// The function that a name means with so many arguments, if it is another one.
pub(crate) fn meant(name: &str, args: usize, second_is_list: bool) -> Option<Arc<AggregateUDF>> {
    match (name, args) {
        ("max", 2) => Some(max_n_udaf()),
        ("min", 2) => Some(min_n_udaf()),
        ("histogram", 2) => Some(bins_udaf()),
        ("percentile_cont", 2) if second_is_list => Some(percentiles_udaf()),
        _ => None,
    }
}

/// Whether an argument is written as a list.
fn is_list(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => matches!(value.data_type(), DataType::List(_)),
        Expr::ScalarFunction(call) => call.func.name() == "make_array",
        Expr::Cast(cast) => is_list(&cast.expr),
        Expr::Alias(alias) => is_list(&alias.expr),
        _ => false,
    }
}
