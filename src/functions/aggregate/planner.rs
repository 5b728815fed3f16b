//! Calls that mean another function than the one of that name.

use arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawAggregateExpr};

use super::counted::percentiles_udaf;
use super::ranked::{max_n_udaf, min_n_udaf};

/// Plans `max(x, n)` and `min(x, n)` as lists of the largest and smallest values, and
/// `percentile_cont` of a list of fractions as a list of percentiles.
#[derive(Debug)]
pub(crate) struct Overloads;

impl ExprPlanner for Overloads {
    fn plan_aggregate(
        &self,
        mut call: RawAggregateExpr,
    ) -> Result<PlannerResult<RawAggregateExpr>> {
        let several = match (call.func.name(), call.args.as_slice()) {
            ("max", [_, _]) => Some(max_n_udaf()),
            ("min", [_, _]) => Some(min_n_udaf()),
            ("percentile_cont", [_, parts]) if is_list(parts) => Some(percentiles_udaf()),
            _ => None,
        };
        if let Some(several) = several {
            call.func = several;
        }
        Ok(PlannerResult::Original(call))
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
