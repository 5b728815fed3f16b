//! Whether a plan gives the same rows each time it runs.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan};

use super::functions;
use crate::keys::Apart;
use crate::share::is_run_once;

/// Whether the groups of an aggregate are the same each time its input runs, and so are the rows in
/// them, in any order.
///
/// A sum of floats may differ in its last digits from run to run. As a value it may; a group key
/// that is a float must not come from one.
pub(super) fn is_repeatable(aggregate: &Aggregate) -> Result<bool> {
    let mut repeatable = true;
    let keys = aggregate.schema.fields().iter().take(aggregate.group_expr.len());
    let exact = keys.into_iter().any(|key| key.data_type().is_floating());
    let exprs = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    for expr in exprs {
        repeatable &= !expr.exists(|expr| Ok(holds_plan(expr)))?;
    }
    Ok(repeatable && is_repeatable_plan(&aggregate.input, exact)?)
}

/// Whether a plan gives the same rows each time it runs, in any order.
pub(crate) fn gives_same_rows(plan: &LogicalPlan) -> Result<bool> {
    is_repeatable_plan(plan, true)
}

fn is_repeatable_plan(plan: &LogicalPlan, exact: bool) -> Result<bool> {
    let mut repeatable = true;
    plan.apply_with_subqueries(|node| {
        if is_run_once(node) {
            return Ok(TreeNodeRecursion::Jump);
        }
        repeatable &= is_repeatable_node(node, exact)?;
        Ok(if repeatable { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    })?;
    Ok(repeatable)
}

/// Whether a plan reads the rows of a recursive CTE from within it: those of one round, which can be
/// read in one place only.
pub(crate) fn reads_work_table(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= is_work_table(node);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn is_work_table(node: &LogicalPlan) -> bool {
    let LogicalPlan::TableScan(scan) = node else { return false };
    // Sources of other kinds are of plans that nobody runs.
    let provider = source_as_provider(&scan.source);
    provider.is_ok_and(|provider| provider.is::<CteWorkTable>())
}

/// Whether a plan has an expression whose value may be another one the next time.
pub(crate) fn is_volatile(plan: &LogicalPlan) -> Result<bool> {
    let mut volatile = false;
    plan.apply_with_subqueries(|node| {
        volatile |= is_volatile_node(node)?;
        Ok(if volatile { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(volatile)
}

fn is_volatile_node(node: &LogicalPlan) -> Result<bool> {
    let mut volatile = false;
    node.apply_expressions(|expr| {
        volatile |= expr.is_volatile();
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(volatile)
}

fn holds_plan(expr: &Expr) -> bool {
    use Expr::{Exists, InSubquery, ScalarSubquery, SetComparison};
    matches!(expr, Exists(_) | InSubquery(_) | ScalarSubquery(_) | SetComparison(_))
}

/// The same for a node by itself.
fn is_repeatable_node(node: &LogicalPlan, exact: bool) -> Result<bool> {
    let repeatable = match node {
        LogicalPlan::TableScan(scan) => scan.fetch.is_none() && !is_work_table(node),
        LogicalPlan::Sort(sort) => sort.fetch.is_none(),
        LogicalPlan::Distinct(distinct) => matches!(distinct, Distinct::All(_)),
        LogicalPlan::Aggregate(aggregate) => {
            aggregate.aggr_expr.iter().all(|expr| is_repeatable_aggregate(expr, exact))
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Values(_) => true,
        LogicalPlan::Extension(extension) => extension.node.as_any().is::<Apart>(),
        // Which rows a limit keeps is open, and so are the values of windows over equal rows.
        _ => false,
    };
    Ok(repeatable && !is_volatile_node(node)?)
}

fn is_repeatable_aggregate(expr: &Expr, exact: bool) -> bool {
    let Expr::AggregateFunction(function) = expr.clone().unalias() else { return false };
    functions::is_repeatable(&function) && !(exact && functions::may_round(&function))
}
