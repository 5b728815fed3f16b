//! Which columns of an outer query a plan refers to.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The plan inside of an expression that is a subquery.
pub(super) fn subquery_of(expr: &Expr) -> Option<&LogicalPlan> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => Some(&subquery.subquery),
        _ => None,
    }
}

/// Whether a subquery is a part of an expression.
pub(super) fn holds_subquery(expr: &Expr) -> Result<bool> {
    expr.exists(|expr| Ok(subquery_of(expr).is_some()))
}

/// Whether a schema has exactly this column.
pub(super) fn has(schema: &DFSchema, column: &Column) -> bool {
    schema.iter().any(|(qualifier, field)| {
        qualifier == column.relation.as_ref() && *field.name() == column.name
    })
}

/// The outer columns that a plan refers to, each once: those that neither the node around a subquery
/// nor the left side of a lateral join gives.
pub(super) fn free(plan: &LogicalPlan) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    // The expressions of this node repeat what is inside.
    if !matches!(plan, LogicalPlan::Subquery(_)) {
        let inputs = plan.inputs();
        let scope: Vec<&DFSchema> = inputs.iter().map(|input| input.schema().as_ref()).collect();
        plan.apply_expressions(|expr| {
            add(&mut found, free_in(expr, &scope)?);
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    if let LogicalPlan::Join(join) = plan {
        add(&mut found, free(&join.left)?);
        let lateral = lateral(&join.right, join.left.schema())?;
        add(&mut found, free(&join.right)?.into_iter().filter(|column| !lateral.contains(column)));
        return Ok(found);
    }
    for input in plan.inputs() {
        add(&mut found, free(input)?);
    }
    Ok(found)
}

/// The same for an expression of a node whose inputs have these schemas.
fn free_in(expr: &Expr, scope: &[&DFSchema]) -> Result<Vec<Column>> {
    let mut found = Vec::new();
    expr.apply(|expr| {
        if let Expr::OuterReferenceColumn(_, column) = expr {
            add(&mut found, [column.clone()]);
        } else if let Some(subquery) = subquery_of(expr) {
            let beyond = |column: &Column| !scope.iter().any(|schema| has(schema, column));
            add(&mut found, free(subquery)?.into_iter().filter(beyond));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The columns of the left side of a join that lateral subqueries on the right side refer to.
pub(super) fn lateral(right: &LogicalPlan, left: &DFSchema) -> Result<Vec<Column>> {
    let mut inside = Vec::new();
    right.apply(|node| {
        if let LogicalPlan::Subquery(subquery) = node {
            add(&mut inside, free(&subquery.subquery)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if inside.is_empty() {
        return Ok(inside);
    }
    // What a join inside of the right side gives is not ours.
    let mut columns = free(right)?;
    columns.retain(|column| inside.contains(column) && has(left, column));
    Ok(columns)
}

fn add(found: &mut Vec<Column>, more: impl IntoIterator<Item = Column>) {
    for column in more {
        if !found.contains(&column) {
            found.push(column);
        }
    }
}
