//! `SUMMARIZE` and `(DESCRIBE …)`: tables about the columns of a query.

use arrow::datatypes::Field;
use datafusion::error::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, ident, lit};
use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Query, TableAlias, TableFactor,
};

pub(crate) use crate::frame::SUMMARY_COLUMNS;

/// The columns of a description.
pub(crate) const DESCRIPTION_COLUMNS: [&str; 3] = ["column_name", "data_type", "is_nullable"];

/// Plans `summarize((query))` and `describe((query))`, which `tokens` makes of the statements.
#[derive(Debug)]
pub(crate) struct SummaryPlanner;

impl RelationPlanner for SummaryPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let Some((query, alias, summarizes)) = call(&relation) else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let input = context.plan(TableFactor::Derived {
            lateral: false,
            subquery: Box::new(query.clone()),
            alias: None,
            sample: None,
        })?;
        let plan = if summarizes { crate::frame::summary(input)? } else { description(&input)? };
        let planned = PlannedRelation::new(plan, alias.clone());
        Ok(RelationPlanning::Planned(Box::new(planned)))
    }
}

/// The query of the call, its alias, and whether it is `summarize`.
fn call(relation: &TableFactor) -> Option<(&Query, &Option<TableAlias>, bool)> {
    let TableFactor::Table { name, args: Some(args), alias, .. } = relation else { return None };
    let summarizes = match name.to_string().to_lowercase().as_str() {
        "summarize" => true,
        "describe" => false,
        _ => return None,
    };
    match args.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(query)))] => {
            Some((query, alias, summarizes))
        }
        _ => None,
    }
}

/// A row for each column, as `DESCRIBE` gives them.
fn description(input: &LogicalPlan) -> Result<LogicalPlan> {
    let row = |field: &Field| {
        let nullable = if field.is_nullable() { "YES" } else { "NO" };
        vec![lit(field.name().as_str()), lit(field.data_type().to_string()), lit(nullable)]
    };
    let rows = input.schema().fields().iter().map(|field| row(field)).collect();
    let names = DESCRIPTION_COLUMNS.iter().enumerate();
    LogicalPlanBuilder::values(rows)?
        .project(names.map(|(at, name)| ident(format!("column{}", at + 1)).alias(*name)))?
        .build()
}
