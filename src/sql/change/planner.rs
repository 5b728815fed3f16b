//! The query of a change as a logical plan, with the change on top.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::catalog::TableProvider;
use datafusion::common::{ScalarValue, TableReference, internal_err, plan_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    Case, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, ident, lit,
};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, Query, SelectItem, SetExpr, TableFactor, Value,
};

use super::CALL;
use super::merge::{DELETE, INSERT, NOTHING, UPDATE};
use crate::error::Error;
use crate::sql::names::idents;
use crate::table::{ChangeKind, Numbered, StoredTable, changed};

/// Plans the calls that stand for changes, and the tables that they are made to.
#[derive(Debug)]
pub(crate) struct ChangePlanner;

impl RelationPlanner for ChangePlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let (plan, alias) = match relation {
            TableFactor::Table { name, alias, index_hints, .. } if !index_hints.is_empty() => {
                let reference = context.object_name_to_table_reference(name)?;
                let table = stored(&reference, context)?;
                let mut numbers = index_hints.iter().flat_map(|hint| &hint.index_names);
                let Some(number) = numbers.next() else {
                    return internal_err!("a number of rows without a name");
                };
                let source = provider_as_source(Arc::new(Numbered::new(&table, &number.value)));
                (LogicalPlanBuilder::scan(reference, source, None)?.build()?, alias)
            }
            relation => match call(&relation) {
                Some((kind, name, query)) => {
                    (planned(kind, &TableReference::parse_str(name), query, context)?, None)
                }
                None => return Ok(RelationPlanning::Original(Box::new(relation))),
            },
        };
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// What a call changes, and the query that says how.
fn call(relation: &TableFactor) -> Option<(&str, &str, &Query)> {
    let TableFactor::Table { name, args: Some(args), .. } = relation else { return None };
    let [name] = idents(name)?[..] else { return None };
    if name.value != CALL {
        return None;
    }
    let args = args.args.iter().map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    match args.collect::<Option<Vec<_>>>()?[..] {
        [SqlExpr::Value(kind), SqlExpr::Value(table), SqlExpr::Subquery(query)] => {
            match (&kind.value, &table.value) {
                (Value::SingleQuotedString(kind), Value::SingleQuotedString(table)) => {
                    Some((kind, table, query))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// A table whose rows are kept by us.
fn stored(
    reference: &TableReference,
    context: &mut dyn RelationPlannerContext,
) -> Result<StoredTable> {
    let source = context.context_provider().get_table_source(reference.clone())?;
    let provider = source_as_provider(&source)?;
    match provider.downcast_ref::<StoredTable>() {
        Some(table) => Ok(table.clone()),
        None => Err(Error::query(format!("\"{}\" cannot be changed", reference.table()))
            .with_hint(
                "only tables of CREATE TABLE can be; a file is written anew: COPY (SELECT …) TO 'file'",
            )
            .into()),
    }
}

fn planned(
    kind: &str,
    table: &TableReference,
    query: &Query,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let table = stored(table, context)?;
    let is = |other: &ChangeKind| other.to_string() == kind;
    let kinds = [ChangeKind::Delete, ChangeKind::Update, ChangeKind::Merge];
    let Some(kind) = kinds.into_iter().find(is) else { return internal_err!("a change by {kind}") };
    let changes = match kind {
        ChangeKind::Merge => merged(&table.schema(), query, context)?,
        ChangeKind::Delete | ChangeKind::Update => context.plan(TableFactor::Derived {
            lateral: false,
            subquery: Box::new(query.clone()),
            alias: None,
            sample: None,
        })?,
    };
    changed(kind, &table, changes)
}

/// What a MERGE changes: of the rows of its join those for which something is to be done. Which WHEN
/// it is that has them is computed once, as the conditions may be random, and values only where they
/// are wanted, as others may be errors.
fn merged(
    table: &Schema,
    query: &Query,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return internal_err!("a merge that is no SELECT");
    };
    let [tables] = select.from.as_slice() else { return internal_err!("a merge of one table") };
    let Some((number, clauses)) = clauses(&select.projection, table.fields().len()) else {
        return plan_err!("a value of a MERGE stands for several columns");
    };
    let joined = context.plan(TableFactor::NestedJoin {
        table_with_joins: Box::new(tables.clone()),
        alias: None,
    })?;
    let schema = Arc::clone(joined.schema());

    let mut places = Vec::with_capacity(clauses.len());
    for (place, clause) in (0_i64..).zip(&clauses) {
        let condition = context.sql_to_expr(clause.condition.clone(), &schema)?;
        let place = (clause.action != NOTHING).then_some(place);
        places.push((condition, lit(ScalarValue::Int64(place))));
    }
    let columns = schema.iter().map(Expr::from);
    let rows = LogicalPlanBuilder::from(joined)
        .project(columns.chain([case(places).alias(PLACE)]).collect::<Vec<_>>())?
        .filter(ident(PLACE).is_not_null())?
        .build()?;

    let is = |place: i64| ident(PLACE).eq(lit(place));
    let out = (0..).zip(&clauses).filter(|(_, clause)| clause.action == DELETE);
    let out = out.map(|(place, _)| is(place)).reduce(Expr::or).unwrap_or_else(|| lit(false));
    let mut exprs = vec![context.sql_to_expr(number.clone(), &schema)?, out.alias("out")];
    for (at, field) in table.fields().iter().enumerate() {
        let mut values = Vec::with_capacity(clauses.len());
        for (place, clause) in (0..).zip(&clauses) {
            if let Some(value) = clause.values.get(at) {
                let value = context.sql_to_expr((*value).clone(), &schema)?;
                values.push((is(place), value.cast_to(field.data_type(), &schema)?));
            }
        }
        if !values.is_empty() {
            exprs.push(case(values).alias(field.name()));
        }
    }
    LogicalPlanBuilder::from(rows).project(exprs)?.build()
}

/// The column that says which WHEN has a row.
const PLACE: &str = "place of the WHEN";

/// A WHEN of a MERGE.
struct Clause<'a> {
    action: &'a str,
    condition: &'a SqlExpr,
    /// For each column of the table, or none.
    values: Vec<&'a SqlExpr>,
}

/// The number of the row and the clauses that the items of a query stand for.
fn clauses(items: &[SelectItem], columns: usize) -> Option<(&SqlExpr, Vec<Clause<'_>>)> {
    let mut items = items.iter().map(|item| match item {
        SelectItem::ExprWithAlias { expr, alias } => Some((expr, alias.value.as_str())),
        _ => None,
    });
    let (number, _) = items.next()??;
    let mut clauses = Vec::new();
    while let Some(item) = items.next() {
        let (condition, action) = item?;
        let count = match action {
            UPDATE | INSERT => columns,
            DELETE | NOTHING => 0,
            _ => return None,
        };
        let values = (0..count).map(|_| Some(items.next()??.0)).collect::<Option<_>>()?;
        clauses.push(Clause { action, condition, values });
    }
    Some((number, clauses))
}

/// The value of the first condition that is true.
fn case(values: Vec<(Expr, Expr)>) -> Expr {
    let pairs = values.into_iter().map(|(when, then)| (Box::new(when), Box::new(then)));
    Expr::Case(Case::new(None, pairs.collect(), None))
}
