//! Table functions, planned so that calls with other arguments are other tables.

use datafusion::common::{DFSchema, TableReference, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::sql::sqlparser::ast::{FunctionArg, FunctionArgExpr, ObjectNamePart, TableFactor};

/// Names the scan of a table function after the whole call. DataFusion takes scans for the same whose
/// names are, and would give them all the name of the function.
#[derive(Debug)]
pub(crate) struct TableFunctions;

impl RelationPlanner for TableFunctions {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, args: Some(args), alias, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let [ObjectNamePart::Identifier(function)] = name.0.as_slice() else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let function = function.to_string();
        let (mut written, mut values) = (Vec::new(), Vec::new());
        for arg in &args.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
                return plan_err!("{arg} is no argument of {function}");
            };
            written.push(expr.to_string());
            values.push(context.sql_expr_to_logical_expr(expr.clone(), &DFSchema::empty())?);
        }
        let source = context.context_provider().get_table_function_source(&function, values)?;
        let call = TableReference::bare(format!("{function}({})", written.join(", ")));
        let plan = LogicalPlanBuilder::scan(call, source, None)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}
