//! Keys that DataFusion 55 believes a result has, and which it does not have.
//!
//! Of a join it rightly says that the key of one side determines the columns of that side. Of groups
//! that hold such a key it then says that the key determines all of them: in
//! `SELECT DISTINCT k, y FROM (SELECT DISTINCT k FROM a) CROSS JOIN b`, that `k` is there once. Further
//! up it leaves out a DISTINCT, or a column to group by, and rows with it; or it groups by a column that
//! nobody asked for.
//!
//! - this module: [`GroupKeys`], the rule, which finds such groups
//! - `apart`: a node whose rows have no keys, put below them

mod apart;

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::Dependency;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

pub(crate) use apart::{Apart, Together, apart};

/// Sets the rows of groups apart whose key DataFusion would take to be smaller than it is.
///
/// It runs after all other rules of the analyzer; the optimizer makes use of keys.
#[derive(Debug)]
pub(crate) struct GroupKeys;

impl AnalyzerRule for GroupKeys {
    fn name(&self) -> &'static str {
        "group_keys"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        with_right_keys(plan)
    }
}

/// The plan of a table in FROM. Of its keys the planner makes use at once: it groups by what the
/// columns to group by determine, too.
pub(crate) fn relation(plan: LogicalPlan) -> Result<LogicalPlan> {
    match plan.schema().functional_dependencies().is_empty() {
        true => Ok(plan),
        false => with_right_keys(plan),
    }
}

fn with_right_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plan = plan.transform_up_with_subqueries(|plan| {
        // With the keys that its inputs have now.
        let plan = grouped(plan.recompute_schema()?)?;
        if !has_part_of_key(&plan) {
            return Ok(Transformed::yes(plan));
        }
        let plan = plan.map_children(|input| Ok(Transformed::yes(apart(input)?)))?;
        plan.map_data(LogicalPlan::recompute_schema)
    })?;
    Ok(plan.data)
}

/// DISTINCT as the groups that the optimizer makes of it, because groups have a key. One that the
/// optimizer leaves out is left to it.
fn grouped(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Distinct(Distinct::All(input)) = &plan else { return Ok(plan) };
    let columns = input.schema().columns();
    let is_distinct = input.schema().functional_dependencies().iter().any(|dependence| {
        dependence.mode == Dependency::Single && dependence.source_indices.len() == columns.len()
    });
    if columns.is_empty() || is_distinct {
        return Ok(plan);
    }
    let columns = columns.into_iter().map(Expr::Column).collect();
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::clone(input), columns, Vec::new())?))
}

/// Whether these are groups of rows of which a part of the key to group by determines other columns,
/// and not the whole of that key.
fn has_part_of_key(plan: &LogicalPlan) -> bool {
    let (input, groups) = match plan {
        LogicalPlan::Aggregate(aggregate) => (&aggregate.input, names(&aggregate.group_expr)),
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
