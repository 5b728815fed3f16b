//! Keys that DataFusion 55 believes a result has, and which it does not have.
//!
//! Of a join it rightly says that the key of one side determines the columns of that side. Of groups
//! that hold such a key it then says that the key determines all of them: in
//! `SELECT DISTINCT k, y FROM (SELECT DISTINCT k FROM a) CROSS JOIN b`, that `k` is there once. Further
//! up it leaves out a DISTINCT, or a column to group by, and rows with it.
//!
//! - this module: [`GroupKeys`], the rule, which finds such groups
//! - `apart`: a node whose rows have no keys, put below them

mod apart;

use std::collections::HashSet;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

pub(crate) use apart::{Apart, Together, apart};

/// Sets the rows of groups apart whose key DataFusion would take to be smaller than it is.
///
/// It runs after all other rules of the analyzer: only the optimizer makes use of keys.
#[derive(Debug)]
pub(crate) struct GroupKeys;

impl AnalyzerRule for GroupKeys {
    fn name(&self) -> &'static str {
        "group_keys"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let plan = plan.transform_up_with_subqueries(|plan| {
            if !has_part_of_key(&plan) {
                return Ok(Transformed::no(plan));
            }
            plan.map_children(|input| Ok(Transformed::yes(apart(input)?)))
        })?;
        if plan.transformed { with_new_keys(plan.data) } else { Ok(plan.data) }
    }
}

/// The plan, with the keys that follow from those of its inputs.
fn with_new_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan =
        plan.transform_up_with_subqueries(|plan| Ok(Transformed::yes(plan.recompute_schema()?)))?;
    Ok(plan.data)
}

/// Whether these are groups of rows of which a part of the key to group by determines other columns,
/// and not the whole of that key.
fn has_part_of_key(plan: &LogicalPlan) -> bool {
    let (input, groups) = match plan {
        LogicalPlan::Aggregate(aggregate) => (&aggregate.input, names(&aggregate.group_expr)),
        LogicalPlan::Distinct(Distinct::All(input)) => (input, input.schema().field_names()),
        LogicalPlan::Distinct(Distinct::On(on)) => (&on.input, names(&on.on_expr)),
        _ => return false,
    };
    let columns = input.schema().field_names();
    let groups: HashSet<&str> = groups.iter().map(String::as_str).collect();
    input.schema().functional_dependencies().iter().any(|dependence| {
        let is_grouped = |column: &usize| groups.contains(columns[*column].as_str());
        let determined: HashSet<&str> =
            dependence.target_indices.iter().map(|column| columns[*column].as_str()).collect();
        dependence.source_indices.iter().all(is_grouped) && !groups.is_subset(&determined)
    })
}

fn names(exprs: &[Expr]) -> Vec<String> {
    exprs.iter().map(|expr| expr.schema_name().to_string()).collect()
}
